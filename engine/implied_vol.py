"""Implied volatility of Black-76 to the precision of the price, found from the out-of-the-money side.

With least = min(forward, strike), x = |ln(forward / strike)|, s = vol · √years, h = x / s, t = s / 2, y = h − t,
z = h + t and the Mills ratio M(a) = N(−a) / φ(a), the undiscounted out-of-the-money price is least · v with

    v = φ(y) · (M(y) − M(z)),    1 − v = φ(y) · (M(−y) + M(z)),    dv/ds = φ(y)

Where y >= 0, ln v is matched; where y < 0, ln(1 − v). Neither cancels and neither is flat, so two steps of
Householder's third-order method (Jäckel 2015, Let's be rational, section 5) from a start within 3 % reach float64.
The start is the implied volatility of the normal model, a function of |forward − strike| / price alone
(Jäckel 2017, Implied normal volatility), carried over to Black's. Rows which that leaves are solved in a bracket.

Each stage is a branch-free loop of its own over a block of rows: in one loop the chain of operations is longer than
a processor looks ahead.
"""

from dataclasses import dataclass
from math import sqrt
from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from engine.compiled import fast_kernel, inlined, kernel
from engine.normal import HUGE, INVERSE_SQRT_TAU, log_ratio, mills_parts
from engine.records import column
from engine.types import Codes, Flags, Floats

RESOLVED: Final = 0
BELOW_INTRINSIC: Final = 1
ABOVE_BOUND: Final = 2
NOT_RESOLVABLE: Final = 3
REFUSED: Final = 4  # never returned: the input is not finite or out of range

ROUNDING: Final = 4.0 * 2.0**-53
"""Relative error allowed in an undiscounted price: three roundings of 2^-53 make its time value, and one to spare."""
LEAST: Final = 2.0**-1000
"""Least time value and least years; below them products of the solution leave the normal numbers."""
BLOCK: Final = 1024  # rows whose intermediate columns stay in the nearest cache
SLOPE_VOL: Final = 1e-4  # total vol below which M(y) − M(z) is −M'(h) · s to 1e-8,
SERIES_VOL: Final = 0.4  # and below which it takes a series to be exact,
SERIES_DISTANCE: Final = 1.0  # unless x is beyond this: there the difference is exact enough, the series is not
NEAREST_START: Final = 1e-300  # price / |forward − strike|; the start is fitted to 37 standard deviations
HIGHEST_START: Final = 0.97  # v; above it the normal model says little about Black's
UNSTARTED: Final = 2.0  # in place of 1 − v: the row has no start
CONVERGED: Final = 1e-4  # relative last step; what remains is of the order of its fourth power
DEEPEST: Final = 38.0  # v >= 2^-1000 has y < 38
SHALLOWEST: Final = 9.0  # v < 1 by more than rounding has −y < 9


@dataclass(frozen=True, slots=True)
class ImpliedVol:
    """Implied vol of N options and what became of each, in the shape the arguments broadcast to."""

    vol: Floats  # annualised, > 0; NaN in every row that is not RESOLVED, and in no other
    status: Codes  # RESOLVED, BELOW_INTRINSIC, ABOVE_BOUND, NOT_RESOLVABLE

    def __post_init__(self) -> None:
        self.vol.flags.writeable = False
        self.status.flags.writeable = False


