"""A hand in the reference venue's storage: any book for any account, without a trade.

Where things are follows from their order in contracts/src/reference/Ledger.sol and Solidity's storage layout.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from keeper.abi import interface, keccak256, uint_at
from keeper.demo.transactions import call
from keeper.rpc import Rpc, RpcRefusal
from keeper.twin.records import Book
from keeper.venues.portfolio import account_id

SLOTS: Final = 64  # where a contract's mappings may start
CASH_BITS: Final = 128
TYPES_AT: Final = 232
"""Of an account's word: cash 128, changes 64, last activity 40, then a bit a collateral."""


@dataclass(frozen=True, slots=True)
class Books:
    """Writes books into one venue. Every write is mined with the next block."""

    rpc: Rpc
    venue: str
    prices: str
    slot: int  # of the accounts' mapping: legs and collateral have the two after it

    @classmethod
    def of(cls, rpc: Rpc, venue: str, prices: str, account: str) -> "Books":
        """Find the accounts' mapping by what it must hold of `account`, who has cash."""
        places = [_entry(slot, account_id(account)) for slot in range(SLOTS)]
        cash, _, _ = _recorded(rpc, venue, account)
        (slot,) = [n for n, word in enumerate(_words(rpc, venue, places)) if word & _low(CASH_BITS) == cash]
        return cls(rpc, venue, prices, slot)

    def write(self, account: str, book: Book) -> None:
        """Give the account this book; perpetuals' funding is counted from where the account last paid."""
        number = account_id(account)
        at, list_at, held_at = (_entry(self.slot + n, number) for n in range(3))
        (word,) = _words(self.rpc, self.venue, [at])
        activity = word >> CASH_BITS & _low(TYPES_AT - CASH_BITS)
        types = sum(1 << holding.index for holding in book.collateral)
        first = int.from_bytes(keccak256(list_at.to_bytes(32)))
        written = {at: types << TYPES_AT | activity << CASH_BITS | book.cash & _low(CASH_BITS), list_at: len(book.legs)}
        written |= {first + row: leg.packed for row, leg in enumerate(book.legs)}
        written |= {_entry(held_at, holding.index): holding.amount for holding in book.collateral}
        self._put(self.venue, written)

    def cash(self, account: str) -> int:
        """Return the cash on record, USD wad."""
        return _recorded(self.rpc, self.venue, account)[0]

    def add_cash(self, account: str, more: int) -> None:
        at = _entry(self.slot, account_id(account))
        (word,) = _words(self.rpc, self.venue, [at])
        cash = self.cash(account) + more
        self._put(self.venue, {at: word & ~_low(CASH_BITS) | cash & _low(CASH_BITS)})

    def settle(self, underlying: int, expiry: int, price: int) -> None:
        """Write an expiry's settlement price where the price store reads it, USD wad."""
        ask = call(self.prices, "settlement(uint8,uint40)", underlying, expiry)
        for slot in range(SLOTS):
            at = _entry(_entry(slot, underlying), expiry)
            (before,) = _words(self.rpc, self.prices, [at])
            self._put(self.prices, {at: price})
            (answer,) = self.rpc.eth_calls([ask], self.rpc.block())
            if not isinstance(answer, RpcRefusal) and uint_at(answer) == price:
                return
            self._put(self.prices, {at: before})
        raise AssertionError(f"no mapping of settlement prices in the first {SLOTS} slots of {self.prices}")

    def _put(self, contract: str, words: Mapping[int, int]) -> None:
        self.rpc.batch(
            [("anvil_setStorageAt", (contract, f"0x{at:064x}", f"0x{word:064x}")) for at, word in words.items()]
        )


def _recorded(rpc: Rpc, venue: str, account: str) -> tuple[int, Sequence[int], Sequence[int]]:
    function = interface("reference/MarginVenue").function("recorded")
    (answer,) = rpc.eth_calls([function.call(venue, account_id(account))], rpc.block())
    assert not isinstance(answer, RpcRefusal), answer
    book: tuple[int, Sequence[int], Sequence[int]] = function.values(answer)[0]
    return book


def _words(rpc: Rpc, contract: str, places: Sequence[int]) -> list[int]:
    asked = [("eth_getStorageAt", (contract, f"0x{place:064x}", "latest")) for place in places]
    return [int(str(word), 16) for word in rpc.batch(asked)]


def _entry(slot: int, key: int) -> int:
    return int.from_bytes(keccak256(key.to_bytes(32) + slot.to_bytes(32)))


def _low(bits: int) -> int:
    return (1 << bits) - 1
