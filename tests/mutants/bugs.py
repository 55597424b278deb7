"""The seeded bugs: one line each, as a tired programmer would write it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Bug:
    name: str
    kind: str  # sign, rounding, equality, missing check, stale accepted, wrong id, payout cap, funding index
    source: str  # under contracts/
    line: str  # occurs exactly once
    wrong: str


BUGS: tuple[Bug, ...] = ()
