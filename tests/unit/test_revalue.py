"""Instruments in scenarios: what moves, how far vols move, and what does not."""

from dataclasses import replace

import numpy as np
import pytest

from engine.book import FUTURE, OPTION, PERPETUAL, TOKEN, Instruments
from engine.market import Market
from engine.revalue import mark_values, risk_arrays, scenario_values, shocked_vols
from engine.scenarios import Shock, SkewShape, TermScale, grid

NAMES = ("call 80", "call 100", "put 125", "perpetual", "future", "token", "stablecoin")
INSTRUMENTS = Instruments(
    names=NAMES,
    underlyings=("X",),
    expiries=("30 days", "120 days"),
    kind=np.array([OPTION, OPTION, OPTION, PERPETUAL, FUTURE, TOKEN, TOKEN], np.int8),
    underlying=np.array([0, 0, 0, 0, 0, 0, -1]),
    expiry=np.array([0, 0, 1, -1, 1, -1, -1]),
    strike=np.array([80.0, 100.0, 125.0, 0.0, 0.0, 0.0, 0.0]),
    is_call=np.array([True, True, False, False, False, False, False]),
)
MARKET = Market(
    spot=np.array([100.0]),
    spot_confidence=np.ones(1),
    expiry_underlying=np.array([0, 0]),
    seconds=86400.0 * np.array([30.0, 120.0]),
    forward=np.array([100.0, 110.0]),
    forward_fixed=np.array([0.0, 15.0]),
    forward_confidence=np.ones(2),
    rate=np.array([0.0, 0.0]),
    rate_confidence=np.ones(2),
    price=np.array([0.0, 0.0, 0.0, 101.0, 0.0, 99.0, 1.0]),
    vol=np.array([0.5, 0.5, 0.8, 0.0, 0.0, 0.0, 0.0]),
    confidence=np.ones(7),
)
TERM = TermScale(short_power=0.5, long_power=1.0, floor_days=1.0)


def vols(*shocks: Shock, market: Market = MARKET, **settings: object) -> np.ndarray:
    given = {"vol_up": 0.4, "vol_down": 0.2, "term": TERM} | settings
    return shocked_vols(INSTRUMENTS, market, grid(shocks, 1, **given))[:3]


def test_vol_moves_shrink_with_time_to_expiry():
    """At 30 days the whole shock; at 120 days a quarter of it, (30 / 120)^1; at 7.5 days twice it, 4^0.5."""
    np.testing.assert_allclose(vols(Shock(0.1, "up"))[:, 0], [0.7, 0.7, 0.88])
    np.testing.assert_allclose(vols(Shock(0.1, "down"))[:, 0], [0.4, 0.4, 0.76])
    np.testing.assert_allclose(vols(Shock(0.1))[:, 0], [0.5, 0.5, 0.8])
    soon = replace(MARKET, seconds=86400.0 * np.array([7.5, 120.0]))
    np.testing.assert_allclose(vols(Shock(0.1, "up"), market=soon)[:2, 0], [0.9, 0.9])


def test_a_vol_never_falls_below_zero():
    np.testing.assert_array_equal(vols(Shock(0.0, "down"), vol_down=5.0)[:2, 0], [0.0, 0.0])


@pytest.mark.parametrize("vol_up", [0.0, 0.1])
def test_the_floor_holds_for_up_scenarios_whatever_their_size(vol_up):
    found = vols(Shock(0.0, "up"), Shock(0.0, "down"), Shock(0.0), Shock(0.0, "linear"), vol_up=vol_up, vol_floor=0.75)
    assert (found[:2, 0] == 0.75).all()
    assert (found[:2, 1:] < 0.75).all()


def test_an_expired_option_needs_a_floor_of_days():
    expired = replace(MARKET, seconds=np.zeros(2))
    assert np.isfinite(vols(Shock(0.0, "up"), market=expired)).all()
    with pytest.raises(ValueError, match="call 80: no finite vol in scenario spot 0 vol up"):
        vols(Shock(0.0, "up"), market=expired, term=TermScale(0.5, 1.0, 0.0))


def test_a_turned_smile_by_hand():
    """One year of 365 days, F 100, K 100·e and 100/e: k = ±1, cap 0.2, k* = 2 · (0.5 + 0.3) = 1.6, so ±0.125."""
    options = replace(INSTRUMENTS, strike=np.array([100.0 * np.e, 100.0 / np.e, 100.0, 0.0, 0.0, 0.0, 0.0]))
    market = replace(MARKET, seconds=np.full(2, 365.0 * 86400.0), forward=np.full(2, 100.0), forward_fixed=np.zeros(2))
    shape = SkewShape(
        linear_base_cap=0.3,
        linear_c_base=-0.1,
        absolute_base_cap=0.3,
        absolute_c_base=-0.1,
        min_k_star=0.01,
        width_scale=2.0,
        vol_static=0.5,
        vol_scale=0.3,
    )
    turns = grid((Shock(0.0, "linear"), Shock(0.0, "abs")), 1, vol_up=0.0, vol_down=0.0, shape=shape)
    found = shocked_vols(options, market, turns)[:3] / market.vol[:3, np.newaxis]
    np.testing.assert_allclose(found, [[1.125, 1.125], [0.875, 1.125], [1.0, 1.0]])
    capped = replace(turns, shape=replace(shape, width_scale=0.0))
    found = shocked_vols(options, market, capped)[:3] / market.vol[:3, np.newaxis]
    np.testing.assert_allclose(found, [[1.2, 1.2], [0.8, 1.2], [1.0, 1.0]])


