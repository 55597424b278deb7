"""Roundings by hand; ln, exp and the normal distribution against decimal and mpmath at 40 digits and more."""

import random
from decimal import Decimal, localcontext

import pytest
from mpmath import erfc, mp, mpf, npdf
from mpmath import sqrt as root

from keeper.twin.fixed import WAD, cdiv, exp_wad, fdiv, ln_wad, sdiv, sqrt
from keeper.twin.normal import FARTHEST, HART_END, normal

SEED = 20_260_704


@pytest.mark.parametrize(
    ("a", "b", "toward_zero", "down", "up"),
    [(7, 2, 3, 3, 4), (-7, 2, -3, -4, -3), (6, 2, 3, 3, 3), (-6, 2, -3, -3, -3), (0, 5, 0, 0, 0), (-1, 10, 0, -1, 0)],
)
def test_the_three_roundings(a, b, toward_zero, down, up):
    assert (sdiv(a, b), fdiv(a, b), cdiv(a, b)) == (toward_zero, down, up)


def test_division_by_a_negative_number_rounds_toward_zero_too():
    assert (sdiv(7, -2), sdiv(-7, -2)) == (-3, 3)


def test_sqrt_is_the_floor():
    assert [sqrt(x) for x in (0, 1, 3, 4, 8, 9, 10**36 - 1)] == [0, 1, 1, 2, 2, 3, WAD - 1]


def spread(count, most_bits):
    """Integers of every length up to `most_bits`, repeatable."""
    rng = random.Random(SEED)
    return [1 + rng.getrandbits(rng.randint(1, most_bits)) for _ in range(count)]


def test_ln_is_within_1_1_units_of_decimal_over_the_whole_domain():
    with localcontext() as context:
        context.prec = 60
        wad = Decimal(WAD)
        for x in [1, WAD, 2**255 - 1, *spread(3_000, 254)]:
            assert abs(ln_wad(x) - (Decimal(x) / wad).ln() * wad) < Decimal("1.1")


def test_ln_knows_its_landmarks():
    assert ln_wad(WAD) == 0
    assert ln_wad(1) == -41446531673892822313  # solady's own test vector
    assert ln_wad(2**255 - 1) == 135305999368893231589
    for x in (0, -1, 2**255):
        with pytest.raises(ValueError, match="ln_wad"):
            ln_wad(x)


def test_exp_is_within_one_unit_of_decimal_for_results_below_one():
    rng = random.Random(SEED)
    with localcontext() as context:
        context.prec = 60
        wad = Decimal(WAD)
        for _ in range(3_000):
            x = -rng.randrange(42 * WAD)
            exact = (Decimal(x) / wad).exp() * wad
            assert -1 < exp_wad(x) - exact <= Decimal("1e-12")
        for _ in range(1_000):
            x = rng.randrange(135 * WAD)
            exact = (Decimal(x) / wad).exp() * wad
            assert abs(exp_wad(x) - exact) < 1 + exact * Decimal("1e-18") * 3


def test_exp_knows_its_landmarks():
    assert exp_wad(0) == WAD
    assert exp_wad(-41446531673892822313) == 0
    assert exp_wad(-41446531673892822312) == 1
    assert exp_wad(WAD) == 2718281828459045235
    with pytest.raises(OverflowError, match="135305999368893231589"):
        exp_wad(135305999368893231589)


def test_normal_against_mpmath_on_both_branches_and_their_seams():
    seams = [FARTHEST, FARTHEST + 1, FARTHEST - 1, HART_END, HART_END - 1, HART_END + 1, 0, 1]
    rng = random.Random(SEED)
    with mp.workdps(40):
        for x in [s for z in seams for s in (z, -z)] + [rng.randrange(-10 * WAD, 10 * WAD) for _ in range(3_000)]:
            mass, density = normal(x)
            exact = erfc(-mpf(x) / WAD / root(2)) / 2
            assert abs(mass - exact * WAD) < 100
            assert abs(density - npdf(mpf(x) / WAD) * WAD) < 3


def test_normal_is_symmetric_and_rises():
    xs = [-FARTHEST - 1, *range(-FARTHEST, FARTHEST + 1, WAD // 50), FARTHEST + 1]
    masses = [normal(x)[0] for x in xs]
    assert masses[0] == 0
    assert masses[-1] == WAD
    assert masses == sorted(masses)
    assert all(normal(x)[0] + normal(-x)[0] == WAD and normal(x)[1] == normal(-x)[1] for x in xs if x)
