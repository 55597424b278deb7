"""Fit one raw SVI slice to implied vols so that it is free of arbitrage, against a shorter slice too if given.

Minimised is the mean square of model IV − quoted IV; how, see svi_solver.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from engine.compiled import kernel
from engine.svi import RawSvi
from engine.svi_arbitrage import _NODES, _is_free, _raw
from engine.svi_descent import Columns
from engine.svi_solver import _fit
from engine.types import Codes, Floats, Ints


@dataclass(frozen=True, slots=True)
class SliceFit:
    """A fitted smile and how it came about."""

    smile: RawSvi
    rmse: float  # of IV, decimal, weighted as the fit was
    residual: Floats  # (Q,) model IV − quoted IV, decimal
    status: int  # CONVERGED, UNSETTLED, REPAIRED, REDUCED of svi_solver
    binding: int  # sum of BUTTERFLY, LEFT_WING, RIGHT_WING, CALENDAR of svi_solver; 0 for none
    iterations: int

    def __post_init__(self) -> None:
        self.residual.flags.writeable = False


def fit_slice(
    k: ArrayLike,
    iv: ArrayLike,
    years: float,
    *,
    weight: ArrayLike | None = None,
    shorter: RawSvi | None = None,
    start: RawSvi | None = None,
) -> SliceFit:
    """Return the SVI slice nearest to the quotes among those free of arbitrage.

    k: (Q,) log-moneyness, any order; iv: (Q,) annualised, decimal, > 0; weight: (Q,) >= 0, only ratios count, equal
    when left out. `shorter`: the slice of the next shorter expiry, itself free of butterfly arbitrage; the result is
    nowhere below it, equality allowed. `start`: the slice of the last tick; the descent starts there, and anew without
    it where the quotes turn out to have moved away. Three or four quotes fit level and wings only (status REDUCED).

    Raises ValueError for quotes that are not finite, IV or years <= 0, fewer than three distinct k, or a `shorter`
    slice that is not free.
    """
    quotes = _checked(np.array([0, np.size(k)]), k, iv, np.array([years], np.float64), weight)
    floor = np.empty(0) if shorter is None else _raw(shorter)
    if shorter is not None and not _is_free(floor, np.empty(0), _NODES):
        raise ValueError(f"fit_slice: expected a shorter slice free of butterfly arbitrage, found {shorter}")
    begin = np.empty((0, 5)) if start is None else _raw(start)[None, :]
    raw, residual, rmse, status, binding, iterations = _run(quotes, begin, floor)
    smile = RawSvi(*raw[0].tolist())
    return SliceFit(smile, float(rmse[0]), residual, int(status[0]), int(binding[0]), int(iterations[0]))


def _checked(start: Ints, k: ArrayLike, iv: ArrayLike, years: Floats, weight: ArrayLike | None) -> Columns:
    """Return copies of the quotes, weights scaled to sum 1 in each slice; refuse what cannot be fitted."""
    at, vol = np.array(k, np.float64), np.array(iv, np.float64)
    share = np.ones(at.shape) if weight is None else np.array(weight, np.float64)
    if at.ndim != 1 or not at.shape == vol.shape == share.shape:
        found = f"{at.shape}, {vol.shape}, {share.shape}"
        raise ValueError(f"quotes: expected k, iv and weight of one length, found {found}")
    bounds = np.array(start, np.int64)
    column, row = _fault(bounds, at, vol, share, years)
    if column == _FEW:
        raise ValueError(f"quotes: expected three distinct k with weight > 0, found fewer in slice {row}")
    if column != _NONE:
        expected, values = (
            ("k: expected a finite number", at),
            ("iv: expected a finite number > 0", vol),
            ("weight: expected a finite number >= 0", share),
            ("years: expected a finite number > 0", years),
        )[column]
        raise ValueError(f"quotes.{expected}, found {values[row]} in row {row}")
    return bounds, at, vol, share, np.array(years)


_NONE, _FEW = -1, 4


def _three_py(k: Floats, weight: Floats) -> bool:
    """Tell whether some k with weight lies strictly between two others."""
    least, most = math.inf, -math.inf
    for j in range(k.size):
        if weight[j] > 0.0:
            least, most = min(least, k[j]), max(most, k[j])
    between = False
    for j in range(k.size):
        between = between or (weight[j] > 0.0 and least < k[j] < most)
    return between


_three: Callable[..., bool] = kernel(_three_py)


def _fault_py(start: Ints, k: Floats, iv: Floats, weight: Floats, years: Floats) -> tuple[int, int]:
    """Scale the weights of each slice to sum 1; return column and row of the first fault, or _NONE.

    Columns: 0 k, 1 iv, 2 weight, 3 years, _FEW distinct strikes.
    """
    for i in range(k.size):
        if not math.isfinite(k[i]):
            return 0, i
        if not 0.0 < iv[i] < math.inf:
            return 1, i
        if not 0.0 <= weight[i] < math.inf:
            return 2, i
    for i in range(years.size):
        if not 0.0 < years[i] < math.inf:
            return 3, i
        rows = slice(start[i], start[i + 1])
        if not _three(k[rows], weight[rows]):
            return _FEW, i
        total = 0.0
        for j in range(start[i], start[i + 1]):
            total += weight[j]
        for j in range(start[i], start[i + 1]):
            weight[j] /= total
    return _NONE, 0


_fault: Callable[..., tuple[int, int]] = kernel(_fault_py)


def _run(quotes: Columns, begin: Floats, floor: Floats) -> tuple[Floats, Floats, Floats, Codes, Codes, Ints]:
    """Return raw (N, 5), residual (Q,), rmse (N,), status (N,), binding (N,), iterations (N,)."""
    slices = quotes[4].size
    raw, residual, rmse = np.empty((slices, 5)), np.empty(quotes[1].size), np.empty(slices)
    status, binding = np.zeros(slices, np.int8), np.zeros(slices, np.int8)
    iterations = np.zeros(slices, np.int64)
    _fit(quotes, begin, floor, _NODES, raw, residual, rmse, status, binding, iterations)
    return raw, residual, rmse, status, binding, iterations
