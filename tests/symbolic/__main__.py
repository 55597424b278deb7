"""Prove the small rules of the contracts for every input, and refute a broken twin of each.

    python -m tests.symbolic [NAME …] [--list] [--out FILE]

halmos runs each function of contracts/test/symbolic by itself, one solver at a time. A check must be proven and its
twins refuted by a counterexample; a timeout, an error or a path not followed to its end is neither. Exit 1 for any
difference, and for a check without a twin. Findings are written as JSON.
"""

import argparse
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import orjson

from tests.symbolic.checks import Check, listed, unpaired

ROOT = Path(__file__).parents[2]
CONTRACTS = ROOT / "contracts"
WORK = ROOT / "build" / "symbolic"
TOOLS = ROOT / "build" / "contract-tools" / "bin"
FORGE = shutil.which("forge") or str(ROOT / "node_modules/@foundry-rs/forge-linux-amd64/bin/forge")
LIMIT_S = 300  # a check or twin; most take seconds
# A query of the solver. A twin has many, most of them without an answer of interest.
QUERY_LIMIT_S = {"proven": 240, "refuted": 60}
MEMORY = 6 * 2**30  # data of each process; address space would not do, the compiler reserves more than it uses
OUTCOMES = {
    0: "proven",
    1: "refuted",
    2: "timeout",
    3: "stuck",
    4: "all paths revert",
    5: "error",
}  # halmos' exit codes


@dataclass(frozen=True, slots=True)
class Finding:
    """What became of one check."""

    check: str
    expected: str
    found: str
    seconds: float
    solver: str
    counterexample: dict[str, str]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.symbolic", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="checks or twins to run; default all")
    parser.add_argument("--list", action="store_true", help="print checks and twins and stop")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "symbolic.json", help="where findings are written")
    asked = parser.parse_args()
    checks = listed()
    if alone := unpaired(checks):
        parser.error(f"without a twin or a check of the same rule: {', '.join(alone)}")
    if unknown := sorted(set(asked.names) - {check.name for check in checks}):
        parser.error(f"unknown {', '.join(unknown)}; `--list` names them all")
    chosen = [check for check in checks if not asked.names or check.name in asked.names]
    if asked.list:
        for check in chosen:
            print(f"{check.contract:16} {check.expected:8} {check.name}")
        return 0
    if not (TOOLS / "halmos").exists():
        parser.error(f"no halmos in {TOOLS}; run `make fuzz`, which installs it")
    return report(chosen, asked.out)


def report(checks: list[Check], out: Path) -> int:
    """Run the checks in turn; say and keep what was found."""
    build()
    findings = []
    for check in checks:
        findings.append(found := run(check))
        mark = "" if found.found == found.expected else f"  expected: {found.expected}"
        print(f"{found.found:8} {found.seconds:5.0f} s  {found.solver:6} {found.check}{mark}", flush=True)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_bytes(orjson.dumps([asdict(f) for f in findings], option=orjson.OPT_INDENT_2))
    wrong = sum(f.found != f.expected for f in findings)
    print(f"{len(findings) - wrong} of {len(findings)} as expected, {sum(f.seconds for f in findings):.0f} s")
    return 1 if wrong else 0


def build() -> None:
    """Compile the checks exactly as halmos does, so that its own build finds nothing to do."""
    shutil.rmtree(WORK, ignore_errors=True)
    (WORK / "tmp").mkdir(parents=True)
    wanted = ["--ast", "--root", str(CONTRACTS), "--extra-output", "storageLayout", "metadata"]
    built = subprocess.run(
        [FORGE, "build", *wanted], cwd=CONTRACTS, env=environment(), capture_output=True, text=True, check=False
    )
    if built.returncode:
        raise SystemExit(f"the symbolic checks do not compile:\n{built.stdout[-2000:]}{built.stderr[-2000:]}")


def environment() -> dict[str, str]:
    """halmos takes forge and solvers from the path, downloads others into the home folder, leaves queries in /tmp."""
    path = os.pathsep.join([str(TOOLS), str(Path(FORGE).parent), os.environ["PATH"]])
    return os.environ | {"PATH": path, "FOUNDRY_PROFILE": "symbolic", "HOME": str(WORK), "TMPDIR": str(WORK / "tmp")}


def run(check: Check) -> Finding:
    """Run one check by itself and read what halmos found."""
    begun = time.monotonic()
    answer = WORK / f"{check.name}.json"
    arguments = ["--contract", check.contract, "--match-test", rf"^{check.name}\(", "--solver", check.solver]
    arguments += ["--root", str(CONTRACTS), "--forge-build-out", str(WORK / "out")]
    arguments += ["--solver-threads", "1", "--solver-timeout-assertion", f"{QUERY_LIMIT_S[check.expected]}s"]
    arguments += ["--loop", "32", "--no-status", "--json-output", str(answer)]
    if check.expected == "refuted":
        arguments.append("--early-exit")  # one counterexample is enough
    ended = limited([str(TOOLS / "halmos"), *arguments], WORK / f"{check.name}.log")
    outcome, counterexample = read(answer) if ended else ("timeout", {})
    return Finding(
        check.name, check.expected, outcome, round(time.monotonic() - begun, 1), check.solver, counterexample
    )


def limited(command: list[str], log: Path) -> bool:
    """Run within limits of time and memory; say whether it ended by itself. Its solver ends with it."""
    with log.open("w") as to:
        process = subprocess.Popen(
            command,
            cwd=CONTRACTS,
            env=environment(),
            stdout=to,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY)),
        )
        try:
            process.wait(LIMIT_S)
        except subprocess.TimeoutExpired:
            return False
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
    return True


def read(answer: Path) -> tuple[str, dict[str, str]]:
    """Return the outcome of the one function that ran, and the values that refute it."""
    if not answer.exists():
        return "error", {}
    # Not orjson: it reads integers of more than 64 bits as floats.
    by_contract = json.loads(answer.read_bytes())["test_results"]
    results = [result for of_contract in by_contract.values() for result in of_contract]
    if len(results) != 1:
        return "error", {}
    [result] = results
    outcome = OUTCOMES.get(result["exitcode"], "error")
    if outcome == "proven" and result["num_bounded_loops"]:
        return "loop cut short", {}
    if outcome != "refuted":
        return outcome, {}
    models = [model for model in result["models"] or [] if model["is_valid"]]
    if not models:  # values of a function the solver was free to choose
        return "spurious", {}
    return outcome, {v["variable_name"]: hex(v["value"]) for v in models[0]["model"].values()}


if __name__ == "__main__":
    sys.exit(main())
