"""Who may sign: two keepers with one key, clocks that jump, a keeper that sleeps through its lease: T9, F8."""

import random
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, Self
from unittest.mock import patch

from keeper.lanes.rules import LaneRules
from keeper.lanes.seat import Seat
from tests.chain.lane_world import LaneKeeper
from tests.chaos_suite.interrupted import Interrupted, When, finish
from tests.chaos_suite.judge import kept_once
from tests.chaos_suite.scenario import Figures, Run, hit, require
from tests.chaos_suite.stage import Stage
from tests.chaos_suite.world import ENDANGERED, Signing

HOURS: Final = 7_200.0
"""Of a jump, seconds."""
ROUNDS = 2
TAKEN, OTHER_LEDGER = "expected a free lease", "run `keeper signer reconcile`"


def of_another(rules: LaneRules) -> LaneRules:
    """Return the rules of another keeper: its gas limits differ, and so its bytes for the same call and nonce."""
    return replace(rules, gas_margin_ppm=rules.gas_margin_ppm + 50_000)


@contextmanager
def _second_signer(stage: Stage) -> Iterator[Signing]:
    """Yield another signer with the same key and a store of its own: nothing fences it against the first."""
    signing = stage.site.signing(stage.folder / "other")
    try:
        yield signing
    finally:
        signing.stop()


def _seat(stage: Stage, signing: Signing) -> Seat:
    return Seat(stage.site.address, lambda: signing.client("two"))


def two_keepers(*, protected: bool) -> Run:
    """T9: a second keeper with the same key, on the same database or on one of its own.

    Unprotected: the second keeper has a signer of its own, so that nobody fences the two.
    """

    def run(stage: Stage, rng: random.Random) -> Figures:
        shared = protected and rng.random() < 0.5
        part = rng.randint(10, 20)
        with ExitStack() as opened:
            signing = stage.signing if protected else opened.enter_context(_second_signer(stage))
            first = stage.keeper("one", most=part)
            stage.tick(first)
            rules = of_another(stage.site.rules)
            second = stage.keeper("one" if shared else "two", rules=rules, signer=_seat(stage, signing))
            for _ in range(ROUNDS):
                _refused(stage, second, TAKEN)
                stage.mine()
                stage.tick(first)
            stage.close(first)
            if shared:
                stage.tick(second)  # the lease is free
                last = second
            else:
                _refused(stage, second, OTHER_LEDGER)
                last = stage.keeper("one")
                stage.tick(last)
            finish(stage, last, ENDANGERED)
        require(stage.nonce_errors() == 0, f"expected no nonce error, found {stage.nonce_errors()}")
        return kept_once(stage, last, ENDANGERED) | {"databases": 1 if shared else 2}

    return run


def _refused(stage: Stage, keeper: LaneKeeper, words: str) -> None:
    """The keeper is refused in these words and sends nothing."""
    since, errors = stage.now(), len(stage.errors)
    stage.tick(keeper)
    said = " ".join(stage.errors[errors:])
    sent = len(stage.offered(since))
    require(words in said and sent == 0, f"expected {words!r} and nothing sent, found {said!r} and {sent} sent")


# --- time --------------------------------------------------------------------------------------------

SIGNER: Final = """
import sys, time
from pathlib import Path

wall, boot, told = time.time, time.clock_gettime, Path({told!r})
time.time = lambda: wall() + float(told.read_text().split()[0])
time.clock_gettime = lambda clock: boot(clock) + float(told.read_text().split()[1])
from keeper.signer.__main__ import main

sys.exit(main())
"""


