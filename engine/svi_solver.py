"""The order of work of an arbitrage-free SVI fit, and what guarantees its result.

Most slices need only the first step: each slice alone without penalties; each slice alone with the butterfly penalty
where the free fit breaks it; all slices together with both penalties where neighbours cross; and, should penalties
leave a violation, a blend with a slice known to be free. Penalties act on a grid and on the worst points found so far,
as an augmented Lagrangian: what a turn leaves short is asked for on top in the next (Nocedal and Wright, Numerical
Optimization, §17.4), because a penalty stiff enough by itself leaves the descent crawling along its edge. The verdict
is svi_arbitrage's, over the whole line.
"""

import math
from collections.abc import Callable
from typing import Final

import numpy as np

from engine.compiled import kernel
from engine.svi_arbitrage import SLOPE_LIMIT, _is_free, _least_butterfly, _least_gap, _variance
from engine.svi_descent import LIMIT, Columns, _descend, _penalty, _search
from engine.svi_terms import BUTTERFLY_MARGIN, CALENDAR_MARGIN, SHIFT, _quote_cost, _to_natural, _to_raw
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

_ENOUGH = 5
_CORE, _TAIL, _EXTRA = 41, 8, 8
_POINTS = _CORE + 2 * _TAIL + _EXTRA
_STRENGTH, _STIFFENING, _TURNS = 0.02, 2.0, 14
_GLANCE, _ROUGH, _TOLERANCE = 1e-2, 1e-5, 1e-7
_STEEPEST = math.sqrt(SLOPE_LIMIT) * (1.0 - 1e-4)
_BLENDS = 60


def _one_py(quotes: Columns, i: int) -> Columns:
    """Return the quotes of slice i alone."""
    start, k, iv, weight, years = quotes
    rows = slice(start[i], start[i + 1])
    return np.array([0, start[i + 1] - start[i]]), k[rows], iv[rows], weight[rows], years[i : i + 1]


_one: Callable[..., Columns] = kernel(_one_py)


def _frame_py(quotes: Columns, lo: Floats, hi: Floats, points: Floats) -> None:
    """Fill the box of one slice and the points of its penalties.

    Points: even over the quotes and half a span beyond, geometric to a hundred spans; the last _EXTRA repeat one of
    these until worse ones are found. Fewer than five quotes do not tell m and σ.
    """
    _, k, iv, _, years = quotes
    least, most = k.min(), k.max()
    span = most - least
    lo[0], hi[0] = 1e-4 * iv.min() ** 2 * years[0], math.inf
    lo[1] = lo[2] = 0.0
    hi[1] = hi[2] = _STEEPEST
    lo[3], hi[3] = least - span, most + span
    lo[4], hi[4] = math.log(span / 50.0), math.log(10.0 * span)
    if k.size < _ENOUGH:
        lo[3] = hi[3] = 0.5 * (least + most)
        lo[4] = hi[4] = math.log(0.5 * span)
    for j in range(_CORE):
        points[j] = least - 0.5 * span + 2.0 * span * j / (_CORE - 1)
    for j in range(_TAIL):
        far = 0.5 * span * 200.0 ** ((j + 1) / _TAIL)
        points[_CORE + 2 * j], points[_CORE + 2 * j + 1] = least - far, most + far
    points[_CORE + 2 * _TAIL :] = points[0]


_frame: Callable[..., None] = kernel(_frame_py)


def _begin_py(x: Floats, begin: Floats, lo: Floats, hi: Floats, quotes: Columns) -> None:
    """Fill x with the better of the search and of `begin` (raw; NaN for none), both moved into the box."""
    _search(x, lo, hi, quotes)
    for p in range(5):
        x[p] = min(max(x[p], lo[p]), hi[p])
    if math.isnan(begin[0]):
        return
    warm = np.empty(5)
    _to_natural(begin, warm)
    for p in range(5):
        warm[p] = min(max(warm[p], lo[p]), hi[p])
    _, k, iv, weight, years = quotes
    if _quote_cost(warm, 0, k, iv, weight, years[0]) < _quote_cost(x, 0, k, iv, weight, years[0]):
        x[:] = warm


