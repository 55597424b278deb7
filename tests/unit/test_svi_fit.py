"""One slice fitted: exact smiles come back, constraints hold and are named, bad quotes are refused."""

import numpy as np
import pytest

from engine.svi import RawSvi, total_variance
from engine.svi_arbitrage import is_free, least_gap
from engine.svi_fit import fit_slice
from engine.svi_solver import BUTTERFLY, CALENDAR, CONVERGED, LEFT_WING, REDUCED, RIGHT_WING

SMILE = RawSvi(a=0.01, b=0.1, rho=-0.3, m=0.05, sigma=0.2)
K = np.linspace(-0.6, 0.7, 20)
YEARS = 0.3


def vols(smile, k=K, years=YEARS):
    return np.sqrt(total_variance(smile, k) / years)


def test_an_exact_smile_comes_back():
    fit = fit_slice(K, vols(SMILE), YEARS)
    found = (fit.smile.a, fit.smile.b, fit.smile.rho, fit.smile.m, fit.smile.sigma)
    assert found == pytest.approx((0.01, 0.1, -0.3, 0.05, 0.2), rel=1e-6)
    assert fit.rmse < 1e-9
    assert (fit.status, fit.binding) == (CONVERGED, 0)


def test_order_of_the_quotes_does_not_matter():
    iv = vols(SMILE) + 0.004 * np.cos(40.0 * K)
    shuffled = np.random.default_rng(2).permutation(K.size)
    there, here = fit_slice(K, iv, YEARS), fit_slice(K[shuffled], iv[shuffled], YEARS)
    assert here.rmse == pytest.approx(there.rmse, rel=1e-6)
    assert here.residual == pytest.approx(there.residual[shuffled], abs=1e-7)


def test_residuals_are_model_less_quote():
    iv = vols(SMILE) + 0.004 * np.cos(40.0 * K)
    fit = fit_slice(K, iv, YEARS)
    assert fit.residual == pytest.approx(vols(fit.smile) - iv, abs=1e-14)
    assert fit.rmse == pytest.approx(np.sqrt(np.mean(fit.residual**2)), rel=1e-12)
    assert not fit.residual.flags.writeable


def test_a_quote_without_weight_does_not_pull():
    iv, weight = vols(SMILE), np.ones(K.size)
    iv[3], weight[3] = 3.0, 0.0
    assert fit_slice(K, iv, YEARS, weight=weight).rmse < 1e-8


def test_quotes_with_butterfly_arbitrage_are_met_as_far_as_it_goes():
    vogt = RawSvi(a=-0.0410, b=0.1331, rho=0.3060, m=0.3586, sigma=0.4153)
    k = np.linspace(-1.5, 1.5, 40)
    fit = fit_slice(k, vols(vogt, k, 1.0), 1.0)
    assert is_free(fit.smile)
    assert fit.binding & BUTTERFLY
    assert 0.0 < fit.rmse < 0.01


@pytest.mark.parametrize(("side", "bit"), [(-1.0, LEFT_WING), (1.0, RIGHT_WING)])
def test_wings_stay_below_lee(side, bit):
    # a smile of slope 3 on one side: every free slice is flatter
    k = np.linspace(0.0, 6.0, 25) * side
    fit = fit_slice(k, np.sqrt(4.0 + 3.0 * np.abs(k)), 1.0)
    assert is_free(fit.smile)
    assert max(fit.smile.wing_slopes()) < 2.0
    assert fit.binding & bit


def test_a_shorter_slice_is_a_floor():
    higher = RawSvi(a=0.02, b=0.12, rho=-0.3, m=0.05, sigma=0.2)
    fit = fit_slice(K, vols(SMILE), YEARS, shorter=higher)
    assert least_gap(higher, fit.smile).value >= 0.0
    assert fit.binding & CALENDAR
    # the nearest slice above the floor is the floor
    assert fit.smile.least_variance() == pytest.approx(higher.least_variance(), rel=5e-3)


def test_a_floor_out_of_the_way_changes_nothing():
    lower = RawSvi(a=0.001, b=0.05, rho=-0.3, m=0.05, sigma=0.2)
    iv = vols(SMILE) + 0.004 * np.cos(40.0 * K)
    assert fit_slice(K, iv, YEARS, shorter=lower).smile == fit_slice(K, iv, YEARS).smile


@pytest.mark.parametrize("count", [3, 4])
def test_few_quotes_fit_level_and_wings(count):
    k = np.linspace(-0.2, 0.2, count)
    fit = fit_slice(k, 0.6 + 0.1 * k + 0.5 * k**2, 0.1)
    assert fit.status == REDUCED
    assert is_free(fit.smile)
    assert fit.rmse < 1e-3


def test_a_flat_smile_comes_back_flat():
    fit = fit_slice(K, np.full(K.size, 0.6), YEARS)
    assert total_variance(fit.smile, K) == pytest.approx(np.full(K.size, 0.36 * YEARS), rel=1e-6)


@pytest.mark.parametrize(
    ("k", "iv", "years", "message"),
    [
        ([0.0, 0.1, np.nan, 0.3, 0.4], [0.5] * 5, 0.1, r"quotes\.k.*row 2"),
        (K[:5], [0.5, 0.5, 0.5, 0.0, 0.5], 0.1, r"quotes\.iv.*row 3"),
        (K[:5], [0.5, np.inf, 0.5, 0.5, 0.5], 0.1, r"quotes\.iv.*row 1"),
        (K[:5], [0.5] * 5, 0.0, r"quotes\.years.*row 0"),
        (K[:5], [0.5] * 4, 0.1, "one length"),
        ([0.1, 0.1, 0.2, 0.2], [0.5] * 4, 0.1, "three distinct k"),
        ([], [], 0.1, "three distinct k"),
    ],
)
def test_bad_quotes_are_refused(k, iv, years, message):
    with pytest.raises(ValueError, match=message):
        fit_slice(k, iv, years)


def test_a_floor_with_arbitrage_is_refused():
    with pytest.raises(ValueError, match="shorter slice"):
        fit_slice(K, vols(SMILE), YEARS, shorter=RawSvi(-0.0410, 0.1331, 0.3060, 0.3586, 0.4153))
