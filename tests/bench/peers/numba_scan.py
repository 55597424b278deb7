"""Plain numba: the loops as one writes them, accumulators in an array."""

import numpy as np
from numba import njit


@njit(cache=True)
def worst(start, instrument, quantity, arrays):
    """Return the least P&L of each account and its scenario."""
    accounts, scenarios = start.size - 1, arrays.shape[1]
    pnl, index = np.empty(accounts), np.empty(accounts, np.int64)
    total = np.empty(scenarios)
    for a in range(accounts):
        total[:] = 0.0
        for p in range(start[a], start[a + 1]):
            for s in range(scenarios):
                total[s] += quantity[p] * arrays[instrument[p], s]
        index[a] = total.argmin()
        pnl[a] = total[index[a]]
    return pnl, index


@njit(cache=True)
def worst_by_expiry(
    account_start, group_start, group_expiry, instrument, quantity, values, weight, skew, gain, loss, basis_scale
):
    """Return least P&L, its scenario and the basis contingency of each account."""
    accounts, scenarios = account_start.size - 1, weight.size
    pnl, index, basis = np.empty(accounts), np.empty(accounts, np.int64), np.zeros(accounts)
    worth, total = np.empty(scenarios + 3), np.empty(scenarios)
    for a in range(accounts):
        total[:] = 0.0
        for g in range(account_start[a], account_start[a + 1]):
            worth[:] = 0.0
            for p in range(group_start[g], group_start[g + 1]):
                for s in range(scenarios + 3):
                    worth[s] += quantity[p] * values[instrument[p], s]
            expiry, mark = group_expiry[g], worth[scenarios + 2]
            for s in range(scenarios):
                if expiry < 0:
                    total[s] += (worth[s] - mark) * weight[s]
                else:
                    moved = (worth[s] * (gain[expiry] if worth[s] >= 0.0 else loss[expiry]) - mark) * weight[s]
                    total[s] += -abs(moved) if skew[s] else moved
            if expiry >= 0:
                basis[a] += min(worth[scenarios] - mark, worth[scenarios + 1] - mark, 0.0) * basis_scale[expiry]
        index[a] = total.argmin()
        pnl[a] = total[index[a]]
        if basis[a] < pnl[a]:
            index[a], pnl[a] = scenarios, basis[a]
    return pnl, index, basis
