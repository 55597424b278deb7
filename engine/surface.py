"""A volatility surface: one arbitrage-free raw SVI slice per expiry, and total variance between them.

Between expiries total variance is linear in time at constant log-moneyness, which keeps it rising (Gatheral and
Jacquier (2014), Lemma 2.1 and §5.2). Outside them IV at constant log-moneyness stays that of the nearest expiry.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from engine.records import freeze, require_finite, require_length, require_slices
from engine.svi import RawSvi
from engine.svi_fit import _checked, _run
from engine.types import Codes, Floats, Ints


@dataclass(frozen=True, slots=True)
class SmileQuotes:
    """Implied vols of N expiries, shortest first: expiry i has rows start[i] : start[i + 1] of the Q quotes."""

    years: Floats  # (N,) rising, > 0
    forward: Floats  # (N,) USD, > 0
    start: Ints  # (N + 1,)
    k: Floats  # (Q,) ln(strike / forward of the expiry or of the quote itself)
    iv: Floats  # (Q,) annualised, decimal, > 0
    weight: Floats  # (Q,) >= 0; scaled at birth to sum 1 in each expiry

    def __post_init__(self) -> None:
        require_length(self, self.years.size, "years", "forward")
        require_length(self, self.years.size + 1, "start")
        require_length(self, self.k.size, "k", "iv", "weight")
        require_slices(self, "start", self.k.size)
        _require_expiries(self.years, self.forward, "SmileQuotes")
        share = _checked(self.start, self.k, self.iv, self.years, self.weight)[3]
        object.__setattr__(self, "weight", share)
        freeze(self)


@dataclass(frozen=True, slots=True)
class Surface:
    """Raw SVI parameters of N expiries, (N,) each, shortest first."""

    years: Floats  # rising, > 0
    forward: Floats  # USD, > 0
    a: Floats  # total variance
    b: Floats
    rho: Floats
    m: Floats  # log-moneyness
    sigma: Floats  # log-moneyness

    def __post_init__(self) -> None:
        names = ("years", "forward", "a", "b", "rho", "m", "sigma")
        require_length(self, self.years.size, *names)
        require_finite(self, *names)
        _require_expiries(self.years, self.forward, "Surface")
        freeze(self)

    def smile(self, expiry: int) -> RawSvi:
        """Return expiry number `expiry`."""
        columns = (self.a, self.b, self.rho, self.m, self.sigma)
        return RawSvi(*(float(column[expiry]) for column in columns))


@dataclass(frozen=True, slots=True)
class SurfaceFit:
    """A fitted surface and how each expiry came about; status and binding are codes of svi_solver."""

    surface: Surface
    rmse: Floats  # (N,) of IV, decimal, weighted as the fit was
    residual: Floats  # (Q,) model IV − quoted IV, decimal
    status: Codes  # (N,)
    binding: Codes  # (N,) bits; CALENDAR against the shorter neighbour
    iterations: Ints  # (N,)

    def __post_init__(self) -> None:
        freeze(self)


def fit_surface(quotes: SmileQuotes, start: Surface | None = None) -> SurfaceFit:
    """Return the surface nearest to the quotes among those free of butterfly and calendar arbitrage.

    Expiries are fitted each alone, then jointly where neighbours would cross: the wings of a short expiry are told by
    few quotes, and fitted in order they would lift every longer one. Every expiry counts alike whatever its number of
    quotes. `start`: the surface of the last tick; all slices start there jointly, each at the slice nearest in time,
    and anew without it where the quotes turn out to have moved away.
    """
    # copies are writable and contiguous as fit_slice passes them: other array types would compile every kernel again
    k, iv, weight, years = (np.array(column) for column in (quotes.k, quotes.iv, quotes.weight, quotes.years))
    begin = np.empty((0, 5))
    if start is not None:
        nearest = np.abs(quotes.years[:, None] - start.years).argmin(axis=1)
        begin = np.column_stack((start.a, start.b, start.rho, start.m, start.sigma))[nearest]
    raw, residual, rmse, status, binding, iterations = _run(
        (np.array(quotes.start), k, iv, weight, years), begin, np.empty(0)
    )
    parameters = (np.ascontiguousarray(column) for column in raw.T)
    surface = Surface(quotes.years, quotes.forward, *parameters)
    return SurfaceFit(surface, rmse, residual, status, binding, iterations)


def total_variance(surface: Surface, k: ArrayLike, years: ArrayLike) -> Floats:
    """Return w(k, years); k and years are broadcast against each other, years >= 0.

    Raises ValueError for k that is not finite or years that are not finite and >= 0.
    """
    at, time = np.broadcast_arrays(np.asarray(k, np.float64), np.asarray(years, np.float64))
    if not (np.isfinite(at).all() and np.isfinite(time).all() and (time >= 0.0).all()):
        raise ValueError(f"surface: expected finite k and finite years >= 0, found k {at} and years {time}")
    after = np.clip(np.searchsorted(surface.years, time), 0, surface.years.size - 1)
    before = np.maximum(after - 1, 0)
    outside = (time <= surface.years[0]) | (time >= surface.years[-1])
    width = np.where(outside, 1.0, surface.years[after] - surface.years[before])
    share = np.where(outside, 0.0, (surface.years[after] - time) / width)
    above = _at(surface, after, at)
    flat = time / surface.years[after]
    return np.asarray(np.where(outside, above * flat, share * _at(surface, before, at) + (1.0 - share) * above))


def vol(surface: Surface, k: ArrayLike, years: ArrayLike) -> Floats:
    """Return the implied vol at (k, years), annualised, decimal; shapes as in total_variance, years > 0."""
    time = np.asarray(years, np.float64)
    if not (time > 0.0).all():
        raise ValueError(f"surface: expected years > 0, found {time}")
    return np.asarray(np.sqrt(total_variance(surface, k, time) / time))


def _at(surface: Surface, expiry: Ints, k: Floats) -> Floats:
    x = k - surface.m[expiry]
    return np.asarray(
        surface.a[expiry] + surface.b[expiry] * (surface.rho[expiry] * x + np.hypot(x, surface.sigma[expiry]))
    )


def _require_expiries(years: Floats, forward: Floats, what: str) -> None:
    if not ((years > 0.0).all() and np.isfinite(years).all() and (np.diff(years) > 0.0).all() and years.size):
        raise ValueError(f"{what}.years: expected rising numbers > 0, found {years}")
    if not (np.isfinite(forward) & (forward > 0.0)).all():
        raise ValueError(f"{what}.forward: expected finite numbers > 0, found {forward}")
