"""Laws of Black-76: parity, bounds, symmetry, homogeneity, monotony, convexity; Greeks are derivatives."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.black76 import greeks, price

ROUNDING = 4e-15
forwards = st.floats(1e-2, 1e6)
years = st.floats(0.0, 10.0)
vols = st.floats(0.0, 5.0)
discounts = st.floats(0.1, 1.2)
moneyness = st.floats(0.02, 50.0)
inner = st.tuples(forwards, st.floats(0.5, 2.0), st.floats(0.02, 5.0), st.floats(0.1, 2.0))
"""Forward, strike ÷ forward, years and vol where a finite difference has digits to show."""


def each(forward: float, strike: float, life: float, vol: float, discount: float = 1.0) -> tuple[float, float]:
    call, put = price(forward, strike, life, vol, [True, False], discount).tolist()
    return call, put


@given(forwards, moneyness, years, vols, discounts)
def test_put_call_parity(forward: float, ratio: float, life: float, vol: float, discount: float) -> None:
    strike = forward * ratio
    call, put = each(forward, strike, life, vol, discount)
    assert abs(call - put - discount * (forward - strike)) <= ROUNDING * max(forward, strike)
    delta = greeks(forward, strike, life, vol, [True, False], discount).delta
    assert delta[0] - delta[1] == pytest.approx(discount, rel=1e-15)


@given(forwards, moneyness, years, vols)
def test_prices_stay_between_intrinsic_value_and_bound(forward: float, ratio: float, life: float, vol: float) -> None:
    strike = forward * ratio
    call, put = each(forward, strike, life, vol)
    slack = ROUNDING * max(forward, strike)
    assert max(forward - strike, 0.0) <= call <= forward + slack
    assert max(strike - forward, 0.0) <= put <= strike + slack


@given(forwards, moneyness, years, vols)
def test_a_call_is_the_put_with_forward_and_strike_exchanged(
    forward: float, ratio: float, life: float, vol: float
) -> None:
    call, put = each(forward, forward * ratio, life, vol)
    other_call, other_put = each(forward * ratio, forward, life, vol)
    assert call == pytest.approx(other_put, rel=1e-11)
    assert put == pytest.approx(other_call, rel=1e-11)


@given(forwards, moneyness, years, vols, st.floats(1e-3, 1e3))
def test_price_is_homogeneous(forward: float, ratio: float, life: float, vol: float, scale: float) -> None:
    call, put = each(forward, forward * ratio, life, vol)
    scaled_call, scaled_put = each(scale * forward, scale * forward * ratio, life, vol)
    slack = ROUNDING * scale * max(forward, forward * ratio)
    assert abs(scaled_call - scale * call) <= slack
    assert abs(scaled_put - scale * put) <= slack


@given(forwards, moneyness, years, vols, st.floats(1.0, 2.0))
def test_more_vol_and_more_time_never_cheapen(
    forward: float, ratio: float, life: float, vol: float, more: float
) -> None:
    strike = forward * ratio
    slack = ROUNDING * max(forward, strike)
    now = np.array(each(forward, strike, life, vol))
    assert (np.array(each(forward, strike, life, vol * more)) >= now - slack).all()
    assert (np.array(each(forward, strike, life * more, vol)) >= now - slack).all()


@given(forwards, moneyness, st.floats(1e-4, 0.5), years, vols)
def test_price_falls_and_is_convex_in_strike(
    forward: float, ratio: float, step: float, life: float, vol: float
) -> None:
    strikes = forward * ratio * np.array([1.0 - step, 1.0, 1.0 + step])
    call = price(forward, strikes, life, vol, True)
    slack = ROUNDING * max(forward, strikes[2])
    assert (np.diff(call) <= slack).all()
    assert (np.diff(call) >= -np.diff(strikes) - slack).all()
    assert call[0] - 2.0 * call[1] + call[2] >= -2.0 * slack


@given(inner, st.booleans())
def test_greeks_are_the_derivatives_of_the_price(option: tuple[float, float, float, float], is_call: bool) -> None:
    f, ratio, t, s = option
    k = f * ratio
    step = 1e-4 * min(s * t**0.5, 1.0)
    here = greeks(f, k, t, s, is_call)
    forward = greeks(f * np.array([1.0 - step, 1.0 + step]), k, t, s, is_call)
    vol = greeks(f, k, t, s * np.array([1.0 - 1e-4, 1.0 + 1e-4]), is_call)
    life = price(f, k, t * np.array([1.0 - 1e-4, 1.0 + 1e-4]), s, is_call)
    least = 1e-6 * f  # prices and vegas far below the forward have too few digits left for a difference
    assert np.diff(forward.price)[0] / (2.0 * step * f) == pytest.approx(here.delta, rel=1e-6, abs=1e-6)
    assert np.diff(forward.delta)[0] / (2.0 * step * f) == pytest.approx(here.gamma, rel=1e-6, abs=1e-6 / f)
    assert np.diff(vol.price)[0] / (2e-4 * s) == pytest.approx(here.vega, rel=1e-6, abs=least)
    assert -np.diff(life)[0] / (2e-4 * t) == pytest.approx(here.theta, rel=1e-6, abs=least)
    assert np.diff(vol.delta)[0] / (2e-4 * s) == pytest.approx(here.vanna, rel=1e-6, abs=1e-6)
    assert np.diff(vol.vega)[0] / (2e-4 * s) == pytest.approx(here.volga, rel=1e-6, abs=least)
