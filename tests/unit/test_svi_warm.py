"""A fit that starts from the last tick: the same result sooner, and the cold one where the quotes have moved away."""

import numpy as np
import pytest

from engine.surface import SmileQuotes, fit_surface
from engine.svi import RawSvi, total_variance
from engine.svi_arbitrage import is_free
from engine.svi_fit import fit_slice
from engine.svi_solver import BUTTERFLY, CALENDAR

VOGT = RawSvi(a=-0.0410, b=0.1331, rho=0.3060, m=0.3586, sigma=0.4153)
K = np.linspace(-1.5, 1.5, 40)
IV = np.sqrt(total_variance(VOGT, K))


def noise(seed, size=K.size):
    return np.random.default_rng(seed).normal(0.0, 1e-4, size)


def test_a_slice_on_a_constraint_is_found_again_sooner():
    last = fit_slice(K, IV + noise(1), 1.0)
    assert last.binding == BUTTERFLY
    now = IV + noise(2)
    cold, warm = fit_slice(K, now, 1.0), fit_slice(K, now, 1.0, start=last.smile)
    assert is_free(warm.smile)
    assert warm.rmse == pytest.approx(cold.rmse, rel=0.01)
    assert 2 * warm.iterations <= cold.iterations


def test_a_slice_on_a_shorter_one_is_found_again():
    shorter = RawSvi(a=0.005, b=0.12, rho=-0.6, m=0.0, sigma=0.15)
    k = np.linspace(-0.6, 0.7, 20)
    iv = np.sqrt(total_variance(RawSvi(a=0.01, b=0.1, rho=-0.3, m=0.05, sigma=0.2), k))
    assert not is_free(fit_slice(k, iv, 1.0).smile, shorter)
    last = fit_slice(k, iv + noise(1, 20), 1.0, shorter=shorter)
    now = iv + noise(2, 20)
    cold, warm = fit_slice(k, now, 1.0, shorter=shorter), fit_slice(k, now, 1.0, shorter=shorter, start=last.smile)
    assert is_free(warm.smile, shorter)
    assert warm.rmse <= 1.01 * cold.rmse


def test_a_surface_whose_neighbours_touch_is_found_again_sooner():
    level = np.array([0.2, 0.12, 0.1])  # at the money total variance goes 0.1, 0.084, 0.1
    years, k = np.array([0.5, 0.7, 1.0]), np.linspace(-0.6, 0.6, 15)

    def quotes(seed):
        iv = np.concatenate([np.sqrt(v * (1.0 - 0.1 * k + 0.3 * k * k)) for v in level]) + noise(seed, 45)
        return SmileQuotes(years, np.ones(3), np.arange(0, 46, 15), np.tile(k, 3), iv, np.ones(45))

    last, now = fit_surface(quotes(1)), quotes(2)
    cold, warm = fit_surface(now), fit_surface(now, last.surface)
    assert cold.binding[1] & CALENDAR
    assert warm.rmse == pytest.approx(cold.rmse, rel=0.01, abs=1e-5)
    assert 2 * warm.iterations.max() <= cold.iterations.max()
    for i in range(1, 3):
        assert is_free(warm.surface.smile(i), warm.surface.smile(i - 1))


def test_quotes_that_jumped_are_fitted_as_if_cold():
    last = fit_slice(K, IV, 1.0).smile
    jumped = 0.8 - 0.2 * K + 0.1 * K**2 + 0.01 * np.cos(20.0 * K)
    cold, warm = fit_slice(K, jumped, 1.0), fit_slice(K, jumped, 1.0, start=last)
    assert warm.rmse == pytest.approx(cold.rmse, rel=1e-6)
    assert warm.iterations > cold.iterations
