"""Terms of the fit against their own definition differenced, the unrolled kernel against its plain twin, the solver
against numpy."""

import numpy as np
import pytest

from engine.svi import RawSvi, butterfly, total_variance
from engine.svi_descent import _predicted, _solve
from engine.svi_penalties import (
    BUTTERFLY_MARGIN,
    CALENDAR_MARGIN,
    TERMS,
    _butterfly_terms,
    _gap_terms,
    _wing_terms,
)
from engine.svi_terms import WIDTH, _quote_cost, _quote_terms, _quote_terms_py, _to_natural, _to_raw

SMILE = np.array([0.01, 0.3, 0.2, -0.02, np.log(0.15)])
SHORTER = np.array([0.012, 0.35, 0.15, 0.03, np.log(0.1)])
K = np.linspace(-0.5, 0.6, 23)
IV = 0.5 + 0.2 * K**2
WEIGHT = np.linspace(1.0, 2.0, 23) / 34.5


def empty(unknowns):
    return np.zeros((unknowns, WIDTH)), np.zeros(unknowns)


def slope(cost, x):
    """Gradient of a cost by central differences, halved as the normal equations have it."""
    steps = 1e-6 * np.eye(x.size)
    return np.array([(cost(x + h) - cost(x - h)) / 4e-6 for h in steps])


def raw(x):
    out = np.empty(5)
    _to_raw(x, 0, out)
    return out


def test_unknowns_there_and_back():
    back = np.empty(5)
    _to_natural(raw(SMILE), back)
    assert back == pytest.approx(SMILE, rel=1e-12)


def test_wings_and_least_variance_are_the_unknowns():
    smile = RawSvi(*raw(SMILE).tolist())
    assert smile.least_variance() == pytest.approx(SMILE[0], rel=1e-12)
    assert smile.wing_slopes() == pytest.approx((0.09, 0.04), rel=1e-12)


def test_unrolled_terms_equal_their_plain_twin():
    band, gradient = empty(5)
    plain_band, plain_gradient = empty(5)
    _quote_terms(SMILE, 0, K, IV, WEIGHT, 0.2, band, gradient)
    _quote_terms_py(SMILE, 0, K, IV, WEIGHT, 0.2, plain_band, plain_gradient)
    assert band == pytest.approx(plain_band, rel=1e-12, abs=1e-18)
    assert gradient == pytest.approx(plain_gradient, rel=1e-12, abs=1e-18)


def test_quote_gradient():
    band, gradient = empty(5)
    _quote_terms(SMILE, 0, K, IV, WEIGHT, 0.2, band, gradient)
    assert gradient == pytest.approx(slope(lambda x: _quote_cost(x, 0, K, IV, WEIGHT, 0.2), SMILE), rel=1e-6)


def test_quote_cost_is_the_mean_square_of_the_miss():
    vol = np.sqrt(total_variance(RawSvi(*raw(SMILE).tolist()), K) / 0.2)
    assert _quote_cost(SMILE, 0, K, IV, WEIGHT, 0.2) == pytest.approx(np.sum(WEIGHT * (vol - IV) ** 2), rel=1e-12)


def test_butterfly_cost_and_gradient():
    steep = np.array([0.001, 0.9, 1.1, 0.1, np.log(0.05)])
    points, shift = np.linspace(-1.0, 1.0, 31), np.linspace(0.0, 0.02, 31)

    def cost(x):
        return _butterfly_terms(x, 0, points, shift, 3.0, *empty(5), TERMS)

    short = np.maximum(BUTTERFLY_MARGIN + shift - butterfly(RawSvi(*raw(steep).tolist()), points), 0.0)
    assert (short > 0.0).any()
    assert cost(steep) == pytest.approx(3.0 * np.sum(short**2), rel=1e-10)
    band, gradient = empty(5)
    _butterfly_terms(steep, 0, points, shift, 3.0, band, gradient, TERMS)
    assert gradient == pytest.approx(slope(cost, steep), rel=1e-5, abs=1e-5)


@pytest.mark.parametrize("tied", [True, False])
def test_calendar_cost_and_gradient(tied):
    points, shift = np.linspace(-2.0, 2.0, 41), np.linspace(0.0, 0.1, 41)
    both = np.concatenate([SHORTER, SMILE])

    def cost(x):
        if tied:
            gaps = _gap_terms(x, 0, x, 5, points, shift, 2.0, *empty(10), TERMS)
            return gaps + _wing_terms(x, 0, x, 5, np.zeros(2), 2.0, *empty(10), TERMS)
        gaps = _gap_terms(SHORTER, 0, x, 0, points, shift, 2.0, *empty(5), TERMS)
        return gaps + _wing_terms(SHORTER, 0, x, 0, np.zeros(2), 2.0, *empty(5), TERMS)

    upper, lower = (total_variance(RawSvi(*raw(x).tolist()), points) for x in (SMILE, SHORTER))
    short = np.maximum(CALENDAR_MARGIN + shift - np.log(upper / lower), 0.0)
    wings = CALENDAR_MARGIN + SHORTER[1:3] - SMILE[1:3]
    x = both if tied else SMILE
    assert cost(x) == pytest.approx(2.0 * (np.sum(short**2) + np.sum(np.maximum(wings, 0.0) ** 2)), rel=1e-12)
    band, gradient = empty(x.size)
    below, base, first = (x, 0, 5) if tied else (SHORTER, 0, 0)
    _gap_terms(below, base, x, first, points, shift, 2.0, band, gradient, TERMS)
    _wing_terms(below, base, x, first, np.zeros(2), 2.0, band, gradient, TERMS)
    assert gradient == pytest.approx(slope(cost, x), rel=1e-5, abs=1e-6)


def test_band_solver_against_numpy():
    rng = np.random.default_rng(1)
    size = 20
    jacobian = np.zeros((60, size))
    for row in range(60):
        first = 5 * rng.integers(0, 3)
        jacobian[row, first : first + 10] = rng.normal(size=10)
    matrix, gradient = jacobian.T @ jacobian, rng.normal(size=size)
    free = np.ones(size, np.bool_)
    free[[0, 7, 19]] = False
    band = np.zeros((size, WIDTH))
    for p in range(size):
        for d in range(min(p, WIDTH - 1) + 1):
            band[p, d] = matrix[p, p - d]
    step = np.empty(size)
    assert _solve(band, gradient, 0.1, free, np.empty_like(band), step)
    damped = (matrix + 0.1 * np.diag(np.diag(matrix)))[np.ix_(free, free)]
    assert step[free] == pytest.approx(np.linalg.solve(damped, -gradient[free]), rel=1e-9)
    assert (step[~free] == 0.0).all()
    promised = -2.0 * gradient @ step - step @ matrix @ step
    assert _predicted(band, gradient, step) == pytest.approx(promised, rel=1e-9)
