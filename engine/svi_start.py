"""Where the fit of one SVI slice starts: its box, the points of its penalties, and a search for the first unknowns."""

import math
from collections.abc import Callable

import numpy as np

from engine.compiled import kernel
from engine.svi_arbitrage import SLOPE_LIMIT
from engine.svi_descent import Columns
from engine.types import Floats

_ENOUGH = 5
"""Quotes that tell all five parameters."""
_CORE, _TAIL, _EXTRA = 41, 8, 8
_POINTS = _CORE + 2 * _TAIL + _EXTRA
_STEEPEST = math.sqrt(SLOPE_LIMIT) * (1.0 - 1e-4)
_VERTICES = (0.1, 0.3, 0.5, 0.7, 0.9)
_WIDTHS = (0.03, 0.12, 0.4, 1.2)
"""Where the search for a start tries m and σ, as shares of the span of the quotes."""


def _frame_py(quotes: Columns, lo: Floats, hi: Floats, points: Floats) -> None:
    """Fill the box of one slice and the points of its penalties.

    Points: even over the quotes and half a span beyond, geometric to a hundred spans; the last _EXTRA repeat one of
    these until worse ones are found. Fewer than five quotes do not tell m and σ.
    """
    start, all_k, all_iv, _, years = quotes
    k, iv = all_k[start[0] : start[1]], all_iv[start[0] : start[1]]
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


def _clip_py(x: Floats, lo: Floats, hi: Floats) -> None:
    """Move x into the box."""
    for p in range(x.size):
        x[p] = min(max(x[p], lo[p]), hi[p])


_clip: Callable[..., None] = kernel(_clip_py)


def _search_py(x: Floats, lo: Floats, hi: Floats, quotes: Columns) -> None:
    """Fill x with the best of twenty quasi-explicit fits: given m and σ, w is linear in a, bρσ and bσ.

    Zeliade Systems, Quasi-explicit calibration of Gatheral's SVI model (2009), §3; weighted so that an error in w
    counts as the error in IV it makes. Of a linear solution outside the box the slopes are moved in and a fitted again.
    """
    start, all_k, all_iv, all_weight, maturity = quotes
    years = maturity[0]
    rows = slice(start[0], start[1])
    k, iv, weight = all_k[rows], all_iv[rows], all_weight[rows]
    w, q = np.empty(k.size), np.empty(k.size)
    s0 = t0 = tt = 0.0
    for i in range(k.size):
        w[i] = iv[i] * iv[i] * years
        q[i] = weight[i] / (4.0 * w[i] * years)
        s0 += q[i]
        t0 += q[i] * w[i]
        tt += q[i] * w[i] * w[i]
    centre, span = 0.5 * (k.min() + k.max()), k.max() - k.min()
    best = math.inf
    for vertex in _VERTICES:
        m = centre + span * (vertex - 0.5)
        for width in _WIDTHS:
            sigma = span * width
            scale = 1.0 / sigma
            s1 = s2 = s11 = s12 = s22 = t1 = t2 = 0.0
            for i in range(k.size):
                z = (k[i] - m) * scale
                c = math.sqrt(1.0 + z * z)
                qz, qc = q[i] * z, q[i] * c
                s1 += qz
                s2 += qc
                s11 += qz * z
                s12 += qz * c
                s22 += qc * c
                t1 += qz * w[i]
                t2 += qc * w[i]
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
