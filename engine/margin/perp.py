"""Margin of perpetual positions under Perp Curie's own rule.

    equity = cash + Σ (size · mark + open notional) + Σ amount · price · ratio    (Vault.getAccountValue)
    MM     = MM ratio · Σ |size · mark|                      (AccountBalance.getMarginRequirementForLiquidation)
    IM     = IM ratio · (Σ max(−base, 0) · mark + max(−Σ quote, 0))      (Vault._getTotalMarginRequirement)

An account is endangered when equity < MM; equity equal to MM is healthy (ClearingHouse._isLiquidatable).
The contract floors at each step to 1e-18 USD and states equity floored to 1e-6 USD; this engine computes in
float64 and returns with every account a bound on its own error, inside which the caller must ask the integers.
"""

from collections.abc import Callable

import numpy as np

from engine.compiled import kernel
from engine.types import ENDANGERED, HEALTHY, UNKNOWN, Codes, Flags, Floats, Ints, MarginReport, PerpBook, PerpMarket

ULPS = 8.0 * 2.0**-53
"""Relative error allowed per summed term: conversion, product and sum round by 2^-53 each, three at most, doubled."""
FLOORS = 4e-18
"""USD per term that the contract's own integer divisions may round away."""


def margin(book: PerpBook, market: PerpMarket) -> MarginReport:
    """Return equity, IM, MM, health, error band and status of every account, (A,), USD.

    Raises IndexError when a position or balance names a market or collateral that `market` does not have.
    """
    _require_rows(book, market)
    accounts = book.cash.size
    equity, im, mm, health, band = (np.empty(accounts) for _ in range(5))
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
        health,
        band,
        status,
        undecided,
    )
    return MarginReport(equity, im, mm, health, band, status, undecided)


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
    health: Floats,
    band: Floats,
    status: Codes,
    undecided: Flags,
) -> None:
    """Fill the last seven arrays; one writer per row. `steps` a USD equity is floored to, 0 for none.

    Plain twin of the compiled kernel below.
    """
    for a in range(cash.size):
        value = cash[a]
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
            value += counted
            magnitude += counted
            terms += 2
        required = mm_ratio * notional
        error = terms * (ULPS * magnitude + FLOORS)
        straddles = False
        if steps > 0.0:
            straddles = np.floor((value - error) * steps) != np.floor((value + error) * steps)
            value = np.floor(value * steps) / steps
        equity[a] = value
        im[a] = im_ratio * (debt + max(-quotes, 0.0))
        mm[a] = required
        health[a] = value / required if required > 0.0 else np.inf
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
