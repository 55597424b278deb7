"""The one crossing between the chain's integers and the engine's floats."""

from typing import NewType

Wei = NewType("Wei", int)
Wad = NewType("Wad", int)
"""Fixed point with 18 decimals."""
Ppm = NewType("Ppm", int)
"""Parts per million: Curie's ratios carry six decimals, 62_500 is 6.25 %."""

WAD_DECIMALS = 18
PPM_DECIMALS = 6


def to_float(amount: int, decimals: int) -> float:
    """Return `amount` base units as a float64 in whole units, rounded once (half to even).

    Python divides integers with a single correctly rounded step, which `float(amount) / 1e18` does not.
    """
    result: float = amount / 10**decimals
    return result


def to_base(amount: float, decimals: int, *, up: bool) -> int:
    """Return `amount` whole units as base units, rounded towards +inf if `up`, else towards -inf.

    Exact: the float's own binary value is scaled in integers, so no second rounding happens.
    Raises OverflowError or ValueError for infinities and NaN.
    """
    numerator, denominator = amount.as_integer_ratio()
    scaled = numerator * 10**decimals
    result: int = -(-scaled // denominator) if up else scaled // denominator
    return result
