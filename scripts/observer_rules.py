"""What every observer decides by: which accounts were missed, and how far the journal is from the protocol.

Nothing here imports `keeper` or `engine`. Definitions are in docs/demo.md.
"""

import math
import sqlite3
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

MISSED_AFTER = 4  # consecutive blocks
WAD_DECIMALS = 18


@dataclass(frozen=True, slots=True)
class Streak:
    """A run of blocks at which one account was liquidatable, and how it ended."""

    account: str
    first_block: int
    last_block: int
    reason: str  # liquidated, recovered, ended, missed or an excuse
    detail: str = ""


@dataclass(slots=True)
class _Open:
    first_block: int
    blocks: int = 0
    missed: bool = False  # already counted; waits for the streak to break


class Streaks:
    """Decides which accounts were missed: liquidatable at four consecutive blocks, no liquidation mined in them."""

    def __init__(self, excuses: Mapping[str, str]) -> None:
        """`excuses`: a piece of the protocol's refusal that excuses -> what the reason is called."""
        self._excuses = excuses
        self.closed: list[Streak] = []
        self._open: dict[str, _Open] = {}

    def step(
        self, block: int, liquidatable: set[str], liquidated: set[str], refusal: Callable[[str], str | None]
    ) -> None:
        """Take one block: who is liquidatable after it, whose liquidation was mined in it.

        A liquidation, even a partial one, restarts the count with the next block. `refusal` is asked only
        when a streak reaches four blocks: why the protocol would refuse the liquidation, None if it would not.
        """
        for account in sorted(liquidated | (self._open.keys() - liquidatable)):
            self._close(account, block, "liquidated" if account in liquidated else "recovered")
        for account in sorted(liquidatable - liquidated):
            streak = self._open.setdefault(account, _Open(first_block=block))
            streak.blocks += 1
            if streak.blocks == MISSED_AFTER:
                self._judge(account, streak, block, refusal(account))

    def finish(self, block: int) -> None:
        """Close what is open: the run ended before these streaks reached four blocks."""
        for account in sorted(self._open):
            self._close(account, block, "ended")

    @property
    def missed(self) -> list[Streak]:
        return [streak for streak in self.closed if streak.reason == "missed"]

    def _judge(self, account: str, streak: _Open, block: int, refusal: str | None) -> None:
        excuse = next((reason for piece, reason in self._excuses.items() if piece in (refusal or "")), None)
        if excuse is not None:
            self._close(account, block, excuse)
            return
        self.closed.append(
            Streak(account, streak.first_block, block, "missed", refusal or "the protocol would have accepted it")
        )
        streak.missed = True

    def _close(self, account: str, block: int, reason: str) -> None:
        streak = self._open.pop(account, None)
        if streak is not None and not streak.missed:
            self.closed.append(Streak(account, streak.first_block, block, reason))


@dataclass(frozen=True, slots=True)
class Row:
    """One account in one tick of the keeper's journal; USD, None where it is unknown."""

    block: int
    block_hash: str
    account: str
    equity: float | None
    im: float | None
    mm: float | None
    status: str


@dataclass(frozen=True, slots=True)
class Statement:
    """What the protocol itself says of an account, USD wad."""

    equity: int
    im: int
    mm: int


@dataclass(slots=True)
class Comparison:
    """The keeper's journal against the protocol's own numbers at the same block hash."""

    comparisons: int = 0
    max_rel_diff: float | None = None  # |a - b| / max(1 USD, |b|); None: nothing compared
    worst: dict[str, Any] | None = None
    ticks: int = 0
    unseen: int = 0  # rows of blocks or accounts the observer did not read
    status: Counter[str] = field(default_factory=Counter)
    status_disagreements: int = 0  # endangered <=> equity < MM

    def take(self, row: Row, said: Statement | None) -> None:
        """Compare one row with what the protocol said of the account at the block; None: it was not asked."""
        self.status[row.status] += 1
        if said is None:
            self.unseen += 1
        elif row.status != "unknown":
            at = {"block": row.block, "account": row.account}
            for name in ("equity", "mm", "im"):
                self.add(name, getattr(row, name), getattr(said, name), at)
            self.status_disagreements += (row.status == "endangered") != (said.equity < said.mm)

    def add(self, field_name: str, found: float | None, exact: int, at: dict[str, Any]) -> None:
        expected = exact / 10**WAD_DECIMALS
        usable = found is not None and math.isfinite(found)
        difference = (
            abs(found - expected) / max(1.0, abs(expected)) if usable and found is not None else sys.float_info.max
        )
        self.comparisons += 1
        if self.max_rel_diff is None or difference > self.max_rel_diff:
            self.max_rel_diff = difference
            self.worst = {**at, "field": field_name, "keeper": found, "protocol": expected}


Said = Callable[[Sequence[Row]], Sequence[Statement | None]]
"""From a tick's rows to what the protocol said of each at its block."""


def compare(journal: Path, said: Said) -> Comparison:
    """Compare every journalled equity, IM and MM with what the protocol said at the same block."""
    result = Comparison()
    if not journal.exists():
        return result
    with closing(sqlite3.connect(f"{journal.resolve().as_uri()}?mode=ro", uri=True)) as database:
        (result.ticks,) = database.execute("SELECT count(*) FROM ticks").fetchone()
        for _, of_block in groupby(_rows(database), key=lambda row: row.block_hash):
            rows = list(of_block)
            for row, found in zip(rows, said(rows), strict=True):
                result.take(row, found)
    return result


def _rows(database: sqlite3.Connection) -> Iterator[Row]:
    found = database.execute(
        "SELECT t.block_number, t.block_hash, m.account, m.equity, m.im, m.mm, m.status"
        " FROM margins m JOIN ticks t ON t.id = m.tick_id ORDER BY t.id"
    )
    for number, block_hash, account, equity, im, mm, status in found:
        yield Row(number, block_hash.lower(), account.lower(), equity, im, mm, status)
