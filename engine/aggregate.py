"""Risk of the whole book: Greeks summed by account, underlying and expiry, and what one house account would save.

Everything is a derivative of what `engine.revalue` values and along the moves `engine.market.shifted` makes, so that
a sum of Greeks agrees with a finite difference of the same book. Smiles are sticky strike: every instrument keeps its
own vol while its underlying moves.
"""

from dataclasses import dataclass, fields
from typing import Final, Literal

import numpy as np

from engine.black76 import greeks
from engine.book import OPTION, PERPETUAL, TOKEN, Book
from engine.margin.base import MarginModel, MarginReport, margin
from engine.market import Market, require_market
from engine.records import floats, freeze
from engine.types import DAY, UNKNOWN, YEAR, Floats, Ints

ALL: Final = -2
"""Row of a key that was summed over; −1 in `expiry` is what has none: spot and perpetuals."""
LEAST_NET: Final = 1e-12
"""Share of the gross quantity below which a net position is rounding, and has no average entry."""

By = Literal["account", "underlying", "expiry"]


@dataclass(frozen=True, slots=True)
class InstrumentGreeks:
    """Greeks of one unit of each instrument, (I,), by a move of its underlying's spot that all else follows.

    A forward moves in proportion to spot but for its fixed part; so do perpetual marks and tokens of the underlying.
    """

    delta: Floats  # USD per USD of spot: units of the underlying
    gamma: Floats  # change of delta per USD of spot
    vega: Floats  # USD per 1.00 of vol
    theta: Floats  # USD per day that passes, discount included
    vanna: Floats  # change of delta per 1.00 of vol
    volga: Floats  # change of vega per 1.00 of vol

    def __post_init__(self) -> None:
        freeze(self)


NAMES: Final = tuple(field.name for field in fields(InstrumentGreeks))


@dataclass(frozen=True, slots=True)
class GreekReport:
    """Greeks of G groups of positions; a group is what one account holds on one underlying and of one expiry.

    Units as `InstrumentGreeks`, times quantity. Deltas of different underlyings are never added.
    """

    account: Ints  # (G,) row of the account, or ALL
    underlying: Ints  # (G,) row of the underlying
    expiry: Ints  # (G,) row of the expiry, −1 for spot and perpetuals, or ALL
    delta: Floats
    gamma: Floats
    vega: Floats
    theta: Floats
    vanna: Floats
    volga: Floats

    def __post_init__(self) -> None:
        freeze(self)

    def summed(self, by: By) -> "GreekReport":
        """Return the sums per account and underlying, per underlying, or per underlying and expiry."""
        everything = np.full_like(self.account, ALL)
        account = self.account if by == "account" else everything
        expiry = self.expiry if by == "expiry" else everything
        return _grouped(account, self.underlying, expiry, [getattr(self, name) for name in NAMES])


def instrument_greeks(book: Book, market: Market) -> InstrumentGreeks:
    """Return the Greeks of one unit of each of the book's instruments, (I,); of an expired option the slope of its
    intrinsic value. A token without an underlying has none. Raises ValueError where the market does not fit."""
    instruments = book.instruments
    require_market(instruments, market)
    columns = {name: np.zeros(len(instruments.names)) for name in NAMES}
    spot = np.append(market.spot, np.inf)[instruments.underlying]  # −1, no underlying: nothing moves it
    linear = instruments.kind == PERPETUAL
    linear |= (instruments.kind == TOKEN) & (instruments.underlying >= 0)
    columns["delta"][linear] = (market.price / spot)[linear]
    dated = np.flatnonzero(instruments.expiry >= 0)
    slope = np.zeros(len(instruments.names))
    slope[dated] = market.forward[instruments.expiry[dated]] / spot[dated]  # d forward / d spot
    columns["delta"][dated] = slope[dated]

    option = np.flatnonzero(instruments.kind == OPTION)
    expiry, slope = instruments.expiry[option], slope[option]
    discount = np.exp(-market.rate * market.years)
    forward = market.forward[expiry] + market.forward_fixed[expiry]
    strike, is_call = instruments.strike[option], instruments.is_call[option]
    black = greeks(forward, strike, market.years[expiry], market.vol[option], is_call, discount[expiry])
    carry = np.where(market.seconds[expiry] > 0.0, market.rate[expiry] * black.price, 0.0)
    columns["delta"][option] = black.delta * slope
    columns["gamma"][option] = black.gamma * slope * slope
    columns["vega"][option] = black.vega
    columns["theta"][option] = (black.theta + carry) * (DAY / YEAR)
    columns["vanna"][option] = black.vanna * slope
    columns["volga"][option] = black.volga
    return InstrumentGreeks(**columns)


