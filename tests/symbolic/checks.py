"""The symbolic checks and their broken twins, as the sources list them.

A rule is proven by `check_RULE`; a twin `broken_RULE_if_WRONG` states the same of a rule with one thing wrong and must
be refuted, because a check can pass vacuously.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

SOURCES = Path(__file__).parents[2] / "contracts/test/symbolic"
DEFAULT_SOLVER = "z3"
FUNCTION = re.compile(r"(?:@custom:halmos --solver (\w+)\s+)?function ((check|broken)_(\w+))\(")


@dataclass(frozen=True, slots=True)
class Check:
    """One function that halmos runs."""

    contract: str
    name: str
    expected: str  # proven or refuted
    rule: str
    solver: str


def listed(folder: Path = SOURCES) -> list[Check]:
    """Return checks and twins in the order of the sources; each contract is named as its file."""
    return [
        Check(
            source.stem,
            name,
            "proven" if kind == "check" else "refuted",
            rest if kind == "check" else rest.partition("_if_")[0],
            solver or DEFAULT_SOLVER,
        )
        for source in sorted(folder.glob("*.sol"))
        for solver, name, kind, rest in FUNCTION.findall(source.read_text())
    ]


def unpaired(checks: Iterable[Check]) -> list[str]:
    """Return the checks without a twin and the twins without a check, of the same contract."""
    checks = list(checks)
    rules = {kind: {(c.contract, c.rule) for c in checks if c.expected == kind} for kind in ("proven", "refuted")}
    return [c.name for c in checks if (c.contract, c.rule) not in rules["proven"] & rules["refuted"]]
