"""Markets and books for property tests: one small universe of instruments, every kind and two underlyings in it."""

from dataclasses import replace
from functools import cache
from itertools import product

import numpy as np
from hypothesis import strategies as st

from engine.book import FUTURE, KINDS, OPTION, PERPETUAL, TOKEN, Book, Instruments, account_sums
from engine.market import Market
from engine.types import DAY, Floats, Ints

UNDERLYINGS = ("BTC", "ETH")
EXPIRIES = {"BTC-7D": (0, 7.0), "BTC-90D": (0, 90.0), "ETH-30D": (1, 30.0)}
SPOT = (100_000.0, 4_000.0)
TOKENS = {"USDC": -1, "WBTC": 0, "WETH": 1}
ALL = tuple(range(len(KINDS)))


def _rows() -> list[tuple[str, int, int, int, float, bool]]:
    """Name, kind, underlying, expiry, strike and side of every instrument."""
    rows = [(f"{name}-PERP", PERPETUAL, u, -1, 0.0, False) for u, name in enumerate(UNDERLYINGS)]
    for e, (name, (u, _)) in enumerate(EXPIRIES.items()):
        rows.append((f"{name}-FUTURE", FUTURE, u, e, 0.0, False))
        for moneyness, call in product((0.8, 1.0, 1.3), (True, False)):
            strike = moneyness * SPOT[u]
            rows.append((f"{name}-{strike:g}-{'C' if call else 'P'}", OPTION, u, e, strike, call))
    return rows + [(name, TOKEN, u, -1, 0.0, False) for name, u in TOKENS.items()]


@cache
def universe(kinds: tuple[int, ...] = ALL) -> Instruments:
    """Return the instruments of these kinds."""
    names, kind, underlying, expiry, strike, call = zip(*(row for row in _rows() if row[1] in kinds), strict=True)
    return Instruments(
        names=names,
        underlyings=UNDERLYINGS,
        expiries=tuple(EXPIRIES),
        kind=np.array(kind, np.int8),
        underlying=np.array(underlying, np.int64),
        expiry=np.array(expiry, np.int64),
        strike=np.array(strike),
        is_call=np.array(call, np.bool_),
    )


def market(
    instruments: Instruments,
    spot: tuple[float, float] = SPOT,
    basis: float = 0.01,
    rate: float = 0.04,
    vol: float = 0.6,
) -> Market:
    """Return a market: vols smile a little, every expiry stands the basis above spot."""
    spots = np.array(spot)
    underlying = np.array([u for u, _ in EXPIRIES.values()])
    option = instruments.kind == OPTION
    log_strike = np.log(np.where(option, instruments.strike, 1.0) / spots[instruments.underlying])
    moving = np.where(instruments.underlying >= 0, spots[instruments.underlying], 1.0)
    return Market(
        spot=spots,
        spot_confidence=np.ones(2),
        expiry_underlying=underlying,
        seconds=np.array([days for _, days in EXPIRIES.values()]) * DAY,
        forward=spots[underlying] * (1.0 + basis),
        forward_fixed=np.zeros(3),
        forward_confidence=np.ones(3),
        rate=np.full(3, rate),
        rate_confidence=np.ones(3),
        price=np.where(np.isin(instruments.kind, (PERPETUAL, TOKEN)), moving, 0.0),
        vol=np.where(option, vol * (1.0 + 0.3 * log_strike**2), 0.0),
        confidence=np.ones(len(instruments.names)),
    )


@st.composite
def markets(draw: st.DrawFn, instruments: Instruments) -> Market:
    """Markets that differ in everything but the instruments."""
    return market(
        instruments,
        spot=(SPOT[0] * draw(st.floats(0.5, 2.0)), SPOT[1] * draw(st.floats(0.5, 2.0))),
        basis=draw(st.floats(-0.05, 0.1)),
        rate=draw(st.floats(-0.05, 0.2)),
        vol=draw(st.floats(0.1, 2.0)),
    )


@st.composite
def books(
    draw: st.DrawFn,
    instruments: Instruments,
    *,
    cash: bool = True,
    owed: bool = True,
    stable: bool = True,
    one_underlying: bool = False,
    least: int = 0,
    most: int = 4,
) -> Book:
    """Books of `least` to `most` accounts with up to six positions each.

    cash: accounts hold cash, entries and accruals; owed: tokens may be negative; stable: tokens that move with no
    underlying are among them; one_underlying: an account keeps to one.
    """
    accounts = draw(st.integers(least, most))
    held: list[list[int]] = []
    for _ in range(accounts):
        kept = {draw(st.integers(0, 1))} if one_underlying else {0, 1}
        rows = np.flatnonzero(np.isin(instruments.underlying, [*kept, *([-1] if stable else [])])).tolist()
        held.append(draw(st.lists(st.sampled_from(rows), max_size=6)))
    instrument = np.array([row for account in held for row in account], np.int64)
    sizes = np.array([draw(st.integers(-10_000, 10_000)) / 100 for _ in instrument])
    kind = instruments.kind[instrument]
    marked = np.isin(kind, (PERPETUAL, FUTURE)) & cash
    return Book(
        instruments=instruments,
        accounts=tuple(f"account {a}" for a in range(accounts)),
        cash=np.array([draw(st.integers(-(10**7), 10**7)) / 16 if cash else 0.0 for _ in range(accounts)]),
        start=np.cumsum([0, *map(len, held)]),
        instrument=instrument,
        quantity=np.where((kind == TOKEN) & (not owed), np.abs(sizes), sizes),
        entry=np.array([float(draw(st.integers(1, 150_000))) if m else 0.0 for m in marked]),
        accrued=np.array([draw(st.integers(-10_000, 10_000)) / 8 if cash else 0.0 for _ in instrument]),
    )


def gross(book: Book, market: Market) -> Floats:
    """Return what rounding errors of each account are proportional to, (A,), USD."""
    held = book.instruments
    unit = np.where(held.underlying >= 0, market.spot[held.underlying], 1.0) + held.strike
    worth = np.abs(book.quantity) * (unit[book.instrument] + book.entry) + np.abs(book.accrued)
    return np.abs(book.cash) + account_sums(book, worth)


def scaled(book: Book, by: float) -> Book:
    """Return the book with everything that is held times `by`; entries are prices and stay."""
    return replace(book, cash=book.cash * by, quantity=book.quantity * by, accrued=book.accrued * by)


def merged(book: Book) -> Book:
    """Return the book with all accounts put into one."""
    return replace(
        book,
        accounts=("all",),
        cash=np.array([book.cash.sum()]),
        start=np.array([0, book.instrument.size]),
    )


def reordered(book: Book, rank: Ints) -> Book:
    """Return the book with the positions of every account in the order of their ranks, (P,)."""
    order = np.lexsort((rank, book.account))
    columns = {name: getattr(book, name)[order] for name in ("instrument", "quantity", "entry", "accrued")}
    return replace(book, **columns)


def in_parts(book: Book, first: Floats) -> Book:
    """Return the book with every position in two: `first`, (P,), of it and, after all of the account's others, the
    rest. A share above 1 makes the rest an opposite position."""
    order = np.argsort(np.tile(book.account, 2), kind="stable")
    split = {name: getattr(book, name) for name in ("quantity", "accrued")}
    columns = {name: np.append(column * first, column * (1.0 - first))[order] for name, column in split.items()}
    columns |= {name: np.tile(getattr(book, name), 2)[order] for name in ("instrument", "entry")}
    return replace(book, start=2 * book.start, **columns)
