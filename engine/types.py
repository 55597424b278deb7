"""Frozen columnar records: what the engine takes and what it returns. Arrays are read-only, checked at birth."""

from dataclasses import dataclass, fields
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Codes = NDArray[np.int8]
Flags = NDArray[np.bool_]

HEALTHY: Final = 0
ENDANGERED: Final = 1
UNKNOWN: Final = 2


def _freeze(record: object) -> None:
    for field in fields(record):  # type: ignore[arg-type]
        column = getattr(record, field.name)
        if isinstance(column, np.ndarray):
            column.flags.writeable = False


def _require_finite(record: object, names: tuple[str, ...]) -> None:
    for name in names:
        column = getattr(record, name)
        if not np.isfinite(column).all():
            row = int(np.flatnonzero(~np.isfinite(column))[0])
            what = f"{type(record).__name__}.{name}"
            raise ValueError(f"{what}: expected finite numbers, found {column[row]} in row {row}")


def _require_slices(starts: Ints, count: int, what: str) -> None:
    if starts.size == 0 or starts[0] != 0 or starts[-1] != count or (np.diff(starts) < 0).any():
        found = f"{starts[:4]}…{starts[-1:]}"
        raise ValueError(f"{what}: expected non-decreasing slice starts from 0 to {count}, found {found}")


@dataclass(frozen=True, slots=True)
class PerpBook:
    """Every account of a perpetuals venue as columns: A accounts, P positions, C collateral balances.

    Positions of account a are rows position_start[a] : position_start[a + 1], balances likewise.
    """

    cash: Floats  # (A,) USD, signed: settlement balance + realised PnL + fees - pending funding
    position_start: Ints  # (A + 1,)
    market: Ints  # (P,) row of the market
    size: Floats  # (P,) base units of the market, long > 0
    open_notional: Floats  # (P,) USD, quote owed < 0
    base: Floats  # (P,) base balance outside orders; negative is debt
    quote: Floats  # (P,) USD, quote balance outside orders; negative is debt
    balance_start: Ints  # (A + 1,)
    collateral: Ints  # (C,) row of the collateral
    amount: Floats  # (C,) whole tokens, >= 0

    def __post_init__(self) -> None:
        _require_finite(self, ("cash", "size", "open_notional", "base", "quote", "amount"))
        _require_slices(self.position_start, self.size.size, "PerpBook.position_start")
        _require_slices(self.balance_start, self.amount.size, "PerpBook.balance_start")
        if not self.size.size == self.open_notional.size == self.base.size == self.quote.size == self.market.size:
            raise ValueError("PerpBook: position columns differ in length")
        if (self.amount < 0.0).any():
            raise ValueError("PerpBook.amount: expected amounts >= 0; a token debt is not collateral")
        _freeze(self)


@dataclass(frozen=True, slots=True)
class PerpMarket:
    """Prices and parameters of one block. A price that is not known is NaN and makes its accounts unknown."""

    mark: Floats  # (M,) USD per base unit, > 0 or NaN
    collateral_price: Floats  # (K,) USD per token, > 0 or NaN
    collateral_ratio: Floats  # (K,) share of the value that counts, 0..1
    im_ratio: float
    mm_ratio: float
    equity_decimals: int | None  # the venue states equity floored to this many decimals of a USD; None: unrounded

    def __post_init__(self) -> None:
        for name in ("mark", "collateral_price"):
            column = getattr(self, name)
            if (~np.isnan(column) & ~((column > 0.0) & np.isfinite(column))).any():
                raise ValueError(f"PerpMarket.{name}: expected prices > 0, or NaN where unknown, found {column}")
        if not (0.0 < self.mm_ratio <= self.im_ratio <= 1.0):
            raise ValueError(f"PerpMarket: expected 0 < MM {self.mm_ratio} <= IM {self.im_ratio} <= 1")
        _freeze(self)


@dataclass(frozen=True, slots=True)
class MarginReport:
    """The margin of every account, (A,) each. Unknown accounts carry NaN."""

    equity: Floats  # USD, signed
    im: Floats  # USD, >= 0
    mm: Floats  # USD, >= 0
    health: Floats  # equity / MM; +inf when MM = 0
    band: Floats  # USD, >= 0: bound on the rounding error of equity - MM
    status: Codes  # HEALTHY, ENDANGERED, UNKNOWN
    undecided: Flags  # the band straddles the line or a step of the venue's rounding: ask the integers

    def __post_init__(self) -> None:
        _freeze(self)
