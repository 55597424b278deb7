"""Levenberg-Marquardt inside a box for one SVI slice or for a whole surface at once, and where to start it.

The normal equations of n slices are a band of width ten, so a step of the joint problem costs n times that of one
slice. Damping and gain ratio as in Madsen, Nielsen and Tingleff, Methods for Non-Linear Least Squares Problems (2004),
§3.2; unknowns pressed against their bound are held for the step.
"""

import math
from collections.abc import Callable

import numpy as np

from engine.compiled import kernel
from engine.svi_terms import (
    COST,
    TERMS,
    WIDTH,
    _butterfly_terms,
    _gap_terms,
    _quote_cost,
    _quote_terms,
    _wing_terms,
)
from engine.types import Flags, Floats, Ints

Columns = tuple[Ints, Floats, Floats, Floats, Floats]
"""Quotes of N slices: start (N + 1,), k (Q,), iv (Q,), weight (Q,) of sum 1 in each slice, years (N,)."""
LIMIT = 200
"""Iterations of one descent."""

GAP_STIFFNESS = 2.0
"""Strength of the calendar penalty in units of the butterfly's."""
_FIRST_DAMPING = 1e-3
_VERTICES = (0.1, 0.3, 0.5, 0.7, 0.9)
_WIDTHS = (0.03, 0.12, 0.4, 1.2)
"""Where the search for a start tries m and σ, as shares of the span of the quotes."""


def _penalty_py(
    x: Floats,
    floor: Floats,
    points: Floats,
    shift: Floats,
    strength: float,
    band: Floats,
    gradient: Floats,
    task: int,
) -> float:
    """Do `task` for the penalties of all slices and return their cost; `floor` is a shorter fixed slice, or empty.

    shift: (N, 3 P + 2) of each slice: butterfly, gap at the points of the shorter slice, at its own, at the wings.
    """
    count = points.shape[1]
    stiff = GAP_STIFFNESS * strength
    cost = 0.0
    for i in range(points.shape[0]):
        cost += _butterfly_terms(x, 5 * i, points[i], shift[i, :count], strength, band, gradient, task)
        lower, base = (floor, 0) if i == 0 else (x, 5 * i - 5)
        if lower.size == 0:
            continue
        for j in range(max(i - 1, 0), i + 1):
            rows = slice((1 + i - j) * count, (2 + i - j) * count)
            cost += _gap_terms(lower, base, x, 5 * i, points[j], shift[i, rows], stiff, band, gradient, task)
        cost += _wing_terms(lower, base, x, 5 * i, shift[i, 3 * count :], stiff, band, gradient, task)
    return cost


_penalty: Callable[..., float] = kernel(_penalty_py)


def _cost_py(
    x: Floats,
    quotes: Columns,
    floor: Floats,
    points: Floats,
    shift: Floats,
    strength: float,
    band: Floats,
    gradient: Floats,
) -> float:
    start, k, iv, weight, years = quotes
    cost = 0.0
    for i in range(years.size):
        rows = slice(start[i], start[i + 1])
        cost += _quote_cost(x, 5 * i, k[rows], iv[rows], weight[rows], years[i])
    if strength > 0.0:
        cost += _penalty(x, floor, points, shift, strength, band, gradient, COST)
    return cost


_cost: Callable[..., float] = kernel(_cost_py)


def _assemble_py(
    x: Floats,
    quotes: Columns,
    floor: Floats,
    points: Floats,
    shift: Floats,
    strength: float,
    band: Floats,
    gradient: Floats,
) -> None:
    start, k, iv, weight, years = quotes
    band[:] = 0.0
    gradient[:] = 0.0
    for i in range(years.size):
        rows = slice(start[i], start[i + 1])
        _quote_terms(x, 5 * i, k[rows], iv[rows], weight[rows], years[i], band, gradient)
    if strength > 0.0:
        _penalty(x, floor, points, shift, strength, band, gradient, TERMS)


_assemble: Callable[..., None] = kernel(_assemble_py)


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
) -> int:
    """Move x to a minimum of the cost within lo..hi; return the iterations, LIMIT where it did not settle.

    Settled: the model promises less than `tolerance` of the cost, or of 1e-18 (1e-7 of a vol point).
    """
    band, factor = np.empty((x.size, WIDTH)), np.empty((x.size, WIDTH))
    gradient, step, trial = np.empty(x.size), np.empty(x.size), np.empty(x.size)
    free = np.ones(x.size, np.bool_)
    cost = _cost(x, quotes, floor, points, shift, strength, band, gradient)
    damping, growth, moved = _FIRST_DAMPING, 2.0, True
    for iteration in range(LIMIT):
        if moved:
            _assemble(x, quotes, floor, points, shift, strength, band, gradient)
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
            found = _cost(trial, quotes, floor, points, shift, strength, band, gradient)
        moved = found < cost
        if moved:
            gain = (cost - found) / promised
            x[:] = trial
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


def _search_py(x: Floats, lo: Floats, hi: Floats, quotes: Columns) -> None:
    """Fill x with the best of twenty quasi-explicit fits: given m and σ, w is linear in a, bρσ and bσ.

    Zeliade Systems, Quasi-explicit calibration of Gatheral's SVI model (2009), §3; weighted so that an error in w
    counts as the error in IV it makes. Of a linear solution outside the box the slopes are moved in and a fitted again.
    """
    _, k, iv, weight, maturity = quotes
    years = maturity[0]
    centre, span = 0.5 * (k.min() + k.max()), k.max() - k.min()
    best = math.inf
    for vertex in _VERTICES:
        m = centre + span * (vertex - 0.5)
        for width in _WIDTHS:
            sigma = span * width
            s0 = s1 = s2 = s11 = s12 = s22 = t0 = t1 = t2 = tt = 0.0
            for i in range(k.size):
                w = iv[i] * iv[i] * years
                q = weight[i] / (4.0 * w * years)
                z = (k[i] - m) / sigma
                c = math.sqrt(1.0 + z * z)
                s0 += q
                s1 += q * z
                s2 += q * c
                s11 += q * z * z
                s12 += q * z * c
                s22 += q * c * c
                t0 += q * w
                t1 += q * w * z
                t2 += q * w * c
                tt += q * w * w
            c11, c12, c22 = s11 - s1 * s1 / s0, s12 - s1 * s2 / s0, s22 - s2 * s2 / s0
            d1, d2 = t1 - t0 * s1 / s0, t2 - t0 * s2 / s0
            spread = c11 * c22 - c12 * c12
            if not spread > 0.0:
                continue
            steep = max((c11 * d2 - c12 * d1) / spread, 0.0)
            tilt = min(max((d1 - c12 * steep) / c11, -steep), steep)
            left = min(max(math.sqrt((steep - tilt) / sigma), lo[1]), hi[1])
            right = min(max(math.sqrt((steep + tilt) / sigma), lo[2]), hi[2])
            steep, tilt = 0.5 * sigma * (left * left + right * right), 0.5 * sigma * (right * right - left * left)
            a = (t0 - tilt * s1 - steep * s2) / s0
            v = max(a + sigma * left * right, lo[0])
            a = v - sigma * left * right
            cost = tt + a * (a * s0 - 2.0 * t0) + tilt * (tilt * s11 - 2.0 * t1) + steep * (steep * s22 - 2.0 * t2)
            cost += 2.0 * (a * tilt * s1 + a * steep * s2 + tilt * steep * s12)
            if cost < best:
                best = cost
                x[0], x[1], x[2], x[3], x[4] = v, left, right, m, math.log(sigma)


_search: Callable[..., None] = kernel(_search_py)
