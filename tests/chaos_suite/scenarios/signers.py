"""A signer that forgets, is asked twice, has its rules changed under way, comes to a cap, or cannot write: F28."""

import random
import resource
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from tests.chain.lane_world import ETHER, LaneKeeper
from tests.chaos_suite.interrupted import finish
from tests.chaos_suite.judge import alarms, kept_once
from tests.chaos_suite.scenario import Figures, Run, hit, require
from tests.chaos_suite.scenarios.leases import of_another
from tests.chaos_suite.stage import Stage
from tests.chaos_suite.world import ENDANGERED
from tests.signer_process import Process

STORE = ("signer.db", "signer.db-wal", "signer.db-shm")
RECONCILE = "keeper signer reconcile"
UNWRITABLE = "expected a store that can be written"
NOT_ALLOWED = "refused by the signer, the first: allow_list"
CAPPED = "refused by the signer, the first: per_hour"


class Asking:
    """A seat at the signer that sends every request twice: the second time as a replay."""

    def __init__(self, seat: Any) -> None:
        self._seat = seat
        self.replayed = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._seat, name)

    def sign(self, requests: Any) -> Any:
        first, again = self._seat.sign(requests), self._seat.sign(requests)
        for one, other in zip(first, again, strict=True):
            same = getattr(one, "raw", None) == getattr(other, "raw", None)
            require(same, f"expected the same bytes for the same request, found {other}")
            self.replayed += hasattr(one, "raw")
        return first


def _process(stage: Stage) -> Process:
    found: Process = stage.signing.process  # type: ignore[attr-defined]
    return found


# --- variants ----------------------------------------------------------------------------------------


def _restored(stage: Stage, keeper: LaneKeeper, rng: random.Random) -> None:
    """Put a backup of the signer's store back while more than it knows is in flight."""
    process = _process(stage)
    backup = stage.folder / "backup"
    _copied(process, process.folder, backup)
    stage.mine()
    known = len({tx.nonce for tx in stage.offered()})
    for _ in range(2):
        stage.tick(keeper)  # its line was cut: the first tick may only find that out
    in_flight = len({tx.nonce for tx in stage.offered()})
    hit(in_flight > known, f"expected more signed than the backup knows, found {in_flight} and {known}")
    _copied(process, backup, process.folder)
    stage.signing.hang_up()
    if rng.random() < 0.5:
        stage.mine()
    _stopped(stage, keeper, RECONCILE)
    nonce = stage.first_nonce + in_flight
    process.order("reconcile", address=stage.site.address, ledger=keeper.app.journal.ledger_id, next_nonce=nonce)


def _copied(process: Process, source: Path, target: Path) -> None:
    """Copy the store while the signer is stopped, and start it again."""
    process.stop()
    target.mkdir(exist_ok=True)
    for name in STORE:
        (target / name).unlink(missing_ok=True)
        if (source / name).exists():
            shutil.copy(source / name, target / name)
    process.start()


def _rules_changed(stage: Stage, keeper: LaneKeeper, rng: random.Random) -> None:
    """Take the only call out of the policy, then put it back, each by the file and a reload."""
    stage.tick(keeper)
    stage.mine()
    process = _process(stage)
    before = process.config.read_text()
    process.config.write_text(before[: before.index("[[call]]")])
    require(process.order("reload")["ok"] is True, "expected the policy without the call taken over, found a refusal")
    _stopped(stage, keeper, NOT_ALLOWED)
    if rng.random() < 0.5:
        process.config.write_text(before + "\n[nonsense]\n")
        _refused_reload(process)
    process.config.write_text(before)
    process.order("reload")


def _refused_reload(process: Process) -> None:
    """A file that cannot be read changes nothing."""
    with process.line("signer-admin") as line:
        found = line.ask("reload")
    require(found["ok"] is False, f"expected a broken policy refused, found {found}")


