"""Raw SVI: total variance of one expiry as a hyperbola in log-moneyness, and its jump-wings parametrisation.

    w(k) = a + b (ρ (k − m) + √((k − m)² + σ²)),  k = ln(strike / forward),  w = IV² · years

Gatheral and Jacquier, "Arbitrage-free SVI volatility surfaces", Quantitative Finance 14 (2014): raw form in §3.1, jump
wings in §3.3, the density function g in §2.2.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from engine.types import Floats


@dataclass(frozen=True, slots=True)
class RawSvi:
    """One smile. Whether it is free of arbitrage is a question (engine.svi_arbitrage), not a condition of birth."""

    a: float  # total variance, may be negative
    b: float  # >= 0: half the sum of the wing slopes
    rho: float  # -1..1
    m: float  # log-moneyness of the vertex of the hyperbola
    sigma: float  # > 0, log-moneyness

    def __post_init__(self) -> None:
        # a sum is finite where its terms are
        if not math.isfinite(self.a + self.b + self.rho + self.m + self.sigma):
            raise ValueError(f"RawSvi: expected finite parameters, found {self}")
        if self.b < 0.0 or abs(self.rho) > 1.0 or self.sigma <= 0.0:
            raise ValueError(f"RawSvi: expected b >= 0, |rho| <= 1 and sigma > 0, found {self}")

    def least_variance(self) -> float:
        """Return the minimum of w over all k: a + b σ √(1 − ρ²). Below zero the slice is no smile at all."""
        return self.a + self.b * self.sigma * math.sqrt(1.0 - self.rho**2)

    def wing_slopes(self) -> tuple[float, float]:
        """Return −w'(−∞) and w'(+∞), both >= 0. Lee's moment formula bounds each by 2, strictly here."""
        return self.b * (1.0 - self.rho), self.b * (1.0 + self.rho)


@dataclass(frozen=True, slots=True)
class JumpWings:
    """The same smile in traders' terms; unlike raw parameters these depend little on the expiry."""

    v: float  # at-the-money variance, annualised
    psi: float  # at-the-money skew: d IV·√years / dk
    p: float  # slope of the left wing, >= 0, in units of √(at-the-money total variance)
    c: float  # slope of the right wing, >= 0
    v_min: float  # least variance, annualised


def total_variance(smile: RawSvi, k: ArrayLike) -> Floats:
    """Return w(k), of the shape of `k`."""
    x = np.asarray(k, np.float64) - smile.m
    return np.asarray(smile.a + smile.b * (smile.rho * x + np.hypot(x, smile.sigma)))


def derivatives(smile: RawSvi, k: ArrayLike) -> tuple[Floats, Floats]:
    """Return w'(k) and w''(k), each of the shape of `k`."""
    x = np.asarray(k, np.float64) - smile.m
    root = np.hypot(x, smile.sigma)
    return np.asarray(smile.b * (smile.rho + x / root)), np.asarray(smile.b * smile.sigma**2 / root**3)


def butterfly(smile: RawSvi, k: ArrayLike) -> Floats:
    """Return g(k), of the shape of `k`: the risk-neutral density divided by a positive factor.

    g = (1 − k w'/2w)² − (w'²/4)(1/w + 1/4) + w''/2. A butterfly spread costs less than nothing where g < 0; g = 0 is
    still free of arbitrage (Gatheral and Jacquier, Lemma 2.2). Only meaningful where w > 0.
    """
    at = np.asarray(k, np.float64)
    w = total_variance(smile, at)
    first, second = derivatives(smile, at)
    return np.asarray((1.0 - at * first / (2.0 * w)) ** 2 - first**2 / 4.0 * (1.0 / w + 0.25) + second / 2.0)


def to_jump_wings(smile: RawSvi, years: float) -> JumpWings:
    """Return the jump-wings parameters of `smile` expiring in `years` > 0 (Gatheral and Jacquier, eq. 3.5)."""
    w = float(total_variance(smile, 0.0))
    if years <= 0.0 or w <= 0.0:
        raise ValueError(f"to_jump_wings: expected years > 0 and w(0) > 0, found years {years} and w(0) {w}")
    root = math.sqrt(w)
    psi = smile.b / (2.0 * root) * (smile.rho - smile.m / math.hypot(smile.m, smile.sigma))
    left, right = smile.wing_slopes()
    return JumpWings(w / years, psi, left / root, right / root, smile.least_variance() / years)


def from_jump_wings(wings: JumpWings, years: float) -> RawSvi:
    """Return the raw slice with these jump wings (Gatheral and Jacquier, Lemma 3.2).

    Raises ValueError where no hyperbola has them: years, v or p + c not positive, or the at-the-money skew outside
    the wing slopes (−p, c)/2. A smile whose vertex and minimum both lie at the money (skew 0 with p = c) has no unique
    σ and is refused too.
    """
    if years <= 0.0 or wings.v <= 0.0 or wings.p < 0.0 or wings.c < 0.0 or wings.p + wings.c <= 0.0:
        raise ValueError(f"from_jump_wings: expected years, v and p + c > 0 with p, c >= 0, found {years}, {wings}")
    root = math.sqrt(wings.v * years)
    b = root / 2.0 * (wings.c + wings.p)
    rho = (wings.c - wings.p) / (wings.c + wings.p)
    beta = rho - 2.0 * wings.psi * root / b
    if abs(beta) >= 1.0:
        raise ValueError(f"from_jump_wings: expected -p < 2 psi < c, found {wings}")
    # w(0) - min w = b radius (1 - cos(angle)), radius = sqrt(m^2 + sigma^2); as 1 - cos it would cancel near the money
    depth = 2.0 * math.sin((math.acos(rho) - math.acos(beta)) / 2.0) ** 2
    radius = (wings.v - wings.v_min) * years / (b * depth) if depth > 0.0 else math.nan
    if not radius > 0.0:
        raise ValueError(f"from_jump_wings: expected v_min below v and a skew that places it, found {wings}")
    sigma = radius * math.sqrt(1.0 - beta**2)
    return RawSvi(wings.v_min * years - b * sigma * math.sqrt(1.0 - rho**2), b, rho, beta * radius, sigma)
