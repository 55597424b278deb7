"""Risk arrays of the reference venue in float64: what a unit is worth now and in 18 rows, and two bounds on curvature.

As docs/risk-arrays.md ("Volatility", "Scenarios", "Words of one option") without flooring; USD a unit throughout. Rows
are values at *absolute* prices, so that they stay true while the price moves; the outermost ones are wider by the
move limit. The mark moves by delta and, for shorts, bend; the gap is what a long option may be worth less than the
chord between two neighbouring rows.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np

from engine.averaging import unfixed_price, variance_seconds
from engine.black76 import greeks
from engine.book import OPTION, PERPETUAL, TOKEN, Instruments
from engine.market import Market
from engine.records import floats, freeze, require_not_negative
from engine.types import DAY, YEAR, Flags, Floats, Ints

ROWS: Final = 18
GRID_ROWS: Final = 14
ASCENDING: Final = (12, 8, 4, 0, 2, 6, 10)
"""The grid's rows with volatility up, by rising price; the row after each has volatility down."""
LEAST_VOL: Final = 0.01
MOST_VOL: Final = 10.0
SLOPE_MARGIN: Final = 1e-14
"""How well the integers know N(d1); the gap's tangents are turned outward by it."""
_STEPS: Final = ("0", "+1/3", "−1/3", "+2/3", "−2/3", "+1", "−1")
ROW_NAMES: Final = (
    *(f"price {step} vol {turn}" for step in _STEPS for turn in ("up", "down")),
    *("price + extreme", "price − extreme", "price + deep", "price − deep"),
)


@dataclass(frozen=True, slots=True)
class ScanTerms:
    """What shapes the arrays of one underlying. Relative moves as decimals; covers are shares of a loss that count."""

    scan: float = 0.15  # of the price, the outermost grid point
    vol_up: float = 0.45  # relative, at 30 days
    vol_down: float = 0.3
    short_power: float = 0.3  # of 30 days ÷ max(days, 1), up to 30 days
    long_power: float = 0.13  # beyond
    extreme: float = 0.3
    deep_up: float = 1.0
    deep_down: float = 0.6
    extreme_cover: float = 0.35
    deep_up_cover: float = 0.12
    deep_down_cover: float = 0.2

    def __post_init__(self) -> None:
        require_not_negative(self, *self.__slots__)
        if not (0.0 < self.scan < 1.0 and self.extreme < 1.0 and self.deep_down < 1.0):
            raise ValueError(f"ScanTerms: expected 0 < scan < 1 and falls below 1, found {self}")

    @property
    def move(self) -> float:
        """How far the price may move before arrays are stale: a quarter of a grid step."""
        return self.scan / 12.0

    @property
    def prices(self) -> Floats:
        """(18,) price in each row as a multiple of the price now."""
        steps = np.repeat([0.0, 1.0, -1.0, 2.0, -2.0], 2) / 3.0
        ends = np.array([self.scan, self.scan, -self.scan, -self.scan])
        tails = np.array([self.extreme, -self.extreme, self.deep_up, -self.deep_down])
        outer = np.append(ends, tails)
        return np.append(1.0 + self.scan * steps, (1.0 + outer) * (1.0 + np.sign(outer) * self.move))

    @property
    def cover(self) -> Floats:
        """(18,) share of the loss in each row that counts."""
        tails = (self.extreme_cover, self.extreme_cover, self.deep_up_cover, self.deep_down_cover)
        return floats([1.0] * GRID_ROWS + [*tails])

    def vols(self, seconds: Floats) -> Floats:
        """Return what multiplies a vol in each row, (N, 18), by seconds to expiry, (N,)."""
        days = np.maximum(seconds / DAY, 1.0)
        scale = (30.0 / days) ** np.where(days <= 30.0, self.short_power, self.long_power)
        multiple = np.ones((seconds.size, ROWS))
        multiple[:, 0:GRID_ROWS:2] = (1.0 + self.vol_up * scale)[:, np.newaxis]
        multiple[:, 1:GRID_ROWS:2] = np.maximum(1.0 - self.vol_down * scale, 0.01)[:, np.newaxis]
        return multiple


@dataclass(frozen=True, slots=True)
class Words:
    """The arrays of I instruments at one price of each underlying, USD a unit. Of futures and what moves with no
    underlying all is 0."""

    price: Floats  # (U,) the reference price
    mark: Floats  # (I,)
    delta: Floats  # (I,) per relative move of the price
    bend: Floats  # (I,) >= 0: most that the value rises above its tangent within the move limit
    gap: Floats  # (I,) >= 0: most that the value lies below the chord of two neighbouring rows
    value: Floats  # (I, 18) at the rows' prices

    def __post_init__(self) -> None:
        freeze(self)


