"""Levenberg-Marquardt inside a box for one SVI slice or for a whole surface at once.

The normal equations of n slices are a band of width ten, so a step of the joint problem costs n times that of one
slice. Damping and gain ratio as in Madsen, Nielsen and Tingleff, Methods for Non-Linear Least Squares Problems (2004),
§3.2; unknowns pressed against their bound are held for the step.
"""

import math
from collections.abc import Callable

import numpy as np

from engine.compiled import kernel
from engine.svi_penalties import TERMS, _penalty
from engine.svi_terms import WIDTH, _quote_cost, _quote_terms
from engine.types import Flags, Floats, Ints

Columns = tuple[Ints, Floats, Floats, Floats, Floats]
"""Quotes of N slices: start (N + 1,), k (Q,), iv (Q,), weight (Q,) of sum 1 in each slice, years (N,)."""
LIMIT = 200
"""Iterations of one descent."""


def _one_py(quotes: Columns, i: int) -> Columns:
    """Return the quotes of slice i alone."""
    start, k, iv, weight, years = quotes
    return start[i : i + 2], k, iv, weight, years[i : i + 1]


_one: Callable[..., Columns] = kernel(_one_py)


def _quotes_cost_py(x: Floats, quotes: Columns) -> float:
    start, k, iv, weight, years = quotes
    rows = slice(start[0], start[1])
    return _quote_cost(x, 0, k[rows], iv[rows], weight[rows], years[0])


_quotes_cost: Callable[..., float] = kernel(_quotes_cost_py)


def _assemble_py(
    x: Floats,
    quotes: Columns,
    floor: Floats,
    points: Floats,
    shift: Floats,
    strength: float,
    band: Floats,
    gradient: Floats,
) -> float:
    """Fill the normal equations at x and return the cost."""
    start, k, iv, weight, years = quotes
    band[:] = 0.0
    gradient[:] = 0.0
    cost = _penalty(x, floor, points, shift, strength, band, gradient, TERMS)
    for i in range(years.size):
        rows = slice(start[i], start[i + 1])
        cost += _quote_terms(x, 5 * i, k[rows], iv[rows], weight[rows], years[i], band, gradient)
    return cost


_assemble: Callable[..., float] = kernel(_assemble_py)


def _solve_py(band: Floats, gradient: Floats, damping: float, free: Flags, factor: Floats, step: Floats) -> bool:
    """Fill `step` with −(H + damping · diag H)⁻¹ gradient on the free unknowns, 0 elsewhere; False if not positive.

    Cholesky of the band: factor[p, d] holds row p, column p − d.
    """
    for p in range(gradient.size):
        reach = min(p, WIDTH - 1)
        for d in range(reach, -1, -1):
            q = p - d
            value = band[p, d] if free[p] and free[q] else 0.0
            for e in range(d + 1, min(reach, d + min(q, WIDTH - 1)) + 1):
                value -= factor[p, e] * factor[q, e - d]
            if d > 0:
                factor[p, d] = value / factor[q, 0]
                continue
            value = value + damping * band[p, 0] if free[p] else 1.0
            if not value > 0.0:
                return False
            factor[p, 0] = math.sqrt(value)
    for p in range(gradient.size):
        value = -gradient[p] if free[p] else 0.0
        for d in range(1, min(p, WIDTH - 1) + 1):
            value -= factor[p, d] * step[p - d]
        step[p] = value / factor[p, 0]
    for p in range(gradient.size - 1, -1, -1):
        value = step[p]
        for d in range(1, min(gradient.size - 1 - p, WIDTH - 1) + 1):
            value -= factor[p + d, d] * step[p + d]
        step[p] = value / factor[p, 0]
    return True


_solve: Callable[..., bool] = kernel(_solve_py)


def _predicted_py(band: Floats, gradient: Floats, move: Floats) -> float:
    """Return the fall of the cost that the quadratic model promises for `move`."""
    fall = 0.0
    for p in range(move.size):
        fall -= move[p] * (2.0 * gradient[p] + band[p, 0] * move[p])
        for d in range(1, min(p, WIDTH - 1) + 1):
            fall -= 2.0 * band[p, d] * move[p] * move[p - d]
    return fall


_predicted: Callable[..., float] = kernel(_predicted_py)


def _descend_py(
    x: Floats,
    lo: Floats,
    hi: Floats,
    quotes: Columns,
    floor: Floats,
    points: Floats,
    shift: Floats,
    strength: float,
    tolerance: float,
    damping: float,
) -> int:
    """Move x to a minimum of the cost within lo..hi; return the iterations, LIMIT where it did not settle.

    damping: to begin with, small where x is nearly there. Settled: the model promises less than `tolerance` of the
    cost, or of 1e-18 (1e-7 of a vol point).
    """
    band, gradient = np.empty((x.size, WIDTH)), np.empty(x.size)
    trial_band, trial_gradient = np.empty((x.size, WIDTH)), np.empty(x.size)
    factor, step, trial = np.empty((x.size, WIDTH)), np.empty(x.size), np.empty(x.size)
    free = np.ones(x.size, np.bool_)
    cost = _assemble(x, quotes, floor, points, shift, strength, band, gradient)
    growth = 2.0
    for iteration in range(LIMIT):
        for p in range(x.size):
            pressed = (x[p] <= lo[p] and gradient[p] > 0.0) or (x[p] >= hi[p] and gradient[p] < 0.0)
            free[p] = not pressed and band[p, 0] > 0.0
        promised, clipped, found = 0.0, False, math.inf
        if _solve(band, gradient, damping, free, factor, step):
            for p in range(x.size):
                trial[p] = min(max(x[p] + step[p], lo[p]), hi[p])
                clipped = clipped or trial[p] != x[p] + step[p]
                step[p] = trial[p] - x[p]
            promised = _predicted(band, gradient, step)
            if promised <= max(tolerance * cost, 1e-18) and (not clipped or damping > 1e8):
                return iteration
        if promised > 0.0:
            # most steps are taken: the normal equations there are wanted too
            found = _assemble(trial, quotes, floor, points, shift, strength, trial_band, trial_gradient)
        if found < cost:
            gain = (cost - found) / promised
            x[:] = trial
            band, trial_band = trial_band, band
            gradient, trial_gradient = trial_gradient, gradient
            cost = found
            damping = max(damping * max(1.0 / 9.0, 1.0 - (2.0 * gain - 1.0) ** 3), 1e-12)
            growth = 2.0
        else:
            damping *= growth
            growth *= 2.0
            if damping > 1e14:
                return iteration
    return LIMIT


_descend: Callable[..., int] = kernel(_descend_py)
