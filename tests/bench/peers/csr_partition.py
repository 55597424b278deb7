"""scipy.sparse and numpy: P&L of every account in every scenario by CSR, the tail of each row by np.partition."""

import numpy as np


def tail_risk(positions, arrays, probability):
    """Return VaR and ES of each account of a CSR book of accounts × instruments."""
    pnl = positions @ arrays
    n = round(arrays.shape[1] * (1.0 - probability), 9)
    whole = int(n)
    tail = np.partition(pnl, whole, axis=1)[:, : whole + 1]
    var = -tail[:, whole]
    return var, ((n - whole) * var - tail[:, :whole].sum(axis=1)) / n
