"""QuantLib's blackFormulaImpliedStdDevLiRS (Li and Radoičić) through its Python binding, one call per option."""

import math

import numpy as np
import QuantLib as ql

ACCURACY = 1e-10  # of the total vol: the sharpest at which every row converges; its default is 1e-6
MAX_ITERATIONS = 100


def implied_vol(price, forward, strike, years, is_call):
    columns = (price.tolist(), forward.tolist(), strike.tolist(), years.tolist(), is_call.tolist())
    solve, none = ql.blackFormulaImpliedStdDevLiRS, ql.nullDouble()
    call, put = ql.Option.Call, ql.Option.Put
    return np.array(
        [
            solve(call if c else put, k, f, p, 1.0, 0.0, none, 1.0, ACCURACY, MAX_ITERATIONS) / math.sqrt(t)
            for p, f, k, t, c in zip(*columns, strict=True)
        ]
    )