def implied_vol(
    price: ArrayLike,
    forward: ArrayLike,
    strike: ArrayLike,
    years: ArrayLike,
    is_call: ArrayLike,
    discount: ArrayLike = 1.0,
) -> ImpliedVol:
    """Return the Black-76 implied vol of every option, (N,) or the shape the arguments broadcast to.

    price in USD, discounted, >= 0; forward, strike in USD, > 0, at most 2^1022; years ACT/365, >= 0; is_call boolean;
    discount > 0.
    Prices are compared with their bounds to within their own rounding, 4.4e-16 · price:
      BELOW_INTRINSIC  price < discount · intrinsic value, by more than that
      ABOVE_BOUND      price >= discount · forward of a call, discount · strike of a put, or next to it
      NOT_RESOLVABLE   price = discount · intrinsic value (0 out of the money), or next to it; or years = 0; or a time
                       value below 2^-1000 USD or 2^-1000 · min(forward, strike)
    Relative error of a resolved vol: 4e-15, and what the rounding of the price leaves open, which is
    4.4e-16 · price / (vega · vol): out of the money under 1e-15 except near the upper bound, in the money unlimited.
    Raises ValueError naming the argument and row that is not finite, out of range, or not boolean.
    """
    named = {"price": price, "forward": forward, "strike": strike, "years": years, "discount": discount}
    numbers = {name: np.asarray(argument, np.float64) for name, argument in named.items()}
    flags = np.asarray(is_call)
    if flags.dtype != np.bool_:
        raise ValueError(f"is_call: expected booleans, found {flags.dtype}")
    shape = np.broadcast_shapes(*(column.shape for column in numbers.values()), flags.shape)
    undiscounted, factor = numbers["price"], numbers["discount"]
    if factor.ndim > 0 or factor != 1.0:
        with np.errstate(all="ignore"):
            undiscounted = undiscounted / np.where((factor > 0.0) & (factor < np.inf), factor, np.nan)
    p, f, k, t = (column(c, shape) for c in (undiscounted, numbers["forward"], numbers["strike"], numbers["years"]))
    vol, status = np.empty(p.size), np.empty(p.size, np.int8)
    if not _solve(p, f, k, t, column(flags, shape), vol, status):
        raise _refusal(numbers, undiscounted)
    return ImpliedVol(vol.reshape(shape), status.reshape(shape))


def _refusal(numbers: dict[str, Floats], undiscounted: Floats) -> ValueError:
    """Return the error naming the first argument and row that the kernel refused."""
    for name, given in (*numbers.items(), ("price / discount", undiscounted)):
        zero = name in ("price", "years", "price / discount")
        greatest = HUGE if name in ("forward", "strike") else np.finfo(np.float64).max
        wrong = ~((given >= 0.0 if zero else given > 0.0) & (given <= greatest))
        if wrong.any():
            row = np.unravel_index(np.flatnonzero(wrong)[0], given.shape)
            where = ", ".join(str(i) for i in row) or "0"
            break
    expected = f"finite numbers {'>=' if zero else '>'} 0" + (" and <= 2^1022" if HUGE < given[row] < np.inf else "")
    return ValueError(f"{name}: expected {expected}, found {given[row]} in row {where}")


@kernel
def _solve(
    price: Floats, forward: Floats, strike: Floats, years: Floats, is_call: Flags, vol: Floats, status: Codes
) -> bool:
    """Fill vol and status of every row from undiscounted prices; return False at a row that is refused."""
    scratch = np.empty((5, BLOCK))
    for a in range(0, price.size, BLOCK):
        b = min(a + BLOCK, price.size)
        p, f, k, t, code = price[a:b], forward[a:b], strike[a:b], years[a:b], status[a:b]
        otm, x, v = scratch[0, : b - a], scratch[1, : b - a], scratch[2, : b - a]
        rest, s = scratch[3, : b - a], scratch[4, : b - a]
        if _classify(p, f, k, t, is_call[a:b], otm, code) == REFUSED:
            return False
        _begin(otm, f, k, code, x, v, rest, s)
        _approach(x, v, rest, s)
        _arrive(x, v, rest, s, t, vol[a:b])
        _finish(otm, f, k, t, code, vol[a:b])
    return True


