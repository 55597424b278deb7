"""SSVI with the power-law φ: a whole surface from three numbers and the at-the-money total variances.

    w(k, θ) = θ/2 · (1 + ρ φ k + √((φ k + ρ)² + 1 − ρ²)),   φ(θ) = η θ^−γ (1 + θ)^(γ−1)

Gatheral and Jacquier, "Arbitrage-free SVI volatility surfaces" (2014), §4; eq. 4.5 for this φ. Coarser than a slice by
slice fit, but every surface the fit below returns is free of arbitrage by theorem, without a grid.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike

from engine.records import freeze
from engine.svi import RawSvi
from engine.svi_fit import _checked
from engine.types import Floats, Ints


@dataclass(frozen=True, slots=True)
class Ssvi:
    """An SSVI surface at N expiries."""

    rho: float  # −1..1, exclusive
    eta: float  # > 0
    gamma: float  # 0..1, exclusive
    theta: Floats  # (N,) > 0, at-the-money total variance

    def __post_init__(self) -> None:
        if not (abs(self.rho) < 1.0 and 0.0 < self.gamma < 1.0 and 0.0 < self.eta < np.inf):
            raise ValueError(f"Ssvi: expected |rho| < 1, 0 < gamma < 1 and eta > 0, found {self}")
        if not (np.isfinite(self.theta) & (self.theta > 0.0)).all():
            raise ValueError(f"Ssvi.theta: expected finite numbers > 0, found {self.theta}")
        freeze(self)


def phi(surface: Ssvi) -> Floats:
    """Return φ(θ) of every expiry, (N,)."""
    powers = surface.theta**-surface.gamma * (1.0 + surface.theta) ** (surface.gamma - 1.0)
    return np.asarray(surface.eta * powers)


def total_variance(surface: Ssvi, k: ArrayLike) -> Floats:
    """Return w of every expiry at k; k is broadcast against (N,): a scalar, (N,), or (Q, 1) for a table (Q, N)."""
    scaled = phi(surface) * np.asarray(k, np.float64)
    root = np.sqrt((scaled + surface.rho) ** 2 + 1.0 - surface.rho**2)
    return np.asarray(surface.theta / 2.0 * (1.0 + surface.rho * scaled + root))


def raw_slice(surface: Ssvi, expiry: int) -> RawSvi:
    """Return expiry number `expiry` as raw SVI, exactly (Gatheral and Jacquier, eq. 4.2 and 3.1)."""
    theta, slope, rho = float(surface.theta[expiry]), float(phi(surface)[expiry]), surface.rho
    flat = float(np.sqrt(1.0 - rho**2))
    return RawSvi(theta / 2.0 * flat**2, theta * slope / 2.0, rho, -rho / slope, flat / slope)


def free_of_butterflies(surface: Ssvi) -> bool:
    """Tell whether θφ(1 + |ρ|) < 4 and θφ²(1 + |ρ|) <= 4 at every expiry (Theorem 4.2; sufficient)."""
    steep = surface.theta * phi(surface) * (1.0 + abs(surface.rho))
    return bool((steep < 4.0).all() and (steep * phi(surface) <= 4.0).all())


def free_of_calendars(surface: Ssvi) -> bool:
    """Tell whether w grows with expiry at every k: θ does not fall (Theorem 4.1).

    The theorem's other condition, 0 <= ∂(θφ)/∂θ <= φ (1 + √(1 − ρ²))/ρ², holds for every power-law φ with 0 < γ < 1:
    its middle is φ (1 − γ)/(1 + θ), between 0 and φ, and the right-hand factor is never below 1.
    """
    return bool((np.diff(surface.theta) >= 0.0).all())


@dataclass(frozen=True, slots=True)
class SsviFit:
    """A fitted SSVI surface."""

    surface: Ssvi
    rmse: Floats  # (N,) of IV by expiry, decimal
    settled: bool  # the optimiser met its tolerance

    def __post_init__(self) -> None:
        freeze(self)


def fit(start: Ints, k: ArrayLike, iv: ArrayLike, years: Floats) -> SsviFit:
    """Return the SSVI surface nearest to the quotes in IV among those free of arbitrage by the two theorems.

    Quotes of expiry i are rows start[i] : start[i + 1]; years (N,) rising; k and iv as in svi_fit.fit_slice. The search
    is over γ <= ½ and η (1 + |ρ|) <= 2, which meets Theorem 4.2 at every θ, and over non-negative steps of θ.
    Raises ValueError for quotes svi_fit refuses, or years that do not rise.
    """
    # costs half a second, which whoever never fits an SSVI surface should not wait for at start-up
    from scipy.optimize import least_squares

    rows, at, vol, weight, maturity = _checked(start, k, iv, np.array(years, np.float64), None)
    if (np.diff(maturity) <= 0.0).any():
        raise ValueError(f"ssvi.fit: expected rising years, found {maturity}")
    expiry = np.repeat(np.arange(maturity.size), np.diff(rows))
    money = np.array([vol[s:e][np.argmin(abs(at[s:e]))] for s, e in pairwise(rows)])
    theta = np.maximum.accumulate(money**2 * maturity)
    scale = float(theta[-1])

    def surface(x: Floats) -> Ssvi:
        theta = scale * np.cumsum(x[3:]) + 1e-12 * scale
        return Ssvi(float(x[0]), float(2.0 * x[1] / (1.0 + abs(x[0]))), float(x[2]), theta)

    def model(x: Floats) -> Floats:
        trial = surface(x)
        tilt = phi(trial)[expiry] * at
        root = np.sqrt((tilt + trial.rho) ** 2 + 1.0 - trial.rho**2)
        return np.asarray(np.sqrt(trial.theta[expiry] / 2.0 * (1.0 + trial.rho * tilt + root) / maturity[expiry]))

    def residuals(x: Floats) -> Floats:
        return np.asarray(np.sqrt(weight) * (model(x) - vol))

    steps = np.diff(theta, prepend=0.0) / scale
    low = np.r_[-0.999, 1e-4, 0.01, np.zeros(theta.size)]
    high = np.r_[0.999, 1.0, 0.5, np.full(theta.size, np.inf)]
    first = np.clip(np.r_[-0.1, 0.5, 0.4, steps], low + 1e-6, high - 1e-6)
    found = least_squares(residuals, first, bounds=(low, high), x_scale="jac", max_nfev=400)
    square = np.bincount(expiry, weight * (model(found.x) - vol) ** 2)
    return SsviFit(surface(found.x), np.sqrt(square), bool(found.success))
