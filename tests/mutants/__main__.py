"""Seed one-line bugs into the contracts, one at a time, and see that the contract tests catch each.

    python -m tests.mutants [NAME …] [--list] [--jobs N] [--out FILE]

Each bug is compiled in a copy of contracts/ under build/mutants/ and `forge test --fail-fast` is run there. A bug
that does not compile, or whose line is not found exactly once, is an error: the list has gone stale. Caught means that
tests failed and are named. The first copy has no bug and must pass, or nothing after it means anything; the others are
copies of it, compiled as it is: tests find contracts by artifact, so that a bug compiles what it is in and no test.
Fuzz tests and invariants have a few runs first, which is enough for most bugs, and all of theirs where nothing failed.
Exit 1 when a bug survives, the list is stale or the first copy fails. Bugs caught are kept in the output file and not
run again until the contracts or the tests change.
"""

import argparse
import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import orjson

from tests.mutants.bugs import Bug
from tests.mutants.executor_bugs import ALL_BUGS as BUGS

ROOT = Path(__file__).parents[2]
CONTRACTS = ROOT / "contracts"
WORK = ROOT / "build" / "mutants"
FORGE = shutil.which("forge") or str(ROOT / "node_modules/@foundry-rs/forge-linux-amd64/bin/forge")
FAILED_TEST = re.compile(r"^(?:\[FAIL.*\])? (\w+)\([^)]*\) \(runs: |^\[FAIL.*\] (\w+)\(", re.MULTILINE)
"""A test in the line of its failure, or an invariant in the line after the calls that broke it."""
FEW_RUNS = {"FOUNDRY_FUZZ_RUNS": "32", "FOUNDRY_INVARIANT_RUNS": "8"}
CONTROL = Bug("no bug", "control", "Ledger.sol", "", "")


@dataclass(frozen=True, slots=True)
class Finding:
    """What became of one seeded bug."""

    bug: str
    kind: str
    outcome: str  # caught, survived, stale, not compiled, or broken: forge failed and named no test
    by: tuple[str, ...]  # tests that failed
    seconds: float


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="bugs to try; default all")
    parser.add_argument("--list", action="store_true", help="print the bugs and stop")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="bugs tried side by side")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "mutants.json", help="where findings are kept")
    asked = parser.parse_args()
    unknown = sorted(set(asked.names) - {bug.name for bug in BUGS})
    if unknown:
        parser.error(f"unknown {', '.join(unknown)}; `--list` names them all")
    chosen = [bug for bug in BUGS if not asked.names or bug.name in asked.names]
    if asked.list:
        for bug in chosen:
            print(f"{bug.name:32} {bug.kind:16} {bug.source}")
        return 0
    control = try_one(CONTROL)
    if control.outcome != "survived":
        print(f"without any bug: expected every test to pass, found {control.outcome} {', '.join(control.by)}")
        return 1
    findings = try_all(chosen, asked.jobs, asked.out)
    left = [f for f in findings if f.outcome != "caught"]
    print(f"{len(findings) - len(left)} of {len(findings)} seeded bugs caught")
    return 1 if left else 0


def try_all(bugs: list[Bug], jobs: int, out: Path) -> list[Finding]:
    """Return one finding a bug; those already found for the same sources are read from `out`."""
    state = fingerprint()
    kept = {}
    if out.exists() and (before := orjson.loads(out.read_bytes())).get("sources") == state:
        found = [Finding(**(f | {"by": tuple(f["by"])})) for f in before["findings"]]
        kept = {f.bug: f for f in found if f.outcome == "caught"}
    left = [bug for bug in bugs if bug.name not in kept]
    with ThreadPoolExecutor(jobs) as pool:
        for done in pool.map(try_one, left):
            kept[done.bug] = done
            print(f"{done.bug:32} {done.kind:16} {done.outcome:12} {done.seconds:5.0f} s  {', '.join(done.by[:3])}")
            sys.stdout.flush()
            out.parent.mkdir(parents=True, exist_ok=True)
            out.write_bytes(orjson.dumps({"sources": state, "findings": [asdict(f) for f in kept.values()]}))
    return [kept[bug.name] for bug in bugs]


def try_one(bug: Bug) -> Finding:
    """Copy the contracts, seed the bug, compile, test."""
    begun = time.monotonic()
    folder = copied(bug)
    source = folder / "src/reference" / bug.source
    text = source.read_text()

    def finding(outcome: str, by: tuple[str, ...] = ()) -> Finding:
        return Finding(bug.name, bug.kind, outcome, by, round(time.monotonic() - begun, 1))

    if bug is not CONTROL:
        if text.count(bug.line) != 1:
            return finding("stale")
        source.write_text(text.replace(bug.line, bug.wrong))
    if forge(folder, "build").returncode != 0:
        return finding("not compiled")
    for runs in (FEW_RUNS, {}):
        tested = forge(folder, "test", "--fail-fast", "--match-path", bug.tests, **runs)
        if tested.returncode != 0:
            break
    else:
        return finding("survived")
    by = tuple(dict.fromkeys(first or second for first, second in FAILED_TEST.findall(tested.stdout)))
    if not by:
        (folder.parent / "forge.log").write_text(tested.stdout + tested.stderr)
        return finding("broken")
    shutil.rmtree(folder.parent, ignore_errors=True)
    return finding("caught", by)


def copied(bug: Bug) -> Path:
    """Return a copy of contracts/; of the one without a bug, what it was compiled to with it."""
    folder, pristine = folder_of(bug), folder_of(CONTROL)
    shutil.rmtree(folder.parent, ignore_errors=True)
    if bug is CONTROL:
        shutil.copytree(CONTRACTS, folder, ignore=shutil.ignore_patterns("lib", "snapshots", "out", "cache"))
        (folder / "lib").symlink_to(ROOT / "node_modules")
    else:
        shutil.copytree(pristine, folder, symlinks=True)
    for name in ("scripts", "node_modules", ".venv"):  # what the compiler's wrapper looks for beside contracts/
        (folder.parent / name).symlink_to(ROOT / name)
    return folder


def folder_of(bug: Bug) -> Path:
    return WORK / re.sub(r"\W+", "-", bug.name) / "contracts"


def forge(folder: Path, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    asked = [FORGE, *arguments, "--offline", "--dynamic-test-linking"]
    return subprocess.run(asked, cwd=folder, env=os.environ | settings, capture_output=True, text=True, check=False)


def fingerprint() -> str:
    """Hash everything a finding rests on: sources, tests, the list itself."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*bugs.py")):
        digest.update(path.read_bytes())
    for folder in ("src", "test"):
        for path in sorted((CONTRACTS / folder).rglob("*.sol")):
            digest.update(path.read_bytes())
    return digest.hexdigest()


if __name__ == "__main__":
    sys.exit(main())
