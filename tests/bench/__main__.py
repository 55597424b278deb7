"""`make bench`: run every workload and write build/bench.json.

    python -m tests.bench [W1 W2 …] [--out FILE]

One process, one thread for everyone; figures are CPU time, the minimum of interleaved rounds. Only ratios hold: a
shared machine moves both sides.
"""

import argparse
import importlib
import os
import sys
from pathlib import Path

for variable in ("OMP", "OPENBLAS", "MKL", "NUMBA", "NUMEXPR"):  # before numpy starts its threads
    os.environ[f"{variable}_NUM_THREADS"] = "1"

import orjson  # noqa: E402

from tests.bench.harness import Record  # noqa: E402
from tests.bench.machine import header  # noqa: E402

WORKLOADS = {
    "W1": "w1_black76",
    "W2": "w2_span_scan",
    "W2n": "w2n_expiry_scan",
    "W3": "w3_tail",
    "W4": "w4_svi",
    "W5": "w5_implied_vol",
}
DEFAULT_OUT = Path(__file__).parents[2] / "build" / "bench.json"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__.splitlines()[0])
    parser.add_argument("workloads", nargs="*", metavar="W", help=f"any of {', '.join(WORKLOADS)}; default all")
    parser.add_argument("--out", type=Path, default=DEFAULT_OUT, help="where to write the records")
    asked = parser.parse_args()
    unknown = sorted(set(asked.workloads) - set(WORKLOADS))
    if unknown:
        parser.error(f"expected workloads of {', '.join(WORKLOADS)}, found {', '.join(unknown)}")
    records: list[Record] = []
    for name in asked.workloads or WORKLOADS:
        print(f"{name}: measuring…", file=sys.stderr, flush=True)
        found = importlib.import_module(f"tests.bench.{WORKLOADS[name]}").run()
        records += found
        for record in found:
            show(record)
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    lines = [header(), *(record.as_json() for record in records)]
    asked.out.write_bytes(orjson.dumps(lines, option=orjson.OPT_INDENT_2) + b"\n")
    print(f"{len(records)} records in {asked.out}")
    return 0


def show(record: Record) -> None:
    timing = f"{record.ours:>10.4g} {record.theirs:>10.4g} {record.unit}"
    print(f"{record.workload:<4} {record.peer:<38} {record.ratio:>9.3g}×  {timing}  n={record.size}  {record.accuracy}")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
