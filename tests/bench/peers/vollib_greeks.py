"""py_vollib_vectorized 0.1.1: vectorized_black and get_all_greeks, whose Black-76 Greeks are finite differences.

Its single Greeks refuse the model "black", so rho is computed with the four that are asked for.
"""

import warnings

import numpy as np

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it compiles with options this numba calls deprecated
    from py_vollib_vectorized import get_all_greeks, vectorized_black


def greeks(forward, strike, years, vol, is_call):
    """Return price, delta, gamma, vega per 1.00 of vol, theta per year."""
    flag = np.where(is_call, "c", "p")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        price = vectorized_black(flag, forward, strike, years, 0.0, vol, return_as="numpy")
        found = get_all_greeks(flag, forward, strike, years, 0.0, vol, model="black", return_as="dict")
    delta, gamma, vega, theta = (np.asarray(found[name]) for name in ("delta", "gamma", "vega", "theta"))
    return price, delta, gamma, 100.0 * vega, 365.0 * theta
