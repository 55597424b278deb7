"""Penalties that keep SVI slices free of arbitrage: butterfly of each slice, calendar of two neighbours.

Terms of least squares in the unknowns of svi_terms. Each penalty asks for a margin and, on top, for a shift that the
solver raises where the penalty gave way.
"""

import math
from collections.abc import Callable

import numpy as np

from engine.compiled import kernel
from engine.svi_arbitrage import CLEAR, _least_butterfly, _least_gap
from engine.svi_terms import WIDTH, Hyperbola, _add, _height_slope, _hyperbola
from engine.types import Floats

BUTTERFLY_MARGIN = 1e-3
"""g the penalty aims above, so that what it leaves of a violation is still g > 0."""
CALENDAR_MARGIN = 1e-4
"""The same for ln(w / w of the shorter slice), and for the differences of l and of r."""
GAP_STIFFNESS = 2.0
"""Strength of the calendar penalty in units of the butterfly's."""
TERMS, SHIFT = np.int64(0), np.int64(1)
"""What a penalty does besides returning its cost: add its terms; or take its shortfall over into its shifts. Not
Python integers: numba takes those for literals and compiles a penalty once for each."""


def _butterfly_shorts_py(slice_: Hyperbola, points: Floats, shift: Floats, short: Floats) -> None:
    """Fill short with margin + shift − g. Most points are free: a loop without a branch, so vectorised, finds them."""
    a, tilt, b, m, sigma = slice_
    for j in range(points.size):
        k = points[j]
        y = k - m
        root = math.sqrt(y * y + sigma * sigma)
        inverse = 1.0 / (a + tilt * y + b * root)
        arm = 1.0 / root
        w1 = tilt + b * y * arm
        lean = 1.0 - 0.5 * k * w1 * inverse
        g = lean * lean - 0.25 * w1 * w1 * (inverse + 0.25) + 0.5 * b * sigma * sigma * (arm * arm * arm)
        short[j] = BUTTERFLY_MARGIN + shift[j] - g


_butterfly_shorts: Callable[..., None] = kernel(_butterfly_shorts_py)


def _butterfly_terms_py(
    x: Floats, first: int, points: Floats, shift: Floats, strength: float, band: Floats, gradient: Floats, task: int
) -> float:
    """Return strength · Σ max(margin + shift − g, 0)² over the points; `task` says what else."""
    slice_ = _hyperbola(x, first)
    a, tilt, b, m, sigma = slice_
    left, right = x[first + 1], x[first + 2]
    shorts, slope = np.empty(points.size), np.empty(5)
    _butterfly_shorts(slice_, points, shift, shorts)
    cost = 0.0
    for j in range(points.size):
        short = max(shorts[j], 0.0)
        cost += strength * short * short
        if task == SHIFT:
            shift[j] = short
        if task != TERMS or short == 0.0:
            continue
        k = points[j]
        y = k - m
        root = math.sqrt(y * y + sigma * sigma)
        inverse = 1.0 / (a + tilt * y + b * root)
        arm = 1.0 / root
        bend = arm * arm * arm
        w1, w2 = tilt + b * y * arm, b * sigma * sigma * bend
        lean = 1.0 - 0.5 * k * w1 * inverse
        by_w = -(lean * k + 0.25 * w1) * w1 * inverse * inverse
        by_w1 = lean * k * inverse + 0.5 * w1 * (inverse + 0.25)
        steep = 1.5 * w2 * arm * arm
        _height_slope(x, first, slice_, k, by_w, slope)
        slope[1] += left * (by_w1 * (y * arm - 1.0) - 0.5 * sigma * sigma * bend)
        slope[2] += right * (by_w1 * (y * arm + 1.0) - 0.5 * sigma * sigma * bend)
        slope[3] -= by_w1 * w2 + steep * y
        slope[4] += steep * sigma * sigma - w2 - by_w1 * b * y * sigma * sigma * bend
        _add(band, gradient, first, slope, 5, short, strength)
    return cost


