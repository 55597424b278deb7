"""A Python loop over accounts on a grid of risk arrays that all of them share; numpy within the account."""

import numpy as np


def worst(start, instrument, quantity, arrays):
    """Return the least P&L of each account."""
    pnl = np.empty(start.size - 1)
    for a, (first, last) in enumerate(zip(start[:-1].tolist(), start[1:].tolist(), strict=True)):
        pnl[a] = (quantity[first:last] @ arrays[instrument[first:last]]).min()
    return pnl
