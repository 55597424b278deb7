"""Funding of perpetuals: the hourly rate, the index it adds up to, and what it moves between accounts.

    premium = (max(impact bid − index, 0) − max(index − impact ask, 0)) / index
    rate    = clamp(premium / convergence hours + static rate, ±max rate)          an hour
    funding index += rate · seconds / 3600 · index price                           USD a unit held
    PnL = quantity · (mark − entry)        funding = −quantity · (funding index now − at the last settlement)

Source: Derive v2-core, PerpAsset (getFundingRate, _applyFundingOnAccount, _realizePNLWithMark). Longs pay shorts while
the rate is positive. Every trade has two sides, so both amounts sum to 0 over a closed book.
"""

from dataclasses import replace
from typing import Final

import numpy as np

from engine.book import FUTURE, PERPETUAL, Book, account_sums
from engine.types import Floats

HOUR: Final = 3600.0


def hourly_rate(
    index: Floats,
    impact_bid: Floats,
    impact_ask: Floats,
    *,
    convergence_hours: float = 8.0,
    static_rate: float = 0.0,
    max_rate: float = 0.004,
) -> Floats:
    """Return the funding rate an hour of each perpetual, (N,), share of the index price; > 0: longs pay.

    index, impact_bid, impact_ask (N,): USD, > 0; impact prices are what a trade of the venue's reference size would
    get. Raises ValueError where a price is not finite and > 0 or a bid is above its ask; equal is accepted.
    """
    for name, column in (("index", index), ("impact_bid", impact_bid), ("impact_ask", impact_ask)):
        bad = ~((column > 0.0) & np.isfinite(column))
        if bad.any():
            row = int(np.flatnonzero(bad)[0])
            raise ValueError(f"{name}: expected prices > 0, found {column[row]} in row {row}")
    if (impact_ask < impact_bid).any():
        row = int(np.flatnonzero(impact_ask < impact_bid)[0])
        raise ValueError(
            f"impact_ask: expected at least the bid {impact_bid[row]}, found {impact_ask[row]} in row {row}"
        )
    if not (convergence_hours > 0.0 and max_rate >= 0.0 and np.isfinite(static_rate)):
        found = f"{convergence_hours}, {max_rate}, {static_rate}"
        raise ValueError(f"hourly_rate: expected hours > 0, max >= 0 and a finite static rate, found {found}")
    premium = (np.maximum(impact_bid - index, 0.0) - np.maximum(index - impact_ask, 0.0)) / index
    rate: Floats = np.clip(premium / convergence_hours + static_rate, -max_rate, max_rate)
    return rate


def index_growth(rate: Floats, index: Floats, seconds: float) -> Floats:
    """Return what the funding index of each perpetual grows by in `seconds` >= 0, (N,), USD a unit held."""
    if not 0.0 <= seconds < np.inf:
        raise ValueError(f"index_growth: expected seconds >= 0, found {seconds}")
    growth: Floats = rate * (seconds / HOUR) * index
    return growth


def accrue(book: Book, growth: Floats) -> Book:
    """Return the book after the funding indices grew: every perpetual's funding is in `accrued`.

    growth (I,): USD a unit of each instrument; rows that are no perpetual must be 0, or ValueError is raised.
    """
    strange = np.flatnonzero((book.instruments.kind != PERPETUAL) & (growth != 0.0))
    if strange.size:
        raise ValueError(f"accrue: expected growth 0 for {book.instruments.names[strange[0]]}, which pays no funding")
    return replace(book, accrued=book.accrued - book.quantity * growth[book.instrument])


def settle(book: Book, mark: Floats) -> Book:
    """Return the book with PnL to `mark` and all that accrued on perpetuals and futures moved into cash.

    mark (I,): USD a unit, as `engine.revalue.mark_values`. Positions are entered at the mark from then on; every
    account's mark to market stays what it was, to rounding.
    """
    marked = np.isin(book.instruments.kind[book.instrument], (PERPETUAL, FUTURE))
    now = mark[book.instrument]
    moved = np.where(marked, book.quantity * (now - book.entry) + book.accrued, 0.0)
    return replace(
        book,
        cash=book.cash + account_sums(book, moved),
        entry=np.where(marked, now, 0.0),
        accrued=np.where(marked, 0.0, book.accrued),
    )
