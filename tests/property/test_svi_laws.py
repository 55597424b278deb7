"""What holds for every fitted smile, whatever the quotes."""

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from engine.surface import SmileQuotes, fit_surface, total_variance
from engine.svi import RawSvi
from engine.svi import total_variance as slice_variance
from engine.svi_arbitrage import is_free
from engine.svi_fit import fit_slice

finite = {"allow_nan": False, "allow_infinity": False}


@st.composite
def quotes(draw):
    """Any IVs at all at any strikes."""
    count = draw(st.integers(3, 15))
    k = draw(st.lists(st.floats(-2.0, 2.0, **finite), min_size=count, max_size=count, unique_by=lambda x: round(x, 3)))
    iv = draw(st.lists(st.floats(0.05, 4.0, **finite), min_size=count, max_size=count))
    return np.array(k), np.array(iv), draw(st.floats(0.002, 2.0, **finite))


@st.composite
def smiles(draw):
    """Slices free of butterfly arbitrage, bent within the strikes quoted."""
    smile = RawSvi(
        a=draw(st.floats(0.0, 0.1, **finite)),
        b=draw(st.floats(0.02, 0.4, **finite)),
        rho=draw(st.floats(-0.8, 0.8, **finite)),
        m=draw(st.floats(-0.3, 0.3, **finite)),
        sigma=draw(st.floats(0.1, 0.6, **finite)),
    )
    assume(is_free(smile))
    return smile


def densely_free(smile, shorter=None):
    """g, w and the gap on a grid of their own, straight from the formulas."""
    k = np.concatenate([np.linspace(-6.0, 6.0, 24_001), -np.geomspace(6.0, 1e4, 500), np.geomspace(6.0, 1e4, 500)])
    x = k - smile.m
    root = np.hypot(x, smile.sigma)
    w = smile.a + smile.b * (smile.rho * x + root)
    first, second = smile.b * (smile.rho + x / root), smile.b * smile.sigma**2 / root**3
    g = (1.0 - k * first / (2.0 * w)) ** 2 - first**2 / 4.0 * (1.0 / w + 0.25) + second / 2.0
    free = w.min() > 0.0 and g.min() > -1e-9 and smile.b * (1.0 + abs(smile.rho)) < 2.0
    return free and (shorter is None or (w >= slice_variance(shorter, k) * (1.0 - 1e-9)).all())


@settings(max_examples=60)
@given(quotes())
def test_a_fitted_slice_is_free_whatever_the_quotes(drawn):
    fit = fit_slice(*drawn)
    assert is_free(fit.smile)
    assert densely_free(fit.smile)


@settings(max_examples=40)
@given(quotes(), smiles())
def test_a_fitted_slice_is_never_below_the_shorter_one(drawn, shorter):
    fit = fit_slice(*drawn, shorter=shorter)
    assert is_free(fit.smile, shorter)
    assert densely_free(fit.smile, shorter)


@settings(max_examples=20)
@given(st.lists(quotes(), min_size=2, max_size=4), st.floats(0.0, 1.0))
def test_a_fitted_surface_is_free_and_rises_with_time(drawn, share):
    years = np.cumsum([0.1 + t for _, _, t in drawn])
    start = np.r_[0, np.cumsum([k.size for k, _, _ in drawn])]
    k, iv = (np.concatenate([d[i] for d in drawn]) for i in range(2))
    fit = fit_surface(SmileQuotes(years, np.ones(years.size), start, k, iv, np.ones(k.size))).surface
    slices = [fit.smile(i) for i in range(years.size)]
    for shorter, longer in zip([None, *slices], slices, strict=False):
        assert is_free(longer, shorter)
        assert densely_free(longer, shorter)
    times = years[0] + (years[-1] - years[0]) * np.array([0.5 * share, share])
    at = np.linspace(-2.0, 2.0, 101)
    assert (total_variance(fit, at, times[1]) >= total_variance(fit, at, times[0]) * (1.0 - 1e-12)).all()


@settings(max_examples=40)
@given(quotes(), smiles(), smiles())
def test_a_warm_fit_is_free_wherever_it_starts(drawn, shorter, last):
    fit = fit_slice(*drawn, shorter=shorter, start=last)
    assert is_free(fit.smile, shorter)
    assert densely_free(fit.smile, shorter)


@settings(max_examples=60)
@given(smiles(), st.floats(0.01, 2.0, **finite))
def test_quotes_of_a_free_slice_are_met(smile, years):
    k = np.linspace(-1.0, 1.0, 21)
    fit = fit_slice(k, np.sqrt(slice_variance(smile, k) / years), years)
    assert fit.rmse <= 1e-4 * np.sqrt(slice_variance(smile, 0.0) / years)


@settings(max_examples=40)
@given(smiles(), smiles(), st.integers(0, 10_000))
def test_warm_start_is_the_cold_fit(smile, last, seed):
    k = np.linspace(-1.0, 1.0, 21)
    iv = np.sqrt(slice_variance(smile, k)) * np.random.default_rng(seed).normal(1.0, 0.005, k.size)
    cold, warm = fit_slice(k, iv, 1.0), fit_slice(k, iv, 1.0, start=last)
    assert abs(warm.rmse - cold.rmse) <= 0.01 * cold.rmse
