"""Settlement on an average: against Monte Carlo, by hand, by parity, and at the seams of the window."""

from dataclasses import dataclass

import numpy as np
import pytest

from engine import black76
from engine.averaging import WINDOW, price, unfixed_price, variance_seconds
from engine.types import YEAR

STEPS = 60
PATHS = 40_000


@dataclass(frozen=True)
class Case:
    """One option; the share fixed is what has passed of the window, at an average beside the forward."""

    seconds: float
    vol: float
    moneyness: float  # strike ÷ forward, in standard deviations of the settlement price
    call: bool

    @property
    def share(self) -> float:
        return max(1.0 - self.seconds / WINDOW, 0.0)


FORWARD, FIXED_AVERAGE = 60_000.0, 59_900.0
CASES = [
    Case(seconds, vol, moneyness, call)
    for seconds in (60.0, 900.0, 1800.0, 1801.0, 2400.0, 5400.0, 86400.0)
    for vol in (0.6, 1.5)
    for moneyness, call in ((-1.0, False), (0.0, True), (1.2, True))
]


def paths(case, rng):
    """Averages of a geometric Brownian motion over what is left of the window, arithmetic and geometric, and the
    exact mean and variance of the geometric one's logarithm: trapezoids between STEPS + 1 prices."""
    before, inside = max(case.seconds - WINDOW, 0.0) / YEAR, min(case.seconds, WINDOW) / YEAR
    weights = np.full(STEPS + 1, 1.0 / STEPS)
    weights[[0, -1]] /= 2.0
    spans = np.append(before, np.full(STEPS, inside / STEPS))
    times = np.cumsum(spans)
    normals = rng.standard_normal((PATHS // 2, STEPS + 1))
    motion = np.cumsum(np.concatenate([normals, -normals]) * np.sqrt(spans), axis=1)
    logs = case.vol * motion - 0.5 * case.vol**2 * times
    remaining = np.cumsum(weights[::-1])[::-1]  # of an increment, what share of the average moves with it
    variance = case.vol**2 * (spans * remaining**2).sum()
    mean = -0.5 * case.vol**2 * (weights * times).sum()
    return np.exp(logs) @ weights, np.exp(logs @ weights), mean, variance


@pytest.mark.parametrize("case", CASES, ids=str)
def test_agrees_with_monte_carlo(case):
    """The geometric average, whose option has a closed form on the same paths, is the control variate."""
    rng = np.random.default_rng(20)
    arithmetic, geometric, mean, variance = paths(case, rng)
    q, fixed = 1.0 - case.share, case.share * FIXED_AVERAGE
    strike = fixed + q * FORWARD * np.exp(case.moneyness * np.sqrt(variance))
    sign = 1.0 if case.call else -1.0
    payoff, control = (np.maximum(sign * (fixed + q * FORWARD * a - strike), 0.0) for a in (arithmetic, geometric))
    exact = black76.price(
        q * FORWARD * np.exp(mean + 0.5 * variance), strike - fixed, 1.0, np.sqrt(variance), np.array(case.call)
    )
    beyond = payoff - control
    beyond = 0.5 * (beyond[: PATHS // 2] + beyond[PATHS // 2 :])  # antithetic pairs
    estimate, error = float(exact) + beyond.mean(), beyond.std(ddof=1) / np.sqrt(beyond.size)
    found = price(FORWARD, strike, case.seconds, case.vol, case.call, case.share, FIXED_AVERAGE)
    inside = case.vol**2 * min(case.seconds, WINDOW) / YEAR
    model = 0.01 * inside * q * FORWARD  # lognormal, as the module says
    steps = 0.2 * np.sqrt(variance) / (2.0 * STEPS**2) * q * FORWARD  # trapezoids: a share 1/2n² more variance
    assert abs(float(found) - estimate) <= 4.0 * error + model + steps
    assert error < 1e-4 * max(float(found), 1e-4 * q * FORWARD)  # the control works, or the check says nothing
    wrong = black76.price(q * FORWARD, strike - fixed, case.seconds / YEAR, case.vol, np.array(case.call))
    assert abs(float(wrong) - estimate) > 10.0 * (4.0 * error + model + steps) or case.seconds > 80_000.0


def test_the_lognormal_error_is_no_larger_than_stated_and_no_less_than_a_fifth_of_it():
    """At a volatility of 1000 % the approximation shows: what the module states is neither wrong nor idle."""
    case = Case(1800.0, 10.0, 0.0, True)
    arithmetic, geometric, mean, variance = paths(case, np.random.default_rng(21))
    worst = 0.0
    for moneyness in (-1.5, -1.0, 1.0, 1.5):
        strike = FORWARD * np.exp(moneyness * np.sqrt(variance))
        payoff, control = (np.maximum(FORWARD * a - strike, 0.0) for a in (arithmetic, geometric))
        exact = black76.price(FORWARD * np.exp(mean + 0.5 * variance), strike, 1.0, np.sqrt(variance), np.array(True))
        estimate = float(exact) + (payoff - control).mean()
        worst = max(worst, abs(float(price(FORWARD, strike, 1800.0, 10.0, True)) - estimate))
    stated = 0.01 * 100.0 * WINDOW / YEAR * FORWARD
    assert 0.2 * stated < worst < stated


def test_variance_time_by_hand():
    """A day less 20 minutes; 600 s at the window's edge from both sides; a third inside; nothing at the end."""
    np.testing.assert_allclose(variance_seconds([86400.0, 1800.0, 900.0, 0.0]), [85200.0, 600.0, 300.0, 0.0])
    assert variance_seconds(np.nextafter(1800.0, 2000.0)) == pytest.approx(600.0)
    rising = variance_seconds(np.linspace(0.0, 7200.0, 2001))
    assert (np.diff(rising) > 0.0).all()


def test_half_fixed_is_half_an_option_of_the_strike_that_is_left():
    """w = 1/2 at 110, K = 104: one half of an option struck at 98 on the average to come."""
    half = price(100.0, 104.0, 900.0, 0.8, [True, False], 0.5, 110.0)
    alone = black76.price(100.0, 98.0, 300.0 / YEAR, 0.8, np.array([True, False]))
    np.testing.assert_allclose(half, 0.5 * alone, rtol=1e-14)


def test_a_strike_used_up_is_linear():
    """w·A = 54 beyond a strike of 50: the call pays the rest of the average and 4 more, whatever the vol."""
    for vol in (0.1, 3.0):
        call, put = price(100.0, 50.0, 720.0, vol, [True, False], 0.6, 90.0)
        assert call == pytest.approx(0.4 * 100.0 + 4.0, rel=1e-15)
        assert put == 0.0
    assert price(100.0, 54.0, 720.0, 0.5, True, 0.6, 90.0) == pytest.approx(40.0, rel=1e-15)  # nothing left to pay


def test_all_fixed_is_the_payoff():
    found = price([80.0, 120.0], 100.0, 0.0, 0.9, [[True], [False]], 1.0, [[103.0, 96.0]])
    np.testing.assert_allclose(found, [[3.0, 0.0], [0.0, 4.0]], rtol=1e-14)


def test_parity_holds_at_every_moment():
    rng = np.random.default_rng(3)
    n = 2000
    seconds = rng.uniform(0.0, 7200.0, n)
    share = np.maximum(1.0 - seconds / WINDOW, 0.0)
    forward, average, strike = rng.uniform(80.0, 120.0, (3, n))
    call, put = (price(forward, strike, seconds, 0.7, side, share, average) for side in (True, False))
    np.testing.assert_allclose(call - put, (1 - share) * forward + share * average - strike, atol=1e-12)
    assert (call >= 0.0).all() and (put >= 0.0).all()


def test_without_averaging_it_is_black76():
    found = price(100.0, 105.0, 86400.0, 0.6, True, window=0.0)
    assert found == black76.price(100.0, 105.0, 86400.0 / YEAR, 0.6, np.array(True))


def test_it_refuses_what_cannot_be():
    with pytest.raises(ValueError, match=r"fixed_share: expected 0\.\.1, found 1\.5"):
        price(100.0, 100.0, 60.0, 0.5, True, 1.5, 100.0)
    with pytest.raises(ValueError, match="seconds: expected finite numbers >= 0, found -1"):
        variance_seconds(-1.0)
    with pytest.raises(ValueError, match="forward"):
        unfixed_price(-1.0, 100.0, 0.1, 0.5, True, 0.0)