@kernel
def _classify(
    price: Floats, forward: Floats, strike: Floats, years: Floats, is_call: Flags, otm: Floats, status: Codes
) -> int:
    """Fill the out-of-the-money price and the status of every row; return the greatest status."""
    greatest = RESOLVED
    for i in range(price.size):
        p, f, k, t = price[i], forward[i], strike[i], years[i]
        least = min(f, k)
        value = p - abs(f - k) if (f > k) == is_call[i] else p
        rounding = ROUNDING * p
        code = RESOLVED
        if value <= rounding or value < LEAST * max(least, 1.0) or t < LEAST:
            code = NOT_RESOLVABLE
        if value >= least - rounding:
            code = ABOVE_BOUND
        if value < -rounding:
            code = BELOW_INTRINSIC
        if not (0.0 <= p < np.inf and 0.0 < f <= HUGE and 0.0 < k <= HUGE and 0.0 <= t < np.inf):
            code = REFUSED
        otm[i] = value
        status[i] = code
        greatest = max(greatest, code)
    return greatest


@inlined
def _start(x: float, v: float, apart: float) -> float:
    """Return the total vol to start from, within 3 % for x < 25; `apart` is |forward − strike| / least.

    The normal model's |forward − strike| / s is a function of apart / v alone, here a rational function of
    √ln(1 + apart / v) fitted to 0.2 %: h. x / h is its total vol, in Black's terms up to 1 + s² / 24 + …, fitted too.
    """
    near = 1e-10 * v  # at the money both x and apart are 0 and their ratio is 1
    squared = log_ratio(apart + near + v, v)
    w = sqrt(squared)
    top = ((-9.42831475e-05 * w + 4.05471318e-02) * w + 7.46551894e-03) * w + INVERSE_SQRT_TAU
    h = squared * top / (((2.53440116e-02 * w + 6.18029283e-02) * w + 3.51829048e-02) * w + 1.0)
    s = (x + near) / h
    q = min(s * s, 6.0)
    more = q * (0.038661 - 0.00329546 * q + 0.00758583 * h)
    return s * (1.0 + more / (1.0 - 0.14567604 * q + (0.0498238 + 0.04885408 * h) * h))


@inlined
def _series(t: float, h: float, m0: float, m1: float) -> float:
    """Return M(h − t) − M(h + t) from M and M' at h by Taylor's series, exact to rounding for t <= 0.2.

    The derivatives of M follow M⁽ⁿ⁺¹⁾ = h M⁽ⁿ⁾ + n M⁽ⁿ⁻¹⁾.
    """
    m2 = h * m1 + m0
    m3 = h * m2 + 2.0 * m1
    m4 = h * m3 + 3.0 * m2
    m5 = h * m4 + 4.0 * m3
    m6 = h * m5 + 5.0 * m4
    m7 = h * m6 + 6.0 * m5
    m8 = h * m7 + 7.0 * m6
    m9 = h * m8 + 8.0 * m7
    m10 = h * m9 + 9.0 * m8
    m11 = h * m10 + 10.0 * m9
    m12 = h * m11 + 11.0 * m10
    m13 = h * m12 + 12.0 * m11
    q = t * t
    total = m13 / 6227020800.0
    total = total * q + m11 / 39916800.0
    total = total * q + m9 / 362880.0
    total = total * q + m7 / 5040.0
    total = total * q + m5 / 120.0
    total = total * q + m3 / 6.0
    total = total * q + m1
    return -2.0 * t * total


