"""Margin of a lending pool under Aave V3's rule.

    health = Σ collateral · liquidation threshold / Σ debt        liquidatable below 1; exactly 1 is healthy
    equity = Σ collateral − Σ debt,  MM = Σ collateral · (1 − threshold),  IM = Σ collateral · (1 − loan-to-value)

so that equity − MM is what debt may still grow by before liquidation, and equity − IM what may be borrowed. Threshold
and loan-to-value of an account are averages over its collateral, floored to whole basis points. The report's health
is Aave's and not equity / MM; both are 1 at the same point, and the status is the same.
Source: GenericLogic.calculateUserAccountData and LiquidationLogic of Aave V3 (core-v3 1.19).
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import repeat
from typing import Final

import numpy as np

from engine.book import TOKEN, Book, Instruments, account_sums
from engine.margin.base import MarginReport, judged, require_instruments
from engine.market import Market, require_market
from engine.types import Flags, Floats, Ints

WHOLE: Final = 10_000.0
"""Basis points of the whole."""
ULPS: Final = 8.0 * 2.0**-53
"""Relative error allowed per summed term: conversion, product and sum round by 2^-53 each, doubled."""
BASE_UNIT: Final = 1e-8
"""USD: the pool states every value in whole multiples of it."""


@dataclass(frozen=True, slots=True)
class Reserve:
    """Parameters of a token in basis points, as the pool configures them. Threshold 0: may be owed, secures nothing."""

    ltv: int = 0  # loan-to-value
    threshold: int = 0  # liquidation threshold
    bonus: int = 10_500  # what a liquidator gets of the repaid value: 10_500 is 5 % more

    def __post_init__(self) -> None:
        if not 0 <= self.ltv <= self.threshold <= WHOLE:
            raise ValueError(f"Reserve: expected 0 <= LTV <= threshold <= 10000 basis points, found {self}")
        if self.threshold and not (self.bonus > WHOLE and self.threshold * self.bonus <= WHOLE * WHOLE):
            raise ValueError(f"Reserve: expected a bonus > 10000 with threshold · bonus <= 1, found {self}")


@dataclass(frozen=True, slots=True)
class Category:
    """An e-mode category: its tokens secure more while the account is in it. Prices are the market's, as outside it; a
    price source of the category's own is put into the market."""

    tokens: tuple[str, ...]
    reserve: Reserve


def _usual() -> dict[str, Reserve]:
    ether, bitcoin, dollar = Reserve(8050, 8300, 10_500), Reserve(7300, 7800, 10_500), Reserve(7500, 7800, 10_450)
    return {"ETH": ether, "WETH": ether, "BTC": bitcoin, "WBTC": bitcoin, "USDC": dollar, "DAI": dollar, "USDT": dollar}


