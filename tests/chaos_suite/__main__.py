"""Command line: `python -m tests.chaos_suite`, which is `make chaos`."""

import argparse
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from tests.chaos_suite.once import Job, Result
from tests.chaos_suite.results import ROOT, Record, sources_key, write_list
from tests.chaos_suite.table import SCENARIOS
from tests.chaos_suite.workers import results

SEEDS = 20


def main(arguments: Sequence[str] | None = None) -> int:
    """Return 0 when everything asked for passed, else 1."""
    options = _parser().parse_args(arguments)
    chosen = _chosen(options.scenario)
    jobs = _jobs(chosen, range(options.first, options.first + options.seeds))
    record = Record(options.build / "chaos.jsonl", sources_key(), resume=options.resume)
    left = [job for job in jobs if not record.has_passed(job)]
    _say(f"{len(jobs)} runs, {len(jobs) - len(left)} of them passed before, {options.jobs} at a time")
    begun = time.monotonic()
    for done, result in enumerate(results(left, options.jobs, options.build / "chaos"), start=1):
        record.add(result)
        _say(_line(result, len(left) - done, (time.monotonic() - begun) / done * (len(left) - done)))
    found = record.of(jobs)
    write_list(options.build / "chaos.json", found)
    failed = [result for result in found if not result.passed]
    _say(f"{len(found) - len(failed)} of {len(jobs)} passed; {options.build / 'chaos.json'}")
    for result in failed:
        _say(f"failed: {result.label} seed {result.seed}: {result.why.strip().splitlines()[-1]}; see {result.kept}")
    return 0 if len(found) == len(jobs) and not failed else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos_suite", description="Scenarios × seeds on Anvil.")
    parser.add_argument("--scenario", default="", help="names, with commas between; all by default")
    parser.add_argument("--seeds", type=int, default=SEEDS, help="how many of them")
    parser.add_argument("--from", type=int, default=1, dest="first", help="the first seed")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="worker processes")
    parser.add_argument("--resume", action="store_true", help="leave out what passed before with the same sources")
    parser.add_argument("--build", type=Path, default=ROOT / "build", help="folder of the results")
    return parser


def _chosen(names: str) -> tuple[str, ...]:
    known = tuple(scenario.name for scenario in SCENARIOS)
    asked = tuple(name for name in names.split(",") if name)
    unknown = [name for name in asked if name not in known]
    if unknown:
        raise SystemExit(f"--scenario: expected some of {', '.join(known)}, found {', '.join(unknown)}")
    return asked or known


def _jobs(names: Sequence[str], seeds: range) -> list[Job]:
    """Return every scenario at every seed, one seed after the other, and each unprotected at the first."""
    unprotected = [Job(name, seed, protected=False) for seed in seeds[:1] for name in names]
    return [*(Job(name, seed) for seed in seeds for name in names), *unprotected]


def _line(result: Result, left: int, seconds: float) -> str:
    verdict = "ok" if result.passed else f"FAILED, kept in {result.kept}"
    told = f"{result.label:<16} seed {result.seed:<3} {verdict} in {result.seconds:.1f} s; {left} left"
    return f"{told}, about {seconds / 60:.0f} min" if left else told


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