@inlined
def _excess(s: float, x: float, v: float, rest: float, exact: bool) -> float:
    """Return (s − root) / s by one Householder step of third order, within −1..0.5; `rest` is 1 − v.

    L = ln v or ln(1 − v) has L' = top / bottom, M(y) − M(z) or −(M(−y) + M(z)), inverted; v'' / v' = (h² − t²) / s.
    Where the third-order factor loses its sign, far from the root, it is Newton's step. Not `exact`: to 1e-8.
    """
    inverse = 1.0 / s
    h = x * inverse
    t = 0.5 * s
    y = h - t
    z = h + t
    narrow = s < SERIES_VOL and x < SERIES_DISTANCE if exact else s < SLOPE_VOL
    a = h if narrow else abs(y)
    pa, ra = mills_parts(a)
    pz, rz = mills_parts(z)
    qa = a * pa + ra
    qz = z * pz + rz
    inside = narrow or y >= 0.0
    close = _series(t, h, pa, -ra) if exact else s * ra
    wide = s * (pa * pz) + (pa * rz - pz * ra) if y >= 0.0 else pa * qz + pz * qa
    top = close if narrow else wide
    bottom = qa if narrow else qa * qz
    gap = log_ratio(top * INVERSE_SQRT_TAU, bottom * (v if inside else rest)) - 0.5 * y * y
    top = top if inside else -top
    shared = 1.0 / (top * bottom)
    first = (bottom * s) * (bottom * shared)
    newton = gap * (top * inverse) * (top * shared)
    second = h * h - t * t - first
    third = second * second - first * second - 3.0 * h * h - t * t
    above = 1.0 - 0.5 * newton * second
    below = 1.0 - newton * (second - newton * third * (1.0 / 6.0))
    step = newton * above / below if above > 0.0 and below > 0.0 else newton
    return min(max(step, -1.0), 0.5)


@fast_kernel
def _begin(
    otm: Floats, forward: Floats, strike: Floats, status: Codes, x: Floats, v: Floats, rest: Floats, s: Floats
) -> None:
    """Fill x, v, 1 − v and the start of every row; a row without a start gets harmless values."""
    for i in range(otm.size):
        least = min(forward[i], strike[i])
        apart = abs(forward[i] - strike[i])
        able = status[i] == RESOLVED and otm[i] > NEAREST_START * apart and otm[i] < HIGHEST_START * least
        x[i] = log_ratio(max(forward[i], strike[i]), least) if able else 0.0
        v[i] = otm[i] / least if able else 0.5
        rest[i] = (least - otm[i]) / least if able else UNSTARTED
        s[i] = apart / least if able else 0.0
    for i in range(otm.size):
        s[i] = _start(x[i], v[i], s[i])


@fast_kernel
def _approach(x: Floats, v: Floats, rest: Floats, s: Floats) -> None:
    for i in range(x.size):
        s[i] -= s[i] * _excess(s[i], x[i], v[i], rest[i], False)


@fast_kernel
def _arrive(x: Floats, v: Floats, rest: Floats, s: Floats, years: Floats, vol: Floats) -> None:
    """Fill the vol of every row, −1 where the step is too long to be the last or nothing was started."""
    for i in range(x.size):
        step = _excess(s[i], x[i], v[i], rest[i], True)
        done = abs(step) < CONVERGED and rest[i] < UNSTARTED
        vol[i] = s[i] * (1.0 - step) / sqrt(max(years[i], LEAST)) if done else -1.0


@kernel
def _finish(otm: Floats, forward: Floats, strike: Floats, years: Floats, status: Codes, vol: Floats) -> None:
    """Solve the resolved rows still at −1 in a bracket; the vol of every other row without one becomes NaN."""
    for i in range(otm.size):
        if status[i] != RESOLVED:
            vol[i] = np.nan
        elif vol[i] < 0.0:
            least = min(forward[i], strike[i])
            x = log_ratio(max(forward[i], strike[i]), least)
            vol[i] = _bracketed(x, otm[i] / least, (least - otm[i]) / least) / sqrt(years[i])


@kernel
def _bracketed(x: float, v: float, rest: float) -> float:
    """Return the total vol by the same steps, each kept inside a shrinking bracket: −9 <= y <= 38."""
    low = 2.0 * x / (DEEPEST + sqrt(DEEPEST * DEEPEST + 2.0 * x))
    high = SHALLOWEST + sqrt(SHALLOWEST * SHALLOWEST + 2.0 * x)
    s = 0.5 * (low + high)
    for _ in range(200):
        step = _excess(s, x, v, rest, True)
        if step > 0.0:
            high = s
        else:
            low = s
        ahead = s - s * step
        if abs(step) < CONVERGED:
            return ahead
        s = ahead if low < ahead < high else 0.5 * (low + high)
    return s
