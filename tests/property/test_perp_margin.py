"""The perpetual margin kernel: against its plain twin, against exact rationals, and laws it must obey."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.margin import perp
from engine.margin.perp import PerpBook, PerpMarket
from engine.types import ENDANGERED, HEALTHY, UNKNOWN

MARKETS = 3
TOKENS = 2
money = st.floats(-1e9, 1e9, allow_nan=False).map(lambda x: round(x, 6))
sizes = st.floats(-1e5, 1e5, allow_nan=False).map(lambda x: round(x, 9))
prices = st.floats(1e-3, 1e6)


@st.composite
def books(draw: st.DrawFn) -> PerpBook:
    accounts = draw(st.integers(0, 6))
    positions = [draw(st.integers(0, MARKETS)) for _ in range(accounts)]
    balances = [draw(st.integers(0, TOKENS)) for _ in range(accounts)]
    p, c = sum(positions), sum(balances)

    def floats(of: st.SearchStrategy[float], n: int) -> np.ndarray:
        return np.array([draw(of) for _ in range(n)], np.float64)

    return PerpBook(
        cash=floats(money, accounts),
        position_start=np.concatenate([[0], np.cumsum(positions)]).astype(np.int64),
        market=np.array([draw(st.integers(0, MARKETS - 1)) for _ in range(p)], np.int64),
        size=floats(sizes, p),
        open_notional=floats(money, p),
        base=floats(sizes, p),
        quote=floats(money, p),
        balance_start=np.concatenate([[0], np.cumsum(balances)]).astype(np.int64),
        collateral=np.array([draw(st.integers(0, TOKENS - 1)) for _ in range(c)], np.int64),
        amount=np.abs(floats(sizes, c)),
    )


@st.composite
def markets(draw: st.DrawFn) -> PerpMarket:
    return PerpMarket(
        mark=np.array([draw(prices) for _ in range(MARKETS)]),
        collateral_price=np.array([draw(prices) for _ in range(TOKENS)]),
        collateral_ratio=np.array([draw(st.floats(0.0, 1.0)) for _ in range(TOKENS)]),
        im_ratio=0.1,
        mm_ratio=0.0625,
        equity_decimals=draw(st.sampled_from([None, 6])),
    )


@given(books(), markets())
def test_the_compiled_kernel_equals_its_plain_twin(book: PerpBook, market: PerpMarket) -> None:
    compiled = perp.margin(book, market)
    kernel, perp._margin = perp._margin, perp._margin_py
    try:
        plain = perp.margin(book, market)
    finally:
        perp._margin = kernel
    for name in ("equity", "im", "mm", "health", "band", "status", "undecided"):
        np.testing.assert_array_equal(getattr(compiled, name), getattr(plain, name), err_msg=name)


@given(books(), markets())
def test_the_band_covers_the_distance_to_exact_rationals(book: PerpBook, market: PerpMarket) -> None:
    report = perp.margin(book, market)
    for a in range(book.cash.size):
        equity = Fraction(book.cash[a])
        notional = Fraction(0)
        for p in range(book.position_start[a], book.position_start[a + 1]):
            value = Fraction(book.size[p]) * Fraction(market.mark[book.market[p]])
            equity += value + Fraction(book.open_notional[p])
            notional += abs(value)
        for c in range(book.balance_start[a], book.balance_start[a + 1]):
            k = book.collateral[c]
            counted = Fraction(book.amount[c]) * Fraction(market.collateral_price[k])
            equity += counted * Fraction(market.collateral_ratio[k])
        mm = notional * Fraction(market.mm_ratio)
        if report.undecided[a]:
            continue  # the caller asks the integers
        assert (equity < mm) == (report.status[a] == ENDANGERED)
        if market.equity_decimals is not None:
            assert report.equity[a] == float(Fraction(int(equity * 10**6 // 1), 10**6))


@given(books(), markets(), st.floats(1.0, 3.0))
def test_a_position_in_a_market_without_price_makes_the_account_unknown(
    book: PerpBook, market: PerpMarket, _: float
) -> None:
    mark = market.mark.copy()
    mark[0] = np.nan
    blind = PerpMarket(mark, market.collateral_price, market.collateral_ratio, 0.1, 0.0625, market.equity_decimals)
    report = perp.margin(book, blind)
    for a in range(book.cash.size):
        rows = book.market[book.position_start[a] : book.position_start[a + 1]]
        assert (report.status[a] == UNKNOWN) == bool((rows == 0).any())


def one_account(cash: float, size: float, open_notional: float) -> PerpBook:
    none = np.empty(0)
    row = lambda x: np.array([x], np.float64)  # noqa: E731
    starts = np.array([0, 1], np.int64)
    empty = np.array([0, 0], np.int64)
    return PerpBook(
        row(cash), starts, np.zeros(1, np.int64), row(size), row(open_notional), row(size), row(open_notional),
        empty, np.empty(0, np.int64), none,
    )  # fmt: skip


def market_at(mark: float) -> PerpMarket:
    return PerpMarket(np.array([mark]), np.empty(0), np.empty(0), 0.1, 0.0625, 6)


@pytest.mark.parametrize(
    ("mark", "equity", "status"),
    [
        # 10,000 of cash, long 10 at 8,000: equity = 10,000 + 10 (mark - 8,000), MM = 0.625 mark
        (8000.0, 10_000.0, HEALTHY),
        (7466.7, 4667.0, HEALTHY),
        (7466.6, 4666.0, ENDANGERED),
        (6900.0, -1000.0, ENDANGERED),
    ],
)
def test_a_long_by_hand(mark: float, equity: float, status: int) -> None:
    report = perp.margin(one_account(10_000.0, 10.0, -80_000.0), market_at(mark))
    assert report.mm[0] == pytest.approx(0.625 * mark)
    assert report.equity[0] == pytest.approx(equity)
    assert report.status[0] == status


def test_equity_equal_to_mm_is_healthy_and_left_to_the_integers() -> None:
    # mark 1, size 16: MM exactly 1; cash 1 and a position worth nothing net
    report = perp.margin(one_account(1.0, 16.0, -16.0), market_at(1.0))
    assert (report.equity[0], report.mm[0], report.status[0]) == (1.0, 1.0, HEALTHY)
    assert report.health[0] == 1.0
    assert report.undecided[0]


@pytest.mark.parametrize(("cash", "health", "status"), [(5.0, np.inf, HEALTHY), (-1.0, -np.inf, ENDANGERED)])
def test_without_positions_health_is_infinite_and_has_the_sign_of_equity(
    cash: float, health: float, status: int
) -> None:
    none, empty, rows = np.zeros(2, np.int64), np.empty(0), np.empty(0, np.int64)
    book = PerpBook(np.array([cash]), none, rows, empty, empty, empty, empty, none, rows, empty)
    report = perp.margin(book, market_at(1.0))
    assert (report.health[0], report.status[0]) == (health, status)


def test_a_row_outside_the_market_is_refused() -> None:
    book = one_account(1.0, 1.0, 0.0)
    with pytest.raises(IndexError, match="expected rows"):
        perp.margin(book, PerpMarket(np.empty(0), np.empty(0), np.empty(0), 0.1, 0.0625, 6))


def test_records_refuse_what_is_not_finite_and_stay_frozen() -> None:
    with pytest.raises(ValueError, match="cash"):
        one_account(np.nan, 1.0, 0.0)
    book = one_account(1.0, 1.0, 0.0)
    with pytest.raises(ValueError, match="read-only"):
        book.cash[0] = 2.0


@settings(max_examples=50)
@given(books(), markets())
def test_margins_scale_with_the_book(book: PerpBook, market: PerpMarket) -> None:
    unrounded = PerpMarket(market.mark, market.collateral_price, market.collateral_ratio, 0.1, 0.0625, None)
    twice = PerpBook(
        book.cash * 2, book.position_start, book.market, book.size * 2, book.open_notional * 2, book.base * 2,
        book.quote * 2, book.balance_start, book.collateral, book.amount * 2,
    )  # fmt: skip
    once, double = perp.margin(book, unrounded), perp.margin(twice, unrounded)
    np.testing.assert_array_equal(double.equity, once.equity * 2)  # powers of two are exact
    np.testing.assert_array_equal(double.mm, once.mm * 2)
    np.testing.assert_array_equal(double.im, once.im * 2)