@dataclass(frozen=True, slots=True)
class Lending:
    """Aave V3's parameters; `at` margins books with them (engine.margin.base.MarginModel).

    A book holds tokens only: quantity > 0 is collateral, < 0 debt, and an account that supplies and owes the same
    token has two positions. Supply that its owner does not use as collateral is left out of the book.
    """

    reserves: dict[str, Reserve] = field(default_factory=_usual)
    other: Reserve = Reserve()  # of tokens not named
    categories: dict[str, Category] = field(default_factory=dict)
    category: dict[str, str] = field(default_factory=dict)  # account: name of its e-mode category
    whole_basis_points: bool = True  # false for the versions of the pool that sum collateral · threshold unrounded
    close_factor: float = 0.5  # share of a debt that one liquidation may repay
    full_close_health: float = 0.95  # at this health and below it may repay the whole

    def __post_init__(self) -> None:
        strange = sorted(set(self.category.values()) - set(self.categories))
        if strange:
            raise ValueError(f"Lending.category: expected any of {sorted(self.categories)}, found {', '.join(strange)}")
        if not (0.0 < self.close_factor <= 1.0 and 0.0 <= self.full_close_health <= 1.0):
            found = f"{self.close_factor}, {self.full_close_health}"
            raise ValueError(f"Lending: expected a close factor in 0..1 and a health for a full one, found {found}")

    def at(self, instruments: Instruments, market: Market) -> Callable[[Book], MarginReport]:
        """Return the function that margins books in these instruments.

        Raises ValueError for a market that does not fit; the function does for a position that is no token and for
        cash, entry prices or accruals, which a pool does not have.
        """
        require_market(instruments, market)
        own = [self.reserves.get(name, self.other) for name in instruments.names]
        rows = [own]
        for category in self.categories.values():
            named = zip(instruments.names, own, strict=True)
            rows.append([category.reserve if name in category.tokens else reserve for name, reserve in named])
        secures = np.array([reserve.threshold > 0 for reserve in own], np.bool_)
        lends = np.array([reserve.ltv > 0 for reserve in own], np.bool_)
        threshold = np.array([[reserve.threshold for reserve in row] for row in rows], np.int64)
        ltv = np.array([[reserve.ltv for reserve in row] for row in rows], np.int64) * lends
        return partial(self._margin, instruments, market.price, secures, threshold, ltv)

    def _margin(
        self, instruments: Instruments, price: Floats, secures: Flags, thresholds: Ints, ltvs: Ints, book: Book
    ) -> MarginReport:
        _require_tokens(book, instruments)
        signed = book.quantity * price[book.instrument]
        value = np.where(secures[book.instrument], np.maximum(signed, 0.0), 0.0)
        collateral, debt = account_sums(book, value), account_sums(book, np.maximum(-signed, 0.0))
        terms = 1.0 + np.diff(book.start)
        mode = self._modes(book)[book.account]
        threshold, doubtful = self._average(book, value, thresholds[mode, book.instrument], collateral, terms)
        ltv, _ = self._average(book, value, ltvs[mode, book.instrument], collateral, terms)
        secured = collateral * threshold / WHOLE
        report = judged(
            equity=collateral - debt,
            im=collateral - collateral * ltv / WHOLE,
            mm=collateral - secured,
            mark_to_market=account_sums(book, signed),
            band=terms * (ULPS * (collateral + debt) + BASE_UNIT),
        )
        health = np.full(debt.shape, np.inf)
        np.divide(secured, debt, out=health, where=debt > 0.0)
        return replace(report, health=health, undecided=(report.undecided | doubtful) & (debt > 0.0))

    def _modes(self, book: Book) -> Ints:
        """Return each account's row of the parameter table, (A,): 0 outside e-mode, else 1 + that of its category."""
        numbers = {name: row for row, name in enumerate(self.categories, 1)}
        chosen = {account: numbers[name] for account, name in self.category.items()}
        return np.fromiter(map(chosen.get, book.accounts, repeat(0)), np.int64, len(book.accounts))

    def _average(
        self, book: Book, value: Floats, points: Ints, collateral: Floats, terms: Floats
    ) -> tuple[Floats, Flags]:
        """Return the average of the position column `points` over collateral, (A,) basis points, and where float64
        does not know which whole number the pool floors to.

        Counted from the account's least, so that collateral of one kind has its own points to the last bit.
        """
        least = np.full(len(book.accounts), int(WHOLE))
        np.minimum.at(least, book.account[value > 0.0], points[value > 0.0])
        above = account_sums(book, value * (points - least[book.account]))
        share = np.zeros(collateral.shape)
        np.divide(above, collateral, out=share, where=collateral > 0.0)
        average = np.where(collateral > 0.0, least + share, 0.0)
        if not self.whole_basis_points:
            return average, np.zeros(collateral.shape, np.bool_)
        error = np.zeros(collateral.shape)
        np.divide(WHOLE * BASE_UNIT * terms, collateral, out=error, where=share > 0.0)
        error += terms * ULPS * share
        return np.floor(average), np.floor(average - error) != np.floor(average + error)

    def closable(self, health: Floats) -> Floats:
        """Return the share of a debt that one liquidation may repay, (A,): 0 from a health of 1 on."""
        return np.where(health >= 1.0, 0.0, np.where(health > self.full_close_health, self.close_factor, 1.0))


def _require_tokens(book: Book, instruments: Instruments) -> None:
    require_instruments(book, instruments)
    other = np.flatnonzero(instruments.kind[book.instrument] != TOKEN)
    if other.size:
        account, name = book.accounts[book.account[other[0]]], instruments.names[book.instrument[other[0]]]
        raise ValueError(f"Lending: expected tokens only, found {name} in account {account}")
    for column, what in ((book.cash, "cash"), (account_sums(book, np.abs(book.accrued)), "accruals")):
        if column.any():
            account = book.accounts[np.flatnonzero(column)[0]]
            raise ValueError(f"Lending: expected no {what}, which are positions in a token, found some in {account}")
