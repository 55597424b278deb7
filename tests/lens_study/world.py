"""A reference venue on Anvil with as many accounts as wanted: their books are written into its storage."""

import random
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from keeper.abi import checksummed, keccak256
from keeper.demo.anvil import Anvil, start_anvil
from keeper.rpc import Rpc
from keeper.twin.records import Book, Holding, Instrument, Leg
from keeper.venues.portfolio import account_id, account_name
from tests.chain.reference_market import OWNER, USDC, WAD, Market, open_market

SLOTS: Final = 64  # where the venue's mappings may start
LOW: Final = (1 << 128) - 1
PROBE: Final = account_name(int(OWNER, 16) << 96, OWNER)
POSITIONS, COLLATERALS = 8, 3
Books = dict[str, tuple[int, Book]]
"""By account: sequence, and what it holds."""


@dataclass(frozen=True, slots=True)
class LensWorld:
    anvil: Anvil
    rpc: Rpc
    market: Market
    first_slot: int  # of Ledger's mappings: accounts, legs, collateral

    @property
    def address(self) -> str:
        return self.market.manifest.contracts.venue

    def write(self, books: Books) -> None:
        """Put the books into the venue's storage, and mine a block."""
        self.store(word for name, (sequence, book) in books.items() for word in self._words(name, sequence, book))

    def store(self, words: Iterable[tuple[int, int]]) -> None:
        """Put words into slots of the venue's storage, and mine a block."""
        items = [("anvil_setStorageAt", (self.address, f"0x{slot:064x}", f"0x{held:064x}")) for slot, held in words]
        assert all(answer is True for answer in self.rpc.batch(items))
        self.rpc.call("evm_mine")

    @contextmanager
    def undone(self) -> Iterator[None]:
        """Put the chain back afterwards."""
        snapshot = self.rpc.call("evm_snapshot")
        yield
        assert self.rpc.call("evm_revert", snapshot) is True

    def _words(self, name: str, sequence: int, book: Book) -> Iterator[tuple[int, int]]:
        account = account_id(name)
        types = sum(1 << held.index for held in book.collateral)
        yield slot_of(account, self.first_slot), types << 232 | sequence << 128 | book.cash & LOW
        legs = slot_of(account, self.first_slot + 1)
        yield legs, len(book.legs)
        yield from ((_hash(legs) + row, leg.packed) for row, leg in enumerate(book.legs))
        of_account = slot_of(account, self.first_slot + 2)
        yield from ((slot_of(held.index, of_account), held.amount) for held in book.collateral)


@contextmanager
def lens_world() -> Iterator[LensWorld]:
    with start_anvil(gas_limit=400_000_000) as anvil:
        rpc = Rpc(anvil.url, timeout_s=60.0)
        market = open_market(rpc)
        market.deposit(PROBE, 5 * USDC)
        market.mine()
        yield LensWorld(anvil, rpc, market, _first_slot(rpc, market))


def random_books(
    market: Market,
    count: int,
    seed: int,
    positions: Sequence[int] = (POSITIONS,),
    kinds: Sequence[int] = (COLLATERALS,),
) -> Books:
    """Return random books, each with one of so many positions and one of so many collaterals."""
    rng = random.Random(seed)
    options = [
        market.option(u, expiry, strike, is_call=is_call)
        for u in (0, 1) for expiry in range(3) for strike in range(5) for is_call in (True, False)
    ]  # fmt: skip
    return {_name(rng): (rng.randrange(1 << 64), _book(rng, options, rng.choice(positions), rng.choice(kinds)))
            for _ in range(count)}  # fmt: skip


def _book(rng: random.Random, options: Sequence[Instrument], positions: int, kinds: int) -> Book:
    of = rng.sample([*options, Instrument(0), Instrument(1)], positions)
    legs = tuple(Leg(instrument, rng.choice((-1, 1)) * rng.randint(1, 10**22)) for instrument in of)
    held = tuple(Holding(index, rng.randint(1, 10**24)) for index in sorted(rng.sample(range(COLLATERALS), kinds)))
    return Book(rng.randint(-(10**25), 10**25), legs, held)


def _name(rng: random.Random) -> str:
    owner = rng.randbytes(20)
    return account_name(int.from_bytes(owner) << 96 | rng.choice((0, 1, 77)), checksummed("0x" + owner.hex()))


def _first_slot(rpc: Rpc, market: Market) -> int:
    slots = [slot_of(account_id(PROBE), slot) for slot in range(SLOTS)]
    venue = market.manifest.contracts.venue
    held = rpc.batch([("eth_getStorageAt", (venue, hex(slot), "latest")) for slot in slots])
    (found,) = [row for row, word in enumerate(held) if int(str(word), 16) & LOW == 5 * WAD]
    return found


def slot_of(key: int, slot: int) -> int:
    """Return where a mapping at `slot` keeps what belongs to `key`."""
    return int.from_bytes(keccak256(key.to_bytes(32) + slot.to_bytes(32)))


def _hash(slot: int) -> int:
    return int.from_bytes(keccak256(slot.to_bytes(32)))
