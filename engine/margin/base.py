"""What a margin model is, and what it answers."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from engine.book import Book, Instruments
from engine.market import Market
from engine.records import freeze
from engine.types import ENDANGERED, HEALTHY, UNKNOWN, Codes, Flags, Floats, Ints


@dataclass(frozen=True, slots=True)
class MarginReport:
    """The margin of every account, (A,) each. Of an unknown account some number is not finite, and health is NaN."""

    equity: Floats  # USD, signed: what counts against the margins
    im: Floats  # USD, >= 0 (a protocol that gives credit beyond its requirement: < 0)
    mm: Floats  # USD, as im
    mark_to_market: Floats  # USD, signed: cash and positions at their marks, no haircut
    health: Floats  # equity / MM; +inf when MM = 0, −inf when equity is below that 0; NaN of unknown accounts
    band: Floats  # USD, >= 0: bound on the error of equity − MM against the protocol's own integers
    status: Codes  # HEALTHY, ENDANGERED, UNKNOWN
    undecided: Flags  # the band straddles the line or a step of the venue's rounding: ask the integers
    worst: Ints  # row of `scenarios` that decides the scenario part of IM; −1 where none does
    scenarios: tuple[str, ...]  # names
    contingencies: Mapping[str, Floats]  # by name, (A,) USD: parts of IM and MM, and what a model states beside them

    def __post_init__(self) -> None:
        freeze(self)
        for column in self.contingencies.values():
            column.flags.writeable = False

    @property
    def im_excess(self) -> Floats:
        """(A,) equity − IM, USD; 0 still opens."""
        return self.equity - self.im

    @property
    def mm_excess(self) -> Floats:
        """(A,) equity − MM, USD; 0 is healthy."""
        return self.equity - self.mm

    @property
    def shortfall(self) -> Floats:
        """(A,) what is missing to MM, USD, >= 0."""
        return np.maximum(self.mm - self.equity, 0.0)


class MarginModel(Protocol):
    """A rule that margins accounts. Its parameters are its fields."""

    def at(self, instruments: Instruments, market: Market) -> Callable[[Book], MarginReport]:
        """Do once what all accounts share (risk arrays, discounts) and return the function that margins books.

        The function accepts any book in these instruments and gives an account the same numbers, bit for bit,
        whatever other accounts stand beside it. Raises ValueError for a market or parameters that do not fit.
        """
        ...


def margin(model: MarginModel, book: Book, market: Market) -> MarginReport:
    """Return the margin of every account of a book at a market."""
    return model.at(book.instruments, market)(book)


def require_instruments(book: Book, instruments: Instruments) -> None:
    """Raise ValueError for a book of other instruments than a model was prepared for."""
    held = book.instruments
    if held is instruments:
        return
    named = ("names", "underlyings", "expiries")
    columns = ("kind", "underlying", "expiry", "strike", "is_call")
    same = all(getattr(held, name) == getattr(instruments, name) for name in named)
    if not (same and all(np.array_equal(getattr(held, name), getattr(instruments, name)) for name in columns)):
        raise ValueError("Book.instruments: expected the instruments the model was prepared for, found others")


def judged(
    *,
    equity: Floats,
    im: Floats,
    mm: Floats,
    mark_to_market: Floats,
    band: Floats,
    worst: Ints | None = None,
    scenarios: tuple[str, ...] = (),
    contingencies: Mapping[str, Floats] | None = None,
) -> MarginReport:
    """Return the report with health and status: endangered when equity < MM; equal is healthy; not finite, unknown."""
    known = np.isfinite(equity) & np.isfinite(im) & np.isfinite(mm)
    status = np.where(known, np.where(equity < mm, ENDANGERED, HEALTHY), UNKNOWN).astype(np.int8)
    health = np.where(equity < 0.0, -np.inf, np.inf)
    np.divide(equity, mm, out=health, where=known & (mm > 0.0))
    health[~known] = np.nan
    return MarginReport(
        equity=equity,
        im=im,
        mm=mm,
        mark_to_market=mark_to_market,
        health=health,
        band=band,
        status=status,
        undecided=known & (np.abs(equity - mm) <= band) & (band > 0.0),
        worst=np.full(equity.shape, -1, np.int64) if worst is None else worst,
        scenarios=scenarios,
        contingencies={} if contingencies is None else contingencies,
    )