_begin: Callable[..., None] = kernel(_begin_py)


def _watch_py(points: Floats, raw: Floats, floor: Floats, turn: int, nodes: Floats) -> None:
    """Add the worst points of the slice to those the penalties act on."""
    slot = _CORE + 2 * _TAIL + 2 * (turn % (_EXTRA // 2))
    at = _least_butterfly(raw, nodes)[0]
    if not math.isinf(at):
        points[slot] = at
    if floor.size:
        at = _least_gap(floor, raw, nodes)[0]
        if not math.isinf(at):
            points[slot + 1] = at


_watch: Callable[..., None] = kernel(_watch_py)


def _constrain_py(
    x: Floats, lo: Floats, hi: Floats, quotes: Columns, floor: Floats, points: Floats, nodes: Floats, raw: Floats
) -> tuple[int, bool]:
    """Refit slices jointly under growing penalties until all are free; nothing where they are.

    x, raw: the slices as unknowns and as parameters, both updated; `floor` a fixed slice below the first, or empty.
    Returns the iterations and whether the last descent settled.
    """
    natural = np.empty(floor.size)
    if floor.size:
        _to_natural(floor, natural)
    shift = np.zeros((points.shape[0], 3 * points.shape[1] + 2))
    unused = np.empty((0, 0))
    strength, iterations, last = _STRENGTH, 0, 0
    for turn in range(_TURNS):
        free = True
        for i in range(points.shape[0]):
            below = raw[i - 1] if i > 0 else floor
            if not _is_free(raw[i], below, nodes):
                free = False
                _watch(points[i], raw[i], below, turn, nodes)
        if free:
            break
        last = _descend(x, lo, hi, quotes, natural, points, shift, strength, _ROUGH)
        _penalty(x, natural, points, shift, strength, unused, natural, SHIFT)
        strength *= _STIFFENING
        iterations += last
        for i in range(points.shape[0]):
            _to_raw(x, 5 * i, raw[i])
    return iterations, last < LIMIT


_constrain: Callable[..., tuple[int, bool]] = kernel(_constrain_py)


def _blend_py(x: Floats, quotes: Columns, floor: Floats, nodes: Floats, raw: Floats) -> None:
    """Move x from where it is towards a slice that is free (the floor itself, else a flat smile) until it is free."""
    _, _, iv, _, years = quotes
    anchor, aim = np.empty(5), x.copy()
    if floor.size:
        _to_natural(floor, anchor)
    else:
        anchor[0], anchor[1], anchor[2], anchor[3], anchor[4] = iv.mean() ** 2 * years[0], 0.0, 0.0, x[3], x[4]
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


def _survey_py(raw: Floats, floor: Floats, nodes: Floats) -> tuple[float, float]:
    """Return the least g of a slice and its least gap to `floor`, +inf without one."""
    gap = _least_gap(floor, raw, nodes)[1] if floor.size else math.inf
    return _least_butterfly(raw, nodes)[1], gap


_survey: Callable[..., tuple[float, float]] = kernel(_survey_py)


def _binding_py(raw: Floats, least: float, gap: float) -> int:
    """Return the bits of the constraints the slice lies on: within a few margins of them."""
    bits = 0
    if least < 3.0 * BUTTERFLY_MARGIN:
        bits += BUTTERFLY
    if raw[1] * (1.0 - raw[2]) > 0.99 * SLOPE_LIMIT:
        bits += LEFT_WING
    if raw[1] * (1.0 + raw[2]) > 0.99 * SLOPE_LIMIT:
        bits += RIGHT_WING
    if gap < 3.0 * CALENDAR_MARGIN:
        bits += CALENDAR
    return bits


_binding: Callable[..., int] = kernel(_binding_py)


def _alone_py(
    x: Floats,
    lo: Floats,
    hi: Floats,
    quotes: Columns,
    begin: Floats,
    points: Floats,
    nodes: Floats,
    raw: Floats,
) -> tuple[int, bool]:
    """Fit one slice free of butterfly arbitrage where penalties can, regardless of its neighbours.

    points (1, P) and raw (1, 5) are filled. Returns the iterations and whether the last descent settled.
    """
    none = np.empty(0)
    _frame(quotes, lo, hi, points[0])
    _begin(x, begin, lo, hi, quotes)
    iterations, last = 0, 0
    # a free fit that is heading into arbitrage drifts along a flat valley for long: look before going all the way
    for tolerance in (_GLANCE, _TOLERANCE):
        last = _descend(x, lo, hi, quotes, none, points, np.empty((0, 0)), 0.0, tolerance)
        iterations += last
        _to_raw(x, 0, raw[0])
        if not _is_free(raw[0], none, nodes):
            break
    more, settled = _constrain(x, lo, hi, quotes, none, points, nodes, raw)
    return iterations + more, settled and (more > 0 or last < LIMIT)


_alone: Callable[..., tuple[int, bool]] = kernel(_alone_py)


def _miss_py(raw: Floats, quotes: Columns, residual: Floats) -> float:
    """Fill model IV − quoted IV of one slice; return the weighted root mean square."""
    _, k, iv, weight, years = quotes
    square = 0.0
    for j in range(k.size):
        residual[j] = math.sqrt(_variance(raw, k[j]) / years[0]) - iv[j]
        square += weight[j] * residual[j] ** 2
    return math.sqrt(square)


_miss: Callable[..., float] = kernel(_miss_py)


def _secure_py(
    x: Floats, lo: Floats, hi: Floats, quotes: Columns, floor: Floats, points: Floats, nodes: Floats, raw: Floats
) -> tuple[int, int]:
    """Make one slice free against a floor that no longer moves; return the iterations and the status."""
    iterations, settled = _constrain(x, lo, hi, quotes, floor, points, nodes, raw)
    status = CONVERGED if settled else UNSETTLED
    if not _is_free(raw[0], floor, nodes):
        _blend(x, quotes, floor, nodes, raw[0])
        status = REPAIRED
    return iterations, status


_secure: Callable[..., tuple[int, int]] = kernel(_secure_py)


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
    """Fill the last six arrays; slices in the order of their expiries, `floor` the fixed slice below them or empty."""
    start = quotes[0]
    slices = raw.shape[0]
    x, lo, hi = np.empty(5 * slices), np.empty(5 * slices), np.empty(5 * slices)
    points, least, gap = np.empty((slices, _POINTS)), np.empty(slices), np.empty(slices)
    for i in range(slices):
        own, one = slice(5 * i, 5 * i + 5), slice(i, i + 1)
        count, settled = _alone(x[own], lo[own], hi[own], _one(quotes, i), begin[i], points[one], nodes, raw[one])
        iterations[i] = count
        status[i] = CONVERGED if settled else UNSETTLED
        least[i], gap[i] = _survey(raw[i], raw[i - 1] if i > 0 else floor, nodes)
    if slices > 1 and (least.min() < 0.0 or gap.min() < 0.0):
        count, settled = _constrain(x, lo, hi, quotes, floor, points, nodes, raw)
        iterations += count
        status[:] = CONVERGED if settled else UNSETTLED
        for i in range(slices):
            least[i], gap[i] = _survey(raw[i], raw[i - 1] if i > 0 else floor, nodes)
    below, moved = floor, False
    for i in range(slices):
        own, one, rows = slice(5 * i, 5 * i + 5), slice(i, i + 1), slice(start[i], start[i + 1])
        if moved:
            gap[i] = _least_gap(below, raw[i], nodes)[1]
        moved = least[i] < 0.0 or gap[i] < 0.0
        if moved:
            count, code = _secure(x[own], lo[own], hi[own], _one(quotes, i), below, points[one], nodes, raw[one])
            iterations[i] += count
            status[i] = code
            least[i], gap[i] = _survey(raw[i], below, nodes)
        if start[i + 1] - start[i] < _ENOUGH and status[i] != REPAIRED:
            status[i] = REDUCED
        binding[i] = _binding(raw[i], least[i], gap[i])
        rmse[i] = _miss(raw[i], _one(quotes, i), residual[rows])
        below = raw[i]


_fit: Callable[..., None] = kernel(_fit_py)
