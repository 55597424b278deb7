"""What the owner tells the price store: reports and slices, as calls."""

from collections.abc import Iterable
from dataclasses import dataclass, fields

from keeper.abi import interface
from keeper.chain import Call
from keeper.twin.records import MarginParameters, Report, ScanParameters, Slice

WAD = 10**18
AVERAGING = 1_800
PRICES = "reference/Prices"


@dataclass(frozen=True, slots=True)
class Observation:
    """What the owner says of one underlying at one time; sequence and funding index are the store's own."""

    underlying: int
    timestamp: int
    price: int  # USD wad
    confidence: int  # half-width, USD wad
    funding_rate: int = 0  # share of the price a second, wad
    fixing_expiry: int = 0
    fixed_share: int = 0  # wad
    fixed_average: int = 0  # USD wad


def fitted(record: Slice | ScanParameters | MarginParameters | Observation) -> tuple[int, ...]:
    """Return a record's fields in its contract's order."""
    return tuple(getattr(record, f.name) for f in fields(record))


def set_reports(prices: str, observations: Iterable[Observation]) -> Call:
    """Return the call that records several reports."""
    return interface(PRICES).function("setReports").packed(prices, [fitted(o) for o in observations])


def set_slices(prices: str, slices: Iterable[Slice]) -> Call:
    """Return the call that records several slices."""
    return interface(PRICES).function("setSlices").packed(prices, [fitted(s) for s in slices])


def observation(last: Report, expiry: int, timestamp: int, price: int, confidence: int) -> Observation:
    """Return the report that follows `last` at `timestamp`, with the share of the average that is due by then.

    `expiry` is the oldest expiry not settled yet, 0 for none (Prices.fixingAt). The average is that of the path in
    which each price holds since the report before.
    """
    if expiry == 0 or timestamp + AVERAGING < expiry:
        return Observation(last.underlying, timestamp, price, confidence)
    share = WAD if timestamp >= expiry else (timestamp + AVERAGING - expiry) * WAD // AVERAGING
    going_on = last.fixing_expiry == expiry
    before, part = (last.fixed_share, last.fixed_share * last.fixed_average) if going_on else (0, 0)
    average = (part + (share - before) * price) // share if share else 0
    return Observation(last.underlying, timestamp, price, confidence, 0, expiry, share, average)
