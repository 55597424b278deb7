"""SIGKILL at a random point of a keeper with fifty liquidations to send; the next one sees all of it through.

The keeper is a process forked from this one, so nothing is imported or compiled again; its signer is another process
and survives. It kills itself before or after the n-th call of one method of ledger, signer or endpoints, and the chain
is asked what came of it. `python tests/chaos/kills.py 200` runs the seeds 1 to 200 over one world.
"""

import os
import random
import signal
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from keeper.demo.transactions import GWEI
from keeper.errors import KeeperError
from keeper.lanes.seat import Seat
from tests.chaos_suite.judge import kept_once
from tests.chaos_suite.scenario import Figures, Scenario, hit, require
from tests.chaos_suite.stage import Stage, stage
from tests.chaos_suite.world import ENDANGERED, Worlds

BLOCKS = 6
"""Blocks of the keeper that dies: sent, replaced, mined, final, and two to spare."""
ATTEMPTS = "SELECT slot_id, kind, tx_hash, raw FROM slot_attempts ORDER BY id"


@dataclass(frozen=True, slots=True)
class Point:
    """The process ends before or after the n-th call (from 1) of a method."""

    method: str
    call: int
    after: bool

    def __str__(self) -> str:
        return f"{'after' if self.after else 'before'} {self.method} {self.call}"


CALLS = {"reserve": 1, "sign": 2, "stored": 2, "offering": 2, "offer": 2, "answered": 2, "mined": 1, "final": 1}
"""Method → calls of it, originals first, then replacements; `sign` and `offer` are the signer's and the endpoints'."""
SPIKE = 4
"""Times the base fee after the first block: beyond the headroom of all fifty, so that all are replaced."""


def drawn(rng: random.Random) -> Point:
    method = rng.choice(sorted(CALLS))
    return Point(method, rng.randint(1, CALLS[method]), rng.random() < 0.5)


class Doomed:
    """Passes calls on until the one at which the process ends."""

    def __init__(self, real: Any, point: Point) -> None:
        self._real, self._point, self._left = real, point, point.call

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._real, name)
        if name != self._point.method:
            return found

        def doomed(*given: Any, **named: Any) -> Any:
            self._left -= 1
            if self._left == 0 and not self._point.after:
                os.kill(os.getpid(), signal.SIGKILL)
            said = found(*given, **named)
            if self._left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return said

        return doomed


def forked(work: Callable[[Callable[[], None]], None], mine: Callable[[], object]) -> int:
    """Do `work` in a process forked from this one; return the signal that ended it, 0 for none.

    Its argument asks this process for a block and returns when there is one: the proxy's threads are here.
    """
    (asked, ask), (answered, answer) = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        os.close(asked)

        def next_block() -> None:
            os.write(ask, b".")
            os.read(answered, 1)

        try:
            work(next_block)
        finally:
            os._exit(0)  # nothing of the parent's is to be tidied up twice
    os.close(ask)  # so that the child's end of it is the last one
    while os.read(asked, 1):
        mine()
        os.write(answer, b".")
    for end in (asked, answered, answer):
        os.close(end)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def killed(on: Stage, rng: random.Random) -> Figures:
    """Run one keeper to its death and the next one to the end; return what was counted."""
    point = drawn(rng)
    calm = rng.randint(GWEI // 10, GWEI)
    on.mine(base_fee=calm)
    fees = [SPIKE * calm]

    def doomed(next_block: Callable[[], None]) -> None:
        seat = Doomed(Seat(on.site.address, lambda: on.signing.client("one")), point)
        keeper = on.keeper(signer=seat, ledger=lambda j: Doomed(j, point), outlets=lambda e: Doomed(e, point))
        for _ in range(BLOCKS):
            try:
                keeper.tick()
            except KeeperError as error:
                print(error, file=sys.stderr)
            next_block()

    ended = forked(doomed, lambda: on.mine(base_fee=fees.pop() if fees else None))
    hit(ended == -signal.SIGKILL, f"expected a death {point}, found the keeper ended with {ended}")
    keeper = on.keeper()
    stored = keeper.rows(ATTEMPTS)
    left = Counter(keeper.slots())
    on.tick(keeper)
    on.settle(keeper, 20)
    kept = keeper.rows(ATTEMPTS)[: len(stored)]
    require(kept == stored, f"expected the dead keeper's {len(stored)} attempts first and as they were, found others")
    require(on.reverted() == 0, f"expected no revert, found {on.reverted()}")
    states = " ".join(f"{state} {count}" for state, count in sorted(left.items()))
    return kept_once(on, keeper, ENDANGERED) | {"point": str(point), "left": states}


UNUSED = Scenario("kills", "killed at a random point", lambda *_: {}, lambda *_: {})


def run(seed: int, worlds: Worlds) -> Figures:
    """Run one kill over a world that is as new. Raises Failed if something was done twice or forgotten."""
    with TemporaryDirectory(prefix="kill-") as folder, stage(worlds, UNUSED, Path(folder), seed) as on:
        return killed(on, random.Random(seed))


if __name__ == "__main__":
    with Worlds() as opened:
        for number in range(1, int(sys.argv[1]) + 1):
            print(number, dict(run(number, opened)), flush=True)
