"""One run of one scenario at one seed: set up, judged, torn down; what a failed one leaves is kept."""

import logging
import random
import shutil
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from keeper.chaos.requests import Exchange
from tests.chaos_suite.scenario import Failed, Figures, Scenario, Unhit
from tests.chaos_suite.stage import Stage, stage
from tests.chaos_suite.world import Worlds

UNPROTECTED = " unprotected"
SHOWN = 400  # characters of a question or an answer


@dataclass(frozen=True, slots=True)
class Job:
    """`protected` False is the run with the protection switched off, which passes by failing."""

    scenario: str
    seed: int
    protected: bool = True

    @property
    def label(self) -> str:
        return self.scenario if self.protected else self.scenario + UNPROTECTED


@dataclass(frozen=True, slots=True)
class Result:
    label: str
    seed: int
    passed: bool
    figures: Figures
    seconds: float  # of wall time, the stage's set-up included
    why: str  # what failed; for an unprotected run also how it failed as it must
    kept: str  # folder with the proxy's log and the journal, '' unless the run did not pass


def once(worlds: Worlds, scenario: Scenario, job: Job, keep_in: Path | None) -> Result:
    """Run it. Whatever is raised makes a result; what a run that did not pass leaves is kept under `keep_in`."""
    begun = time.perf_counter()
    run = scenario.run if job.protected else scenario.off
    rng = random.Random(f"{job.scenario}/{job.seed}")
    figures: Figures = {}
    with TemporaryDirectory(prefix="chaos-") as name, _logged(Path(name) / "keeper.log"):
        folder, kept = Path(name), ""
        try:
            with stage(worlds, scenario, folder, job.seed) as built:
                try:
                    figures = run(built, rng)
                finally:
                    _write_log(built, folder / "proxy.log")
            failed, why = False, ""
        except Exception as error:  # noqa: BLE001 - a run that breaks is a result too
            failed, why = isinstance(error, Failed), _told(error)
        passed = not why if job.protected else failed and scenario.fails in why
        if not job.protected and not passed:
            why = f"expected it to fail without its protection with {scenario.fails!r}, found {why or 'it passed'}"
        if not passed and keep_in is not None:
            kept = str(_kept(folder, keep_in / f"{job.label}-{job.seed}".replace(" ", "-")))
    if not job.protected and passed:
        figures = {"failed_as_it_must": why}
    return Result(job.label, job.seed, passed, figures, round(time.perf_counter() - begun, 2), why, kept)


def _told(error: Exception) -> str:
    if isinstance(error, Failed):
        return str(error)
    if isinstance(error, Unhit):
        return f"fault not hit: {error}"
    return "".join(traceback.format_exception(error))


def _write_log(built: Stage, path: Path) -> None:
    lines = [_line(exchange) for exchange in built.proxy.exchanges]
    lines += [f"tick: {error}" for error in built.errors]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _line(e: Exchange) -> str:
    """Return one line; signed bytes are named by their hash."""
    asked = e.tx_hash or str(list(e.params))[:SHOWN]
    return f"{e.n} /{e.endpoint} {e.method} {asked} | faults {list(e.faults)} | {e.cut or str(e.answer)[:SHOWN]}"


def _kept(folder: Path, into: Path) -> Path:
    shutil.rmtree(into, ignore_errors=True)
    shutil.copytree(folder, into, ignore=lambda where, names: [n for n in names if (Path(where) / n).is_socket()])
    return into


@contextmanager
def _logged(path: Path) -> Iterator[None]:
    """Write the keeper's log to a file, and nowhere else, while it lasts."""
    logger, handler = logging.getLogger("keeper"), logging.FileHandler(path, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(relativeCreated)d %(name)s %(levelname)s %(message)s"))
    before = logger.level, logger.propagate
    logger.setLevel(logging.INFO)
    logger.propagate = False
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.level, logger.propagate = before
        handler.close()
