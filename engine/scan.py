"""Worst loss of every account over a grid of scenarios: sparse positions times dense risk arrays, minimum fused in.

A risk array is the P&L of one unit of an instrument in every scenario, USD, gain > 0; the layout of SPAN. An account
is a slice of positions; `worst` is linear in quantity, `worst_by_expiry` discounts each expiry by the sign of its
value, as PMRMLib_2 (v2-core) does. Accounts are computed one by one in the order of their positions, so that an
account's figures do not depend on which others stand beside it.
"""

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine import records
from engine.compiled import INTERPRETED, kernel
from engine.registers import (
    add,
    add_product,
    aligned,
    by_sign,
    fill,
    first_equal,
    lane,
    least,
    load,
    minimum,
    multiply,
    subtract,
)
from engine.types import Flags, Floats, Ints

LINEAR: Final = -1
"""The expiry of a group that has none: perpetuals and collateral. Neither discounted nor exposed to basis."""
LANES: Final = 32
"""Scenarios held in registers at a time; tables are padded to a multiple of it."""
ENDS: Final = 8
"""Columns before the scenarios: value under basis up, under basis down, at the mark, and padding to a cache line."""
UP: Final = 0
DOWN: Final = 1
MARK: Final = 2


def worst(start: Ints, instrument: Ints, quantity: Floats, arrays: Floats) -> tuple[Floats, Ints]:
    """Return the least P&L of each account over the scenarios, (A,), USD, and its scenario, the first on ties.

    Account a holds `quantity`, signed units, of the rows `instrument` of `arrays`, (I, S) USD per unit, in positions
    start[a]:start[a + 1]. An account without positions has P&L 0 and scenario -1.

    Raises ValueError on numbers that are not finite or slices that do not fit, IndexError on an unknown instrument.
    """
    require_positions(start, "start", instrument, quantity, arrays, "arrays")
    require_finite(arrays, "arrays")
    pnl, index = np.empty(start.size - 1), np.empty(start.size - 1, np.int64)
    _worst(integers(start), integers(instrument), numbers(quantity), _padded(arrays), pnl, index)
    return pnl, index


