"""The standard normal distribution in wad: distribution and density from one exponential.

Hart's rational function (Hart et al. 1968, no. 5666) up to 5 √2, then a continued fraction; both tails are 0 beyond
nine standard deviations. docs/risk-arrays.md, Normal distribution.
"""

from typing import Final

from keeper.twin.fixed import WAD, exp_wad

FARTHEST: Final = 9 * WAD
ROOT_TWO_PI: Final = 2506628274631000502
HART_END: Final = 7071067811865475244


def normal(x: int) -> tuple[int, int]:
    """Return N(x) and φ(x), wad, for x in wad of either sign."""
    z = x if x >= 0 else -x
    if z > FARTHEST:
        return (WAD if x > 0 else 0), 0
    e = exp_wad(-(z * z // WAD // 2))
    density = e * WAD // ROOT_TWO_PI
    tail = _hart(e, z) if z < HART_END else _continued_fraction(density, z)
    return (WAD - tail if x > 0 else tail), density


def _hart(e: int, z: int) -> int:
    """Return e · P(z) / Q(z); written out, since half of all time spent on arrays is spent here."""
    p = 35262496599891100 * z // WAD + 700383064443688000
    p = p * z // WAD + 6373962203531650000
    p = p * z // WAD + 33912866078383000000
    p = p * z // WAD + 112079291497871000000
    p = p * z // WAD + 221213596169931000000
    p = p * z // WAD + 220206867912376000000
    q = 88388347648318400 * z // WAD + 1755667163182640000
    q = q * z // WAD + 16064177579207000000
    q = q * z // WAD + 86780732202946100000
    q = q * z // WAD + 296564248779674000000
    q = q * z // WAD + 637333633378831000000
    q = q * z // WAD + 793826512519948000000
    q = q * z // WAD + 440413735824752000000
    return e * p // q


def _continued_fraction(density: int, z: int) -> int:
    c = z + 650000000000000000
    for n in (4, 3, 2, 1):
        c = z + n * WAD * WAD // c
    return density * WAD // c
