"""Margin of perpetual positions under Perp Curie's own rule.

    equity = cash + Σ (size · mark + open notional) + Σ amount · price · ratio    (Vault.getAccountValue)
    MM     = MM ratio · Σ |size · mark|                      (AccountBalance.getMarginRequirementForLiquidation)
    IM     = IM ratio · (Σ max(−base, 0) · mark + max(−Σ quote, 0))      (Vault._getTotalMarginRequirement)

An account is endangered when equity < MM; equity equal to MM is healthy (ClearingHouse._isLiquidatable).
The contract floors at each step to 1e-18 USD and states equity floored to 1e-6 USD; this engine computes in
float64 and returns with every account a bound on its own error, inside which the caller must ask the integers.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from engine.compiled import kernel
from engine.margin.base import MarginReport
from engine.records import own, require_finite, require_length, require_slices
from engine.types import ENDANGERED, HEALTHY, UNKNOWN, Codes, Flags, Floats, Ints

ULPS = 8.0 * 2.0**-53
"""Relative error allowed per summed term: conversion, product and sum round by 2^-53 each, three at most, doubled."""
FLOORS = 4e-18
"""USD per term that the contract's own integer divisions may round away."""


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
        require_finite(self, "cash", "size", "open_notional", "base", "quote", "amount")
        require_slices(self, "position_start", self.size.size)
        require_slices(self, "balance_start", self.amount.size)
        require_length(self, self.size.size, "market", "open_notional", "base", "quote")
        if (self.amount < 0.0).any():
            raise ValueError("PerpBook.amount: expected amounts >= 0; a token debt is not collateral")
        own(self)


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
        own(self)


def margin(book: PerpBook, market: PerpMarket) -> MarginReport:
    """Return equity, IM, MM, health, error band and status of every account, (A,), USD.

    Raises IndexError when a position or balance names a market or collateral that `market` does not have.
    """
    _require_rows(book, market)
    accounts = book.cash.size
    equity, im, mm, mark_to_market, health, band = (np.empty(accounts) for _ in range(6))
    status = np.empty(accounts, np.int8)
    undecided = np.empty(accounts, np.bool_)
    _margin(
        book.cash,
        book.position_start,
        book.market,
        book.size,
        book.open_notional,
        book.base,
        book.quote,
        book.balance_start,
        book.collateral,
        book.amount,
        market.mark,
        market.collateral_price,
        market.collateral_ratio,
        market.im_ratio,
        market.mm_ratio,
        0.0 if market.equity_decimals is None else 10.0**market.equity_decimals,
        equity,
        im,
        mm,
        mark_to_market,
        health,
        band,
        status,
        undecided,
    )
    return MarginReport(
        equity=equity,
        im=im,
        mm=mm,
        mark_to_market=mark_to_market,
        health=health,
        band=band,
        status=status,
        undecided=undecided,
        worst=np.full(accounts, -1, np.int64),
        scenarios=(),
        contingencies={},
    )


def warm() -> None:
    """Compile or load the kernel before the first block waits for it."""
    none, rows, starts = np.empty(0), np.empty(0, np.int64), np.zeros(1, np.int64)
    book = PerpBook(none, starts, rows, none, none, none, none, starts, rows, none)
    margin(book, PerpMarket(none, none, none, 0.1, 0.0625, 6))


def _require_rows(book: PerpBook, market: PerpMarket) -> None:
    for rows, count, what in (
        (book.market, market.mark.size, "market"),
        (book.collateral, market.collateral_price.size, "collateral"),
    ):
        if rows.size and not (rows.min() >= 0 and rows.max() < count):
            raise IndexError(f"PerpBook.{what}: expected rows 0..{count - 1}, found {rows.min()}..{rows.max()}")


def _margin_py(
    cash: Floats,
    position_start: Ints,
    market: Ints,
    size: Floats,
    open_notional: Floats,
    base: Floats,
    quote: Floats,
    balance_start: Ints,
    collateral: Ints,
    amount: Floats,
    mark: Floats,
    collateral_price: Floats,
    collateral_ratio: Floats,
    im_ratio: float,
    mm_ratio: float,
    steps: float,
    equity: Floats,
    im: Floats,
    mm: Floats,
    mark_to_market: Floats,
    health: Floats,
    band: Floats,
    status: Codes,
    undecided: Flags,
) -> None:
    """Fill the last eight arrays; one writer per row. `steps` a USD equity is floored to, 0 for none.

    Plain twin of the compiled kernel below.
    """
    for a in range(cash.size):
        value = cash[a]
        haircuts = 0.0
        magnitude = abs(cash[a])
        notional = 0.0
        debt = 0.0
        quotes = 0.0
        terms = 1
        for p in range(position_start[a], position_start[a + 1]):
            price = mark[market[p]]
            value += size[p] * price + open_notional[p]
            magnitude += abs(size[p] * price) + abs(open_notional[p])
            notional += abs(size[p] * price)
            debt += max(-base[p], 0.0) * price
            quotes += quote[p]
            terms += 2
        for c in range(balance_start[a], balance_start[a + 1]):
            counted = amount[c] * collateral_price[collateral[c]] * collateral_ratio[collateral[c]]
            haircuts += amount[c] * collateral_price[collateral[c]] - counted
            value += counted
            magnitude += counted
            terms += 2
        mark_to_market[a] = value + haircuts
        required = mm_ratio * notional
        error = terms * (ULPS * magnitude + FLOORS)
        straddles = False
        if steps > 0.0:
            straddles = np.floor((value - error) * steps) != np.floor((value + error) * steps)
            value = np.floor(value * steps) / steps
        equity[a] = value
        im[a] = im_ratio * (debt + max(-quotes, 0.0))
        mm[a] = required
        health[a] = value / required if required > 0.0 else np.inf if value >= 0.0 else -np.inf
        band[a] = error
        undecided[a] = straddles or abs(value - required) <= error
        if not np.isfinite(value + required + im[a]):
            status[a] = UNKNOWN
            health[a] = np.nan
            undecided[a] = False
        elif value < required:
            status[a] = ENDANGERED
        else:
            status[a] = HEALTHY


_margin: Callable[..., None] = kernel(_margin_py)
