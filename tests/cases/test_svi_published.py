"""Published SVI numbers: the Vogt slice and its repair (Gatheral and Jacquier 2014, §3.3 and §5.1), and QuantLib."""

import numpy as np
import pytest
import QuantLib as ql

from engine import ssvi
from engine.svi import JumpWings, RawSvi, butterfly, from_jump_wings, to_jump_wings, total_variance
from engine.svi_arbitrage import is_free, least_butterfly
from engine.svi_repair import _distance, repair

VOGT = RawSvi(a=-0.0410, b=0.1331, rho=0.3060, m=0.3586, sigma=0.4153)
VOGT_WINGS = JumpWings(v=0.01742625, psi=-0.1752111, p=0.6997381, c=1.316798, v_min=0.0116249)
REPAIRED = RawSvi(a=-0.0305199, b=0.1027168, rho=0.1007176, m=0.2723441, sigma=0.4123978)
"""The optimum of the paper: c = 0.8564763, v_min as it was."""


def test_jump_wings_of_the_vogt_slice():
    found = to_jump_wings(VOGT, 1.0)
    for name in ("v", "psi", "p", "c", "v_min"):
        assert getattr(found, name) == pytest.approx(getattr(VOGT_WINGS, name), rel=1e-6)


def test_raw_form_of_the_repaired_jump_wings():
    found = from_jump_wings(JumpWings(0.01742625, -0.1752111, 0.6997381, 0.8564763, 0.0116249), 1.0)
    for name in ("a", "b", "rho", "m", "sigma"):
        assert getattr(found, name) == pytest.approx(getattr(REPAIRED, name), abs=2e-6)


def test_the_vogt_slice_has_butterfly_arbitrage():
    least = least_butterfly(VOGT)
    assert least.value == pytest.approx(-0.0328636, abs=5e-8)
    assert least.k == pytest.approx(0.87926, abs=5e-6)
    assert not is_free(VOGT)
    assert total_variance(VOGT, 0.0) == pytest.approx(0.0174262526, abs=5e-11)


@pytest.mark.parametrize("edge", [0.64241, 1.25691])
def test_g_changes_sign_at_the_published_edges(edge):
    inside, outside = butterfly(VOGT, [edge + 1e-5, edge - 1e-5])
    assert inside * outside < 0.0


def test_the_published_optimum_is_free():
    assert least_butterfly(REPAIRED).value == pytest.approx(0.0081, abs=5e-5)


def test_closed_form_repair():
    anchor = repair(VOGT, 1.0).anchor
    published = (0.0077409, 0.0692420, -0.3340365, 0.0420337, 0.1186078)
    found = (anchor.a, anchor.b, anchor.rho, anchor.m, anchor.sigma)
    assert found == pytest.approx(published, abs=5e-7)
    assert butterfly(anchor, np.linspace(-1.5, 1.5, 3001)).min() == pytest.approx(0.2778, abs=5e-5)
    wings = to_jump_wings(anchor, 1.0)
    assert (wings.c, wings.v_min) == pytest.approx((0.3493158, 0.01548182), abs=5e-8)


def test_optimal_repair_is_free_and_nearer_than_the_published_one():
    found = repair(VOGT, 1.0)
    assert is_free(found.nearest)
    assert found.distance <= _distance(VOGT, REPAIRED)
    wings = to_jump_wings(found.nearest, 1.0)
    assert (wings.v, wings.psi, wings.p) == pytest.approx((0.01742625, -0.1752111, 0.6997381), rel=1e-6)


@pytest.mark.parametrize(("k", "w"), [(0.2, 0.0338539621), (0.0, 0.04), (-0.2, 0.0609867817)])
def test_ssvi_values(k, w):
    surface = ssvi.Ssvi(rho=-0.4, eta=1.0, gamma=0.5, theta=np.array([0.04]))
    assert ssvi.total_variance(surface, k)[0] == pytest.approx(w, abs=5e-11)


@pytest.mark.parametrize("k", [-0.8, -0.1, 0.0, 0.3, 1.7])
def test_total_variance_against_quantlib(k):
    forward, years = 100.0, 0.75
    section = ql.SviSmileSection(years, forward, [VOGT.a, VOGT.b, VOGT.sigma, VOGT.rho, VOGT.m])
    assert section.variance(forward * np.exp(k)) == pytest.approx(float(total_variance(VOGT, k)), rel=1e-12)
