"""Liquidation distance: how far spot, vol or the clock must move until an account is no longer healthy.

Solved on full revaluation under any margin model, never by Greeks. The whole book walks outward from the present on a
coarse grid, finer near 0; each account's first step from healthy to not is then refined on its own positions alone.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from engine.book import Book, Instruments
from engine.margin.base import MarginModel, MarginReport, margin
from engine.market import Market, shifted
from engine.records import freeze
from engine.types import DAY, HEALTHY, Floats

TOLERANCE: Final = 1e-9
"""Of a distance, in its own unit: relative move, or days (86 µs)."""

Move = Callable[[float], dict[str, float]]
"""Arguments of `engine.market.shifted` for a distance >= 0."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How far to look, and in how many steps. A dip below MM that begins and ends within one step is not seen."""

    spot_down: float = 0.99  # below 1
    spot_up: float = 4.0
    vol_down: float = 1.0  # at most 1
    vol_up: float = 4.0
    days: float = 365.0  # and never beyond the last expiry, after which time changes nothing
    steps: int = 48  # spaced as squares: with 0.99 the first is 0.04 %, the last 4 %

    def __post_init__(self) -> None:
        reach = (self.spot_down, self.spot_up, self.vol_down, self.vol_up, self.days)
        if not (np.isfinite(reach).all() and min(reach) >= 0.0 and self.spot_down < 1.0 and self.vol_down <= 1.0):
            raise ValueError(f"Limits: expected distances >= 0, spot_down < 1 and vol_down <= 1, found {self}")
        if self.steps < 1:
            raise ValueError(f"Limits.steps: expected at least 1, found {self.steps}")


@dataclass(frozen=True, slots=True)
class Distances:
    """The smallest move at which an account stops being healthy, (A,), >= 0, all else equal.

    +inf: none up to the limit. 0: not healthy now (endangered, or unknown, which is never taken for healthy). At
    distance − TOLERANCE the account is healthy, at distance + TOLERANCE it is not.
    """

    spot_down: Floats  # relative: 0.2 is a fall of 20 %
    spot_up: Floats
    vol_down: Floats  # relative: 0.2 turns a vol of 50 % into 40 %
    vol_up: Floats
    days: Floats

    def __post_init__(self) -> None:
        freeze(self)


def distances(model: MarginModel, book: Book, market: Market, limits: Limits | None = None) -> Distances:
    """Return every account's liquidation distances under a margin model. Moves are those of `engine.market.shifted`.

    Raises ValueError for a market or a moved market that the model refuses.
    """
    limits = limits or Limits()
    squares = np.linspace(0.0, 1.0, limits.steps + 1) ** 2
    days = min(limits.days, float(market.seconds.max(initial=0.0)) / DAY)
    expiring = market.seconds[market.seconds <= days * DAY] / DAY  # values jump where an expiry passes

    def first(grid: Floats, move: Move) -> Floats:
        return _first(model, book, market, grid, move)

    return Distances(
        spot_down=first(limits.spot_down * squares, lambda x: {"spot": -x}),
        spot_up=first(limits.spot_up * squares, lambda x: {"spot": x}),
        vol_down=first(limits.vol_down * squares, lambda x: {"vol": -x}),
        vol_up=first(limits.vol_up * squares, lambda x: {"vol": x}),
        days=first(np.union1d(days * squares, expiring), lambda x: {"days": x}),
    )


def _first(model: MarginModel, book: Book, market: Market, grid: Floats, move: Move) -> Floats:
    """Return the first crossing of each account along the grid, (A,)."""
    distance = np.full(len(book.accounts), np.inf)
    alive = np.arange(len(book.accounts), dtype=np.int64)
    before = 0.0
    for step in grid:
        status = _moved(model, book.take(alive), market, move(float(step))).status
        for account in alive[status != HEALTHY]:
            distance[account] = _refined(model, *_own(book, market, int(account)), move, before, float(step))
        alive = alive[status == HEALTHY]
        before = float(step)
        if alive.size == 0:
            break
    return distance


def _refined(model: MarginModel, alone: Book, market: Market, move: Move, healthy: float, not_healthy: float) -> float:
    """Return where between a healthy and a not healthy move one account crosses."""
    from scipy.optimize import brentq  # here: half a second to import, for every command that solves nothing

    if not_healthy == healthy:  # the grid's first point: not healthy before anything moved
        return 0.0

    def excess(x: float) -> float:
        return float(_moved(model, alone, market, move(x)).mm_excess[0])

    def is_healthy(x: float) -> bool:
        return bool(_moved(model, alone, market, move(x)).status[0] == HEALTHY)

    if excess(not_healthy) < 0.0 <= excess(healthy):
        root = float(brentq(lambda x: np.nan_to_num(excess(x), nan=-1.0), healthy, not_healthy, xtol=TOLERANCE / 4.0))
        below, above = max(root - TOLERANCE, healthy), min(root + TOLERANCE, not_healthy)
        if is_healthy(below) and not is_healthy(above):
            return root
    return _halved(is_healthy, healthy, not_healthy)


def _halved(is_healthy: Callable[[float], bool], healthy: float, not_healthy: float) -> float:
    """Return the crossing by halving: for accounts that become unknown, or whose excess touches 0 without crossing."""
    while not_healthy - healthy > TOLERANCE:
        middle = 0.5 * (healthy + not_healthy)
        healthy, not_healthy = (middle, not_healthy) if is_healthy(middle) else (healthy, middle)
    return not_healthy


def _moved(model: MarginModel, book: Book, market: Market, move: dict[str, float]) -> MarginReport:
    return margin(model, book, shifted(book.instruments, market, **move))


def _own(book: Book, market: Market, account: int) -> tuple[Book, Market]:
    """Return one account with the instruments it holds and no others, which need not be valued."""
    alone = book.take(np.array([account], np.int64))
    held, rows = np.unique(alone.instrument, return_inverse=True)
    every = book.instruments
    own = Instruments(
        names=tuple(every.names[row] for row in held),
        underlyings=every.underlyings,
        expiries=every.expiries,
        kind=every.kind[held],
        underlying=every.underlying[held],
        expiry=every.expiry[held],
        strike=every.strike[held],
        is_call=every.is_call[held],
    )
    quoted = replace(market, price=market.price[held], vol=market.vol[held], confidence=market.confidence[held])
    return replace(alone, instruments=own, instrument=rows.astype(np.int64)), quoted
