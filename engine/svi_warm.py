"""What the slices of the last tick tell the next fit: where to start, and the multipliers of their constraints.

Where a slice rests on a constraint, the pull of the quotes and the push of the constraint cancel. Shifts that push as
hard from the first turn spare a warm start the detour through arbitrage by which a cold one learns them.
"""

import math
from collections.abc import Callable

import numpy as np

from engine.compiled import kernel
from engine.svi_descent import Columns, _one, _quotes_cost
from engine.svi_penalties import (
    BUTTERFLY_MARGIN,
    CALENDAR_MARGIN,
    GAP_STIFFNESS,
    TERMS,
    _butterfly_terms,
    _gap_terms,
    _survey,
    _unsurveyed,
)
from engine.svi_start import _clip, _frame
from engine.svi_terms import WIDTH, _quote_terms, _to_natural, _to_raw
from engine.types import Floats

_NEARBY = 30.0
"""Margins within which a constraint may push; one that need not gets no multiplier."""
_SWEEPS = 4
_TRUST = 9.0
"""What fits the quotes three times as badly as the new fit is too old to start from."""


def _pushes_py(x: Floats, floor: Floats, points: Floats, found: Floats, push: Floats) -> None:
    """Fill push (4 N, 5 N), of zeros: of each slice the slopes of butterfly, gap and both wings; 0 for those far off.

    x, floor, found as in svi_solver; the worst points found become the last two of the slice's penalties.
    """
    count = points.shape[1]
    unused, unit = np.empty((x.size, WIDTH)), np.empty(1)
    for i in range(points.shape[0]):
        last, before = points[i, count - 1 :], points[i, count - 2 : count - 1]
        # shifted so that each falls short by one
        if found[i, 1] < _NEARBY * BUTTERFLY_MARGIN and not math.isinf(found[i, 0]):
            before[0], unit[0] = found[i, 0], 1.0 - BUTTERFLY_MARGIN + found[i, 1]
            _butterfly_terms(x, 5 * i, before, unit, 1.0, unused, push[4 * i], TERMS)
        lower, base = (floor, 0) if i == 0 else (x, 5 * i - 5)
        if lower.size == 0:
            continue
        if found[i, 3] < _NEARBY * CALENDAR_MARGIN and not math.isinf(found[i, 2]):
            last[0], unit[0] = found[i, 2], 1.0 - CALENDAR_MARGIN + found[i, 3]
            _gap_terms(lower, base, x, 5 * i, last, unit, 1.0, unused, push[4 * i + 1], TERMS)
        for wing in range(1, 3):
            if x[5 * i + wing] - lower[base + wing] < _NEARBY * CALENDAR_MARGIN:
                push[4 * i + 1 + wing, 5 * i + wing] = -1.0
                if i > 0:
                    push[4 * i + 1 + wing, base + wing] = 1.0


_pushes: Callable[..., None] = kernel(_pushes_py)


def _presume_py(
    x: Floats, quotes: Columns, floor: Floats, points: Floats, found: Floats, strength: float, shift: Floats
) -> None:
    """Fill the shifts with the multipliers, >= 0, that leave the least of the quotes' gradient at x.

    Coordinate descent, in the metric of the diagonal of the normal equations.
    """
    start, k, iv, weight, years = quotes
    slices, count = points.shape
    band, gradient = np.zeros((x.size, WIDTH)), np.zeros(x.size)
    for i in range(slices):
        rows = slice(start[i], start[i + 1])
        _quote_terms(x, 5 * i, k[rows], iv[rows], weight[rows], years[i], band, gradient)
    push, multiplier = np.zeros((4 * slices, x.size)), np.zeros(4 * slices)
    _pushes(x, floor, points, found, push)
    for _ in range(_SWEEPS):
        for c in range(4 * slices):
            square = along = 0.0
            own = range(5 * max(c // 4 - 1, 0), 5 * (c // 4 + 1))
            for p in own:
                if band[p, 0] > 0.0:
                    square += push[c, p] * push[c, p] / band[p, 0]
                    along += push[c, p] * gradient[p] / band[p, 0]
            if square > 0.0:
                change = max(-along / square, -multiplier[c])
                multiplier[c] += change
                for p in own:
                    gradient[p] += change * push[c, p]
    for i in range(slices):
        shift[i, count - 2] = multiplier[4 * i] / strength
        shift[i, 2 * count - 1] = multiplier[4 * i + 1] / (GAP_STIFFNESS * strength)
        shift[i, 3 * count] = multiplier[4 * i + 2] / (GAP_STIFFNESS * strength)
        shift[i, 3 * count + 1] = multiplier[4 * i + 3] / (GAP_STIFFNESS * strength)


_presume: Callable[..., None] = kernel(_presume_py)


def _resume_py(
    x: Floats,
    lo: Floats,
    hi: Floats,
    quotes: Columns,
    begin: Floats,
    floor: Floats,
    points: Floats,
    nodes: Floats,
    found: Floats,
    strength: float,
    missed: Floats,
    shift: Floats,
) -> None:
    """Fill box, points and, from the slices of the last tick, begin (N, 5): x, their costs missed (N,), and shifts."""
    raw, natural = np.empty((begin.shape[0], 5)), np.empty(floor.size)
    if floor.size:
        _to_natural(floor, natural)
    for i in range(begin.shape[0]):
        own = slice(5 * i, 5 * i + 5)
        _frame(_one(quotes, i), lo[own], hi[own], points[i])
        _to_natural(begin[i], x[own])
        _clip(x[own], lo[own], hi[own])
        _to_raw(x, 5 * i, raw[i])
        _survey(raw[i], raw[i - 1] if i > 0 else floor, nodes, found[i])
        missed[i] = _quotes_cost(x[own], _one(quotes, i))
    _presume(x, quotes, natural, points, found, strength, shift)
    _unsurveyed(found)


_resume: Callable[..., None] = kernel(_resume_py)


def _trusted_py(x: Floats, quotes: Columns, missed: Floats, found: Floats) -> bool:
    """Tell whether a warm fit stands: free, and its quotes missed by the old slices little more than by the new.

    Nothing has happened then that could have moved the minimum elsewhere.
    """
    for i in range(missed.size):
        cost = _quotes_cost(x[5 * i : 5 * i + 5], _one(quotes, i))
        if missed[i] > _TRUST * cost or found[i, 1] < 0.0 or found[i, 3] < 0.0:
            return False
    return True


_trusted: Callable[..., bool] = kernel(_trusted_py)
