"""A journal that cannot be written: T31."""

import random
import sqlite3
from typing import Any, Final

from keeper.journal import Journal
from keeper.rpc import Rpc
from tests.chain.lane_world import LaneKeeper
from tests.chaos_suite.interrupted import Interrupted, When, finish
from tests.chaos_suite.judge import kept_once
from tests.chaos_suite.scenario import Figures, Run, hit, require
from tests.chaos_suite.stage import Stage
from tests.chaos_suite.world import ENDANGERED

POINTS: Final[tuple[tuple[str, When], ...]] = (
    ("intents_without_slot", "before"),
    ("reserve", "before"),
    ("stored", "before"),
    ("offering", "before"),
)
"""Where the disk is full or the database locked from: each is before a write, and all are before the first send."""
UNWRITABLE = 2
"""Ticks for which it stays so."""
SHORT_WAIT_MS = 50
"""For a lock, instead of the journal's usual patience: what is tested is what comes after it."""
WORDS = ("is full", "is locked")


class Disk:
    """The journal's disk, full or locked by another process as long as told."""

    def __init__(self, stage: Stage, kind: str) -> None:
        self._path = stage.folder / "one" / "keeper.db"
        self._kind = kind
        self._journal: Journal | None = None
        self._other: sqlite3.Connection | None = None

    def of(self, journal: Journal) -> None:
        self._journal = journal

    def fail(self) -> None:
        if self._kind == "locked":
            self._pragma(f"busy_timeout={SHORT_WAIT_MS}")
            self._other = sqlite3.connect(self._path, isolation_level=None)
            self._other.execute("BEGIN IMMEDIATE")
        else:
            self._pragma("max_page_count=1")  # SQLite makes it the number of pages there are

    def mend(self) -> None:
        if self._other is not None:
            self._other.close()
        else:
            self._pragma("max_page_count=1000000")

    def _pragma(self, text: str) -> None:
        """Set it on the journal's connection; the pool has one, for the keeper has one thread here."""
        assert self._journal is not None, "the keeper opens its journal before it works"
        with self._journal._database.reading() as connection:
            connection.exec_driver_sql(f"PRAGMA {text}")


class SendsFirst:
    """A signer's client that hands bytes to a node as soon as they are signed, before anything is written down."""

    def __init__(self, seat: Any, url: str) -> None:
        self._seat, self._rpc = seat, Rpc(url)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._seat, name)

    def sign(self, requests: Any) -> Any:
        answers = self._seat.sign(requests)
        self._rpc.send_raw([one.raw for one in answers if hasattr(one, "raw")])
        return answers


def unwritable(*, protected: bool) -> Run:
    """T31: the disk is full, or the database locked, from some write on and for some blocks.

    Unprotected: bytes are sent before they are written down.
    """

    def run(stage: Stage, rng: random.Random) -> Figures:
        kind, count = rng.choice(("full", "locked")), ENDANGERED
        method, when = rng.choice(POINTS) if protected else ("stored", "before")
        disk = Disk(stage, kind)
        keeper = _keeper(stage, disk, method, when, count, protected=protected)
        _stands_still(stage, keeper, kind)
        disk.mend()
        since = stage.now()
        stage.tick(keeper)
        sent = len({tx.nonce for tx in stage.offered(since)})
        require(sent >= count, f"expected {count} sent at the next block, found {sent}")
        blocks = finish(stage, keeper, count)
        require(stage.reverted() == 0, f"expected no transaction without effect, found {stage.reverted()} reverted")
        return kept_once(stage, keeper, count) | {"from": f"{kind} {when} {method}", "blocks_after_repair": blocks}

    return run


def _keeper(stage: Stage, disk: Disk, method: str, when: When, count: int, *, protected: bool) -> LaneKeeper:
    def ledger(journal: Journal) -> Interrupted:
        disk.of(journal)
        return Interrupted(journal, method, when, disk.fail)

    seat = stage.seat("one")
    signer: Any = seat if protected else SendsFirst(seat, stage.proxy.url)
    return stage.keeper(most=count, ledger=ledger, signer=signer)


def _stands_still(stage: Stage, keeper: LaneKeeper, kind: str) -> None:
    """While nothing can be written nothing is sent, and every block says why."""
    for block in range(UNWRITABLE):
        stage.tick(keeper)
        said = stage.errors[-1:]
        hit(len(stage.errors) == block + 1, f"expected a write to fail in every block, found {stage.errors}")
        require(kind in " ".join(said) and "expected" in said[0], f"expected an alarm that it is {kind}, found {said}")
        sent = len(stage.offered())
        require(sent == 0, f"expected nothing sent that is not written down, found {sent} raw transactions")
        stage.mine()
