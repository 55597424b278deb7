"""Worst loss of every account over a grid of scenarios: sparse positions times dense risk arrays, minimum fused in.

A risk array is the P&L of one unit of an instrument in every scenario, USD, gain > 0; the layout of SPAN. An account
is a slice of positions; `worst` is linear in quantity, `worst_by_expiry` discounts each expiry by the sign of its
value, as PMRMLib_2 (v2-core) does. Accounts are computed one by one in the order of their positions, so that an
account's figures do not depend on which others stand beside it.
"""

from collections.abc import Callable

import numpy as np

from engine.compiled import kernel
from engine.types import Flags, Floats, Ints

LINEAR = -1
"""The expiry of a group that has none: perpetuals and collateral. Neither discounted nor exposed to basis."""


def worst(start: Ints, instrument: Ints, quantity: Floats, arrays: Floats) -> tuple[Floats, Ints]:
    """Return the least P&L of each account over the scenarios, (A,), USD, and its scenario, the first on ties.

    Account a holds `quantity`, signed units, of the rows `instrument` of `arrays`, (I, S) USD per unit, in positions
    start[a]:start[a + 1]. An account without positions has P&L 0 and scenario -1.

    Raises ValueError on numbers that are not finite or slices that do not fit, IndexError on an unknown instrument.
    """
    _require_positions(start, "start", instrument, quantity)
    _require_rows(instrument, arrays.shape[0], "instrument")
    _require_finite(arrays, "arrays")
    accounts = start.size - 1
    pnl, index = np.empty(accounts), np.empty(accounts, np.int64)
    _worst(start, instrument, quantity, arrays, pnl, index)
    return pnl, index


def profile(start: Ints, instrument: Ints, quantity: Floats, arrays: Floats) -> Floats:
    """Return the P&L of each account in each scenario, (A, S), USD. Arguments and errors as `worst`."""
    _require_positions(start, "start", instrument, quantity)
    _require_rows(instrument, arrays.shape[0], "instrument")
    _require_finite(arrays, "arrays")
    pnl = np.zeros((start.size - 1, arrays.shape[1]))
    _profile(start, instrument, quantity, arrays, pnl)
    return pnl


def worst_by_expiry(
    account_start: Ints,
    group_start: Ints,
    group_expiry: Ints,
    instrument: Ints,
    quantity: Floats,
    values: Floats,
    weight: Floats,
    skew: Flags,
    discount_gain: Floats,
    discount_loss: Floats,
    basis_scale: Floats,
) -> tuple[Floats, Ints, Floats]:
    """Return least P&L, its scenario and the basis contingency of each account, (A,), USD.

    `account_start`, (A + 1,), slices groups and `group_start`, (G + 1,), positions; a group is what an account holds
    of one expiry, `group_expiry` its row in the last three columns, or LINEAR. `values`, (I, S + 3), USD per unit:
    the instrument in each scenario, under basis up, under basis down, and at the mark. `weight`, (S,), dampens a
    scenario and `skew`, (S,), marks those in which every expiry is taken to move against the account:

        y_s  = (disc(x_s) - mark) · weight_s, in skew scenarios -|y_s|;  disc(x) = x · (gain if x >= 0 else loss)
        B    = Σ min(up - mark, down - mark, 0) · basis_scale <= 0
        P&L  = min(B, min_s Σ y_s)

    A linear group is not discounted, keeps its sign in skew scenarios and has no basis. The scenario is the first on
    ties, and S, meaning B, only where B is below all of them; -1 without groups (PMRMLib_2, getMarginAndMarkToMarket).

    Raises ValueError on numbers that are not finite or slices that do not fit, IndexError on an unknown row.
    """
    discounts = np.stack((discount_gain, discount_loss, basis_scale))
    _require_groups(account_start, group_start, group_expiry, instrument, quantity, values, weight, skew, discounts)
    accounts = account_start.size - 1
    pnl = np.empty((accounts, weight.size))
    basis = np.empty(accounts)
    _profile_by_expiry(
        account_start, group_start, group_expiry, instrument, quantity, values, weight, skew, discounts, pnl, basis
    )
    index = pnl.argmin(axis=1)
    least = pnl[np.arange(accounts), index]
    index[basis < least] = weight.size
    index[np.diff(account_start) == 0] = -1
    return np.minimum(least, basis), index, basis


def profile_by_expiry(
    account_start: Ints,
    group_start: Ints,
    group_expiry: Ints,
    instrument: Ints,
    quantity: Floats,
    values: Floats,
    weight: Floats,
    skew: Flags,
    discount_gain: Floats,
    discount_loss: Floats,
    basis_scale: Floats,
) -> tuple[Floats, Floats]:
    """Return the P&L of each account in each scenario, (A, S), and its basis contingency, (A,), USD.

    Arguments and errors as `worst_by_expiry`.
    """
    discounts = np.stack((discount_gain, discount_loss, basis_scale))
    _require_groups(account_start, group_start, group_expiry, instrument, quantity, values, weight, skew, discounts)
    accounts = account_start.size - 1
    pnl = np.empty((accounts, weight.size))
    basis = np.empty(accounts)
    _profile_by_expiry(
        account_start, group_start, group_expiry, instrument, quantity, values, weight, skew, discounts, pnl, basis
    )
    return pnl, basis


