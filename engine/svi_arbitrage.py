"""Is a slice free of butterfly arbitrage, and a pair of slices of calendar arbitrage: everywhere, wings included.

Both g and the gap between two slices are sampled where hyperbolas bend: at k = centre + scale · sinh(u), dense around
the vertex and around the minimum of each slice, geometric far out; every dip between samples is then narrowed down.
At ±infinity the limits are known: g → (4 − slope²)/16, and of two slices the one with the steeper wing is above.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from engine.compiled import kernel
from engine.svi import RawSvi
from engine.types import Floats

SLOPE_LIMIT = 2.0
"""Lee: total variance grows slower than 2|k|. A slope of exactly 2 counts as arbitrage here."""
_NODES = np.sinh(np.linspace(-11.0, 11.0, 133))
"""Steps of 1/6 in u, out to 30,000 scales."""
_NOISE = 1e-10
"""Rounding makes dips of no depth far out, where both minima have their limits."""
_NARROWINGS = 24
"""Thirds cut off the two steps around a dip: 6e-5 of their width is left, squared in the value."""
EVERY_DIP: Final = math.inf
CLEAR: Final = 0.1
"""Ceilings: to tell the least value every dip is narrowed down, to tell its sign those that may come near zero."""


@dataclass(frozen=True, slots=True)
class Least:
    """A minimum over the whole line; k = ±inf where it is only approached."""

    k: float  # log-moneyness
    value: float


def least_butterfly(smile: RawSvi) -> Least:
    """Return the least g of `smile` over all k. Negative: butterfly arbitrage; −inf where total variance is not > 0.

    A wing slope of 2 or more (Lee) shows as a least value <= 0 at that wing.
    """
    return Least(*_least_butterfly(_raw(smile), _NODES, EVERY_DIP))


def least_gap(shorter: RawSvi, longer: RawSvi) -> Least:
    """Return the least of ln(w_longer / w_shorter) over all k. Negative: calendar arbitrage; zero is still free of it.

    Both slices need w > 0; k is each slice's own log-moneyness, as in Gatheral and Jacquier, Lemma 2.1.
    """
    return Least(*_least_gap(_raw(shorter), _raw(longer), _NODES, EVERY_DIP))


def is_free(smile: RawSvi, shorter: RawSvi | None = None) -> bool:
    """Tell whether `smile` has no butterfly arbitrage and, against the next shorter slice, no calendar arbitrage."""
    return bool(_is_free(_raw(smile), np.empty(0) if shorter is None else _raw(shorter), _NODES))


def _raw(smile: RawSvi) -> Floats:
    return np.array([smile.a, smile.b, smile.rho, smile.m, smile.sigma])


def _variance_py(raw: Floats, k: float) -> float:
    x = k - raw[3]
    return float(raw[0] + raw[1] * (raw[2] * x + math.sqrt(x * x + raw[4] * raw[4])))


_variance: Callable[..., float] = kernel(_variance_py)


def _butterfly_py(raw: Floats, k: float) -> float:
    """Return g(k), −inf where w <= 0."""
    x = k - raw[3]
    root = math.sqrt(x * x + raw[4] * raw[4])
    w = raw[0] + raw[1] * (raw[2] * x + root)
    if w <= 0.0:
        return -math.inf
    first = raw[1] * (raw[2] + x / root)
    second = raw[1] * raw[4] * raw[4] / (root * root * root)
    tilt = 1.0 - 0.5 * k * first / w
    return float(tilt * tilt - 0.25 * first * first * (1.0 / w + 0.25) + 0.5 * second)


_butterfly: Callable[..., float] = kernel(_butterfly_py)


def _butterflies_py(raw: Floats, centre: float, scale: float, nodes: Floats, out: Floats) -> None:
    """Fill out with g at centre + scale · nodes. Without a branch, so that it vectorises; _butterfly is its twin."""
    a, b, rho, m, square = raw[0], raw[1], raw[2], raw[3], raw[4] * raw[4]
    for i in range(nodes.size):
        k = centre + scale * nodes[i]
        x = k - m
        root = math.sqrt(x * x + square)
        w = a + b * (rho * x + root)
        first = b * (rho + x / root)
        second = b * square / (root * root * root)
        above = w if w > 0.0 else 1.0
        tilt = 1.0 - 0.5 * k * first / above
        g = tilt * tilt - 0.25 * first * first * (1.0 / above + 0.25) + 0.5 * second
        out[i] = g if w > 0.0 else -math.inf


_butterflies: Callable[..., None] = kernel(_butterflies_py)


def _ratio_py(shorter: Floats, longer: Floats, k: float) -> float:
    """Return w_longer / w_shorter at k; 0 where the longer slice has none, inf where only the shorter has none."""
    below, above = _variance(shorter, k), _variance(longer, k)
    if above <= 0.0:
        return 0.0
    # rounding of two equal wings far out is no crossing
    if abs(above - below) <= 1e-12 * above:
        return 1.0
    return above / below if below > 0.0 else math.inf


_ratio: Callable[..., float] = kernel(_ratio_py)


def _ratios_py(shorter: Floats, longer: Floats, centre: float, scale: float, nodes: Floats, out: Floats) -> None:
    """Fill out with the ratio at centre + scale · nodes. Without a branch, so that it vectorises; twin of _ratio."""
    a, b, rho, m, square = shorter[0], shorter[1], shorter[2], shorter[3], shorter[4] * shorter[4]
    a2, b2, rho2, m2, square2 = longer[0], longer[1], longer[2], longer[3], longer[4] * longer[4]
    for i in range(nodes.size):
        k = centre + scale * nodes[i]
        x, x2 = k - m, k - m2
        below = a + b * (rho * x + math.sqrt(x * x + square))
        above = a2 + b2 * (rho2 * x2 + math.sqrt(x2 * x2 + square2))
        ratio = above / below if below > 0.0 else math.inf
        ratio = 1.0 if abs(above - below) <= 1e-12 * above else ratio
        out[i] = ratio if above > 0.0 else 0.0


_ratios: Callable[..., None] = kernel(_ratios_py)


def _valley_py(raw: Floats) -> tuple[float, float]:
    """Return where w is least, and how far from there it has doubled: the scale on which g varies there."""
    flat = math.sqrt(max(1.0 - raw[2] * raw[2], 0.0))
    if flat < 1e-9 or raw[1] <= 0.0:
        return raw[3], raw[4]
    least = max(raw[0] + raw[1] * raw[4] * flat, 0.0)
    bottom = raw[3] - raw[2] * raw[4] / flat
    return bottom, max(math.sqrt(2.0 * least * raw[4] / (raw[1] * flat**3)), 1e-9 * raw[4])


_valley: Callable[..., tuple[float, float]] = kernel(_valley_py)


def _deepest_py(before: float, middle: float, after: float) -> float:
    """Return a bound on how low a smooth dip between three samples may reach: four times below its parabola."""
    bend = before - 2.0 * middle + after
    return middle - 0.5 * (before - after) ** 2 / bend if bend > 0.0 else middle


_deepest: Callable[..., float] = kernel(_deepest_py)


def _butterfly_dip_py(raw: Floats, lo: float, hi: float) -> tuple[float, float]:
    """Return where g is least within lo..hi, and that value."""
    for _ in range(_NARROWINGS):
        third = (hi - lo) / 3.0
        if _butterfly(raw, lo + third) < _butterfly(raw, hi - third):
            hi -= third
        else:
            lo += third
    at = 0.5 * (lo + hi)
    return at, _butterfly(raw, at)


_butterfly_dip: Callable[..., tuple[float, float]] = kernel(_butterfly_dip_py)


def _ratio_dip_py(shorter: Floats, longer: Floats, lo: float, hi: float) -> tuple[float, float]:
    """The same of the ratio of two slices."""
    for _ in range(_NARROWINGS):
        third = (hi - lo) / 3.0
        if _ratio(shorter, longer, lo + third) < _ratio(shorter, longer, hi - third):
            hi -= third
        else:
            lo += third
    at = 0.5 * (lo + hi)
    return at, _ratio(shorter, longer, at)


_ratio_dip: Callable[..., tuple[float, float]] = kernel(_ratio_dip_py)


def _least_butterfly_py(raw: Floats, nodes: Floats, ceiling: float) -> tuple[float, float]:
    """Return where g is least, and that value; dips that seem to stay above `ceiling` are left as sampled."""
    values = np.empty(nodes.size)
    left, right = raw[1] * (1.0 - raw[2]), raw[1] * (1.0 + raw[2])
    steeper = max(left, right)
    best, at = (4.0 - steeper * steeper) / 16.0, -math.inf if left >= right else math.inf
    for pick in range(2):
        middle, reach = raw[3], raw[4]
        if pick == 1:
            middle, reach = _valley(raw)
        _butterflies(raw, middle, reach, nodes, values)
        before, last = math.nan, math.nan
        for i in range(nodes.size):
            g = float(values[i])
            if g < best:
                best, at = g, middle + reach * nodes[i]
            if before > last <= g and _deepest(before, last, g) < min(best - _NOISE, ceiling):
                k, dip = _butterfly_dip(raw, middle + reach * nodes[i - 2], middle + reach * nodes[i])
                if dip < best:
                    best, at = dip, k
            before, last = last, g
    return at, best


_least_butterfly: Callable[..., tuple[float, float]] = kernel(_least_butterfly_py)


def _least_gap_py(shorter: Floats, longer: Floats, nodes: Floats, ceiling: float) -> tuple[float, float]:
    """The same of ln(w_longer / w_shorter)."""
    values, highest = np.empty(nodes.size), math.exp(ceiling)
    best, at = math.inf, 0.0
    for side in range(2):
        sign = -1.0 if side == 0 else 1.0
        below, above = shorter[1] * (1.0 + sign * shorter[2]), longer[1] * (1.0 + sign * longer[2])
        limit = 1.0
        # slopes that went through another parametrisation may differ in the last digits
        if abs(above - below) > 1e-14:
            limit = above / below if below > 0.0 else math.inf
        if limit < best:
            best, at = limit, sign * math.inf
    for pick in range(4):
        raw = shorter if pick < 2 else longer
        middle, reach = raw[3], raw[4]
        if pick % 2 == 1:
            middle, reach = _valley(raw)
        _ratios(shorter, longer, middle, reach, nodes, values)
        before, last = math.nan, math.nan
        for i in range(nodes.size):
            ratio = float(values[i])
            if ratio < best:
                best, at = ratio, middle + reach * nodes[i]
            if before > last <= ratio and _deepest(before, last, ratio) < min(best - _NOISE, highest):
                k, dip = _ratio_dip(shorter, longer, middle + reach * nodes[i - 2], middle + reach * nodes[i])
                if dip < best:
                    best, at = dip, k
            before, last = last, ratio
    return at, math.log(best) if best > 0.0 else -math.inf


_least_gap: Callable[..., tuple[float, float]] = kernel(_least_gap_py)


def _is_free_py(raw: Floats, floor: Floats, nodes: Floats) -> bool:
    """As is_free; `floor` is the shorter slice, or empty."""
    if raw[1] * (1.0 + abs(raw[2])) >= SLOPE_LIMIT or _least_butterfly(raw, nodes, CLEAR)[1] < 0.0:
        return False
    return floor.size == 0 or _least_gap(floor, raw, nodes, CLEAR)[1] >= 0.0


_is_free: Callable[..., bool] = kernel(_is_free_py)
