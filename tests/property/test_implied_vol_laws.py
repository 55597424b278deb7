"""Laws every implied vol obeys: order, units, put-call symmetry and parity, and a status wherever there is no vol."""

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from engine.implied_vol import ABOVE_BOUND, BELOW_INTRINSIC, NOT_RESOLVABLE, RESOLVED, implied_vol

forwards = st.floats(1e-3, 1e6)
moneyness = st.floats(-3.0, 3.0)
years = st.floats(1.0 / 8760.0, 5.0)
shares = st.floats(1e-14, 0.999)  # of the way from nothing to the upper bound of the time value
flags = st.booleans()


@given(forwards, moneyness, years, shares, shares, flags)
def test_a_higher_price_never_has_a_lower_vol(
    forward: float, log_strike: float, time: float, one: float, other: float, is_call: bool
) -> None:
    strike = forward * math.exp(log_strike)
    intrinsic = max(forward - strike if is_call else strike - forward, 0.0)
    price = intrinsic + np.sort([one, other]) * min(forward, strike)
    found = implied_vol(price, forward, strike, time, is_call)
    if (found.status == RESOLVED).all():
        vega_of_rounding = 1e-14 * price[1] / max(price[1] - intrinsic, 1e-300)
        assert found.vol[1] >= found.vol[0] * (1.0 - 1e-13 - vega_of_rounding)
        if price[1] - price[0] > 1e-9 * price[1]:
            assert found.vol[1] > found.vol[0]


@given(forwards, moneyness, years, shares, flags, st.integers(-60, 60), st.integers(-3, 3))
def test_other_units_of_money_and_time_change_nothing_else(
    forward: float, log_strike: float, time: float, share: float, is_call: bool, money: int, halvings: int
) -> None:
    """Powers of two scale without rounding: the same bits come back, a quarter of the time has twice the vol."""
    strike = forward * math.exp(log_strike)
    price = max(forward - strike if is_call else strike - forward, 0.0) + share * min(forward, strike)
    scale = 2.0**money
    plain = implied_vol(price, forward, strike, time, is_call)
    scaled = implied_vol(price * scale, forward * scale, strike * scale, time * 4.0**-halvings, is_call)
    assert scaled.status == plain.status
    assert np.array_equal(scaled.vol, plain.vol * 2.0**halvings, equal_nan=True)


@given(forwards, moneyness, years, shares)
def test_a_call_and_the_put_with_forward_and_strike_exchanged_have_one_vol(
    forward: float, log_strike: float, time: float, share: float
) -> None:
    strike = forward * math.exp(log_strike)
    price = max(forward - strike, 0.0) + share * min(forward, strike)
    call = implied_vol(price, forward, strike, time, True)
    put = implied_vol(price, strike, forward, time, False)
    assert call.status == put.status
    assert np.array_equal(call.vol, put.vol, equal_nan=True)


@given(st.integers(1, 4000), st.integers(1, 4000), st.integers(1, 2**20 - 1), years)
def test_parity_gives_call_and_put_one_vol(forward: int, strike: int, part: int, time: float) -> None:
    """On a grid of 2^-20 of a whole dollar the parity sums are exact, so both sides are the very same option."""
    otm = part / 2.0**20 * min(forward, strike)
    call = otm + max(forward - strike, 0)
    put = otm + max(strike - forward, 0)
    found = implied_vol([call, put], forward, strike, time, [True, False])
    assert (found.status == RESOLVED).all()
    assert found.vol[0] == found.vol[1]


@given(forwards, moneyness, years, shares, st.floats(0.1, 1.5))
def test_a_discounted_price_has_the_vol_of_the_undiscounted_one(
    forward: float, log_strike: float, time: float, share: float, discount: float
) -> None:
    strike = forward * math.exp(log_strike)
    is_call = strike > forward
    price = share * min(forward, strike)
    plain = implied_vol(price, forward, strike, time, is_call)
    discounted = implied_vol(price * discount, forward, strike, time, is_call, discount)
    assert discounted.status == plain.status == RESOLVED
    assert math.isclose(discounted.vol, plain.vol, rel_tol=1e-12)


@given(
    st.floats(0.0, 1e308),
    st.floats(5e-324, 1e300),
    st.floats(5e-324, 1e300),
    st.floats(0.0, 1e6),
    flags,
    st.floats(1e-3, 1e3),
)
def test_a_row_has_a_vol_above_zero_or_a_reason(
    price: float, forward: float, strike: float, time: float, is_call: bool, discount: float
) -> None:
    if price / discount == math.inf:
        return
    found = implied_vol(price, forward, strike, time, is_call, discount)
    if found.status == RESOLVED:
        assert 0.0 < found.vol < math.inf
    else:
        assert found.status in (BELOW_INTRINSIC, ABOVE_BOUND, NOT_RESOLVABLE)
        assert math.isnan(found.vol)
