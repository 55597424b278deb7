"""Integer arithmetic of the contracts: roundings by name, and ln, exp and sqrt of 18-decimal fixed point.

ln and exp are Remco Bloemen's rational approximations (2π.com/22/exp-ln) in the form of solady's FixedPointMathLib:
same polynomials, same binary bases, same shifts, hence the same last digit. Within the checked domains no intermediate
leaves 256 bits, so that Python's unbounded integers need no wrapping.
"""

from math import isqrt
from typing import Final

WAD: Final = 10**18
MOST_INT: Final = 2**255 - 1

_EXP_ZERO: Final = -41446531673892822313  # at or below it the result is under half a wei
_EXP_MOST: Final = 135305999368893231589  # from it on the result leaves 255 bits
_LN2_96: Final = 54916777467707473351141471128
_LN2_192: Final = 16597577552685614221487285958193947469193820559219878177908093499208371
_LN_BASE: Final = 600920179829731861736702779321621459595472258049074101567377883020018308  # ln(2⁹⁶ / 10¹⁸)
_HALF_96: Final = 2**95


def sdiv(a: int, b: int) -> int:
    """Return a / b rounded toward zero, as the EVM's SDIV and Solidity's `/`. Raises ZeroDivisionError for b = 0."""
    quotient = abs(a) // abs(b)
    return quotient if (a < 0) == (b < 0) else -quotient


def fdiv(a: int, b: int) -> int:
    """Return a / b rounded toward −∞, b > 0."""
    return a // b


def cdiv(a: int, b: int) -> int:
    """Return a / b rounded toward +∞, b > 0."""
    return -(-a // b)


def sqrt(x: int) -> int:
    """Return the integer square root, rounded down. Raises ValueError for x < 0."""
    return isqrt(x)


def ln_wad(x: int) -> int:
    """Return ln(x / 10¹⁸) · 10¹⁸, within 1.1 units. Raises ValueError unless 0 < x < 2²⁵⁵."""
    if not 0 < x <= MOST_INT:
        raise ValueError(f"ln_wad: expected 0 < x < 2^255, found {x}")
    k = x.bit_length() - 97
    x = x << (159 - k) >> 159  # now in [1, 2) · 2⁹⁶
    p = (x + 3273285459638523848632254066296) * x >> 96
    p = (p + 24828157081833163892658089445524) * x >> 96
    p = (p + 43456485725739037958740375743393) * x >> 96
    p = ((p - 11111509109440967052023855526967) * x >> 96) - 45023709667254063763336534515857
    p = (p * x >> 96) - 14706773417378608786704636184526
    p = p * x - (795164235651350426258249787498 << 96)
    q = ((x + 5573035233440673466300451813936) * x >> 96) + 71694874799317883764090561454958
    q = (q * x >> 96) + 283447036172924575727196451306956
    q = (q * x >> 96) + 401686690394027663651624208769553
    q = (q * x >> 96) + 204048457590392012362485061816622
    q = (q * x >> 96) + 31853899698501571402653359427138
    q = (q * x >> 96) + 909429971244387300277376558375
    r = p // q if p >= 0 else -(-p // q)
    return 1677202110996718588342820967067443963516166 * r + _LN2_192 * k + _LN_BASE >> 174


def exp_wad(x: int) -> int:
    """Return exp(x / 10¹⁸) · 10¹⁸ rounded down to within a unit; 0 below −41.4 · 10¹⁸.

    Raises OverflowError from 135.3 · 10¹⁸ on, where the contract reverts.
    """
    if x <= _EXP_ZERO:
        return 0
    if x >= _EXP_MOST:
        raise OverflowError(f"exp_wad: expected x < {_EXP_MOST}, found {x}")
    x <<= 78
    x = x // 3814697265625 if x >= 0 else -(-x // 3814697265625)  # 5¹⁸: from 10¹⁸ to 2⁹⁶
    k = x << 96
    k = k // _LN2_96 if k >= 0 else -(-k // _LN2_96)
    k = k + _HALF_96 >> 96
    x -= k * _LN2_96
    y = x + 1346386616545796478920950773328
    y = (y * x >> 96) + 57155421227552351082224309758442
    p = y + x - 94201549194550492254356042504812
    p = (p * y >> 96) + 28719021644029726153956944680412240
    p = p * x + (4385272521454847904659076985693276 << 96)
    q = x - 2855989394907223263936484059900
    q = (q * x >> 96) + 50020603652535783019961831881945
    q = (q * x >> 96) - 533845033583426703283633433725380
    q = (q * x >> 96) + 3604857256930695427073651918091429
    q = (q * x >> 96) - 14423608567350463180887372962807573
    q = (q * x >> 96) + 26449188498355588339934803723976023
    return (p // q) * 3822833074963236453042738258902158003155416615667 >> 195 - k  # p, q > 0 on the reduced range
