"""Black-76: undiscounted and discounted European options on a forward, and their sensitivities.

Every option is priced from the out-of-the-money one of its strike, put-call parity gives the other. With m the lesser
and M the greater of forward and strike, v = vol·√years, h = |ln(forward / strike)| / v, a = h − v/2, b = h + v/2:

    out-of-the-money price = m N(−a) − M N(−b) = m φ(a) (R(a) − R(b)),    R(x) = N(−x) / φ(x),    m φ(a) = M φ(b)

so one exponential serves both terms, and no tail is found as a difference of numbers near one.
Source: Black (1976), The pricing of commodity contracts; the Mills ratio in engine/normal.py.
"""

from dataclasses import dataclass, fields
from math import sqrt
from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from engine.compiled import fast_kernel, inlined
from engine.normal import FARTHEST, HUGE, log_ratio, mills_parts, pdf
from engine.records import column
from engine.types import Flags, Floats

MOST_TOTAL_VOL: Final = 100.0  # from 24 on the price is its bound to the last bit
LEAST_TOTAL_VOL: Final = 1e-100  # below it h is beyond FARTHEST, or 0 at the money
LEAST_FORWARD: Final = 1e-100  # divides; its square is still a normal number
HUGE_BITS: Final = 0x7FD0000000000000


@dataclass(frozen=True, slots=True)
class Greeks:
    """Price and sensitivities of N options, (N,) each or the shape the arguments broadcast to, discounted.

    Partial derivatives at a fixed discount factor. Where years or vol is 0 the option is its intrinsic value: gamma,
    vega, theta, vanna and volga are 0, delta is the slope, and half of it where forward equals strike.
    """

    price: Floats  # USD, >= 0
    delta: Floats  # d price / d forward: 0..discount for a call, −discount..0 for a put
    gamma: Floats  # d² price / d forward², per USD, >= 0
    vega: Floats  # d price / d vol, USD per 1.00 of vol, >= 0
    theta: Floats  # −d price / d years, USD per year at rate 0, <= 0: the discount's own carry is not in it
    vanna: Floats  # d² price / d forward d vol, per 1.00 of vol
    volga: Floats  # d² price / d vol², USD per 1.00 of vol squared

    def __post_init__(self) -> None:
        for field in fields(self):
            getattr(self, field.name).flags.writeable = False


def price(
    forward: ArrayLike,
    strike: ArrayLike,
    years: ArrayLike,
    vol: ArrayLike,
    is_call: ArrayLike,
    discount: ArrayLike = 1.0,
) -> Floats:
    """Return the price of every option in USD, (N,) or the shape the arguments broadcast to.

    forward, strike in USD, >= 0; years ACT/365, >= 0; vol annualised, >= 0; is_call boolean; discount factor >= 0.
    years = 0 or vol = 0 gives the intrinsic value on the forward; strike 0 the forward for a call, 0 for a put;
    forward 0 the reverse of it; a total vol from 24 on the forward for a call, the strike for a put.
    Error below 2e-15 · max(forward, price); of an out-of-the-money price above 1e-290 also below 2e-15 · (1 + h² + 1/v)
    of itself, h and v as above.
    Raises ValueError naming the argument and row that is negative, not finite, above 2^1022, or not boolean.
    """
    columns, factor, shape = _columns(forward, strike, years, vol, is_call, discount)
    value = np.empty(columns[0].size)
    _price(*columns, value)
    return _discounted(value, factor, shape)


def greeks(
    forward: ArrayLike,
    strike: ArrayLike,
    years: ArrayLike,
    vol: ArrayLike,
    is_call: ArrayLike,
    discount: ArrayLike = 1.0,
) -> Greeks:
    """Return price and sensitivities of every option; arguments, limits and errors as `price`.

    Relative error below 1e-15 · (1 + h² + v²); of vanna per max(|vanna|, vega / forward), of volga per max(|volga|,
    vega / vol), since both change sign. The price may differ in its last bits from that of `price`. A forward below
    1e-100 USD counts as 1e-100 in delta, gamma and vanna.
    """
    columns, factor, shape = _columns(forward, strike, years, vol, is_call, discount)
    results = tuple(np.empty(columns[0].size) for _ in fields(Greeks))
    _greeks(*columns, *results)
    return Greeks(*(_discounted(result, factor, shape) for result in results))


def _columns(
    forward: ArrayLike, strike: ArrayLike, years: ArrayLike, vol: ArrayLike, is_call: ArrayLike, discount: ArrayLike
) -> tuple[tuple[Floats, Floats, Floats, Floats, Flags], Floats, tuple[int, ...]]:
    """Return the checked arguments as contiguous columns of one length, the discount as given, and the shape."""
    numbers = [
        _sound(name, argument)
        for name, argument in (("forward", forward), ("strike", strike), ("years", years), ("vol", vol))
    ]
    flags = np.asarray(is_call)
    if flags.dtype != np.bool_:
        raise ValueError(f"is_call: expected booleans, found {flags.dtype}")
    factor = _sound("discount", discount)
    shape = np.broadcast_shapes(*(column.shape for column in numbers), flags.shape, factor.shape)
    f, k, t, s = (column(number, shape) for number in numbers)
    return (f, k, t, s, column(flags, shape)), factor, shape


