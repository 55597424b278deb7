"""numpy and scipy.special.ndtr: Black-76 as one vector expression per result, shared terms computed once."""

import numpy as np
from scipy.special import ndtr

INVERSE_SQRT_TAU = 1.0 / np.sqrt(2.0 * np.pi)


def greeks(forward, strike, years, vol, is_call):
    """Return price, delta, gamma, vega, theta."""
    root = np.sqrt(years)
    v = vol * root
    d1 = np.log(forward / strike) / v + 0.5 * v
    sign = np.where(is_call, 1.0, -1.0)
    reached = ndtr(sign * d1)
    density = INVERSE_SQRT_TAU * np.exp(-0.5 * d1 * d1)
    price = sign * (forward * reached - strike * ndtr(sign * (d1 - v)))
    vega = forward * density * root
    return price, sign * reached, density / (forward * v), vega, -0.5 * vega * vol / years
