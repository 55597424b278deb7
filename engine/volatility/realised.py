"""Realised volatility of a price observed at irregular times."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

SECONDS_PER_YEAR = 365 * 86_400  # ACT/365


def realised(times: ArrayLike, prices: ArrayLike, half_life_seconds: float) -> float:
    """Return the exponentially weighted realised volatility as an annualised decimal (0.8 is 80 % a year), >= 0.

    With observations (t_0, p_0) … (t_n, p_n), times in seconds and strictly increasing, prices > 0 in any unit:

        sigma^2 = sum_i w_i ln(p_i / p_{i-1})^2 / sum_i w_i (t_i - t_{i-1})      i = 1 … n, time in years ACT/365
        w_i     = 2^(-(t_n - t_i) / half_life)

    Returns are taken around zero, not around their mean, whose estimate over a short window is mostly noise.
    Dividing by elapsed time rather than by a count lets a feed that updates on deviation and on a heartbeat,
    hence irregularly, be measured without resampling. For equal spacing and an infinite half-life this is the
    usual root mean squared log return, annualised. An infinite half-life weighs all observations alike.

    Raises ValueError for fewer than two observations, unequal lengths, times that are not strictly increasing,
    prices that are not positive and finite, or a half-life that is not positive.
    """
    t = np.asarray(times, dtype=np.float64)
    p = np.asarray(prices, dtype=np.float64)
    _check(t, p, half_life_seconds)
    weights = np.exp2((t[1:] - t[-1]) / half_life_seconds)
    returns = np.diff(np.log(p))
    elapsed_years = np.diff(t) / SECONDS_PER_YEAR
    return float(np.sqrt((weights @ returns**2) / (weights @ elapsed_years)))


def _check(times: NDArray[np.float64], prices: NDArray[np.float64], half_life_seconds: float) -> None:
    if times.ndim != 1 or times.shape != prices.shape or times.size < 2:
        raise ValueError(
            f"expected at least 2 observations as two equally long lists, found shapes {times.shape}, {prices.shape}"
        )
    if not (np.isfinite(times).all() and (np.diff(times) > 0).all()):
        raise ValueError("expected strictly increasing times in seconds; drop repeated observations first")
    if not (np.isfinite(prices).all() and (prices > 0).all()):
        raise ValueError(f"expected positive, finite prices, found a lowest of {prices.min()}")
    if not half_life_seconds > 0:
        raise ValueError(f"half_life_seconds: expected > 0, found {half_life_seconds}")
