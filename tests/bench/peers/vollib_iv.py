"""py_vollib_vectorized 0.1.1: its compiled loop over Let's be rational, called without the public wrapper.

The wrapper, vectorized_implied_volatility_black, adds half as much again in Python loops over flags and warnings.
"""

import warnings

import numpy as np

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from py_vollib_vectorized._iv_models import implied_volatility_from_a_transformed_rational_guess


def implied_vol(price, forward, strike, years, sign):
    """Return implied vols of undiscounted prices as its list; `sign` is 1.0 of a call, −1.0 of a put."""
    return implied_volatility_from_a_transformed_rational_guess(price, forward, strike, years, sign)


def signs(is_call):
    return np.where(is_call, 1.0, -1.0)
