"""The order of work of an arbitrage-free SVI fit, and what guarantees its result.

First each slice alone under the butterfly penalty, which is nothing where the slice is free; then, where neighbours
cross, all together under both penalties; and, should penalties leave a violation, a blend with a slice known to be
free. From the slices of the last tick all go together at once. Penalties act on a grid and on the worst points found
so far, as an augmented Lagrangian: what a turn leaves short is asked for on top in the next (Nocedal and Wright,
Numerical Optimization, §17.4), because a penalty stiff enough by itself leaves the descent crawling along its edge.
The verdict is svi_arbitrage's, over the whole line.
"""

import math
from collections.abc import Callable
from typing import Final

import numpy as np

from engine.compiled import kernel
from engine.svi_arbitrage import SLOPE_LIMIT, _is_free, _variance
from engine.svi_descent import LIMIT, Columns, _descend, _one
from engine.svi_penalties import BUTTERFLY_MARGIN, CALENDAR_MARGIN, SHIFT, _penalty, _survey, _unsurveyed
from engine.svi_start import _ENOUGH, _EXTRA, _POINTS, _clip, _frame, _search
from engine.svi_terms import _to_natural, _to_raw
from engine.svi_warm import _resume, _trusted
from engine.types import Codes, Floats, Ints

CONVERGED: Final = 0
UNSETTLED: Final = 1
"""Free of arbitrage, but a descent met its iteration limit."""
REPAIRED: Final = 2
"""Free of arbitrage only after blending: the quotes themselves are far from it."""
REDUCED: Final = 3
"""Three or four quotes: m and σ are given by their range, the other three parameters fitted."""

BUTTERFLY: Final = 1
LEFT_WING: Final = 2
RIGHT_WING: Final = 4
CALENDAR: Final = 8
"""Bits of `binding`: which constraints hold the slice away from its quotes; 0 for none."""

_STIFFENING, _TURNS = 2.0, 14
_ROUGH = 1e-5
Pace = tuple[float, float, float]
"""Of the first turn: strength of the penalties, tolerance, damping. Later turns are as rough as _JOINT."""
_ALONE: Final = (0.02, 1e-7, 1e-3)
_JOINT: Final = (0.02, _ROUGH, 1e-3)
_AGAIN: Final = (3.0, _ROUGH, 1e-5)
"""Nearly there already, and with shifts to match: a stiff penalty does not crawl."""
_BLENDS = 60
_NEAR = 3.0
"""Margins within which a slice counts as lying on a constraint."""


def _no_shift_py(slices: int) -> Floats:
    return np.zeros((slices, 3 * _POINTS + 2))


_no_shift: Callable[..., Floats] = kernel(_no_shift_py)


