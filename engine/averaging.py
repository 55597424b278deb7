"""Options that settle on a time average of the price: value before the averaging window and inside it.

Settlement is the average of the price over the last Δ = 30 minutes. With τ seconds to expiry, a share w of the window
already fixed at average A, and F the forward, the option is Black-76 on what is not fixed:

    forward (1 − w) F,  strike K − w A,  variance time  τ − 2Δ/3 before the window,  τ/3 inside it

by homogeneity 1 − w options of strike (K − w A) / (1 − w). Where that strike is <= 0 the call is the forward less the
strike and the put 0. The variance is that of the average of a Brownian motion over [0, Δ], Δ/3, on top of the time to
the window; the average of prices is taken as lognormal about its exact mean. Its true variance is larger by a share
σ²Δ/12 and its third cumulant by 0.07 σ⁴Δ², which together move a price by less than 0.01 σ²Δ of the unfixed forward
(1.3e-6 of it at a volatility of 150 %).
Source: Kemna and Vorst (1990), A pricing method for options based on average asset values.
"""

from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from engine import black76
from engine.records import floats
from engine.types import YEAR, Floats

WINDOW: Final = 1800.0
"""Δ, seconds."""


def variance_seconds(seconds: ArrayLike, window: float = WINDOW) -> Floats:
    """Return variance time of the settlement average, seconds, of the shape of `seconds` >= 0 to expiry.

    τ − 2Δ/3 from a window before expiry on, τ/3 within it; at τ = Δ both are Δ/3. Raises ValueError below zero.
    """
    left = np.asarray(seconds, np.float64)
    if not ((left >= 0.0) & (left < np.inf)).all():
        raise ValueError(f"seconds: expected finite numbers >= 0, found {left.min()} to {left.max()}")
    return floats(np.where(left > window, left - 2.0 * window / 3.0, left / 3.0))


def price(
    forward: ArrayLike,
    strike: ArrayLike,
    seconds: ArrayLike,
    vol: ArrayLike,
    is_call: ArrayLike,
    fixed_share: ArrayLike = 0.0,
    fixed_average: ArrayLike = 0.0,
    window: float = WINDOW,
) -> Floats:
    """Return undiscounted prices in USD of the shape the arguments broadcast to, >= 0.

    forward: of the price, unscaled, USD; seconds to expiry, vol annualised; fixed_share 0..1 of the window fixed at
    fixed_average, USD. At fixed_share 1 it is the payoff on the fixed average. Limits and errors as black76.price;
    ValueError for a share outside 0..1.
    """
    share = np.asarray(fixed_share, np.float64)
    if not ((share >= 0.0) & (share <= 1.0)).all():
        raise ValueError(f"fixed_share: expected 0..1, found {share.min()} to {share.max()}")
    fixed = share * np.asarray(fixed_average, np.float64)
    years = variance_seconds(seconds, window) / YEAR
    return unfixed_price((1.0 - share) * np.asarray(forward, np.float64), strike, years, vol, is_call, fixed)


def unfixed_price(
    forward: ArrayLike, strike: ArrayLike, years: ArrayLike, vol: ArrayLike, is_call: ArrayLike, fixed: ArrayLike
) -> Floats:
    """Return undiscounted prices given the forward of the unfixed part, (1 − w) F, and the fixed part, w A, both USD.

    years: variance time. Other arguments and errors as `price`.
    """
    left = np.asarray(strike, np.float64) - np.asarray(fixed, np.float64)
    open_ = left > 0.0
    value = black76.price(forward, np.where(open_, left, 0.0), years, vol, is_call)
    sure = np.where(is_call, np.asarray(forward, np.float64) - left, 0.0)
    return floats(np.where(open_, value, sure))