def words(instruments: Instruments, market: Market, terms: tuple[ScanTerms, ...]) -> Words:
    """Return the arrays of all instruments; `terms` (U,).

    Perpetuals and tokens are worth their underlying's spot. `forward` is the part that moves, the forward times the
    share not yet fixed, and `forward_fixed` the share fixed times its average; vols are kept within 1 % and 1000 %;
    rates are not used. An option at its expiry is worth its intrinsic value.
    """
    count = len(instruments.names)
    mark, delta, bend, gap = np.zeros((4, count))
    value = np.zeros((count, ROWS))
    linear = np.isin(instruments.kind, (PERPETUAL, TOKEN)) & (instruments.underlying >= 0)
    mark[linear] = delta[linear] = market.spot[instruments.underlying[linear]]
    for u, term in enumerate(terms):
        moving = linear & (instruments.underlying == u)
        value[moving] = market.spot[u] * term.prices
        rows = np.flatnonzero((instruments.kind == OPTION) & (instruments.underlying == u))
        if rows.size:
            options = _Options.of(instruments, market, term, rows)
            mark[rows], delta[rows], bend[rows] = options.tangent()
            value[rows], gap[rows] = options.rows()
    return Words(market.spot.copy(), mark, delta, bend, gap, value)


@dataclass(frozen=True, slots=True)
class _Options:
    """N options of one underlying as columns."""

    term: ScanTerms
    forward: Floats  # of the unfixed part
    fixed: Floats
    strike: Floats
    is_call: Flags
    years: Floats  # variance time
    vol: Floats
    multiple: Floats  # (N, 18) of the vol

    @staticmethod
    def of(instruments: Instruments, market: Market, term: ScanTerms, rows: Ints) -> "_Options":
        expiry = instruments.expiry[rows]
        return _Options(
            term=term,
            forward=market.forward[expiry],
            fixed=market.forward_fixed[expiry],
            strike=instruments.strike[rows],
            is_call=instruments.is_call[rows],
            years=variance_seconds(market.seconds[expiry]) / YEAR,
            vol=np.clip(market.vol[rows], LEAST_VOL, MOST_VOL),
            multiple=term.vols(market.seconds[expiry]),
        )

    @property
    def left(self) -> Floats:
        """(N,) strike less the fixed part."""
        return self.strike - self.fixed

    def call(self, price: float) -> tuple[Floats, Floats]:
        """Return call and slope N(d1) at a multiple of the price, vol kept, (N,) each."""
        return self._calls(np.full((1, 1), price), self.vol[:, np.newaxis])

    def tangent(self) -> tuple[Floats, Floats, Floats]:
        """Return mark, delta and bend, (N,) each."""
        calls, slope = self.call(1.0)
        move, bend = self.term.move, np.zeros(slope.size)
        for step in (move, -move):
            there, _ = self.call(1.0 + step)
            bend = np.maximum(bend, there - calls - slope * self.forward * step)
        mark = unfixed_price(self.forward, self.strike, self.years, self.vol, self.is_call, self.fixed)
        short_of = np.where(self.left > 0.0, self.forward, slope * self.forward)  # a put with no strike left is nothing
        delta = slope * self.forward - np.where(self.is_call, 0.0, short_of)
        return mark, delta, np.where(self.left > 0.0, bend, 0.0)

    def rows(self) -> tuple[Floats, Floats]:
        """Return the values, (N, 18), and the gap, (N,)."""
        prices, vols = self.term.prices, self.vol[:, np.newaxis] * self.multiple
        forward, column = self.forward[:, np.newaxis] * prices, (slice(None), np.newaxis)
        years, fixed = self.years[column], self.fixed[column]
        value = unfixed_price(forward, self.strike[column], years, vols, self.is_call[column], fixed)
        calls, slopes = self._calls(prices[np.newaxis, :], vols)
        gap = np.zeros(self.forward.size)
        for a, b in ((a + vol, b + vol) for a, b in pairwise(ASCENDING) for vol in (0, 1)):
            width = forward[:, b] - forward[:, a]
            gap = np.maximum(gap, cell_gap(width, calls[:, b] - calls[:, a], slopes[:, a], slopes[:, b]))
        return value, np.where(self.left > 0.0, gap, 0.0)

    def _calls(self, prices: Floats, vols: Floats) -> tuple[Floats, Floats]:
        """Return calls and slopes on forward · prices, of the shape of `vols`; (N,) where it has one column."""
        strike = np.where(self.left > 0.0, self.left, 0.0)[:, np.newaxis]
        found = greeks(self.forward[:, np.newaxis] * prices, strike, self.years[:, np.newaxis], vols, np.True_)
        calls, slopes = floats(found.price), np.where(strike > 0.0, found.delta, 1.0)
        return (calls[:, 0], slopes[:, 0]) if vols.shape[1] == 1 else (calls, slopes)


def cell_gap(width: Floats, rise: Floats, slope_low: Floats, slope_high: Floats) -> Floats:
    """Return how far a convex curve may lie below its chord: where the tangents at the ends of a cell meet, >= 0.

    It rises by `rise` over `width` >= 0, with the slopes given at the lower and the upper end, 0..1.
    """
    p, n = np.maximum(slope_low - SLOPE_MARGIN, 0.0), np.minimum(slope_high + SLOPE_MARGIN, 1.0)
    whole = np.maximum((n - p) * width, 0.0)
    low = np.clip(rise - p * width, 0.0, whole)
    high = np.clip(n * width - rise, 0.0, whole)
    gap = np.zeros(whole.shape)
    np.divide(low * high, whole, out=gap, where=whole > 0.0)
    return gap
