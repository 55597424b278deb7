"""Surfaces: interpolation by hand, SSVI as the case whose freedom from arbitrage is a theorem, refusals."""

import numpy as np
import pytest

from engine import ssvi
from engine.surface import SmileQuotes, Surface, fit_surface, total_variance, vol
from engine.svi import total_variance as slice_variance
from engine.svi_arbitrage import is_free, least_butterfly, least_gap
from engine.svi_solver import CALENDAR

YEARS = np.array([0.1, 0.5, 1.0])
THETA = np.array([0.03, 0.12, 0.2])
MODEL = ssvi.Ssvi(rho=-0.3, eta=0.9, gamma=0.4, theta=THETA)
K = np.linspace(-0.8, 0.8, 17)


def quotes(theta=THETA, shift=0.0):
    surface = ssvi.Ssvi(rho=-0.3, eta=0.9, gamma=0.4, theta=np.asarray(theta))
    iv = np.sqrt(ssvi.total_variance(surface, K[:, None]) / YEARS).T.ravel() + shift
    return SmileQuotes(YEARS.copy(), np.full(3, 100.0), np.array([0, 17, 34, 51]), np.tile(K, 3), iv, np.ones(51))


def flat_surface():
    zero = np.zeros(2)
    return Surface(np.array([0.5, 1.0]), np.full(2, 100.0), np.array([0.04, 0.1]), zero, zero, zero, np.ones(2))


def test_an_exact_surface_comes_back():
    fit = fit_surface(quotes())
    assert fit.rmse.max() < 1e-7
    assert (fit.binding == 0).all()
    assert total_variance(fit.surface, K, 0.5) == pytest.approx(ssvi.total_variance(MODEL, K[:, None])[:, 1], rel=1e-6)


def test_crossing_expiries_are_parted():
    fit = fit_surface(quotes(theta=[0.03, 0.12, 0.1]))
    smiles = [fit.surface.smile(i) for i in range(3)]
    assert all(least_butterfly(smile).value >= 0.0 for smile in smiles)
    assert least_gap(smiles[0], smiles[1]).value >= 0.0
    assert least_gap(smiles[1], smiles[2]).value >= 0.0
    assert fit.binding[2] & CALENDAR
    # between 0.12 and 0.1 at the money, nearer in IV than either quote to the other
    assert 0.1 < total_variance(fit.surface, 0.0, 1.0) < 0.12


def test_warm_start_is_the_cold_fit():
    last, now = quotes(), quotes(shift=0.01)
    cold, warm = fit_surface(now), fit_surface(now, start=fit_surface(last).surface)
    assert warm.rmse == pytest.approx(cold.rmse, rel=1e-3, abs=1e-7)
    assert vol(warm.surface, K, 0.5) == pytest.approx(vol(cold.surface, K, 0.5), abs=1e-5)


def test_weights_are_shares_of_their_expiry():
    assert np.add.reduceat(quotes().weight, [0, 17, 34]) == pytest.approx(np.ones(3))


def test_total_variance_is_linear_between_expiries():
    found = total_variance(flat_surface(), 0.3, [0.5, 0.75, 0.9, 1.0])
    assert found == pytest.approx([0.04, 0.07, 0.088, 0.1], rel=1e-14)


def test_vol_is_flat_outside_the_expiries():
    found = vol(flat_surface(), [[0.0], [1.0]], [0.01, 0.25, 2.0, 5.0])
    assert found.shape == (2, 4)
    assert found[:, :2] == pytest.approx(np.full((2, 2), np.sqrt(0.08)), rel=1e-14)
    assert found[:, 2:] == pytest.approx(np.full((2, 2), np.sqrt(0.1)), rel=1e-14)


def test_nothing_varies_at_no_time():
    assert total_variance(flat_surface(), 0.2, 0.0) == 0.0


def test_one_expiry_is_a_surface_too():
    one = Surface(*(np.array([x]) for x in (0.5, 100.0, 0.04, 0.0, 0.0, 0.0, 1.0)))
    assert vol(one, 0.1, [0.2, 0.5, 0.9]) == pytest.approx(np.full(3, np.sqrt(0.08)), rel=1e-14)


@pytest.mark.parametrize(("k", "years"), [(np.nan, 0.5), (0.0, np.inf), (0.0, -0.1)])
def test_bad_queries_are_refused(k, years):
    with pytest.raises(ValueError, match="surface"):
        total_variance(flat_surface(), k, years)


def test_vol_at_no_time_is_refused():
    with pytest.raises(ValueError, match="years > 0"):
        vol(flat_surface(), 0.0, 0.0)


def test_expiries_out_of_order_are_refused():
    columns = quotes()
    with pytest.raises(ValueError, match=r"SmileQuotes\.years"):
        SmileQuotes(YEARS[::-1].copy(), columns.forward, columns.start, columns.k, columns.iv, columns.weight)


def test_a_bad_quote_is_refused_at_birth():
    iv = quotes().iv.copy()
    iv[20] = -0.1
    with pytest.raises(ValueError, match=r"quotes\.iv.*row 20"):
        SmileQuotes(YEARS.copy(), np.full(3, 100.0), np.array([0, 17, 34, 51]), np.tile(K, 3), iv, np.ones(51))


def test_ssvi_slice_as_raw_svi():
    for i in range(3):
        expected = ssvi.total_variance(MODEL, K[:, None])[:, i]
        assert slice_variance(ssvi.raw_slice(MODEL, i), K) == pytest.approx(expected, rel=1e-13)


def test_ssvi_fit_recovers_its_own_quotes():
    columns = quotes()
    fit = ssvi.fit(columns.start, columns.k, columns.iv, columns.years)
    assert fit.rmse.max() < 1e-6
    found = (fit.surface.rho, fit.surface.eta, fit.surface.gamma, *fit.surface.theta)
    assert found == pytest.approx((-0.3, 0.9, 0.4, *THETA), rel=1e-3)


def test_ssvi_conditions_agree_with_the_slices():
    free = ssvi.Ssvi(rho=-0.3, eta=1.5, gamma=0.5, theta=THETA)
    assert ssvi.free_of_butterflies(free)
    assert ssvi.free_of_calendars(free)
    slices = [ssvi.raw_slice(free, i) for i in range(3)]
    assert is_free(slices[1], slices[0])
    assert is_free(slices[2], slices[1])
    steep = ssvi.Ssvi(rho=-0.3, eta=9.0, gamma=0.5, theta=THETA)
    assert not ssvi.free_of_butterflies(steep)
    assert not is_free(ssvi.raw_slice(steep, 2))
    falling = ssvi.Ssvi(rho=-0.3, eta=1.5, gamma=0.5, theta=THETA[::-1].copy())
    assert not ssvi.free_of_calendars(falling)
    assert least_gap(ssvi.raw_slice(falling, 0), ssvi.raw_slice(falling, 1)).value < 0.0


@pytest.mark.parametrize(("rho", "eta", "gamma"), [(1.0, 1.0, 0.5), (0.0, 0.0, 0.5), (0.0, 1.0, 1.0)])
def test_impossible_ssvi_is_refused(rho, eta, gamma):
    with pytest.raises(ValueError, match="Ssvi"):
        ssvi.Ssvi(rho, eta, gamma, THETA)
