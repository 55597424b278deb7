"""Exponential, logarithm and the normal distribution without a branch, for use inside other kernels.

The C library's functions are scalar calls that keep a loop from being vectorised; these are polynomials between bit
casts. They are inlined into the calling kernel and compiled with FAST: arguments are finite, a NaN does not survive.
exp follows Cody and Waite's range reduction, log the sum form of fdlibm's e_log.c; their coefficients interpolate the
remainder in Chebyshev nodes. Interpreted, and as reference in the tests, the plain twins stand in.
"""

import math
from collections.abc import Callable
from typing import Any, Final, TypeVar, cast

from numba import types
from numba.extending import intrinsic

from engine.compiled import INTERPRETED, inlined

F = TypeVar("F", bound=Callable[..., object])

LN2_HIGH: Final = 6.93147180369123816490e-01  # the last 21 bits are zero: its product with an exponent is exact
LN2_LOW: Final = 1.90821492927058770002e-10
LOG2_E: Final = 1.4426950408889634
INVERSE_SQRT_TAU: Final = 0.3989422804014327  # 1 / sqrt(2 π)
TINY: Final = 2.2250738585072014e-308  # least normal number, 2^-1022
HUGE: Final = 2.0**1022  # up to it two numbers within a factor of 1.5 have a finite sum
ROUNDER: Final = 6755399441055744.0  # 1.5 · 2^52: added to a float, leaves its nearest integer in the low bits
ROUNDER_BITS: Final = 0x4338000000000000
EXPONENT_BITS: Final = 52
ONE_BITS: Final = 0x3FF0000000000000
HALF_STEP: Final = 1 << 51
SPLITTER: Final = 6442450944.0  # 1.5 · 2^32: added and taken off, leaves a multiple of 2^-20, whose square is exact
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
    """Return ln(x / y) of x, y <= HUGE to 2 ulp, also where x is next to y. Below 2^-1022 either counts as 2^-1022.

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
    if 0.5 * y <= x <= 2.0 * y:
        return math.log1p((x - y) / y)
    (part, exponent), (y_part, y_exponent) = math.frexp(x), math.frexp(y)
    return math.log(part / y_part) + (exponent - y_exponent) * math.log(2.0)


def _mills_parts_py(x: float) -> tuple[float, float]:
    """Return p, r with N(−x) / φ(x) = p / (x·p + r) for x in [0, 40], relative error below 1e-15.

    r / p approximates 1 / M(x) − x, the part of the Mills ratio M beyond its 1 / x: two Mills ratios of near arguments
    can then be subtracted without losing what the tail is about. P9 and R8 are fitted to the maximum relative error
    of M, 2.3e-16; all coefficients are positive, so no term cancels.
    """
    p = 3.5638400459837423e-06
    p = p * x + 9.195109407464567e-05
    p = p * x + 0.0011698593179246604
    p = p * x + 0.009468039467514086
    p = p * x + 0.05324231561778554
    p = p * x + 0.21481147222047295
    p = p * x + 0.6214602517961846
    p = p * x + 1.2473760314393931
    p = p * x + 1.5901800589139772
    p = p * x + 1.0
    r = 3.563840049328652e-06
    r = r * x + 9.195109351635632e-05
    r = r * x + 0.0011627316791841009
    r = r * x + 0.009284135459502553
    r = r * x + 0.05093828919915841
    r = r * x + 0.19679375768554708
    r = r * x + 0.526428892289823
    r = r * x + 0.9053998902716017
    r = r * x + 0.7978845608028655
    return p, r


exp: Callable[[float], float] = _exp_py if INTERPRETED else inlined(_exp_bits)
log_ratio: Callable[[float, float], float] = _log_ratio_py if INTERPRETED else inlined(_log_ratio_bits)
mills_parts: Callable[[float], tuple[float, float]] = inlined(_mills_parts_py)


@inlined
def pdf(x: float) -> float:
    """Return φ(x) for finite x, relative error below 5e-16 in the tail too; zero beyond |x| = 37.6.

    x² is split into an exact square and a small rest: its rounding error would be x² / 2 ulp of the result.
    """
    x = min(abs(x), FARTHEST)
    head = (x + SPLITTER) - SPLITTER
    rest = (x - head) * (x + head)
    return INVERSE_SQRT_TAU * exp(-0.5 * head * head) * (1.0 - rest * (0.5 - rest * (0.125 - rest / 48.0)))
