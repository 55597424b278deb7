"""The unknowns of an SVI fit, and the least-squares terms of the quotes with their derivatives.

Each slice has five unknowns (v, l, r, m, t) in which every bound is a box and nothing degenerates at ρ = ±1:

    v  least total variance                 l², r²  slopes of the left and the right wing
    m  vertex, as in raw SVI                t       ln σ
    w(k) = v − σ l r + (r² − l²)/2 · y + (r² + l²)/2 · √(y² + σ²),  y = k − m
         = v + ½ (l √(√(y² + σ²) − y) − r √(√(y² + σ²) + y))² >= v

Unknowns of consecutive slices stand one behind the other. A term touches one slice or two neighbours, so the normal
equations are a band: band[p, d] holds row p, column p − d.
"""

import math
from collections.abc import Callable

import numpy as np

from engine.compiled import kernel
from engine.types import Floats

WIDTH = 10
"""Entries of a band row: two slices of five unknowns."""

Hyperbola = tuple[float, float, float, float, float]
"""(a, b ρ, b, m, σ): w = a + b ρ y + b √(y² + σ²)."""


def _to_raw_py(x: Floats, first: int, raw: Floats) -> None:
    """Fill raw with (a, b, ρ, m, σ) of the slice whose unknowns start at x[first]."""
    left, right, sigma = x[first + 1], x[first + 2], math.exp(x[first + 4])
    b = 0.5 * (left * left + right * right)
    raw[0] = x[first] - sigma * left * right
    raw[1] = b
    raw[2] = min(max(0.5 * (right * right - left * left) / b, -1.0), 1.0) if b > 0.0 else 0.0
    raw[3], raw[4] = x[first + 3], sigma


_to_raw: Callable[..., None] = kernel(_to_raw_py)


def _to_natural_py(raw: Floats, x: Floats) -> None:
    """Fill x[:5] with the unknowns of a raw slice."""
    x[0] = raw[0] + raw[1] * raw[4] * math.sqrt(max(1.0 - raw[2] * raw[2], 0.0))
    x[1], x[2] = math.sqrt(raw[1] * (1.0 - raw[2])), math.sqrt(raw[1] * (1.0 + raw[2]))
    x[3], x[4] = raw[3], math.log(raw[4])


_to_natural: Callable[..., None] = kernel(_to_natural_py)


def _hyperbola_py(x: Floats, first: int) -> Hyperbola:
    """Return the slice whose unknowns start at x[first]."""
    left, right, sigma = x[first + 1], x[first + 2], math.exp(x[first + 4])
    tilt, b = 0.5 * (right * right - left * left), 0.5 * (right * right + left * left)
    return x[first] - sigma * left * right, tilt, b, x[first + 3], sigma


_hyperbola: Callable[..., Hyperbola] = kernel(_hyperbola_py)


def _height_py(slice_: Hyperbola, k: float) -> float:
    a, tilt, b, m, sigma = slice_
    y = k - m
    return a + tilt * y + b * math.sqrt(y * y + sigma * sigma)


_height: Callable[..., float] = kernel(_height_py)


def _height_slope_py(x: Floats, first: int, slice_: Hyperbola, k: float, factor: float, slope: Floats) -> None:
    """Fill slope[:5] with factor · dw(k)/dx."""
    _, tilt, b, m, sigma = slice_
    left, right = x[first + 1], x[first + 2]
    y = k - m
    root = math.sqrt(y * y + sigma * sigma)
    slope[0] = factor
    slope[1] = factor * (left * (root - y) - sigma * right)
    slope[2] = factor * (right * (root + y) - sigma * left)
    slope[3] = -factor * (tilt + b * y / root)
    slope[4] = factor * sigma * (b * sigma / root - left * right)


_height_slope: Callable[..., None] = kernel(_height_slope_py)


def _add_py(
    band: Floats, gradient: Floats, first: int, slope: Floats, count: int, residual: float, weight: float
) -> None:
    """Add one weighted residual whose slope in x[first : first + count] is given."""
    for p in range(count):
        weighted = weight * slope[p]
        gradient[first + p] += weighted * residual
        for q in range(p + 1):
            band[first + p, p - q] += weighted * slope[q]