def _require_groups(
    account_start: Ints,
    group_start: Ints,
    group_expiry: Ints,
    instrument: Ints,
    quantity: Floats,
    values: Floats,
    weight: Floats,
    skew: Flags,
    discounts: Floats,
) -> None:
    _require_positions(group_start, "group_start", instrument, quantity)
    _require_rows(instrument, values.shape[0], "instrument")
    if group_expiry.size != group_start.size - 1:
        raise ValueError(f"group_expiry: expected {group_start.size - 1} rows, found {group_expiry.size}")
    _require_slices(account_start, group_expiry.size, "account_start")
    _require_rows(group_expiry, discounts.shape[1], "group_expiry", least=LINEAR)
    if weight.size == 0 or skew.size != weight.size or values.shape[1] != weight.size + 3:
        found = f"{weight.size} weights, {skew.size} skews, {values.shape[1]} columns"
        raise ValueError(f"values: expected a column per weight and skew and three more, found {found}")
    _require_finite(values, "values")
    _require_finite(weight, "weight")
    _require_finite(discounts, "discounts")


def _require_positions(start: Ints, what: str, instrument: Ints, quantity: Floats) -> None:
    if instrument.size != quantity.size:
        raise ValueError(f"quantity: expected {instrument.size} rows as instrument, found {quantity.size}")
    _require_slices(start, quantity.size, what)
    _require_finite(quantity, "quantity")


def _require_slices(start: Ints, count: int, what: str) -> None:
    if start.size == 0 or start[0] != 0 or start[-1] != count or (np.diff(start) < 0).any():
        found = f"{start[:4]}…{start[-1:]}"
        raise ValueError(f"{what}: expected non-decreasing slice starts from 0 to {count}, found {found}")


def _require_rows(rows: Ints, count: int, what: str, least: int = 0) -> None:
    if rows.size and not (rows.min() >= least and rows.max() < count):
        row = int(np.flatnonzero((rows < least) | (rows >= count))[0])
        raise IndexError(f"{what}: expected rows {least}..{count - 1}, found {rows[row]} in row {row}")


def _require_finite(column: Floats, what: str) -> None:
    if not np.isfinite(column).all():
        row = tuple(np.argwhere(~np.isfinite(column))[0].tolist())
        raise ValueError(f"{what}: expected finite numbers, found {column[row]} in row {row[0]}")


def _profile_py(start: Ints, instrument: Ints, quantity: Floats, arrays: Floats, pnl: Floats) -> None:
    for a in range(start.size - 1):
        for p in range(start[a], start[a + 1]):
            for s in range(arrays.shape[1]):
                pnl[a, s] += quantity[p] * arrays[instrument[p], s]


def _worst_py(start: Ints, instrument: Ints, quantity: Floats, arrays: Floats, pnl: Floats, index: Ints) -> None:
    scenarios = arrays.shape[1]
    total = np.empty(scenarios)
    for a in range(start.size - 1):
        total[:] = 0.0
        for p in range(start[a], start[a + 1]):
            row = arrays[instrument[p]]
            for s in range(scenarios):
                total[s] += quantity[p] * row[s]
        worst = 0
        for s in range(1, scenarios):
            if total[s] < total[worst]:
                worst = s
        empty = start[a] == start[a + 1]
        pnl[a] = 0.0 if empty else total[worst]
        index[a] = -1 if empty else worst


def _profile_by_expiry_py(
    account_start: Ints,
    group_start: Ints,
    group_expiry: Ints,
    instrument: Ints,
    quantity: Floats,
    values: Floats,
    weight: Floats,
    skew: Flags,
    discounts: Floats,
    pnl: Floats,
    basis: Floats,
) -> None:
    scenarios = weight.size
    worth = np.empty(scenarios + 3)
    for a in range(account_start.size - 1):
        pnl[a] = 0.0
        basis[a] = 0.0
        for g in range(account_start[a], account_start[a + 1]):
            worth[:] = 0.0
            for p in range(group_start[g], group_start[g + 1]):
                row = values[instrument[p]]
                for s in range(scenarios + 3):
                    worth[s] += quantity[p] * row[s]
            expiry = group_expiry[g]
            mark = worth[scenarios + 2]
            for s in range(scenarios):
                if expiry < 0:
                    pnl[a, s] += (worth[s] - mark) * weight[s]
                    continue
                kept = discounts[0, expiry] if worth[s] >= 0.0 else discounts[1, expiry]
                moved = (worth[s] * kept - mark) * weight[s]
                pnl[a, s] += -abs(moved) if skew[s] else moved
            if expiry >= 0:
                shift = min(worth[scenarios] - mark, worth[scenarios + 1] - mark, 0.0)
                basis[a] += shift * discounts[2, expiry]


_profile: Callable[..., None] = kernel(_profile_py)
_worst: Callable[..., None] = kernel(_worst_py)
_profile_by_expiry: Callable[..., None] = kernel(_profile_by_expiry_py)