class Clocks:
    """The clocks of a signer process, by a file, and the wall clock of this one."""

    def __init__(self, stage: Stage) -> None:
        self._told = Path(stage.folder / "clocks")
        self._stage = stage
        self._here = ExitStack()

    def start(self, wall: float) -> Self:
        """Start the signer anew, its wall clock so many seconds ahead."""
        self._told.write_text(f"{wall} 0")
        process: Any = self._stage.signing.process  # type: ignore[attr-defined]
        process.stop()
        process.start("-c", SIGNER.format(told=str(self._told)))
        return self

    def passes(self, seconds: float) -> None:
        """Let time pass at the signer, as a suspended machine finds it passed."""
        wall, steady = map(float, self._told.read_text().split())
        self._told.write_text(f"{wall + seconds} {steady + seconds}")

    def keepers_wall(self, seconds: float) -> None:
        """Put the keeper's wall clock so far from the true one."""
        self._here.close()
        real, real_ns = time.time, time.time_ns
        self._here.enter_context(patch("time.time", lambda: real() + seconds))
        self._here.enter_context(patch("time.time_ns", lambda: real_ns() + round(seconds * 1e9)))

    def close(self) -> None:
        self._here.close()


ASLEEP: Final[tuple[tuple[str, str, When], ...]] = (
    ("signer", "sign", "before"),
    ("signer", "sign", "after"),
    ("ledger", "stored", "after"),
)
"""Where the first keeper sleeps: before it asks for bytes, with the bytes in hand, with the bytes written down."""


def overslept(*, protected: bool) -> Run:
    """F8: wall clocks jump two hours to and fro; a keeper sleeps in the middle of sending until another has its lease.

    Unprotected: the sleeper has a signer and a ledger of its own, so that nobody fences it.
    """

    def run(stage: Stage, rng: random.Random) -> Figures:
        ahead = rng.choice((HOURS, -HOURS))
        part, method, when = rng.choice(ASLEEP) if protected else ASLEEP[0]
        count = ENDANGERED
        with ExitStack() as opened:
            clocks = opened.enter_context(closing(Clocks(stage))).start(ahead)
            clocks.keepers_wall(-ahead)
            signing = stage.signing if protected else opened.enter_context(_second_signer(stage))
            taken: list[LaneKeeper] = []

            def taken_over() -> None:
                clocks.passes(HOURS)
                clocks.keepers_wall(ahead)
                stage.mine()
                rules = of_another(stage.site.rules)
                taken.append(stage.keeper("one" if protected else "two", rules=rules, most=count))
                stage.tick(taken[0])
                hit(len(stage.offered()) > 0, f"expected the other keeper to send, found {stage.errors[-1:]}")

            asleep = _sleeper(stage, _seat(stage, signing), part, method, when, taken_over, count)
            stage.tick(asleep)
            hit(bool(taken), "expected the first keeper to sleep while it sent, found that it did not")
            _fenced(stage, asleep, taken[0])
            clocks.start(-ahead)
            for line in stage.signing.lines:  # type: ignore[attr-defined]
                line.close()
            stage.tick(taken[0])
            finish(stage, taken[0], ENDANGERED)
        require(stage.nonce_errors() == 0, f"expected no nonce error, found {stage.nonce_errors()}")
        require(stage.reverted() == 0, f"expected no transaction without effect, found {stage.reverted()} reverted")
        return kept_once(stage, taken[0], ENDANGERED) | {"slept": f"{when} {part}.{method}"}

    return run


def _sleeper(stage: Stage, seat: Seat, part: str, method: str, when: When, happens: Any, count: int) -> LaneKeeper:
    """Return a keeper that sleeps at one call of its signer or its ledger."""
    if part == "signer":
        return stage.keeper("one", signer=Interrupted(seat, method, when, happens), most=count)  # type: ignore[arg-type]
    ledger = lambda journal: Interrupted(journal, method, when, happens)  # noqa: E731
    return stage.keeper("one", signer=seat, ledger=ledger, most=count)


def _fenced(stage: Stage, asleep: LaneKeeper, other: LaneKeeper) -> None:
    """What the sleeper had in hand is the other's too, and it gets nothing more while the other works."""
    known = {tx_hash for (tx_hash,) in other.rows("SELECT tx_hash FROM slot_attempts")}
    strange = {tx.hash for tx in stage.offered()} - known
    require(not strange, f"expected nothing from the sleeper that the other does not know, found {len(strange)}")
    _refused(stage, asleep, TAKEN)
