"""The header of a benchmark: which machine and versions, and what starting the engine costs on it."""

import os
import platform
import shutil
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).parents[2]
BARE = "import numba\nf = numba.njit(cache=True)(lambda x: x + 1.0)\nf(1.0)\n"
OURS = "from engine.warm import warm\nwarm()\n"
CHILD = """
import resource, subprocess, sys
best = float("inf")
for _ in range(int(sys.argv[2])):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, sys.argv[1]], check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    best = min(best, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
print(best)
"""


def header() -> dict[str, object]:
    """Return machine, versions and start-up times; the first element of build/bench.json."""
    return {
        "machine": _processor(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in ("numpy", "scipy", "numba", "llvmlite")},
        "compiler": shutil.which("gcc") is not None,
        "clock": "CPU time, minimum of interleaved rounds, one thread",
        "start": start_up(),
    }


def start_up(rounds: int = 5) -> dict[str, float]:
    """Return CPU seconds: numba's own import and first call (cached), ours cold, and ours restarted warm."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "NUMBA_CACHE_DIR": folder, "PYTHONPATH": str(ROOT)}
        bare, ours = Path(folder) / "bare.py", Path(folder) / "ours.py"
        bare.write_text(BARE)
        ours.write_text(OURS)
        cold = _cpu(ours, 1, environment)
        _cpu(bare, 1, environment)
        baseline, warm = _cpu(bare, rounds, environment), _cpu(ours, rounds, environment)
    return {"numba_s": baseline, "cold_s": cold, "warm_s": warm, "warm_ratio": warm / baseline}


def _cpu(script: Path, rounds: int, environment: dict[str, str]) -> float:
    command = [sys.executable, "-c", CHILD, str(script), str(rounds)]
    return float(subprocess.run(command, check=True, env=environment, capture_output=True, text=True).stdout)


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else ():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
