"""How far the marks of the newest slices are from those that arrays on the chain carry: pure functions of a state.

The price is taken out of it: both sides are at the price and time of the report the arrays rest on, so that what
remains is what slices have moved, in volatility or in the forward against the spot, and in an averaging window the
share of the average that has been fixed since. Arrays bound a move of the price by themselves, but until the next epoch
nothing in them knows of a moved slice (docs/threat-model.md, Silence while slices move).
"""

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Final

from keeper.twin.records import UNIT, Instrument, Report, ScanParameters, Slice
from keeper.twin.words import NoArray, Words, mark, terms
from keeper.twin.world import Epoch

MEMO: Final = 512


def shift_of(
    report: Report,
    slices: Mapping[int, Slice],
    epoch: Epoch,
    rows: Mapping[int, tuple[Instrument, ...]],
) -> int:
    """Return the most that a mark of `rows` (expiry → options in row order) has moved by its slice. USD, wad, >= 0.

    Options that the epoch has no array for, and expiries its report has reached, count nothing.
    """
    then = replace(report, price=epoch.price, timestamp=epoch.timestamp)
    most = 0
    for expiry, instruments in rows.items():
        arrays = epoch.arrays.get(expiry, ())
        marks = _marks(then, slices[expiry], epoch.parameters, instruments) if expiry in slices else ()
        most = max((most, *(_apart(now, words) for now, words in zip(marks, arrays, strict=False))))
    return most


def _apart(now: int, words: Words) -> int:
    """Return the distance of a mark (wad) from an array's, whose word is floored to a unit: less than one is none."""
    return abs(now // UNIT - words[0]) * UNIT


@lru_cache(maxsize=MEMO)
def _marks(
    report: Report, slice_: Slice, parameters: ScanParameters, instruments: tuple[Instrument, ...]
) -> tuple[int, ...]:
    try:
        known = terms(report, slice_, parameters)
    except NoArray:
        return ()
    return tuple(mark(known, instrument.strike_wad, instrument.is_call) for instrument in instruments)
