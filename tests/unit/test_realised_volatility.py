"""Realised volatility: a hand-worked case, invariances, and a geometric Brownian motion it must recover."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.volatility import realised

DAY = 86_400.0
YEAR = 365 * DAY

gaps = st.floats(1.0, 5 * DAY)
moves = st.floats(-0.3, 0.3)
steps = st.lists(st.tuples(gaps, moves), min_size=1, max_size=40)
half_lives = st.floats(3_600.0, 30 * DAY)


def path(walk):
    times = np.cumsum([0.0, *(gap for gap, _ in walk)])
    prices = 2_000.0 * np.exp(np.cumsum([0.0, *(move for _, move in walk)]))
    return times, prices


def test_one_percent_a_day():
    # log returns of +-1 % on each of four days: 0.01 * sqrt(365) = 19.105 % a year
    prices = [math.exp(x) for x in (0.0, 0.01, 0.0, 0.01, 0.0)]
    assert realised([0, DAY, 2 * DAY, 3 * DAY, 4 * DAY], prices, math.inf) == pytest.approx(0.191049732, rel=1e-8)


def test_weights_by_hand():
    # two days, half-life one day: squared returns 0.0004 (weight 1/2) then 0.0001 (weight 1), elapsed 1/2 + 1 days
    # variance a day = (0.0002 + 0.0001) / 1.5 = 0.0002; times 365 = 0.073; root = 0.27018512
    prices = [1.0, math.exp(0.02), math.exp(0.01)]
    assert realised([0, DAY, 2 * DAY], prices, DAY) == pytest.approx(0.27018512, rel=1e-7)


def test_irregular_spacing_by_hand():
    # returns 0.01 over 1 h and 0.02 over 4 h: 0.0005 in 5 h = 0.0001 an hour, 8760 hours a year: root 0.876
    prices = [100.0, 100.0 * math.exp(0.01), 100.0 * math.exp(0.03)]
    assert realised([0, 3_600, 18_000], prices, math.inf) == pytest.approx(math.sqrt(0.876), rel=1e-9)


@given(steps, half_lives, st.floats(1e-6, 1e6))
def test_the_unit_of_the_price_does_not_matter(walk, half_life, scale):
    times, prices = path(walk)
    assert realised(times, prices * scale, half_life) == pytest.approx(realised(times, prices, half_life), abs=1e-6)


@given(steps, half_lives, st.floats(0.0, 2e9))
def test_the_epoch_does_not_matter(walk, half_life, shift):
    times, prices = path(walk)
    shifted = realised(times + shift, prices, half_life)
    assert shifted == pytest.approx(realised(times, prices, half_life), rel=1e-5)


@given(steps, half_lives)
def test_a_constant_price_has_none(walk, half_life):
    times, _ = path(walk)
    assert realised(times, np.full(times.size, 123.4), half_life) == 0.0


@given(steps, half_lives)
def test_twice_the_log_moves_is_twice_the_volatility(walk, half_life):
    times, prices = path(walk)
    doubled = 2_000.0 * (prices / 2_000.0) ** 2
    assert realised(times, doubled, half_life) == pytest.approx(2 * realised(times, prices, half_life), abs=1e-6)


@pytest.mark.parametrize("sigma", [0.2, 0.8, 3.0])
@pytest.mark.parametrize("half_life", [math.inf, 6 * 3_600.0])
def test_recovers_geometric_brownian_motion(sigma, half_life):
    # One observation about every 13 s for ten days; the weighted estimate has 1 / sum(w^2) * sum(w)^2 effective ones.
    rng = np.random.default_rng(20_200_312)
    spacing = rng.exponential(13.0, 66_000) + 0.01
    times = np.cumsum(spacing)
    moves = sigma * np.sqrt(spacing / YEAR) * rng.standard_normal(spacing.size)
    weights = 0.5 ** ((times[-1] - times) / half_life)
    effective = (weights @ spacing) ** 2 / (weights**2 @ spacing**2)
    allowed = 5 / math.sqrt(2 * effective)  # five standard errors of a volatility estimate
    assert allowed < 0.08
    assert realised(times, 100 * np.exp(np.cumsum(moves)), half_life) == pytest.approx(sigma, rel=allowed)


def test_old_moves_fade():
    times = np.arange(100) * 3_600.0
    prices = np.where(np.arange(100) < 2, 100.0, 130.0)
    assert realised(times, prices, 3_600.0) < 1e-6 < realised(times, prices, math.inf)


@pytest.mark.parametrize(
    ("times", "prices", "half_life", "complaint"),
    [
        ([], [], 1.0, "at least 2 observations"),
        ([1], [1.0], 1.0, "at least 2 observations"),
        ([1, 2], [1.0, 2.0, 3.0], 1.0, "equally long"),
        ([1, 1], [1.0, 2.0], 1.0, "strictly increasing"),
        ([2, 1], [1.0, 2.0], 1.0, "strictly increasing"),
        ([1, math.nan], [1.0, 2.0], 1.0, "strictly increasing"),
        ([1, 2], [0.0, 2.0], 1.0, "positive, finite"),
        ([1, 2], [1.0, -2.0], 1.0, "positive, finite"),
        ([1, 2], [1.0, math.inf], 1.0, "positive, finite"),
        ([1, 2], [1.0, 2.0], 0.0, "half_life_seconds"),
        ([1, 2], [1.0, 2.0], math.nan, "half_life_seconds"),
    ],
)
def test_refuses(times, prices, half_life, complaint):
    with pytest.raises(ValueError, match=complaint):
        realised(times, prices, half_life)
