"""What margin reads of the venue at one block, and the reasons for which it gives no statement."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from keeper.twin.records import CollateralType, MarginParameters, Report, ScanParameters, Slice
from keeper.twin.words import Words


class MarginRefused(ValueError):
    """The contract reverts here: there is no statement for this book at this time."""


class NoReport(MarginRefused):
    """An underlying has no price report."""


class NoSlice(MarginRefused):
    """An expiry has no volatility slice."""


class NoEpoch(MarginRefused):
    """An underlying with options has no complete, valid (or none settled) epoch."""


class StaleReport(MarginRefused):
    """The newest report is older than allowed."""


class StaleSlice(MarginRefused):
    """The newest slice is older than allowed."""


class StaleEpoch(MarginRefused):
    """The epoch's report is older than allowed."""


class MovedTooFar(MarginRefused):
    """The price has left the range that the epoch's arrays cover."""


class ArrayMissing(MarginRefused):
    """The epoch has no array for a leg: listed later, or expired and not settled."""


class UnknownRow(MarginRefused):
    """A scenario that is no row of the arrays."""


class Unsettled(MarginRefused):
    """A leg's expiry is not later than the report: it is settled, not priced."""


@dataclass(frozen=True, slots=True)
class Epoch:
    """One publication of an underlying, all arrays on one report."""

    price: int  # the report's, wad
    timestamp: int  # the report's
    parameters: ScanParameters  # of its version at its report's timestamp
    arrays: Mapping[int, tuple[Words, ...]]  # expiry → arrays in row order


@dataclass(frozen=True, slots=True)
class Underlying:
    """What the venue knows of one underlying at one block."""

    report: Report
    scan: ScanParameters  # of the version in force at the report's timestamp
    margin: MarginParameters  # as last written: IM's
    mm: MarginParameters  # MM's at the block
    slices: Mapping[int, Slice] = field(default_factory=dict)  # expiry → newest
    current: Epoch | None = None
    settled: Epoch | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """Ages in seconds; an age equal to its limit is allowed."""

    report_age: int
    epoch_age: int
    slice_age: int
    window: int  # challenge window


@dataclass(frozen=True, slots=True)
class World:
    """All that margin reads at one block."""

    now: int
    underlyings: Mapping[int, Underlying]
    collaterals: tuple[CollateralType, ...]
    limits: Limits
