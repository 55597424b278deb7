"""Many accounts fall at one block; the figures by the chain and by the proxy's own log.

    python -m tests.bursts [--venue reference|curie] [--n N …] [--runs K] [--json FILE]

Exit status 1 when a run misses a gate: blocks, reverts, nonce errors, refusals or effects. Times are reported only.
"""

import argparse
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import orjson

from tests.bench.machine import header
from tests.bursts.curie import curie_burst
from tests.bursts.figures import Figures, figures
from tests.bursts.harness import run
from tests.bursts.reference import reference_burst
from tests.bursts.world import Burst

VENUES: dict[str, Callable[[int], AbstractContextManager[Burst]]] = {
    "reference": reference_burst,
    "curie": curie_burst,
}
SIZES = {"reference": (1, 20, 200), "curie": (1, 20)}
DEFAULT_OUT = Path(__file__).parents[2] / "build" / "bursts.json"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bursts", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--venue", choices=sorted(VENUES), help="default both")
    parser.add_argument("--n", type=int, nargs="+", help="accounts; default 1, 20 and on the reference venue 200")
    parser.add_argument("--runs", type=int, default=20, help="runs of each; the same state for all")
    parser.add_argument("--json", type=Path, default=DEFAULT_OUT, help="where to write the figures")
    asked = parser.parse_args()
    found = [
        measured(venue, size, asked.runs)
        for venue in ([asked.venue] if asked.venue else VENUES)
        for size in asked.n or SIZES[venue]
    ]
    asked.json.parent.mkdir(parents=True, exist_ok=True)
    lines = [header(), *(one.as_json() for one in found)]
    asked.json.write_bytes(orjson.dumps(lines, option=orjson.OPT_INDENT_2) + b"\n")
    return int(any(one.faults for one in found))


def measured(venue: str, size: int, runs: int) -> Figures:
    print(f"{venue} {size}: setting up…", file=sys.stderr, flush=True)
    with VENUES[venue](size) as burst:
        found = figures([run(burst, seed) for seed in range(runs)])
    print(found.text(), flush=True)
    return found


if __name__ == "__main__":
    sys.exit(main())
