"""Funding and settlement: what longs pay shorts get, and settling changes nobody's worth."""

from dataclasses import replace

import numpy as np
import pytest

from engine.book import mark_to_market
from engine.funding import accrue, hourly_rate, index_growth, settle
from engine.revalue import mark_values
from tests.unit.risk_books import INSTRUMENTS, MARKET, book_of

INDEX = np.array([100.0])


@pytest.mark.parametrize(
    ("bid", "ask", "rate"),
    [
        (100.8, 101.0, 0.008 / 8),  # both above: only the bid's premium counts
        (99.0, 99.2, -0.008 / 8),  # both below: only the ask's discount
        (99.9, 100.1, 0.0),  # the index lies between
        (100.0, 100.0, 0.0),
        (110.0, 110.0, 0.004),  # 10 % ÷ 8 hours is clamped
        (90.0, 90.0, -0.004),
    ],
)
def test_the_hourly_rate_by_hand(bid, ask, rate):
    assert hourly_rate(INDEX, np.array([bid]), np.array([ask]))[0] == pytest.approx(rate, abs=1e-15)


def test_the_static_rate_is_inside_the_clamp():
    rate = hourly_rate(INDEX, np.array([104.0]), np.array([104.0]), static_rate=0.001, max_rate=0.0055)
    assert rate[0] == 0.0055
    assert hourly_rate(INDEX, INDEX, INDEX, static_rate=0.001)[0] == 0.001


def test_an_hour_at_a_tenth_of_a_percent_costs_a_tenth_of_a_percent_of_the_index():
    assert index_growth(np.array([0.001]), INDEX, 3600.0)[0] == pytest.approx(0.1)
    assert index_growth(np.array([0.001]), INDEX, 0.0)[0] == 0.0


def closed_book():
    """Every trade has two sides: quantities sum to 0, and so does quantity · entry of each trade."""
    book = book_of(
        {
            "a": {"BTC-PERPETUAL": 3.0, "BTC-C100": 1.0},
            "b": {"BTC-PERPETUAL": -1.0, "BTC-NEAR": 2.0},
            "c": {"BTC-PERPETUAL": -2.0, "BTC-NEAR": -2.0},
        }
    )
    return replace(book, entry=np.array([96.0, 0.0, 98.0, 99.0, 95.0, 99.0]))


def test_funding_of_a_closed_book_sums_to_nothing():
    growth = np.zeros(9)
    growth[0] = 0.25
    after = accrue(closed_book(), growth)
    assert after.accrued.tolist() == [-0.75, 0.0, 0.25, 0.0, 0.5, 0.0]
    assert after.accrued.sum() == 0.0


def test_settling_moves_pnl_into_cash_and_changes_nobodys_worth():
    growth = np.zeros(9)
    growth[0] = 0.25
    book, mark = accrue(closed_book(), growth), mark_values(INSTRUMENTS, MARKET)
    after = settle(book, mark)
    assert mark_to_market(after, mark) == pytest.approx(mark_to_market(book, mark), rel=1e-14)
    perpetual_a = 3.0 * (100.5 - 96.0) - 0.75
    perpetual_b, future_b = -(100.5 - 98.0) + 0.25, 2.0 * (101.0 - 99.0)
    assert after.cash[:2] == pytest.approx([perpetual_a, perpetual_b + future_b])
    assert after.cash.sum() == pytest.approx(0.0, abs=1e-13)
    assert after.entry.tolist() == [100.5, 0.0, 100.5, 101.0, 100.5, 101.0]
    assert not after.accrued.any()
    assert settle(after, mark).cash.tolist() == after.cash.tolist()


def test_bad_input_is_refused():
    one = np.ones(1)
    with pytest.raises(ValueError, match="impact_ask: expected at least"):
        hourly_rate(INDEX, np.array([101.0]), np.array([100.0]))
    with pytest.raises(ValueError, match="index: expected prices > 0"):
        hourly_rate(np.array([np.nan]), one, one)
    with pytest.raises(ValueError, match="hours > 0"):
        hourly_rate(one, one, one, convergence_hours=0.0)
    with pytest.raises(ValueError, match="finite static rate"):
        hourly_rate(one, one, one, static_rate=np.nan)
    with pytest.raises(ValueError, match="seconds >= 0"):
        index_growth(one, INDEX, -1.0)
    with pytest.raises(ValueError, match="BTC-C100, which pays no funding"):
        accrue(closed_book(), np.eye(9)[2])