def _sound(name: str, argument: ArrayLike) -> Floats:
    column = np.asarray(argument, np.float64)
    # Read as unsigned integers, negative numbers, NaN and inf all lie above HUGE: one pass finds them.
    if column.size and column.view(np.uint64).max() > HUGE_BITS:
        bad = ~((column >= 0.0) & (column <= HUGE))
        if bad.any():  # a negative zero is a zero
            row = tuple(int(i) for i in np.argwhere(bad)[0])
            where = ", ".join(str(i) for i in row) or "0"
            limit = " and <= 2^1022" if HUGE < column[row] < np.inf else ""
            raise ValueError(f"{name}: expected finite numbers >= 0{limit}, found {column[row]} in row {where}")
    return column


def _discounted(result: Floats, factor: Floats, shape: tuple[int, ...]) -> Floats:
    result = result.reshape(shape)
    if factor.ndim > 0 or factor != 1.0:
        result *= factor
    return result


@inlined
def _distances(forward: float, strike: float, total_vol: float) -> tuple[float, float]:
    """Return a and b of the module's formula, in standard deviations: −d1, −d2 below the strike, d2, d1 above it."""
    h = min(abs(log_ratio(forward, strike)) / max(total_vol, LEAST_TOTAL_VOL), 2.0 * FARTHEST)
    return h - 0.5 * total_vol, h + 0.5 * total_vol


@inlined
def _mills(x: float) -> tuple[float, float, float]:
    """Return p, q, r with R(x) = p / q and q = x·p + r."""
    p, r = mills_parts(x)
    return p, x * p + r, r


@inlined
def _otm_price(
    a: float, v: float, least: float, density: float, near: tuple[float, float, float], far: tuple[float, float, float]
) -> float:
    """Return the out-of-the-money price from density = m φ(a) and the Mills ratios at |a| and b.

    R(a) − R(b) = (v − (r/p)(a) + (r/p)(b)) R(a) R(b) over a common divisor keeps its digits where b is next to a.
    Where a < 0, m N(−a) = m − m φ(a) R(−a).
    """
    p, q, r = near
    p_far, q_far, r_far = far
    if a < 0.0:
        return least - density * ((p * q_far + p_far * q) / (q * q_far))
    return density * ((v * (p * p_far) - (r * p_far - r_far * p)) / (q * q_far))


@inlined
def price_one(forward: float, strike: float, years: float, vol: float, is_call: bool) -> float:
    """Return the undiscounted price in USD of one option for use in other kernels; limits as `price`.

    Arguments are finite and >= 0, but for the forward: below zero a call is worth 0, a put strike − forward.
    """
    v = min(vol * sqrt(years), MOST_TOTAL_VOL)
    a, b = _distances(forward, strike, v)
    least = max(min(forward, strike), 0.0)
    otm = _otm_price(a, v, least, least * pdf(a), _mills(abs(a)), _mills(b))
    return otm + max(forward - strike if is_call else strike - forward, 0.0)


@fast_kernel
def _price(forward: Floats, strike: Floats, years: Floats, vol: Floats, is_call: Flags, value: Floats) -> None:
    for i in range(forward.size):
        value[i] = price_one(forward[i], strike[i], years[i], vol[i], is_call[i])


@fast_kernel
def _greeks(
    forward: Floats,
    strike: Floats,
    years: Floats,
    vol: Floats,
    is_call: Flags,
    value: Floats,
    delta: Floats,
    gamma: Floats,
    vega: Floats,
    theta: Floats,
    vanna: Floats,
    volga: Floats,
) -> None:
    for i in range(forward.size):
        root = sqrt(years[i])
        v = min(vol[i] * root, MOST_TOTAL_VOL)
        a, b = _distances(forward[i], strike[i], v)
        near, far = _mills(abs(a)), _mills(b)
        least = min(forward[i], strike[i])
        density = least * pdf(a)  # forward · φ(d1)
        otm = _otm_price(a, v, least, density, near, far)
        value[i] = otm + max(forward[i] - strike[i] if is_call[i] else strike[i] - forward[i], 0.0)

        below = forward[i] < strike[i]
        d1, d2 = (-a, -b) if below else (b, a)
        divisor = max(forward[i], LEAST_FORWARD)
        tail = density / divisor * (near[0] / near[1] if below else far[0] / far[1])  # N(−|d1|)
        reached = tail if (d1 < 0.0) == is_call[i] else 1.0 - tail
        delta[i] = reached if is_call[i] else -reached

        curvature = density / max(v, LEAST_TOTAL_VOL) if v > 0.0 else 0.0
        gamma[i] = curvature / divisor / divisor
        vega[i] = curvature * v * root
        theta[i] = -0.5 * curvature * vol[i] * vol[i]
        vanna[i] = -curvature * root * d2 / divisor
        volga[i] = curvature * root * root * d1 * d2