_butterfly_terms: Callable[..., float] = kernel(_butterfly_terms_py)


def _heights_py(slice_: Hyperbola, points: Floats, out: Floats) -> None:
    a, tilt, b, m, sigma = slice_
    for j in range(points.size):
        y = points[j] - m
        out[j] = a + tilt * y + b * math.sqrt(y * y + sigma * sigma)


_heights: Callable[..., None] = kernel(_heights_py)


def _gap_terms_py(
    shorter: Floats,
    base: int,
    x: Floats,
    first: int,
    points: Floats,
    shift: Floats,
    strength: float,
    band: Floats,
    gradient: Floats,
    task: int,
) -> float:
    """Return strength · Σ max(margin + shift − ln(w / w_shorter), 0)² over the points; `task` says what else.

    The unknowns of the shorter slice start at shorter[base]. Terms are added of both slices where the shorter one
    stands in front of `first` (base = first − 5), of the longer alone where it is a fixed floor (base = first = 0).
    """
    start, skip = (first - 5, 0) if base < first else (first, 5)
    below, above = _hyperbola(shorter, base), _hyperbola(x, first)
    lows, highs, slope = np.empty(points.size), np.empty(points.size), np.empty(WIDTH)
    _heights(below, points, lows)
    _heights(above, points, highs)
    cost = 0.0
    for j in range(points.size):
        low, high = lows[j], highs[j]
        if shift[j] == 0.0 and high > low * (1.0 + 2.0 * CALENDAR_MARGIN):
            continue
        short = CALENDAR_MARGIN + shift[j] - math.log(high / low)
        if task == SHIFT:
            shift[j] = max(short, 0.0)
        if short <= 0.0:
            continue
        cost += strength * short * short
        if task == TERMS:
            _height_slope(shorter, base, below, points[j], 1.0 / low, slope[:5])
            _height_slope(x, first, above, points[j], -1.0 / high, slope[5:])
            _add(band, gradient, start, slope[skip:], WIDTH - skip, short, strength)
    return cost


_gap_terms: Callable[..., float] = kernel(_gap_terms_py)


def _wing_terms_py(
    shorter: Floats,
    base: int,
    x: Floats,
    first: int,
    shift: Floats,
    strength: float,
    band: Floats,
    gradient: Floats,
    task: int,
) -> float:
    """As the gaps, of l and of r: what the gap comes to at −∞ and +∞."""
    start, skip = (first - 5, 0) if base < first else (first, 5)
    slope = np.empty(WIDTH)
    cost = 0.0
    for wing in range(1, 3):
        short = CALENDAR_MARGIN + shift[wing - 1] + shorter[base + wing] - x[first + wing]
        if task == SHIFT:
            shift[wing - 1] = max(short, 0.0)
        if short <= 0.0:
            continue
        cost += strength * short * short
        if task == TERMS:
            slope[:] = 0.0
            slope[wing], slope[5 + wing] = 1.0, -1.0
            _add(band, gradient, start, slope[skip:], WIDTH - skip, short, strength)
    return cost


_wing_terms: Callable[..., float] = kernel(_wing_terms_py)


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


def _survey_py(raw: Floats, floor: Floats, nodes: Floats, found: Floats) -> None:
    """Fill found with where g is least, that value, where the gap to `floor` is least and that; +inf without floor."""
    found[0], found[1] = _least_butterfly(raw, nodes, CLEAR)
    found[2], found[3] = math.inf, math.inf
    if floor.size:
        found[2], found[3] = _least_gap(floor, raw, nodes, CLEAR)


_survey: Callable[..., None] = kernel(_survey_py)


def _unsurveyed_py(found: Floats) -> None:
    """Mark slices as having nothing to watch and not known to be free."""
    for i in range(found.shape[0]):
        found[i, 0], found[i, 1], found[i, 2], found[i, 3] = math.inf, -math.inf, math.inf, -math.inf


_unsurveyed: Callable[..., None] = kernel(_unsurveyed_py)
