"""Compile or load every kernel before the first block waits for it: the first dispatch costs a second.

numba compiles a kernel anew for each mix of array types, and read-only arrays are a type of their own; the books here
are frozen records like real ones, so that what is warmed is what runs.
"""

import numpy as np

from engine import aggregate, black76, implied_vol, incremental, surface, svi_arbitrage
from engine.book import OPTION, PERPETUAL, TOKEN, Book, Instruments
from engine.margin import MODELS, perp, tail
from engine.margin.base import margin
from engine.market import Market
from engine.revalue import mark_values, risk_arrays
from engine.scenarios import span16
from engine.tail_scan import tail_risk
from engine.types import YEAR, Floats


def warm() -> None:
    """Make every kernel of the engine ready: each public path runs once on a book of one account."""
    perp.warm()
    _warm_pricing()
    _warm_surface()
    book, market = _book((OPTION, OPTION, PERPETUAL))
    for name in ("span", "pmrm", "pmrm_v1", "standard", "arrays"):
        margin(MODELS[name](), book, market)
    margin(tail.Tail(history={"BTC": (-0.1, 0.0, 0.1)}), book, market)
    margin(MODELS["perp"](), *_book((PERPETUAL, TOKEN)))
    margin(MODELS["lending"](), *_book((TOKEN,)))
    MODELS["pmrm"]().at(book.instruments, market).scenario_pnl(book)  # type: ignore[attr-defined]
    aggregate.greeks_by(book, market)
    arrays = risk_arrays(book.instruments, market, span16([0.16], [0.4]))
    tail.components(book, arrays.pnl, 0.9)
    tail_risk(book.start, book.instrument, book.quantity, np.zeros((400, 2048)), 0.95)  # enough for several blocks
    mark_values(book.instruments, market)
    incremental.RunningProfile(book, arrays)


def warm_arrays() -> None:
    """Make the kernels of the model `arrays` ready, and no others."""
    margin(MODELS["arrays"](), *_book((OPTION, PERPETUAL, TOKEN)))


def _warm_pricing() -> None:
    call = np.ones(1, np.bool_)
    one = np.ones(1)
    price = black76.price(one, one, one, one, call)
    black76.greeks(one, one, one, one, call)
    implied_vol.implied_vol(price, one, one, one, call)


def _warm_surface() -> None:
    k: Floats = np.tile(np.linspace(-0.3, 0.3, 9), 2)
    years, starts = np.array([0.1, 0.2]), np.array([0, 9, 18])
    vols = 0.6 + 0.1 * k**2
    quotes = surface.SmileQuotes(years, np.ones(2), starts, k, vols, np.ones(18))
    fitted = surface.fit_surface(quotes).surface
    surface.fit_surface(quotes, fitted)
    surface.vol(fitted, k, 0.15)
    svi_arbitrage.least_butterfly(fitted.smile(0))
    svi_arbitrage.least_gap(fitted.smile(0), fitted.smile(1))
    svi_arbitrage.is_free(fitted.smile(0))
    svi_arbitrage.is_free(fitted.smile(1), fitted.smile(0))


def _book(kinds: tuple[int, ...]) -> tuple[Book, Market]:
    """Return one account that holds one of each kind, all of one underlying and one expiry."""
    count, kind = len(kinds), np.array(kinds, np.int8)
    option = kind == OPTION
    instruments = Instruments(
        names=tuple(f"instrument {row}" for row in range(count)),
        underlyings=("BTC",),
        expiries=("expiry",),
        kind=kind,
        underlying=np.zeros(count, np.int64),
        expiry=np.where(option, 0, -1),
        strike=np.where(option, 100.0 + np.arange(count), 0.0),
        is_call=option,
    )
    book = Book(
        instruments=instruments,
        accounts=("account",),
        cash=np.zeros(1),
        start=np.array([0, count]),
        instrument=np.arange(count),
        quantity=np.ones(count),
        entry=np.where(kind == PERPETUAL, 100.0, 0.0),
        accrued=np.zeros(count),
    )
    market = Market(
        spot=np.full(1, 100.0),
        spot_confidence=np.ones(1),
        expiry_underlying=np.zeros(1, np.int64),
        seconds=np.full(1, 0.1 * YEAR),
        forward=np.full(1, 100.0),
        forward_fixed=np.zeros(1),
        forward_confidence=np.ones(1),
        rate=np.zeros(1),
        rate_confidence=np.ones(1),
        price=np.where(option, 0.0, 100.0),
        vol=np.where(option, 0.5, 0.0),
        confidence=np.ones(count),
    )
    return book, market