_add: Callable[..., None] = kernel(_add_py)


def _quote_cost_py(x: Floats, first: int, k: Floats, iv: Floats, weight: Floats, years: float) -> float:
    """Return Σ weight · (√(w/years) − IV)²."""
    a, tilt, b, m, sigma = _hyperbola(x, first)
    scale = 1.0 / math.sqrt(years)
    cost = 0.0
    for i in range(k.size):
        y = k[i] - m
        residual = math.sqrt(a + tilt * y + b * math.sqrt(y * y + sigma * sigma)) * scale - iv[i]
        cost += weight[i] * residual * residual
    return cost


_quote_cost: Callable[..., float] = kernel(_quote_cost_py)


def _quote_terms_py(
    x: Floats, first: int, k: Floats, iv: Floats, weight: Floats, years: float, band: Floats, gradient: Floats
) -> float:
    """Add the terms of the sum above and return it. Plain twin of the function below, which keeps sums in registers."""
    slice_ = _hyperbola(x, first)
    scale = 1.0 / math.sqrt(years)
    slope = np.empty(5)
    for i in range(k.size):
        vol = math.sqrt(_height(slice_, k[i])) * scale
        _height_slope(x, first, slice_, k[i], 0.5 * scale * scale / vol, slope)
        _add(band, gradient, first, slope, 5, vol - iv[i], weight[i])
    return float(_quote_cost(x, first, k, iv, weight, years))


def _quote_terms_unrolled(
    x: Floats, first: int, k: Floats, iv: Floats, weight: Floats, years: float, band: Floats, gradient: Floats
) -> float:
    a, tilt, b, m, sigma = _hyperbola(x, first)
    left, right = x[first + 1], x[first + 2]
    scale = 1.0 / math.sqrt(years)
    cost = g0 = g1 = g2 = g3 = g4 = 0.0
    h00 = h10 = h11 = h20 = h21 = h22 = h30 = h31 = h32 = h33 = h40 = h41 = h42 = h43 = h44 = 0.0
    for i in range(k.size):
        y = k[i] - m
        root = math.sqrt(y * y + sigma * sigma)
        inverse = 1.0 / root
        vol = math.sqrt(a + tilt * y + b * root) * scale
        residual, share = vol - iv[i], weight[i]
        cost += share * residual * residual
        j0 = 0.5 * scale * scale / vol
        j1 = j0 * (left * (root - y) - sigma * right)
        j2 = j0 * (right * (root + y) - sigma * left)
        j3 = -j0 * (tilt + b * y * inverse)
        j4 = j0 * sigma * (b * sigma * inverse - left * right)
        w0, w1, w2, w3, w4 = share * j0, share * j1, share * j2, share * j3, share * j4
        g0, g1, g2 = g0 + w0 * residual, g1 + w1 * residual, g2 + w2 * residual
        g3, g4 = g3 + w3 * residual, g4 + w4 * residual
        h00, h10, h11 = h00 + w0 * j0, h10 + w1 * j0, h11 + w1 * j1
        h20, h21, h22 = h20 + w2 * j0, h21 + w2 * j1, h22 + w2 * j2
        h30, h31, h32, h33 = h30 + w3 * j0, h31 + w3 * j1, h32 + w3 * j2, h33 + w3 * j3
        h40, h41, h42, h43, h44 = h40 + w4 * j0, h41 + w4 * j1, h42 + w4 * j2, h43 + w4 * j3, h44 + w4 * j4
    rows = ((h00, 0.0, 0.0, 0.0, 0.0), (h11, h10, 0.0, 0.0, 0.0), (h22, h21, h20, 0.0, 0.0))
    rows_below = ((h33, h32, h31, h30, 0.0), (h44, h43, h42, h41, h40))
    for d in range(5):
        for p in range(3):
            band[first + p, d] += rows[p][d]
        for p in range(2):
            band[first + 3 + p, d] += rows_below[p][d]
    for p, value in enumerate((g0, g1, g2, g3, g4)):
        gradient[first + p] += value
    return cost


_quote_terms: Callable[..., float] = kernel(_quote_terms_unrolled)
