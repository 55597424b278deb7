"""Slices, their derivatives and their arbitrage, against hand arithmetic, mpmath and finite grids."""

import math

import numpy as np
import pytest
from mpmath import diff, mp, mpf, sqrt

from engine import svi_arbitrage
from engine.svi import JumpWings, RawSvi, butterfly, derivatives, from_jump_wings, to_jump_wings, total_variance
from engine.svi_arbitrage import is_free, least_butterfly, least_gap
from engine.svi_repair import repair

SMILE = RawSvi(a=0.01, b=0.1, rho=-0.3, m=0.05, sigma=0.2)


def exact(k):
    x = k - mpf("0.05")
    return mpf("0.01") + mpf("0.1") * (-mpf("0.3") * x + sqrt(x**2 + mpf("0.04")))


def test_total_variance_by_hand():
    # 3-4-5: k - m = 0.3, sigma = 0.4
    smile = RawSvi(a=0.02, b=0.5, rho=0.2, m=0.1, sigma=0.4)
    assert total_variance(smile, 0.4) == pytest.approx(0.02 + 0.5 * (0.06 + 0.5), abs=1e-16)
    assert smile.least_variance() == pytest.approx(0.02 + 0.2 * math.sqrt(0.96), abs=1e-16)
    assert smile.wing_slopes() == pytest.approx((0.4, 0.6), abs=1e-16)


@pytest.mark.parametrize("k", [-1.5, -0.2, 0.0, 0.05, 0.4, 3.0])
def test_derivatives_and_density_against_mpmath(k):
    with mp.workdps(40):
        at = mpf(k)
        w, first, second = exact(at), diff(exact, at), diff(exact, at, 2)
        g = (1 - at * first / (2 * w)) ** 2 - first**2 / 4 * (1 / w + mpf("0.25")) + second / 2
        expected = [float(number) for number in (w, first, second, g)]
    found = [float(total_variance(SMILE, k)), *(float(d) for d in derivatives(SMILE, k)), float(butterfly(SMILE, k))]
    assert found == pytest.approx(expected, rel=1e-13, abs=1e-15)


def test_flat_smile_has_the_lognormal_density():
    flat = RawSvi(a=0.04, b=0.0, rho=0.0, m=0.0, sigma=1.0)
    assert (butterfly(flat, [-1.0, 0.0, 2.0]) == 1.0).all()
    assert is_free(flat)


def test_limit_of_g_in_the_wings():
    # slope 1.2: (4 - 1.44) / 16 = 0.16, approached from above on both sides
    smile = RawSvi(a=0.5, b=1.2, rho=0.0, m=0.0, sigma=1.0)
    assert butterfly(smile, [1e7]) == pytest.approx(0.16, abs=1e-6)
    assert least_butterfly(smile).value <= 0.16


@pytest.mark.parametrize("b", [1.0, 1.5])
def test_a_wing_of_slope_two_or_more_is_arbitrage(b):
    assert not is_free(RawSvi(a=5.0, b=b, rho=1.0, m=0.0, sigma=5.0))


def test_negative_variance_is_arbitrage():
    assert least_butterfly(RawSvi(a=-0.05, b=0.1, rho=0.0, m=0.0, sigma=0.1)).value == -math.inf


def test_gap_of_parallel_slices_is_least_in_the_wings():
    higher = RawSvi(a=0.02, b=0.1, rho=-0.3, m=0.05, sigma=0.2)
    assert least_gap(SMILE, higher).value == pytest.approx(0.0, abs=1e-12)
    assert least_gap(higher, SMILE).value < -0.1


def test_equal_slices_do_not_cross():
    assert least_gap(SMILE, SMILE).value == 0.0
    assert is_free(SMILE, SMILE)


def test_a_narrow_crossing_between_samples_is_found():
    k = np.linspace(-1.0, 1.0, 2_000_001)
    for lift in (-1e-9, 1e-9):
        bent = RawSvi(a=0.0, b=0.25, rho=-0.1, m=0.02, sigma=0.37)
        gap = np.min(total_variance(bent, k) - total_variance(SMILE, k))
        touching = RawSvi(a=bent.a - gap + lift, b=0.25, rho=-0.1, m=0.02, sigma=0.37)
        assert is_free(touching, SMILE) == (lift > 0.0)


def test_a_flatter_wing_crosses_however_far_out():
    flatter = RawSvi(a=5.0, b=0.1 - 1e-9, rho=-0.3, m=0.05, sigma=0.2)
    assert math.isinf(least_gap(SMILE, flatter).k)
    assert not is_free(flatter, SMILE)


@pytest.mark.parametrize("smile", [SMILE, RawSvi(-0.02, 0.2, 0.7, -0.3, 0.5), RawSvi(0.0, 0.3, -0.95, 0.2, 0.1)])
def test_jump_wings_there_and_back(smile):
    back = from_jump_wings(to_jump_wings(smile, 0.3), 0.3)
    columns = ("a", "b", "rho", "m", "sigma")
    assert [getattr(back, c) for c in columns] == pytest.approx([getattr(smile, c) for c in columns], rel=1e-9)


@pytest.mark.parametrize(
    "wings",
    [
        JumpWings(0.2, 0.6, 0.5, 1.0, 0.1),  # skew above c/2
        JumpWings(0.2, 0.1, 0.5, 0.5, 0.3),  # least variance above v
        JumpWings(-0.2, 0.1, 0.5, 0.5, 0.1),
        JumpWings(0.2, 0.0, 0.5, 0.5, 0.1),  # the vertex at the money: sigma is not told
    ],
)
def test_impossible_jump_wings_are_refused(wings):
    with pytest.raises(ValueError, match="from_jump_wings"):
        from_jump_wings(wings, 1.0)


@pytest.mark.parametrize("values", [(0.1, -1.0, 0.0, 0.0, 0.1), (0.1, 1.0, 1.1, 0.0, 0.1), (0.1, 1.0, 0.0, 0.0, 0.0)])
def test_impossible_slices_are_refused(values):
    with pytest.raises(ValueError, match="RawSvi"):
        RawSvi(*values)


def test_a_free_slice_needs_no_repair():
    found = repair(SMILE, 0.5)
    assert found.nearest == SMILE
    assert found.distance == 0.0


def test_a_left_wing_that_leaves_no_room_is_refused():
    with pytest.raises(ValueError, match="left wing"):
        repair(RawSvi(a=0.01, b=2.0, rho=-0.5, m=0.0, sigma=0.1), 1.0)


def test_sampled_values_equal_their_branching_twins():
    below, above = np.array([0.01, 0.1, -0.3, 0.05, 0.2]), np.array([-0.03, 0.12, 0.4, -0.1, 0.25])
    found = np.empty(svi_arbitrage._NODES.size)
    k = 0.1 + 0.3 * svi_arbitrage._NODES
    svi_arbitrage._butterflies(above, 0.1, 0.3, svi_arbitrage._NODES, found)
    assert found == pytest.approx([svi_arbitrage._butterfly_py(above, at) for at in k], rel=1e-9, abs=1e-12)
    svi_arbitrage._ratios(below, above, 0.1, 0.3, svi_arbitrage._NODES, found)
    assert found == pytest.approx([svi_arbitrage._ratio_py(below, above, at) for at in k], rel=1e-12)