def test_a_negative_cap_is_used_literally():
    """PMRMLib_2 does so: with cap −0.1 and k > 0 the lesser of cap and k · cap / k*."""
    far = replace(INSTRUMENTS, strike=np.array([200.0, 400.0, 125.0, 0.0, 0.0, 0.0, 0.0]))
    shape = SkewShape(linear_base_cap=-0.1, linear_c_base=0.0, min_k_star=np.log(2.0), width_scale=0.0)
    turn = grid((Shock(0.0, "linear"),), 1, vol_up=0.0, vol_down=0.0, shape=shape)
    np.testing.assert_allclose(shocked_vols(far, MARKET, turn)[:2, 0], [0.45, 0.4])


def test_strike_zero_and_forward_zero_have_no_smile_to_turn():
    zero = replace(INSTRUMENTS, strike=np.array([0.0, 100.0, 125.0, 0.0, 0.0, 0.0, 0.0]))
    turn = grid((Shock(0.0, "abs"),), 1, vol_up=0.0, vol_down=0.0)
    assert shocked_vols(zero, MARKET, turn)[0, 0] == 0.5
    dead = replace(MARKET, forward=np.zeros(2), forward_fixed=np.zeros(2))
    values, _ = scenario_values(zero, dead, turn)
    np.testing.assert_array_equal(values[:3, 0], [0.0, 0.0, 125.0])


def test_what_follows_spot():
    """Perpetual and token move as spot does, a future by its unfixed part, a stablecoin never."""
    values, mark = scenario_values(INSTRUMENTS, MARKET, grid((Shock(0.1), Shock(-1.0)), 1, vol_up=0.0, vol_down=0.0))
    np.testing.assert_allclose(mark[3:], [101.0, 125.0, 99.0, 1.0])
    np.testing.assert_allclose(values[3:], [[111.1, 0.0], [136.0, 15.0], [108.9, 0.0], [1.0, 1.0]])


def test_options_without_time_value_move_by_the_unfixed_forward():
    """Expired: intrinsic on the shocked forward. The put at 125 on 110 · 0.9 + 15 = 114 is worth 11."""
    expired = replace(MARKET, seconds=np.zeros(2))
    values, mark = scenario_values(INSTRUMENTS, expired, grid((Shock(-0.1),), 1, vol_up=0.0, vol_down=0.0))
    np.testing.assert_allclose(mark[:3], [20.0, 0.0, 0.0], atol=1e-12)
    np.testing.assert_allclose(values[:3, 0], [10.0, 0.0, 11.0], atol=1e-12)


def test_a_weight_scales_the_pnl_of_risk_arrays_beyond_one():
    arrays = risk_arrays(INSTRUMENTS, MARKET, grid((Shock(0.1, weight=5.0),), 1, vol_up=0.0, vol_down=0.0))
    assert arrays.pnl[3, 0] == pytest.approx(5.0 * 10.1)
    np.testing.assert_array_equal(arrays.mark, mark_values(INSTRUMENTS, MARKET))


def test_a_given_discount_takes_the_place_of_the_rate():
    halved = mark_values(INSTRUMENTS, replace(MARKET, rate=np.full(2, 0.3)), discount=np.full(2, 0.5))
    np.testing.assert_allclose(halved[:3], 0.5 * mark_values(INSTRUMENTS, MARKET)[:3])
    np.testing.assert_array_equal(halved[3:], mark_values(INSTRUMENTS, MARKET)[3:])


@pytest.mark.parametrize(
    ("discount", "message"),
    [
        ([], r"discount: expected 2 expiries, found shape \(0,\)"),
        ([1.0], r"discount: expected 2 expiries, found shape \(1,\)"),
        ([1.0, 1.0, 1.0], r"discount: expected 2 expiries, found shape \(3,\)"),
        ([1.0, np.nan], r"discount: expected finite numbers >= 0, found nan in row 1"),
        ([1.0, np.inf], r"discount: expected finite numbers >= 0, found inf in row 1"),
        ([-0.1, 1.0], r"discount: expected finite numbers >= 0, found -0\.1 in row 0"),
    ],
)
def test_a_discount_that_does_not_fit_is_refused(discount, message):
    with pytest.raises(ValueError, match=message):
        mark_values(INSTRUMENTS, MARKET, np.array(discount))


def test_a_rate_whose_discount_overflows_is_refused():
    with pytest.raises(ValueError, match="discount: expected finite numbers >= 0, found inf in row 1"):
        mark_values(INSTRUMENTS, replace(MARKET, rate=np.array([0.0, -1e5])))


def test_scenarios_of_other_underlyings_are_refused():
    with pytest.raises(ValueError, match="expected shocks of 1 underlyings, found 2"):
        scenario_values(INSTRUMENTS, MARKET, grid((Shock(0.1),), 2, vol_up=0.0, vol_down=0.0))
