"""Run the study and write build/coverage.json; exit code 1 where a gate fails.

    python -m tests.coverage_study [--short] [--out FILE]

Gates: after any move inside the limit (the report's time and the slices kept) IM of the ordinary rows, gap included,
covers 200 prices of the scan range at both vols to 1e-9 of gross notional; MM at 80 %, with and without tails, to 1 %
of the legs' own scans. Random books and optimised ones. Searches without gap and without bend show that it would
notice.
"""

import argparse
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from tests.coverage_study.adversary import FAMILIES, LIVES, OBJECTIVES, Worst, search
from tests.coverage_study.gaps import by_class, third_tangent
from tests.coverage_study.measure import Coverage, coverage
from tests.coverage_study.world import CLASSES, TERMS, random_world

IM_GATE, MM_GATE = 1e-9, 1e-2
DEFAULT_OUT = Path(__file__).parents[2] / "build" / "coverage.json"
WORLDS, BOOKS = 20, 100
LAST_HOUR = 10
"""Every tenth world is in the last hour of its first expiry."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.coverage_study", description=__doc__.splitlines()[0])
    parser.add_argument("--short", action="store_true", help="2 worlds and 4 searches instead of 20 and 63")
    parser.add_argument("--out", type=Path, default=DEFAULT_OUT, help="where to write the figures")
    asked = parser.parse_args()
    found = study(*((2, 6, FAMILIES[:2], ("last hour",), ("im", "mm")) if asked.short else ()))
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    asked.out.write_bytes(orjson.dumps(found, option=orjson.OPT_INDENT_2))
    sys.stdout.write(orjson.dumps(found["summary"], option=orjson.OPT_INDENT_2).decode() + "\n")
    return 0 if found["summary"]["passed"] else 1


def study(
    worlds: int = WORLDS,
    rounds: int = 25,
    families: tuple[Any, ...] = FAMILIES,
    lives: tuple[str, ...] = tuple(LIVES),
    objectives: tuple[str, ...] = OBJECTIVES,
) -> dict[str, Any]:
    """Return all figures."""
    books, gaps = random_part(worlds)
    adversarial = [search(f, life, o, rounds) for f in families for life in lives for o in objectives]
    weakened = {
        "without gap, im": search(FAMILIES[0], "last day", "im", rounds, "gap"),
        "half gamma for bend, tail_mm": search(FAMILIES[-1], "last hour", "tail_mm", rounds, "bend"),
    }
    summary = {
        "passed": passed(books, adversarial),
        "books": int(books.im.size),
        "random": {
            "im, share of gross notional": float((books.im / books.notional).max()),
            **{f"{name}, share of gross scan": worst_share(books, name) for name in ("mm", "tail_mm", "tail_point")},
        },
        "adversarial": {
            o: max((w.shortfall for w in adversarial if w.objective == o), default=None) for o in objectives
        },
        "adversarial books": sum(w.evaluations for w in adversarial),
        "rule weakened": {name: w.shortfall for name, w in weakened.items()},
        "gap charge ÷ scan, whole books": quantiles(books.gap / books.scan),
        "needed ÷ scan, whole books": quantiles(books.needed / books.scan),
        "gap charge ÷ scan, by expiry class": {name: quantiles(ratio[:, 0]) for name, ratio in gaps.items()},
        "with a third tangent, by expiry class": {name: quantiles(ratio[:, 1]) for name, ratio in gaps.items()},
    }
    return {"summary": summary, "adversarial": [asdict(w) for w in (*adversarial, *weakened.values())]}


def random_part(worlds: int) -> tuple[Coverage, dict[str, np.ndarray]]:
    """Return coverage of all books and gap ÷ scan by class, both bounds."""
    joined, gaps = None, {name: [] for name in CLASSES}
    for seed in range(worlds):
        world = random_world(seed, BOOKS, seed % LAST_HOUR == 1)
        found = coverage(world)
        joined = joined.joined(found) if joined else found
        words = world.arrays(TERMS).words
        for name, ratio in by_class(world, words.gap, words.value, words.mark, third_tangent(world)).items():
            gaps[name].append(ratio)
    assert joined is not None
    return joined, {name: np.concatenate(ratios) for name, ratios in gaps.items()}


def worst_share(books: Coverage, name: str) -> float:
    return float((getattr(books, name) / books.gross_scan).max())


def passed(books: Coverage, adversarial: list[Worst]) -> bool:
    im = max([(books.im / books.notional).max(), *(w.shortfall for w in adversarial if w.objective == "im")])
    mm = max([worst_share(books, "mm"), worst_share(books, "tail_mm")])
    mm = max([mm, *(w.shortfall for w in adversarial if w.objective != "im")])
    return bool(im <= IM_GATE and mm <= MM_GATE)


def quantiles(ratio: np.ndarray) -> dict[str, float]:
    if ratio.size == 0:
        return {"books": 0}
    return {"median": float(np.median(ratio)), "p99": float(np.quantile(ratio, 0.99)), "books": int(ratio.size)}


if __name__ == "__main__":
    sys.exit(main())
