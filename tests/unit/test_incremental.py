"""Changed accounts alone, and running profiles: the same numbers as computing everything."""

import math
from dataclasses import fields, replace
from fractions import Fraction

import numpy as np
import pytest

from engine.incremental import RunningProfile, margin_changed
from engine.revalue import risk_arrays
from engine.scan import profile
from engine.scenarios import Shock, grid
from tests.unit.risk_books import INSTRUMENTS, MARKET, NAMES, Flat, Scan, book_of

SCENARIOS = grid(
    [Shock(spot, vol) for spot in (-0.2, -0.1, 0.0, 0.1, 0.2) for vol in ("up", "down")], 2, vol_up=0.3, vol_down=0.2
)


def random_book(seed, accounts=40):
    rng = np.random.default_rng(seed)
    holdings = {
        f"account {a}": {name: rng.normal() for name in rng.permutation(NAMES)[: rng.integers(0, 6)]}
        for a in range(accounts)
    }
    return book_of(holdings, {name: rng.normal(scale=10.0) for name in holdings})


def same(left, right):
    for field in fields(left):
        one, other = getattr(left, field.name), getattr(right, field.name)
        if isinstance(one, np.ndarray):
            assert one.tobytes() == other.tobytes(), field.name
    assert left.scenarios == right.scenarios
    assert {k: v.tobytes() for k, v in left.contingencies.items()} == {
        k: v.tobytes() for k, v in right.contingencies.items()
    }


def test_margins_of_changed_accounts_are_bit_for_bit_the_full_ones():
    book = random_book(1)
    margin_of = Scan().at(INSTRUMENTS, MARKET)
    before = margin_of(book)
    rows = np.array([3, 17, 39])
    touched = np.isin(book.account, rows)
    after = replace(book, quantity=np.where(touched, book.quantity * 1.7, book.quantity), cash=book.cash.copy())
    same(margin_changed(margin_of, before, after, rows), margin_of(after))


def test_positions_may_come_and_go():
    margin_of = Scan().at(INSTRUMENTS, MARKET)
    before = margin_of(book_of({"a": {"BTC-C100": 1.0}, "b": {}, "c": {"WBTC": 1.0}}))
    book = book_of({"a": {}, "b": {"ETH-C10": -2.0, "USDC": 5.0}, "c": {"WBTC": 1.0}})
    same(margin_changed(margin_of, before, book, np.array([1, 0])), margin_of(book))


def test_nothing_changed_is_the_report_itself():
    book = random_book(2)
    before = Scan().at(INSTRUMENTS, MARKET)(book)
    assert margin_changed(Scan().at(INSTRUMENTS, MARKET), before, book, np.array([], np.int64)) is before


def test_a_report_that_does_not_fit_is_refused():
    margin_of, book, one = Scan().at(INSTRUMENTS, MARKET), random_book(3), np.array([0])
    before = margin_of(book)
    with pytest.raises(ValueError, match="expected margins of 5 accounts, found 40"):
        margin_changed(margin_of, before, random_book(3, accounts=5), one)
    with pytest.raises(IndexError, match=r"rows 0\.\.39"):
        margin_changed(margin_of, before, book, np.array([40]))
    with pytest.raises(ValueError, match="same model"):
        margin_changed(Flat().at(INSTRUMENTS, MARKET), before, book, one)


def traded(book, account, instrument, change):
    """Return the book with more positions, appended to their accounts."""
    order = np.argsort(np.concatenate([book.account, account]), kind="stable")

    def joined(column, more):
        return np.concatenate([column, more])[order]

    sizes = np.bincount(np.concatenate([book.account, account]), minlength=len(book.accounts))
    return replace(
        book,
        start=np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64),
        instrument=joined(book.instrument, instrument),
        quantity=joined(book.quantity, change),
        entry=joined(book.entry, np.zeros(change.size)),
        accrued=joined(book.accrued, np.zeros(change.size)),
    )


def full(book, arrays):
    return profile(book.start, book.instrument, book.quantity, arrays.pnl)


def gross_of(book, arrays):
    gross = np.zeros(len(book.accounts))
    np.add.at(gross, book.account, np.abs(book.quantity) * np.abs(arrays.pnl).max(axis=1)[book.instrument])
    return gross


def test_trades_and_prices_are_carried_along():
    rng = np.random.default_rng(4)
    book, market = random_book(5), MARKET
    arrays = risk_arrays(INSTRUMENTS, market, SCENARIOS)
    running = RunningProfile(book, arrays)
    assert running.pnl.tobytes() == full(book, arrays).tobytes()
    gross = gross_of(book, arrays)
    for _ in range(60):
        account, instrument = rng.integers(0, 40, 30), rng.integers(0, 9, 30)
        change = rng.normal(size=30)
        book = traded(book, account, instrument, change)
        running.trade(account, instrument, change)
        option = 2 + rng.integers(0, 3)
        market = replace(market, vol=np.where(np.arange(9) == option, rng.uniform(0.3, 0.9), market.vol))
        arrays = risk_arrays(INSTRUMENTS, market, SCENARIOS)
        running.reprice(book, np.array([option]), arrays)
        gross = np.maximum(gross, gross_of(book, arrays))
    error = np.abs(running.pnl - full(book, arrays)).max(axis=1)
    assert (error <= 1e-12 * gross).all()
    assert (error <= 2.0 * running.drift).all()  # the full computation rounds too
    assert not running.due().any()
    running.refresh(book, arrays)
    assert running.pnl.tobytes() == full(book, arrays).tobytes()


def test_the_drift_bound_holds_against_exact_sums():
    rng = np.random.default_rng(6)
    book = book_of({"a": {"BTC-C100": 1e6}})
    arrays = risk_arrays(INSTRUMENTS, MARKET, SCENARIOS)
    running = RunningProfile(book, arrays)
    changes = np.concatenate([[-1e6 + 0.1], rng.normal(size=2000)])
    for change in changes:
        running.trade(np.array([0]), np.array([2]), np.array([change]))
    quantity = Fraction(1e6) + sum((Fraction(change) for change in changes), Fraction(0))
    exact = [float(quantity * Fraction(unit)) for unit in arrays.pnl[2]]
    error = np.abs(running.pnl[0] - exact).max()
    assert 0.0 < error <= running.drift[0]
    assert running.due(relative=1e-16).all() and not running.due(relative=1e-14).any()


def test_the_worst_is_the_scans():
    book, arrays = random_book(7), risk_arrays(INSTRUMENTS, MARKET, SCENARIOS)
    least, row = RunningProfile(book, arrays).worst()
    report = full(book, arrays)
    assert least.tolist() == report.min(axis=1).tolist()
    assert row.tolist() == report.argmin(axis=1).tolist()


def test_a_refused_trade_changes_nothing():
    book, arrays = random_book(8), risk_arrays(INSTRUMENTS, MARKET, SCENARIOS)
    running = RunningProfile(book, arrays)
    before = running.pnl.tobytes()
    one = np.array([0])
    with pytest.raises(ValueError, match="finite"):
        running.trade(one, one, np.array([math.nan]))
    with pytest.raises(IndexError, match=r"account: expected rows 0\.\.39"):
        running.trade(np.array([40]), one, np.ones(1))
    with pytest.raises(IndexError, match="instrument"):
        running.trade(one, np.array([-1]), np.ones(1))
    with pytest.raises(ValueError, match="expected 40 accounts"):
        running.reprice(book_of({"a": {}}), one, arrays)
    assert running.pnl.tobytes() == before
    with pytest.raises(ValueError, match="read-only"):
        running.pnl[0, 0] = 1.0