def _constrain_py(
    x: Floats,
    lo: Floats,
    hi: Floats,
    quotes: Columns,
    floor: Floats,
    points: Floats,
    nodes: Floats,
    raw: Floats,
    found: Floats,
    shift: Floats,
    pace: Pace,
) -> tuple[int, bool]:
    """Refit slices jointly under growing penalties until all are free; nothing where they are.

    x, raw, found: the slices as unknowns, as parameters and as surveyed, all updated; `floor` a fixed slice below the
    first, or empty; shift: (N, 3 P + 2) of svi_penalties, to begin with. Returns the iterations and whether the last
    descent settled.
    """
    natural = np.empty(floor.size)
    if floor.size:
        _to_natural(floor, natural)
    unused = np.empty((0, 0))
    strength, tolerance, damping = pace
    iterations, last = 0, 0
    for turn in range(_TURNS):
        free = True
        slot = _POINTS - _EXTRA + 2 * (turn % (_EXTRA // 2))
        for i in range(points.shape[0]):
            if found[i, 1] >= 0.0 and found[i, 3] >= 0.0:
                continue
            free = False
            for j in range(2):
                if not math.isinf(found[i, 2 * j]):
                    points[i, slot + j] = found[i, 2 * j]
        if free:
            break
        last = _descend(x, lo, hi, quotes, natural, points, shift, strength, tolerance, damping)
        _penalty(x, natural, points, shift, strength, unused, natural, SHIFT)
        strength, tolerance = strength * _STIFFENING, _ROUGH
        iterations += last
        for i in range(points.shape[0]):
            _to_raw(x, 5 * i, raw[i])
            _survey(raw[i], raw[i - 1] if i > 0 else floor, nodes, found[i])
    return iterations, last < LIMIT


_constrain: Callable[..., tuple[int, bool]] = kernel(_constrain_py)


def _blend_py(x: Floats, quotes: Columns, floor: Floats, nodes: Floats, raw: Floats) -> None:
    """Move x from where it is towards a slice that is free (the floor itself, else a flat smile) until it is free."""
    start, _, iv, _, years = quotes
    anchor, aim = np.empty(5), x.copy()
    if floor.size:
        _to_natural(floor, anchor)
    else:
        anchor[0], anchor[1], anchor[2], anchor[3], anchor[4] = (
            iv[start[0] : start[1]].mean() ** 2 * years[0],
            0.0,
            0.0,
            x[3],
            x[4],
        )
    for step in range(1, _BLENDS + 1):
        share = step / _BLENDS
        for p in range(5):
            x[p] = share * anchor[p] + (1.0 - share) * aim[p]
        _to_raw(x, 0, raw)
        if _is_free(raw, floor, nodes):
            return
    if floor.size:
        # the same slice again: what the round trip through the unknowns rounds off could count as a crossing
        raw[:] = floor


_blend: Callable[..., None] = kernel(_blend_py)


def _binding_py(raw: Floats, found: Floats) -> int:
    """Return the bits of the constraints the slice lies on: within a few margins of them."""
    bits = 0
    if found[1] < _NEAR * BUTTERFLY_MARGIN:
        bits += BUTTERFLY
    if raw[1] * (1.0 - raw[2]) > 0.99 * SLOPE_LIMIT:
        bits += LEFT_WING
    if raw[1] * (1.0 + raw[2]) > 0.99 * SLOPE_LIMIT:
        bits += RIGHT_WING
    if found[3] < _NEAR * CALENDAR_MARGIN:
        bits += CALENDAR
    return bits


_binding: Callable[..., int] = kernel(_binding_py)


def _miss_py(raw: Floats, quotes: Columns, residual: Floats) -> float:
    """Fill model IV − quoted IV of one slice; return the weighted root mean square."""
    start, k, iv, weight, years = quotes
    square = 0.0
    for j in range(start[0], start[1]):
        residual[j] = math.sqrt(_variance(raw, k[j]) / years[0]) - iv[j]
        square += weight[j] * residual[j] ** 2
    return math.sqrt(square)


_miss: Callable[..., float] = kernel(_miss_py)


def _cold_py(
    x: Floats,
    lo: Floats,
    hi: Floats,
    quotes: Columns,
    points: Floats,
    nodes: Floats,
    raw: Floats,
    found: Floats,
    status: Codes,
    iterations: Ints,
) -> None:
    """Fit each slice alone, then, where neighbours cross, all together."""
    none, free = np.empty(0), True
    _unsurveyed(found)
    for i in range(raw.shape[0]):
        own, one, mine = slice(5 * i, 5 * i + 5), slice(i, i + 1), _one(quotes, i)
        _frame(mine, lo[own], hi[own], points[i])
        _search(x[own], lo[own], hi[own], mine)
        _clip(x[own], lo[own], hi[own])
        count, settled = _constrain(
            x[own], lo[own], hi[own], mine, none, points[one], nodes, raw[one], found[one], _no_shift(1), _ALONE
        )
        iterations[i] += count
        status[i] = CONVERGED if settled else UNSETTLED
        if i > 0:
            _survey(raw[i], raw[i - 1], nodes, found[i])
        free = free and found[i, 1] >= 0.0 and found[i, 3] >= 0.0
    if not free and raw.shape[0] > 1:
        count, settled = _constrain(x, lo, hi, quotes, none, points, nodes, raw, found, _no_shift(raw.shape[0]), _JOINT)
        for i in range(raw.shape[0]):
            iterations[i] += count
            status[i] = CONVERGED if settled else UNSETTLED


_cold: Callable[..., None] = kernel(_cold_py)


def _fit_py(
    quotes: Columns,
    begin: Floats,
    floor: Floats,
    nodes: Floats,
    raw: Floats,
    residual: Floats,
    rmse: Floats,
    status: Codes,
    binding: Codes,
    iterations: Ints,
) -> None:
    """Fill the last six arrays; slices in the order of their expiries, `floor` a fixed one below the only one."""
    start = quotes[0]
    slices = raw.shape[0]
    x, lo, hi = np.empty(5 * slices), np.empty(5 * slices), np.empty(5 * slices)
    points, found = np.empty((slices, _POINTS)), np.empty((slices, 4))
    done = False
    if begin.shape[0]:
        missed, shift = np.empty(slices), _no_shift(slices)
        _resume(x, lo, hi, quotes, begin, floor, points, nodes, found, _AGAIN[0], missed, shift)
        count, done = _constrain(x, lo, hi, quotes, floor, points, nodes, raw, found, shift, _AGAIN)
        done = done and _trusted(x, quotes, missed, found)
        for i in range(slices):
            iterations[i], status[i] = count, CONVERGED
    if not done:
        _cold(x, lo, hi, quotes, points, nodes, raw, found, status, iterations)
    below, moved = floor, floor.size > 0 and not done
    for i in range(slices):
        own, one = slice(5 * i, 5 * i + 5), slice(i, i + 1)
        if moved:
            _survey(raw[i], below, nodes, found[i])
        moved = found[i, 1] < 0.0 or found[i, 3] < 0.0
        if moved:
            # against a floor that no longer moves
            count, settled = _constrain(
                x[own],
                lo[own],
                hi[own],
                _one(quotes, i),
                below,
                points[one],
                nodes,
                raw[one],
                found[one],
                _no_shift(1),
                _JOINT,
            )
            iterations[i] += count
            status[i] = CONVERGED if settled else UNSETTLED
            if found[i, 1] < 0.0 or found[i, 3] < 0.0:
                _blend(x[own], _one(quotes, i), below, nodes, raw[i])
                _survey(raw[i], below, nodes, found[i])
                status[i] = REPAIRED
        if start[i + 1] - start[i] < _ENOUGH and status[i] != REPAIRED:
            status[i] = REDUCED
        binding[i] = _binding(raw[i], found[i])
        rmse[i] = _miss(raw[i], _one(quotes, i), residual)
        below = raw[i]


_fit: Callable[..., None] = kernel(_fit_py)
