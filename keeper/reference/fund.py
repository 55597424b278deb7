"""The insurance fund's books: every event of its cash and of the bad debt, and whether they add up to what is there."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from keeper.abi import interface, uint_at
from keeper.chain import Block
from keeper.errors import ReadError
from keeper.rpc import Rpc, answered
from keeper.rpc_records import log_of

VENUE: Final = "reference/MarginVenue"
FUND, BAD_DEBT = 1, 3
ACCOUNTS: Final[Mapping[int, str]] = {FUND: "fund", BAD_DEBT: "bad debt"}
CASH: Final = 1 << 128
CAUSES: Final = (
    "deposit", "withdraw", "swap", "trade", "funding", "settlement", "take", "fund", "shared loss", "bond",
)  # fmt: skip
"""IMarginVenue.Cause, in its order."""
BLOCKS: Final = 10_000
"""In one question for logs: what most nodes answer."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One change of the fund's cash or of the bad debt; USD wad, signed. Bad debt is negative cash of an account."""

    block: int
    log_index: int
    account: str
    cause: str
    delta: int
    balance: int  # after it, as the event says


@dataclass(frozen=True, slots=True)
class Books:
    """All entries up to a block, and what the venue itself says there; USD wad."""

    block: int
    entries: tuple[Entry, ...]
    fund: int
    bad_debt: int  # >= 0

    def total(self, account: str, cause: str | None = None) -> int:
        return sum(e.delta for e in self.entries if e.account == account and cause in (None, e.cause))

    def faults(self) -> list[str]:
        """Return where sums and balances do not meet; nothing is rounded, so empty is exact."""
        found = []
        for account, held in (("fund", self.fund), ("bad debt", -self.bad_debt)):
            running = 0
            for entry in (e for e in self.entries if e.account == account):
                running += entry.delta
                if running != entry.balance:
                    found.append(
                        f"{account}, block {entry.block}, log {entry.log_index}: expected {running} after it, the "
                        f"event says {entry.balance}; was the first block too late?"
                    )
                    break
            else:
                if running != held:
                    found.append(f"{account}: its events sum to {running}, the venue says {held}")
        return found


def read_books(rpc: Rpc, venue: str, first: int, block: Block) -> Books:
    """Return the books from block `first`, the venue's deployment or earlier, to `block`. Raises ReadError."""
    read = interface(VENUE).function
    try:
        fund, bad_debt = answered(rpc.eth_calls([read("fund").call(venue), read("badDebt").call(venue)], block))
    except ValueError as error:
        raise ReadError(f"fund at block {block.number} not read: {error}") from error
    entries = tuple(_entries(rpc, venue, first, block.number))
    if rpc.block(block.number).hash != block.hash:
        raise ReadError(f"block {block.number} was replaced while its fund was read; ask again")
    return Books(block.number, entries, int.from_bytes(fund, signed=True), uint_at(bad_debt))


def _entries(rpc: Rpc, venue: str, first: int, last: int) -> Iterator[Entry]:
    topics = [interface(VENUE).event("BalanceChange").topic, [f"0x{account:064x}" for account in ACCOUNTS]]
    for start in range(first, last + 1, BLOCKS):
        end = min(start + BLOCKS - 1, last)
        query = {"address": venue, "topics": topics, "fromBlock": hex(start), "toBlock": hex(end)}
        yield from _told(rpc.call("eth_getLogs", query))


def _told(logs: Sequence[Mapping[str, Any]]) -> Iterator[Entry]:
    event = interface(VENUE).event("BalanceChange")
    for log in map(log_of, logs):
        account, subject, cause = (int(topic, 16) for topic in log.topics[1:])
        if subject == CASH:
            body = event.body(log)
            said = (ACCOUNTS[account], CAUSES[cause], body["delta"], body["balance"])
            yield Entry(log.block_number, log.log_index, *said)