def profile(start: Ints, instrument: Ints, quantity: Floats, arrays: Floats) -> Floats:
    """Return the P&L of each account in each scenario, (A, S), USD. Arguments and errors as `worst`."""
    require_positions(start, "start", instrument, quantity, arrays, "arrays")
    require_finite(arrays, "arrays")
    pnl = np.empty((start.size - 1, arrays.shape[1]))
    _profile(integers(start), integers(instrument), numbers(quantity), numbers(arrays).reshape(arrays.shape), pnl)
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
        B    = Σ min(up - mark, down - mark, 0) · basis_scale
        P&L  = min(B, min_s Σ y_s)

    A linear group is not discounted, keeps its sign in skew scenarios and has no basis. The scenario is the first on
    ties, and S, meaning B, only where B is below all of them; -1 without positions (PMRMLib_2,
    getMarginAndMarkToMarket).

    Raises ValueError on numbers that are not finite or slices that do not fit, IndexError on an unknown row.
    """
    _require_groups(account_start, group_start, group_expiry, instrument, quantity, values, weight, skew)
    terms = _terms(group_expiry, discount_gain, discount_loss, basis_scale)
    pnl, basis = np.empty((2, account_start.size - 1))
    index = np.empty(account_start.size - 1, np.int64)
    _worst_by_expiry(
        integers(account_start),
        integers(group_start),
        integers(group_expiry),
        integers(instrument),
        numbers(quantity),
        _padded(values[:, : weight.size], values[:, weight.size :]),
        _padded(_weights(weight, skew)),
        terms,
        weight.size,
        pnl,
        index,
        basis,
    )
    return pnl, index, basis


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
    _require_groups(account_start, group_start, group_expiry, instrument, quantity, values, weight, skew)
    terms = _terms(group_expiry, discount_gain, discount_loss, basis_scale)
    pnl = np.empty((account_start.size - 1, weight.size))
    basis = np.empty(account_start.size - 1)
    _profile_by_expiry(
        integers(account_start),
        integers(group_start),
        integers(group_expiry),
        integers(instrument),
        numbers(quantity),
        _padded(values[:, : weight.size], values[:, weight.size :]),
        _weights(weight, skew),
        terms,
        pnl,
        basis,
    )
    return pnl, basis


def require_positions(
    start: Ints, what: str, instrument: Ints, quantity: Floats, arrays: NDArray[np.floating], name: str
) -> None:
    """Refuse quantities that are not finite, slices that do not fit them, and instruments `arrays` does not have."""
    if instrument.size != quantity.size:
        raise ValueError(f"quantity: expected {instrument.size} rows as instrument, found {quantity.size}")
    if arrays.ndim != 2 or arrays.shape[1] == 0:
        raise ValueError(f"{name}: expected instruments × scenarios, found shape {arrays.shape}")
    _require_slices(start, quantity.size, what)
    _require_rows(instrument, 0, arrays.shape[0], "instrument")
    require_finite(quantity, "quantity")


def require_finite(column: NDArray[np.floating], what: str) -> None:
    """Raise ValueError naming column and row where a column holds NaN or infinity."""
    if not np.isfinite(column).all():
        row = tuple(int(i) for i in np.argwhere(~np.isfinite(column))[0])
        raise ValueError(f"{what}: expected finite numbers, found {column[row]} in row {row[0]}")


def integers(rows: Ints) -> Ints:
    """Return a column of row numbers as kernels take it, contiguous and read-only: each kernel compiles once."""
    return records.column(rows.astype(np.int64, casting="same_kind", copy=False), rows.shape)


def numbers(values: NDArray[np.floating]) -> Floats:
    """Return numbers as kernels take them, flat; as `integers`."""
    return records.column(values.astype(np.float64, casting="same_kind", copy=False), values.shape)


def _require_groups(
    account_start: Ints,
    group_start: Ints,
    group_expiry: Ints,
    instrument: Ints,
    quantity: Floats,
    values: Floats,
    weight: Floats,
    skew: Flags,
) -> None:
    require_positions(group_start, "group_start", instrument, quantity, values, "values")
    if group_expiry.size != group_start.size - 1:
        raise ValueError(f"group_expiry: expected {group_start.size - 1} rows, found {group_expiry.size}")
    _require_slices(account_start, group_expiry.size, "account_start")
    if weight.size == 0 or skew.size != weight.size or values.shape[1] != weight.size + 3:
        found = f"{weight.size} weights, {skew.size} skews, {values.shape[1]} columns"
        raise ValueError(f"values: expected a column per weight and skew and three more, found {found}")
    require_finite(values, "values")
    require_finite(weight, "weight")


def _require_slices(start: Ints, count: int, what: str) -> None:
    if start.size == 0 or start[0] != 0 or start[-1] != count or (start[1:] < start[:-1]).any():
        found = f"{start[:4]}…{start[-1:]}"
        raise ValueError(f"{what}: expected non-decreasing slice starts from 0 to {count}, found {found}")


def _require_rows(rows: Ints, low: int, count: int, what: str) -> None:
    if rows.size and not (rows.min() >= low and rows.max() < count):
        row = int(np.flatnonzero((rows < low) | (rows >= count))[0])
        raise IndexError(f"{what}: expected rows {low}..{count - 1}, found {rows[row]} in row {row}")


def _terms(group_expiry: Ints, discount_gain: Floats, discount_loss: Floats, basis_scale: Floats) -> Floats:
    """Return gain, loss and basis of each expiry and, as the last row, which LINEAR indexes, those of no expiry."""
    expiries = discount_gain.size
    if not discount_loss.size == basis_scale.size == expiries:
        found = f"{expiries}, {discount_loss.size} and {basis_scale.size} rows"
        raise ValueError(f"discount_gain, discount_loss, basis_scale: expected one length, found {found}")
    _require_rows(group_expiry, LINEAR, expiries, "group_expiry")
    require_finite(discount_gain, "discount_gain")
    require_finite(discount_loss, "discount_loss")
    require_finite(basis_scale, "basis_scale")
    return np.concatenate((np.stack((discount_gain, discount_loss, basis_scale), axis=1), [[1.0, 1.0, 0.0]]))


def _weights(weight: Floats, skew: Flags) -> Floats:
    """Return (2, S): min(y · first, y · second) is the dampened y of an expiry, in skew scenarios -|y|."""
    return np.stack((weight, np.where(skew, -weight, weight)))


def _padded(scenarios: Floats, ends: Floats | None = None) -> Floats:
    """Return an aligned table: ENDS columns starting with `ends`, if any, then scenarios up to a multiple of LANES.

    The last scenario is repeated, so that neither the least of a row nor where it is found first changes.
    """
    rows, count = scenarios.shape
    front = 0 if ends is None else ENDS
    table = aligned(rows, front - count // -LANES * LANES)
    if ends is not None:
        table[:, :front] = 0.0
        table[:, : ends.shape[1]] = ends
    table[:, front : front + count] = scenarios
    table[:, front + count :] = scenarios[:, -1:]
    return table


def _profile_py(start: Ints, instrument: Ints, quantity: Floats, table: Floats, pnl: Floats) -> None:
    """Fill pnl, (A, S), from the first S columns of the table."""
    for a in range(start.size - 1):
        pnl[a] = 0.0
        for p in range(start[a], start[a + 1]):
            for s in range(pnl.shape[1]):
                pnl[a, s] += quantity[p] * table[instrument[p], s]


def _worst_py(start: Ints, instrument: Ints, quantity: Floats, table: Floats, pnl: Floats, index: Ints) -> None:
    """Plain twin of `_worst_registers`."""
    whole = np.empty((pnl.size, table.shape[1]))
    _profile_py(start, instrument, quantity, table, whole)
    for a in range(pnl.size):
        index[a] = whole[a].argmin() if start[a] < start[a + 1] else -1
        pnl[a] = whole[a].min()


def _worst_registers(start: Ints, instrument: Ints, quantity: Floats, table: Floats, pnl: Floats, index: Ints) -> None:
    """Fill pnl and index, (A,), one writer per row, LANES scenarios of an account at a time."""
    for a in range(start.size - 1):
        lowest, found = np.inf, -1
        for column in range(0, table.shape[1], LANES):
            total = fill(LANES, 0.0)
            for p in range(start[a], start[a + 1]):
                total = add_product(total, quantity[p], load(LANES, table, instrument[p], column))
            candidate = least(total)
            if candidate < lowest:
                lowest, found = candidate, column + first_equal(total, candidate)
        pnl[a] = lowest
        index[a] = found if start[a] < start[a + 1] else -1


def _profile_by_expiry_py(
    account_start: Ints,
    group_start: Ints,
    group_expiry: Ints,
    instrument: Ints,
    quantity: Floats,
    table: Floats,
    weights: Floats,
    terms: Floats,
    pnl: Floats,
    basis: Floats,
) -> None:
    """Fill pnl, (A, S), and basis, (A,), from the ENDS and the S columns behind them."""
    scenarios = pnl.shape[1]
    worth = np.empty(ENDS + scenarios)
    for a in range(account_start.size - 1):
        pnl[a] = 0.0
        basis[a] = 0.0
        for g in range(account_start[a], account_start[a + 1]):
            worth[:] = 0.0
            for p in range(group_start[g], group_start[g + 1]):
                for c in range(worth.size):
                    worth[c] += quantity[p] * table[instrument[p], c]
            mark = worth[MARK]
            gain, loss, scale = terms[group_expiry[g]]
            second = weights[0 if group_expiry[g] == LINEAR else 1]
            for s in range(scenarios):
                x = worth[ENDS + s]
                moved = x * (gain if x >= 0.0 else loss) - mark
                pnl[a, s] += min(moved * weights[0, s], moved * second[s])
            basis[a] += min(worth[UP] - mark, worth[DOWN] - mark, 0.0) * scale


def _worst_by_expiry_py(
    account_start: Ints,
    group_start: Ints,
    group_expiry: Ints,
    instrument: Ints,
    quantity: Floats,
    table: Floats,
    weights: Floats,
    terms: Floats,
    scenarios: int,
    pnl: Floats,
    index: Ints,
    basis: Floats,
) -> None:
    """Plain twin of `_worst_by_expiry_registers`."""
    whole = np.empty((pnl.size, scenarios))
    _profile_by_expiry_py(
        account_start, group_start, group_expiry, instrument, quantity, table, weights, terms, whole, basis
    )
    for a in range(pnl.size):
        held = group_start[account_start[a]] < group_start[account_start[a + 1]]
        pnl[a] = min(whole[a].min(), basis[a])
        index[a] = (scenarios if basis[a] < whole[a].min() else whole[a].argmin()) if held else -1


def _worst_by_expiry_registers(
    account_start: Ints,
    group_start: Ints,
    group_expiry: Ints,
    instrument: Ints,
    quantity: Floats,
    table: Floats,
    weights: Floats,
    terms: Floats,
    scenarios: int,
    pnl: Floats,
    index: Ints,
    basis: Floats,
) -> None:
    """Fill pnl, index and basis, (A,), one writer per row; what an account holds of an expiry never leaves registers.

    The ENDS are summed again with every LANES scenarios: up to 32 scenarios that is once.
    """
    for a in range(account_start.size - 1):
        lowest, found, shift = np.inf, -1, 0.0
        for column in range(0, weights.shape[1], LANES):
            total = fill(LANES, 0.0)
            first = load(LANES, weights, 0, column)
            shift = 0.0
            for g in range(account_start[a], account_start[a + 1]):
                worth = fill(LANES, 0.0)
                ends = fill(ENDS, 0.0)
                for p in range(group_start[g], group_start[g + 1]):
                    worth = add_product(worth, quantity[p], load(LANES, table, instrument[p], ENDS + column))
                    ends = add_product(ends, quantity[p], load(ENDS, table, instrument[p], 0))
                expiry = group_expiry[g]
                mark = lane(ends, MARK)
                second = load(LANES, weights, 0 if expiry == LINEAR else 1, column)
                discounted = multiply(worth, by_sign(worth, terms[expiry, 0], terms[expiry, 1]))
                moved = subtract(discounted, fill(LANES, mark))
                total = add(total, minimum(multiply(moved, first), multiply(moved, second)))
                shift += min(lane(ends, UP) - mark, lane(ends, DOWN) - mark, 0.0) * terms[expiry, 2]
            candidate = least(total)
            if candidate < lowest:
                lowest, found = candidate, column + first_equal(total, candidate)
        if shift < lowest:
            lowest, found = shift, scenarios
        held = group_start[account_start[a]] < group_start[account_start[a + 1]]
        pnl[a] = lowest
        index[a] = found if held else -1
        basis[a] = shift


_profile: Callable[..., None] = kernel(_profile_py)
_profile_by_expiry: Callable[..., None] = kernel(_profile_by_expiry_py)
_worst: Callable[..., None] = _worst_py if INTERPRETED else kernel(_worst_registers)
_worst_by_expiry: Callable[..., None] = _worst_by_expiry_py if INTERPRETED else kernel(_worst_by_expiry_registers)
