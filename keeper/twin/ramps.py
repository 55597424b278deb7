"""Parameters over time, in the contracts' integers: docs/risk-arrays.md, Parameters over time.

A number goes from `before` to `to`: it stands at `before` until `start`, then moves in a line for GRACE seconds. MM's
numbers move by block time, a scan version's by the timestamp of the report it is used with.
"""

from collections.abc import Callable
from dataclasses import astuple, dataclass, replace
from typing import Final

from keeper.twin.fixed import cdiv
from keeper.twin.records import MarginParameters, ScanParameters

GRACE: Final = 86_400
"""Seconds from a write to the first that it counts in, and from there until all of it counts."""
HELD: Final = 2**32 - 1
"""A start that never comes."""
LATE: Final = ("mm_scalar", "short_mm_rate", "concentration_rate", "confidence_factor")
"""MM's numbers of which more is tighter; of concentration_from less is."""


def on_the_way(before: int, to: int, start: int, time: int, *, up: bool = False) -> int:
    """Return the number in force at `time`, rounded down between its ends, or `up`."""
    if time <= start:
        return before
    past = time - start
    if past >= GRACE:
        return to
    weighed = before * (GRACE - past) + to * past
    return cdiv(weighed, GRACE) if up else weighed // GRACE


@dataclass(frozen=True, slots=True)
class ScanRamp:
    """One version of an underlying's scan parameters, which may move either way."""

    before: ScanParameters
    to: ScanParameters
    start: int

    def at(self, time: int) -> ScanParameters:
        """Return what the version says for a report of `time`."""
        if self.before == self.to:
            return self.to
        ends = zip(astuple(self.before), astuple(self.to), strict=True)
        return ScanParameters(*(on_the_way(before, to, self.start, time) for before, to in ends))

    def written(self, to: ScanParameters, time: int) -> "ScanRamp":
        """Return the version after this one, written at block time `time`."""
        return ScanRamp(self.at(time), to, time + GRACE)

    @property
    def words(self) -> tuple[int, ...]:
        """All of it, one number a word, as a listing names it."""
        return (*astuple(self.before), *astuple(self.to), self.start)


def settled(scan: ScanParameters) -> ScanRamp:
    """Return the first version: in force from the beginning."""
    return ScanRamp(scan, scan, 0)


@dataclass(frozen=True, slots=True)
class MarginRamp:
    """An underlying's rates: IM's are `to`, the record last written; MM's are on their way there."""

    to: MarginParameters
    before: MarginParameters
    start: int

    def mm(self, time: int) -> MarginParameters:
        """Return MM's rates at block time `time`; imScalar and shortImRate as written."""
        late = {name: on_the_way(*self._ends(name), self.start, time) for name in LATE}
        threshold = on_the_way(*self._ends("concentration_from"), self.start, time, up=True)
        return replace(self.to, **late, concentration_from=threshold)

    def written(self, to: MarginParameters, time: int) -> "MarginRamp":
        """Return the rates after a write at `time`: what it tightens begins a whole grace for all of MM."""
        tightens = any(_tighter(name)(getattr(to, name), getattr(self.to, name)) for name in _OF_MM)
        stands = self.mm(time) if tightens else self.before
        if not tightens and time >= self.start + GRACE:
            stands = to
        before = replace(to, **{name: _looser(name)(getattr(stands, name), getattr(to, name)) for name in _OF_MM})
        return MarginRamp(to, before, time + GRACE if tightens else self.start)

    def held(self, time: int) -> "MarginRamp":
        """Return the rates after the guardian stopped MM where it is."""
        return MarginRamp(self.to, self.mm(time), HELD)

    def _ends(self, name: str) -> tuple[int, int]:
        return getattr(self.before, name), getattr(self.to, name)


_OF_MM: Final = (*LATE, "concentration_from")


def _tighter(name: str) -> Callable[[int, int], bool]:
    return int.__gt__ if name in LATE else int.__lt__


def _looser(name: str) -> Callable[[int, int], int]:
    return min if name in LATE else max


@dataclass(frozen=True, slots=True)
class HaircutRamp:
    """A collateral's haircut: IM's is `to`, MM's on its way there."""

    to: int  # BPS
    before: int
    start: int

    def mm(self, time: int) -> int:
        return on_the_way(self.before, self.to, self.start, time)

    def written(self, to: int, time: int) -> "HaircutRamp":
        tightens = to > self.to
        stands = self.mm(time) if tightens or time >= self.start + GRACE else self.before
        return HaircutRamp(to, min(stands, to), time + GRACE if tightens else self.start)

    def held(self, time: int) -> "HaircutRamp":
        return HaircutRamp(self.to, self.mm(time), HELD)