def _at_the_edge(stage: Stage, keeper: LaneKeeper, rng: random.Random) -> None:
    """Leave room for so many wei an hour that the cap falls into the middle of a batch, to the wei."""
    process = _process(stage)
    before, cap = process.config.read_text(), rng.randint(5, 15) * ETHER // 100
    process.config.write_text(before.replace("per_hour = 100.0", f"per_hour = {cap / ETHER}"))
    text = process.config.read_text().replace("per_transaction = 1.0", f"per_transaction = {cap / ETHER}")
    process.config.write_text(text)
    process.order("reload")
    stage.mine(base_fee=10**10)
    stage.tick(keeper)
    (lane,) = _lanes(process)
    spent, worst = int(lane["spent_hour_wei"]), _worst(stage)
    hit(0 < len(worst) < ENDANGERED, f"expected the cap to fall into the batch, found {len(worst)} signed")
    require(CAPPED in alarms(keeper), f"expected an alarm with {CAPPED!r}, found {alarms(keeper)!r}")
    require(spent == sum(worst), f"expected {sum(worst)} wei counted, found {spent}")
    require(spent <= cap, f"expected at most {cap} wei signed in an hour, found {spent}")
    process.config.write_text(before)
    process.order("reload")


def _lanes(process: Process) -> list[dict[str, str]]:
    found = process.order("reload")["lanes"]
    assert isinstance(found, list)
    return found


def _worst(stage: Stage) -> list[int]:
    dearest: dict[int, int] = {}
    for tx in stage.offered():
        dearest[tx.nonce] = max(tx.cost, dearest.get(tx.nonce, 0))
    return list(dearest.values())


def _full(stage: Stage, keeper: LaneKeeper, rng: random.Random) -> None:
    """Let no file of the signer grow any more, for some blocks."""
    running = _process(stage).running
    assert running is not None, "the signer runs since the stage was set"
    before = resource.prlimit(running.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(running.pid, resource.RLIMIT_FSIZE, (rng.randint(0, 4_096), before[1]))
    _stopped(stage, keeper, UNWRITABLE)
    stage.mine()
    _stopped(stage, keeper, UNWRITABLE)
    resource.prlimit(running.pid, resource.RLIMIT_FSIZE, before)


def _stopped(stage: Stage, keeper: LaneKeeper, words: str) -> None:
    """The keeper puts nothing new on the wire, and an alarm says why in these words."""
    known = {tx.hash for tx in stage.offered()}
    stage.tick(keeper)
    fresh = {tx.hash for tx in stage.offered()} - known
    require(not fresh, f"expected nothing signed, found {len(fresh)} new byte strings sent")
    require(words in alarms(keeper), f"expected an alarm with {words!r}, found {alarms(keeper)!r}")


VARIANTS: Final[dict[str, Callable[[Stage, LaneKeeper, random.Random], None]]] = {
    "store restored from a backup": _restored,
    "policy changed": _rules_changed,
    "cap in the middle of a batch": _at_the_edge,
    "store full": _full,
}


def forgetful(*, protected: bool) -> Run:
    """F28: one misfortune of the signer by seed; every request is asked twice in all of them.

    Unprotected: signer and ledger forget together what is in flight.
    """

    def run(stage: Stage, rng: random.Random) -> Figures:
        seats: list[Asking] = []

        def asking() -> Asking:
            seats.append(Asking(stage.seat("one")))
            return seats[-1]

        variant = rng.choice(sorted(VARIANTS))
        keeper = stage.keeper(signer=asking(), most=rng.randint(15, 25))  # type: ignore[arg-type]
        stage.tick(keeper)
        if protected:
            VARIANTS[variant](stage, keeper, rng)
        else:
            keeper = _amnesia(stage, keeper)
        finish(stage, keeper, ENDANGERED)
        require(stage.nonce_errors() == 0, f"expected no nonce error, found {stage.nonce_errors()}")
        require(stage.reverted() == 0, f"expected no transaction without effect, found {stage.reverted()} reverted")
        return kept_once(stage, keeper, ENDANGERED) | {"misfortune": variant, "replayed": seats[0].replayed}

    return run


def _amnesia(stage: Stage, keeper: LaneKeeper) -> LaneKeeper:
    """Return another keeper with a new journal, at the signer with a new store."""
    stage.close(keeper)
    process = _process(stage)
    process.stop()
    for name in STORE:
        (process.folder / name).unlink(missing_ok=True)
    process.start()
    other = stage.keeper("two", rules=of_another(stage.site.rules))
    stage.tick(other)
    return other
