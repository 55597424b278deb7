"""Fitted surfaces of two recorded Deribit chains: free of arbitrage, and near the quotes. `pytest -s` prints tables."""

from functools import cache
from itertools import pairwise

import numpy as np
import pytest
from scipy.optimize import least_squares

from engine.surface import fit_surface
from engine.svi_solver import REPAIRED
from tests.cases.deribit_chains import MISSING, SNAPSHOTS, otm_price, quoted, slices

pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"recorded chains not beside the project: {MISSING}")

CHAINS = [(snapshot, currency) for snapshot in SNAPSHOTS for currency in ("BTC", "ETH")]
MEDIAN_RMSE = {"calm": 0.45, "crash": 1.1}  # vol points


@cache
def fitted(snapshot, currency):
    return fit_surface(quoted(snapshot, currency)[0])


def hyperbola(parameters, k):
    a, b, rho, m, sigma = parameters
    return a + b * (rho * (k - m) + np.sqrt((k - m) ** 2 + sigma**2))


@cache
def unconstrained_rmse(snapshot, currency):
    """Root mean square error of IV of free raw SVI fits by scipy, decimal, (N,): best of several starts, ours one."""
    rng = np.random.default_rng(5)
    best = []
    fit = fitted(snapshot, currency).surface
    for i, (k, iv, years) in enumerate(slices(quoted(snapshot, currency)[0])):
        span, w = np.ptp(k), iv**2 * years
        constrained = [column[i] for column in (fit.a, fit.b, fit.rho, fit.m, fit.sigma)]

        def residuals(p, k=k, iv=iv, years=years):
            return np.sqrt(np.maximum(hyperbola(p, k), 1e-9) / years) - iv

        starts = [constrained]
        for _ in range(2):
            m, sigma = rng.uniform(k.min(), k.max()), span * np.exp(rng.uniform(-3.0, 0.5))
            starts.append([0.8 * w.min(), np.ptp(w) / span, rng.uniform(-0.5, 0.5), m, sigma])
        low, high = [-5.0, 0.0, -1.0, -10.0, 1e-6], [5.0, 5.0, 1.0, 10.0, 100.0]
        runs = [least_squares(residuals, p, bounds=(low, high), x_scale="jac", max_nfev=50) for p in starts]
        costs = [np.mean(run.fun**2) for run in runs]
        best.append(np.sqrt(min(costs)))
    return np.array(best)


@pytest.mark.parametrize(("snapshot", "currency"), CHAINS)
def test_no_butterfly_arbitrage(snapshot, currency):
    """g and w by finite differences-free algebra in numpy, on a grid of its own, and the limits in the wings."""
    fit = fitted(snapshot, currency).surface
    for i in range(fit.years.size):
        a, b, rho, m, sigma = (column[i] for column in (fit.a, fit.b, fit.rho, fit.m, fit.sigma))
        k = np.concatenate(
            [np.linspace(-3.0, 3.0, 60_001), np.geomspace(3.0, 1e4, 2000), -np.geomspace(3.0, 1e4, 2000)]
        )
        x, root = k - m, np.sqrt((k - m) ** 2 + sigma**2)
        w, first, second = hyperbola((a, b, rho, m, sigma), k), b * (rho + x / root), b * sigma**2 / root**3
        g = (1.0 - k * first / (2.0 * w)) ** 2 - first**2 / 4.0 * (1.0 / w + 0.25) + second / 2.0
        assert w.min() > 0.0
        assert g.min() >= 0.0
        assert b * (1.0 + abs(rho)) < 2.0


@pytest.mark.parametrize(("snapshot", "currency"), CHAINS)
def test_no_calendar_arbitrage_between_neighbours(snapshot, currency):
    fit = fitted(snapshot, currency).surface
    k = np.concatenate([np.linspace(-3.0, 3.0, 60_001), np.geomspace(3.0, 1e4, 2000), -np.geomspace(3.0, 1e4, 2000)])
    parameters = np.column_stack((fit.a, fit.b, fit.rho, fit.m, fit.sigma))
    for shorter, longer in pairwise(parameters):
        assert (hyperbola(longer, k) >= hyperbola(shorter, k)).all()
        for sign in (-1.0, 1.0):
            assert longer[1] * (1.0 + sign * longer[2]) >= shorter[1] * (1.0 + sign * shorter[2])


@pytest.mark.parametrize(("snapshot", "currency"), CHAINS)
def test_median_slice_is_near_its_quotes(snapshot, currency):
    fit = fitted(snapshot, currency)
    assert 100.0 * np.median(fit.rmse) <= MEDIAN_RMSE[snapshot]
    assert not (fit.status == REPAIRED).any()


@pytest.mark.parametrize(("snapshot", "currency"), CHAINS)
def test_freedom_from_arbitrage_costs_little_accuracy(snapshot, currency):
    ratio = fitted(snapshot, currency).rmse / unconstrained_rmse(snapshot, currency)
    assert np.median(ratio) <= 1.15


@pytest.mark.parametrize(("snapshot", "currency"), CHAINS)
def test_table(snapshot, currency):
    """Print every slice; most model prices must lie inside the quoted spread."""
    quotes, bid, ask = quoted(snapshot, currency)
    fit = fitted(snapshot, currency)
    free = unconstrained_rmse(snapshot, currency)
    inside = np.concatenate([otm_price(k, iv, years) for k, iv, years in slices_of_model(quotes, fit.residual)])
    inside = (inside >= bid) & (inside <= ask)
    print(f"\n{snapshot} {currency}: years, quotes, RMSE and free RMSE in vol points, inside the spread, binding")
    for i, (s, e) in enumerate(zip(quotes.start[:-1], quotes.start[1:], strict=True)):
        share = inside[s:e].mean()
        line = f"{quotes.years[i]:7.4f} {e - s:3d} {100 * fit.rmse[i]:6.3f} {100 * free[i]:6.3f} {share:5.0%}"
        print(f"{line} {fit.binding[i]:2d}")
    worst = int(np.argmax(fit.rmse))
    print(f"median {100 * np.median(fit.rmse):.3f} (free {100 * np.median(free):.3f}), inside {inside.mean():.0%}, ")
    print(
        f"median ratio {np.median(fit.rmse / free):.3f}, worst {100 * fit.rmse[worst]:.2f} at {quotes.years[worst]:.4f}"
    )
    assert inside.mean() > 0.5


def slices_of_model(quotes, residual):
    bounds = zip(quotes.start[:-1], quotes.start[1:], quotes.years, strict=True)
    return [(quotes.k[s:e], quotes.iv[s:e] + residual[s:e], t) for s, e, t in bounds]
