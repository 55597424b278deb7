"""Repair of a slice with butterfly arbitrage: Gatheral and Jacquier (2014), §5.1.

Level v, skew ψ and left wing p are what the market quotes best and are kept; the right wing c and the least variance
v_min give way. With c' = p + 2ψ and v_min' = v · 4 p c' / (p + c')² the smile is a slice of an SSVI surface, free of
arbitrage under its conditions; between that and the original lies the nearest smile that is free.
"""

import math
from dataclasses import dataclass

import numpy as np

from engine.svi import JumpWings, RawSvi, from_jump_wings, to_jump_wings, total_variance
from engine.svi_arbitrage import is_free
from engine.types import Floats

_STRIKES = np.linspace(-4.0, 4.0, 81)
"""Where smiles are compared, in at-the-money standard deviations."""
_BISECTIONS = 40


@dataclass(frozen=True, slots=True)
class Repair:
    """`anchor` is the closed-form repair, `nearest` the free smile nearest to the original in option prices."""

    anchor: RawSvi
    nearest: RawSvi
    distance: float  # root mean square of option price changes, in units of the forward


def repair(smile: RawSvi, years: float) -> Repair:
    """Return the repairs of `smile`; one that is free of butterfly arbitrage is returned unchanged with distance 0.

    Raises ValueError where the kept left wing is itself too steep: √(v years) · max(p, c') >= 2 or
    (p + c') · max(p, c') > 2.
    """
    # costs half a second, which whoever never repairs a smile should not wait for at start-up
    from scipy.optimize import minimize_scalar

    wings = to_jump_wings(smile, years)
    c = wings.p + 2.0 * wings.psi
    anchor_wings = JumpWings(wings.v, wings.psi, wings.p, c, wings.v * 4.0 * wings.p * c / (wings.p + c) ** 2)
    # not by way of jump wings, which do not tell sigma where skew is 0
    anchor = _ssvi_anchor(anchor_wings, years)
    if is_free(smile):
        return Repair(anchor, smile, 0.0)
    if not is_free(anchor):
        raise ValueError(f"repair: expected a left wing that leaves room for a free smile, found {wings}")

    def at(share: float) -> RawSvi | None:
        return _least_change(wings, anchor_wings, share, years)

    def distance(share: float) -> float:
        found = at(share)
        return np.inf if found is None else _distance(smile, found)

    shares = np.linspace(0.0, 1.0, 33).tolist()
    best = min(shares, key=distance)
    around = (max(best - 1.0 / 32.0, 0.0), min(best + 1.0 / 32.0, 1.0))
    refined = float(minimize_scalar(distance, bounds=around, method="bounded").x)
    share = min((best, refined), key=distance)
    nearest = at(share)
    if nearest is None or _distance(smile, anchor) < distance(share):
        nearest = anchor
    return Repair(anchor, nearest, _distance(smile, nearest))


def _ssvi_anchor(wings: JumpWings, years: float) -> RawSvi:
    """Return the SSVI slice with θ = v · years, ρ = 2ψ/(p + c') and θφ = √θ (p + c')."""
    theta = wings.v * years
    rho = 2.0 * wings.psi / (wings.p + wings.c)
    phi = (wings.p + wings.c) / math.sqrt(theta)
    flat = math.sqrt(1.0 - rho**2)
    return RawSvi(theta / 2.0 * flat**2, theta * phi / 2.0, rho, -rho / phi, flat / phi)


def _least_change(wings: JumpWings, anchor: JumpWings, share: float, years: float) -> RawSvi | None:
    """Return the free smile whose v_min lies at `share` of the way to the anchor and whose c has moved least."""
    v_min = wings.v_min + share * (anchor.v_min - wings.v_min)

    def moved(by: float) -> RawSvi | None:
        c = wings.c + by * (anchor.c - wings.c)
        try:
            found = from_jump_wings(JumpWings(wings.v, wings.psi, wings.p, c, v_min), years)
        except ValueError:
            return None
        return found if is_free(found) else None

    low, high = 0.0, 1.0
    best = moved(high) or moved(1.0 - 1e-9)
    if best is None:
        return None
    for _ in range(_BISECTIONS):
        middle = 0.5 * (low + high)
        found = moved(middle)
        if found is None:
            low = middle
        else:
            best, high = found, middle
    return best


def _distance(left: RawSvi, right: RawSvi) -> float:
    k = _STRIKES * float(np.sqrt(total_variance(left, 0.0)))
    return float(np.sqrt(np.mean((_price(left, k) - _price(right, k)) ** 2)))


def _price(smile: RawSvi, k: Floats) -> Floats:
    """Out-of-the-money Black prices per unit of forward."""
    # as slow to import
    from scipy.special import ndtr

    root = np.sqrt(total_variance(smile, k))
    d1 = -k / root + root / 2.0
    sign = np.where(k < 0.0, -1.0, 1.0)
    return np.asarray(sign * (ndtr(sign * d1) - np.exp(k) * ndtr(sign * (d1 - root))))