def greeks_by(book: Book, market: Market) -> GreekReport:
    """Return the Greeks of every account by underlying and expiry, in that order; positions that move with no
    underlying are left out, for theirs are 0. `summed` adds them up further. Raises ValueError as `instrument_greeks`.
    """
    unit = instrument_greeks(book, market)
    held = np.flatnonzero(book.instruments.underlying[book.instrument] >= 0)
    row, quantity = book.instrument[held], book.quantity[held]
    parts = [quantity * getattr(unit, name)[row] for name in NAMES]
    return _grouped(book.account[held], book.instruments.underlying[row], book.instruments.expiry[row], parts)


def house(book: Book) -> Book:
    """Return the book as one account, "house", that holds the sum of every instrument and all the cash.

    Its mark to market is the sum over the accounts: a net position carries the average entry, and one that nets to
    nothing leaves what it earned in `accrued`.
    """
    row, group = np.unique(book.instrument, return_inverse=True)
    net, gross, cost, accrued = (
        floats(np.bincount(group, column, row.size))
        for column in (book.quantity, np.abs(book.quantity), book.quantity * book.entry, book.accrued)
    )
    open_ = np.abs(net) > LEAST_NET * gross
    entry = np.zeros(row.size)
    np.divide(cost, net, out=entry, where=open_)
    return Book(
        instruments=book.instruments,
        accounts=("house",),
        cash=floats([book.cash.sum()]),
        start=np.array([0, row.size], np.int64),
        instrument=row.astype(np.int64),
        quantity=net,
        entry=entry,
        accrued=np.where(open_, accrued, accrued - cost),
    )


@dataclass(frozen=True, slots=True)
class NettingBenefit:
    """What the accounts need one by one, and what they would need as one; USD."""

    im_apart: float
    mm_apart: float
    im_house: float
    mm_house: float

    @property
    def im(self) -> float:
        """1 − house ÷ sum of the accounts; 0 where the accounts need nothing."""
        return _saved(self.im_house, self.im_apart)

    @property
    def mm(self) -> float:
        """As `im`, of maintenance margin."""
        return _saved(self.mm_house, self.mm_apart)


def netting_benefit(model: MarginModel, book: Book, market: Market) -> NettingBenefit:
    """Return how far positions of different accounts offset one another under a margin model.

    Raises ValueError naming an account whose margin is unknown, and whatever the model refuses about the house.
    """
    apart = margin(model, book, market)
    together = margin(model, house(book), market)
    _require_known(apart, book.accounts)
    _require_known(together, ("house",))
    return NettingBenefit(
        im_apart=float(apart.im.sum()),
        mm_apart=float(apart.mm.sum()),
        im_house=float(together.im[0]),
        mm_house=float(together.mm[0]),
    )


def _grouped(account: Ints, underlying: Ints, expiry: Ints, columns: list[Floats]) -> GreekReport:
    """Return the sums of rows with equal keys, in the keys' order."""
    expiries = int(expiry.max(initial=ALL)) - ALL + 1
    underlyings = int(underlying.max(initial=0)) + 1
    key = ((account - ALL) * underlyings + underlying) * expiries + (expiry - ALL)
    _, first, group = np.unique(key, return_index=True, return_inverse=True)
    sums = (floats(np.bincount(group, column, first.size)) for column in columns)
    return GreekReport(account[first], underlying[first], expiry[first], *sums)


def _require_known(report: MarginReport, accounts: tuple[str, ...]) -> None:
    unknown = np.flatnonzero(report.status == UNKNOWN)
    if unknown.size:
        raise ValueError(f"netting_benefit: expected every margin known, found {accounts[unknown[0]]} unknown")


def _saved(together: float, apart: float) -> float:
    return 1.0 - together / apart if apart > 0.0 else 0.0
