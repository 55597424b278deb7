"""Exponential, logarithm and the normal distribution without a branch, for use inside other kernels.

The C library's functions are scalar calls that keep a loop from being vectorised; these are polynomials between bit
casts. They are inlined into the calling kernel and compiled with FAST: arguments are finite, a NaN does not survive.
exp follows Cody and Waite's range reduction, log the sum form of fdlibm's e_log.c; their coefficients interpolate the
remainder in Chebyshev nodes. Interpreted, and as reference in the tests, the plain twins stand in.
"""

import math
from collections.abc import Callable
from typing import Any, Final, TypeVar, cast

from numba import njit, types
from numba.extending import intrinsic

from engine.compiled import FAST, INTERPRETED

F = TypeVar("F", bound=Callable[..., float])

LN2_HIGH: Final = 6.93147180369123816490e-01  # the last 21 bits are zero: its product with an exponent is exact
LN2_LOW: Final = 1.90821492927058770002e-10
LOG2_E: Final = 1.4426950408889634
INVERSE_SQRT_TAU: Final = 0.3989422804014327  # 1 / sqrt(2 π)
TINY: Final = 2.2250738585072014e-308  # least normal number, 2^-1022
ROUNDER: Final = 6755399441055744.0  # 1.5 · 2^52: added to a float, leaves its nearest integer in the low bits
ROUNDER_BITS: Final = 0x4338000000000000
EXPONENT_BITS: Final = 52
ONE_BITS: Final = 0x3FF0000000000000
HALF_STEP: Final = 1 << 51
SPLIT_MASK: Final = -(1 << 27)  # keeps 26 bits of the significand, whose square is exact
FARTHEST: Final = 40.0  # beyond it φ is zero


def _bitcast(source: Any, target: Any) -> Any:
    """Return a compiled function that reads the bits of a `source` as a `target`."""

    def typed(_context: Any, _argument: Any) -> Any:
        def lower(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return builder.bitcast(arguments[0], context.get_value_type(signature.return_type))

        return target(source), lower

    return intrinsic(typed)


_bits = cast(Callable[[float], int], _bitcast(types.float64, types.int64))
_float = cast(Callable[[int], float], _bitcast(types.int64, types.float64))


def _inlined(function: F) -> F:
    return cast(F, njit(cache=True, nogil=True, error_model="numpy", fastmath=set(FAST), forceinline=True)(function))


def _exp_bits(x: float) -> float:
    """Return e^x for finite x to 1 ulp; zero below −708.75, where the result is no longer a normal number.

    x above 709.4 counts as 709.4, just before float64 overflows.
    """
    x = min(max(x, -709.0), 709.4)
    shifted = x * LOG2_E + ROUNDER
    n = shifted - ROUNDER
    r = (x - n * LN2_HIGH) - n * LN2_LOW
    p = 2.510038549551032e-08
    p = p * r + 2.7620088445409746e-07
    p = p * r + 2.7557268459997064e-06
    p = p * r + 2.4801521295954376e-05
    p = p * r + 0.00019841269863053618
    p = p * r + 0.0013888888917213717
    p = p * r + 0.008333333333330062
    p = p * r + 0.04166666666662413
    p = p * r + 0.16666666666666669
    p = p * r + 0.5000000000000001
    return (1.0 + (r + r * r * p)) * _float((_bits(shifted) << EXPONENT_BITS) + ONE_BITS)


def _exp_py(x: float) -> float:
    """Plain twin of `_exp_bits`."""
    return math.exp(min(x, 709.4)) if x > -708.75 else 0.0


def _log_ratio_bits(x: float, y: float) -> float:
    """Return ln(x / y) of finite x, y to 2 ulp, also where x is next to y. Below 2^-1022 either counts as 2^-1022.

    y is scaled by a power of two to within a factor 1.5 of x, where the difference of the two is exact.
    """
    x = max(x, TINY)
    y = max(y, TINY)
    exponent = (_bits(x) - _bits(y) + HALF_STEP) >> EXPONENT_BITS
    n = _float(exponent + ROUNDER_BITS) - ROUNDER
    near = _float(_bits(y) + (exponent << EXPONENT_BITS))
    s = (x - near) / (x + near)
    z = s * s
    p = 0.13604216246696962
    p = p * z + 0.1321033443219967
    p = p * z + 0.15388835999460426
    p = p * z + 0.18181738421712204
    p = p * z + 0.2222222303822691
    p = p * z + 0.28571428567336676
    p = p * z + 0.40000000000007807
    p = p * z + 0.6666666666666666
    return n * LN2_HIGH + (2.0 * s + (s * z * p + n * LN2_LOW))


def _log_ratio_py(x: float, y: float) -> float:
    """Plain twin of `_log_ratio_bits`."""
    x, y = max(x, TINY), max(y, TINY)
    return math.log1p((x - y) / y) if 0.5 * y <= x <= 2.0 * y else math.log(x) - math.log(y)


def _mills_py(x: float) -> float:
    """Return the Mills ratio N(−x) / φ(x) for x in [0, 40], relative error below 4e-15.

    A minimax P8/Q9; all coefficients are positive, so no term cancels and the tail keeps its relative accuracy.
    """
    p = 2.0506713766054687e-05
    p = p * x + 0.00046852921098702806
    p = p * x + 0.0052236387517610615
    p = p * x + 0.03648372252812871
    p = p * x + 0.17321037539733714
    p = p * x + 0.5710649649313012
    p = p * x + 1.280646108070772
    p = p * x + 1.8040408821754605
    p = p * x + 1.253314137315504
    q = 2.0506713765312927e-05
    q = q * x + 0.00046852921112379556
    q = q * x + 0.005244145454341351
    q = q * x + 0.03695225228045714
    q = q * x + 0.17839298324240904
    q = q * x + 0.6066120320510247
    q = q * x + 1.4436073359952706
    q = q * x + 2.306915625589426
    q = q * x + 2.237300927748322
    q = q * x + 1.0
    return p / q


exp: Callable[[float], float] = _exp_py if INTERPRETED else _inlined(_exp_bits)
log_ratio: Callable[[float, float], float] = _log_ratio_py if INTERPRETED else _inlined(_log_ratio_bits)
mills: Callable[[float], float] = _inlined(_mills_py)


@_inlined
def log(x: float) -> float:
    """Return ln x of finite x to 1.5 ulp; x below 2^-1022, zero and negative x count as 2^-1022."""
    return log_ratio(x, 1.0)


def _pdf_bits(x: float) -> float:
    """Return φ(x) for finite x, relative error below 1e-15 in the tail too; zero beyond |x| = 37.6.

    x² is split into an exact square and a small rest: its rounding error would be x² / 2 ulp of the result.
    """
    x = min(abs(x), FARTHEST)
    head = _float(_bits(x) & SPLIT_MASK)
    rest = (x - head) * (x + head)
    return INVERSE_SQRT_TAU * exp(-0.5 * head * head) * (1.0 - rest * (0.5 - 0.125 * rest))


def _pdf_py(x: float) -> float:
    """Plain twin of `_pdf_bits`."""
    return INVERSE_SQRT_TAU * exp(-0.5 * x * x)


pdf: Callable[[float], float] = _pdf_py if INTERPRETED else _inlined(_pdf_bits)


@_inlined
def cdf(x: float) -> float:
    """Return N(x) for finite x; the lower tail has full relative accuracy until it vanishes at −37.6."""
    tail = pdf(x) * mills(min(abs(x), FARTHEST))
    return tail if x < 0.0 else 1.0 - tail
