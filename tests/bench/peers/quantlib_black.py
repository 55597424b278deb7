"""QuantLib's BlackCalculator through its Python binding, one object per option."""

import numpy as np
import QuantLib as ql


def greeks(forward, strike, years, vol, is_call):
    """Return price, delta, gamma, vega, theta."""
    results = np.empty((5, len(forward)))
    rows = zip(forward.tolist(), strike.tolist(), years.tolist(), (vol * np.sqrt(years)).tolist(), is_call, strict=True)
    for i, (f, k, t, deviation, call) in enumerate(rows):
        payoff = ql.PlainVanillaPayoff(ql.Option.Call if call else ql.Option.Put, k)
        one = ql.BlackCalculator(payoff, f, deviation, 1.0)
        results[:, i] = one.value(), one.deltaForward(), one.gammaForward(), one.vega(t), one.theta(f, t)
    return tuple(results)
