"""Retries that end: a subject that keeps failing for one cause stays out for a while, and a job fails only so often.

Both are values: an operation returns the next state. Time is block time; a reorg may move it back, which only makes a
quarantine end later.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Literal

Cause = Literal["reverts", "gas bomb", "large answer", "would revert"]


@dataclass(frozen=True, slots=True)
class QuarantineRule:
    """The first `tolerated` strikes cost nothing; each further one doubles the stay, up to `longest_s`."""

    tolerated: int = 1
    first_s: int = 60
    longest_s: int = 3600
    forgotten_s: int = 86_400  # without a strike for this long after its stay, a subject starts afresh

    def __post_init__(self) -> None:
        if self.tolerated < 0 or not 0 < self.first_s <= self.longest_s or self.forgotten_s < 0:
            raise ValueError(f"expected tolerated >= 0 and 0 < first_s <= longest_s, found {self}")

    def stay(self, strikes: int) -> int:
        """Return seconds of quarantine after this many strikes."""
        beyond = strikes - self.tolerated
        if beyond <= 0:
            return 0
        return min(self.longest_s, self.first_s << min(beyond - 1, 64))


UNPAID = QuarantineRule(tolerated=3, first_s=12, longest_s=300)
"""For what a simulation refused, which cost nothing and may have been everybody's fault: an empty fund, say."""

RELAYED: Final = ("reports", "slices")
"""Subjects without which nothing else can be done for long, one for all underlyings (keeper.plans.RelayReports)."""
BRIEF = QuarantineRule(tolerated=3, first_s=12, longest_s=60)
"""For those, whatever the cause: a minute costs less than reports that grow too old to liquidate by."""


@dataclass(frozen=True, slots=True)
class Entry:
    subject: str
    cause: Cause
    strikes: int
    until: int  # block time, seconds; at that second it is out
    value_at_risk: int  # what stays undone meanwhile, in the unit of its jobs


@dataclass(frozen=True, slots=True)
class Quarantine:
    """Who stays out, by subject (an account, a parameter) and cause."""

    rule: QuarantineRule = QuarantineRule()
    unpaid: QuarantineRule = UNPAID
    entries: Mapping[tuple[str, Cause], Entry] = field(default_factory=dict)

    def struck(self, subject: str, cause: Cause, now: int, value_at_risk: int) -> "Quarantine":
        """Return the state after one more failure of `subject`."""
        old = self.entries.get((subject, cause))
        strikes = old.strikes + 1 if old and now < old.until + self.rule.forgotten_s else 1
        rule = BRIEF if subject in RELAYED else self.unpaid if cause == "would revert" else self.rule
        entry = Entry(subject, cause, strikes, now + rule.stay(strikes), value_at_risk)
        return replace(self, entries={**self.entries, (subject, cause): entry})

    def pruned(self, now: int) -> "Quarantine":
        """Return the state without what has been forgotten, so that it does not grow."""
        kept = {key: entry for key, entry in self.entries.items() if now < entry.until + self.rule.forgotten_s}
        return replace(self, entries=kept)

    def holds(self, subject: str, now: int) -> Entry | None:
        """Return the entry that keeps `subject` out longest, None if it may be tried."""
        held = [e for e in self.entries.values() if e.subject == subject and now < e.until]
        return max(held, key=lambda entry: entry.until, default=None)

    def strikes(self, subject: str) -> int:
        """Return how often `subject` has failed, for whatever cause."""
        return sum(entry.strikes for entry in self.entries.values() if entry.subject == subject)

    def held(self, now: int) -> tuple[Entry, ...]:
        """Return everybody who stays out now, each subject once with its longest stay, by subject."""
        subjects = sorted({entry.subject for entry in self.entries.values()})
        return tuple(entry for subject in subjects if (entry := self.holds(subject, now)) is not None)

    def value_at_risk(self, now: int) -> int:
        """Return what is undone because of quarantine: each subject once, with its largest. For the alert."""
        largest: dict[str, int] = {}
        for entry in self.entries.values():
            if now < entry.until:
                largest[entry.subject] = max(largest.get(entry.subject, 0), entry.value_at_risk)
        return sum(largest.values())


@dataclass(frozen=True, slots=True)
class RetryBudget:
    """How often one effect, and all effects together, may be tried again within a window of block time."""

    per_effect: int
    in_all: int
    window_s: int
    tried: tuple[tuple[str, int], ...] = ()  # effect key, block time

    def __post_init__(self) -> None:
        if min(self.per_effect, self.in_all) < 0 or self.window_s <= 0:
            raise ValueError(f"expected budgets >= 0 and a window > 0, found {self}")

    def refusal(self, effect: str, now: int) -> str:
        """Return why `effect` is not tried again now, '' if it may be. A try exactly `window_s` old is forgotten."""
        recent = [key for key, at in self.tried if at > now - self.window_s]
        if recent.count(effect) >= self.per_effect:
            return f"{effect}: {self.per_effect} retries in {self.window_s} s are spent"
        if len(recent) >= self.in_all:
            return f"{self.in_all} retries of all effects in {self.window_s} s are spent"
        return ""

    def spent(self, effect: str, now: int) -> "RetryBudget":
        """Return the budget after one more try; what is older than the window is dropped."""
        kept = tuple((key, at) for key, at in self.tried if at > now - self.window_s)
        return replace(self, tried=(*kept, (effect, now)))
