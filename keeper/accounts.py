"""Which accounts exist: built from events, stored with block hashes, rewound on a reorg."""

from collections.abc import Iterable, Mapping
from typing import Protocol

from keeper.chain import Block
from keeper.rpc import Rpc
from keeper.venues.base import Venue

CHUNK = 5_000  # blocks a getLogs request


class Cursor(Protocol):
    """What discovery keeps: the journal."""

    def scanned(self) -> tuple[tuple[int, str], ...]: ...
    def rewind(self, to_number: int) -> int: ...
    def discovered(self, accounts: Mapping[str, int], upto: Block) -> None: ...
    def accounts(self) -> tuple[str, ...]: ...


class Glance:
    """A cursor that starts where another stands and keeps its own findings in memory: looking writes nothing."""

    def __init__(self, origin: Cursor) -> None:
        self._scanned = origin.scanned()
        self._accounts = set(origin.accounts())

    def scanned(self) -> tuple[tuple[int, str], ...]:
        return self._scanned

    def rewind(self, to_number: int) -> int:  # noqa: ARG002 - the shape of Cursor
        """Forget everything: without each account's first block only a scan from the start is sure."""
        self._scanned, forgotten = (), len(self._accounts)
        self._accounts.clear()
        return forgotten

    def discovered(self, accounts: Mapping[str, int], upto: Block) -> None:
        self._accounts |= set(accounts)
        self._scanned = ((upto.number, upto.hash), *self._scanned)

    def accounts(self) -> tuple[str, ...]:
        return tuple(sorted(self._accounts))


class Accounts:
    """The accounts of one venue. A failed scan raises before the cursor moves, so no range is ever skipped."""

    def __init__(self, rpc: Rpc, venue: Venue, cursor: Cursor, start_block: int) -> None:
        self._rpc = rpc
        self._venue = venue
        self._cursor = cursor
        self._start = start_block

    def at(self, block: Block) -> tuple[str, ...]:
        """Return every account introduced up to `block`, scanning what has not been scanned."""
        first = self._resume(block)
        addresses, topics = self._venue.events()
        while first <= block.number:
            last = min(first + CHUNK - 1, block.number)
            logs = self._rpc.logs(addresses, topics, first, last)
            upto = block if last == block.number else self._rpc.block(last)
            seen: dict[str, int] = {}
            for log in logs:
                for account in self._venue.introduced([log]):
                    seen.setdefault(account, log.block_number)
            self._cursor.discovered(seen, upto)
            first = last + 1
        return self._cursor.accounts()

    def _resume(self, block: Block) -> int:
        """Return the first block to scan, after forgetting what a reorg took away."""
        scanned = self._cursor.scanned()
        fork = self._fork(scanned, block)
        if scanned and fork != scanned[0][0]:
            self._cursor.rewind(fork)
            kept = self._cursor.scanned()
            fork = kept[0][0] if kept else self._start - 1
        return max(fork + 1, self._start)

    def _fork(self, scanned: Iterable[tuple[int, str]], block: Block) -> int:
        """Return the newest scanned block that is still on the chain, or the one before the start."""
        for number, stored in scanned:
            if number <= block.number:
                found = block.hash if number == block.number else self._rpc.block(number).hash
                if found == stored:
                    return number
        return self._start - 1
