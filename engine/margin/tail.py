"""Margin as a tail of full revaluation: value at risk or expected shortfall over any set of scenarios.

    IM = measure at p_im + token haircuts,  MM = measure at p_mm + token haircuts,  never below the haircuts alone

Equity is cash and positions at their marks. With losses in descending order L(1) >= L(2) >= …, S equally likely
scenarios and n = S·(1 − p):

    ES = (L(1) + … + L(⌊n⌋) + (n − ⌊n⌋) · L(⌊n⌋ + 1)) / n          VaR = L(⌊n⌋ + 1)

A scenario's weight scales its P&L, not its probability. Expected shortfall is subadditive, so that netting never raises
this margin; value at risk is not. Source: Acerbi and Tasche (2002), On the coherence of expected shortfall; Tasche
(1999), Risk contributions and performance measurement.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Final, Literal

import numpy as np

from engine.book import Book, Instruments, account_sums, mark_to_market, netted
from engine.margin.base import MarginReport, judged, require_instruments
from engine.margin.span import token_haircuts
from engine.market import Market
from engine.records import floats, freeze
from engine.revalue import risk_arrays
from engine.scan import profile, worst
from engine.scenarios import Scenarios, historical
from engine.tail_scan import tail_risk
from engine.types import Floats, Ints

BAND: Final = 1e-13
"""Rounding of float64 as a share of gross exposure: no venue states this margin in integers."""
CELLS: Final = 1 << 22
"""Account scenarios whose losses are sorted at once: 32 MB."""


def _stylised() -> dict[str, tuple[float, ...]]:
    """Return the thousand equally likely quantiles of a daily return, Student-t with 3 degrees of freedom, of which
    1 % lie beyond −10 % in BTC; ETH moves with it, a quarter more."""
    from scipy.special import stdtrit  # here: a fifth of a second to import, for everyone who sets a history

    returns = np.expm1(0.0232 * stdtrit(3.0, (np.arange(1000) + 0.5) / 1000.0))
    return {"BTC": tuple(returns.tolist()), "ETH": tuple(np.maximum(1.25 * returns, -1.0).tolist())}


@dataclass(frozen=True, slots=True)
class Tail:
    """Parameters of a tail margin; `at` margins books with them (engine.margin.base.MarginModel).

    History is one scenario per row. An underlying it does not name moves `other_multiple` times the first one it does.
    The default history is no history but a shape; a desk sets its own.
    """

    history: dict[str, tuple[float, ...]] = field(default_factory=_stylised)  # simple returns over the horizon
    vol_history: dict[str, tuple[float, ...]] = field(default_factory=dict)  # relative changes of vol; not named: none
    other_multiple: float = 2.0
    days: float = 0.0  # horizon: time that passes in every scenario
    measure: Literal["es", "var"] = "es"
    p_im: float = 0.99
    p_mm: float = 0.975
    haircuts: dict[str, float] = field(default_factory=lambda: {"USDC": 0.0, "USDT": 0.02, "DAI": 0.02})
    other_haircut: float = 1.0  # of tokens not named that move with no underlying; those that do have none

    def __post_init__(self) -> None:
        rows = {len(column) for column in (*self.history.values(), *self.vol_history.values())}
        if len(rows) != 1 or not self.history:
            raise ValueError(f"Tail.history: expected columns of one length, found {sorted(rows)} rows")
        if not 0.0 < self.p_mm <= self.p_im < 1.0:
            raise ValueError(f"Tail: expected 0 < p_mm {self.p_mm} <= p_im {self.p_im} < 1")
        if self.measure not in ("es", "var"):
            raise ValueError(f"Tail.measure: expected es or var, found {self.measure}")
        if not 0.0 < self.other_multiple < np.inf:
            raise ValueError(f"Tail.other_multiple: expected a multiple > 0, found {self.other_multiple}")
        if not all(0.0 <= haircut <= 1.0 for haircut in (*self.haircuts.values(), self.other_haircut)):
            raise ValueError(f"Tail.haircuts: expected shares in 0..1, found {self.haircuts}, {self.other_haircut}")
        self.scenarios((*self.history, *self.vol_history))

    def scenarios(self, underlyings: tuple[str, ...]) -> Scenarios:
        """Return the history as scenarios of these underlyings; ValueError for a return not finite or below −1."""
        first = floats(next(iter(self.history.values())))
        moves, vols = np.empty((first.size, len(underlyings))), np.zeros((first.size, len(underlyings)))
        for u, name in enumerate(underlyings):
            named = name in self.history
            moves[:, u] = self.history[name] if named else np.maximum(self.other_multiple * first, -1.0)
            vols[:, u] = self.vol_history.get(name, 0.0)
        return historical([f"history {row}" for row in range(first.size)], moves, vols, self.days)

    def at(self, instruments: Instruments, market: Market) -> Callable[[Book], MarginReport]:
        """Return the function that margins books in these instruments under the model's own history."""
        return self.under(self.scenarios(instruments.underlyings), instruments, market)

    def under(self, scenarios: Scenarios, instruments: Instruments, market: Market) -> Callable[[Book], MarginReport]:
        """Return the function that margins books in these instruments under any scenarios, (S,) equally likely.

        Raises ValueError for scenarios or a market that do not fit.
        """
        arrays = risk_arrays(instruments, market, scenarios)
        shared = _Shared(
            instruments=instruments,
            names=scenarios.names,
            mark=arrays.mark,
            pnl=arrays.pnl,
            gross=np.abs(arrays.mark) + np.abs(arrays.pnl).max(axis=1),
            haircut=token_haircuts(instruments, self.haircuts, self.other_haircut) * market.price,
        )
        return partial(self._margin, shared)

    def _margin(self, shared: "_Shared", book: Book) -> MarginReport:
        require_instruments(book, shared.instruments)
        columns = (book.start, book.instrument, book.quantity, shared.pnl)
        measure = 1 if self.measure == "es" else 0
        mm = np.maximum(tail_risk(*columns, self.p_mm)[measure], 0.0)
        im = np.maximum(tail_risk(*columns, self.p_im)[measure], 0.0)
        held = account_sums(book, np.maximum(netted(book), 0.0) * shared.haircut[book.instrument])
        least, row = worst(*columns)
        equity = mark_to_market(book, shared.mark)
        gross = np.abs(book.quantity) * (shared.gross[book.instrument] + np.abs(book.entry)) + np.abs(book.accrued)
        return judged(
            equity=equity,
            im=im + held,
            mm=mm + held,
            mark_to_market=equity.copy(),
            band=BAND * (np.abs(book.cash) + account_sums(book, gross)),
            worst=np.where(least < 0.0, row, -1),
            scenarios=shared.names,
            contingencies={"tail MM": mm, "tail IM": im - mm, "token haircuts": held},
        )


@dataclass(frozen=True, slots=True)
class _Shared:
    """What all accounts share: per instrument, (I,) unless stated."""

    instruments: Instruments
    names: tuple[str, ...]  # S
    mark: Floats
    pnl: Floats  # (I, S)
    gross: Floats
    haircut: Floats  # USD a unit

    def __post_init__(self) -> None:
        freeze(self)


@dataclass(frozen=True, slots=True)
class Components:
    """Euler parts of each account's expected shortfall, USD: a hedge's are < 0, and they add up to the whole."""

    position: Floats  # (P,)
    underlying: Floats  # (A, U + 1); the last of tokens that move with none
    expiry: Floats  # (A, E + 1); the last of what has none

    def __post_init__(self) -> None:
        freeze(self)


def components(book: Book, pnl: Floats, p: float) -> Components:
    """Return what each position adds to its account's expected shortfall at `p`, per position, underlying and expiry.

    pnl (I, S): P&L of one unit, gain > 0, as engine.revalue.RiskArrays.pnl. A part is the position's mean loss over the
    scenarios that the account's ES averages, the boundary scenario by its fraction; of equal losses the first
    scenarios count, so that at a tie the parts (not their sum) depend on the order of the scenarios. A part divided by
    its quantity is the marginal ES. Sorts every account's losses: to explain accounts, not to margin books.
    """
    scenarios = pnl.shape[1]
    count = tail_count(scenarios, p)
    weight = np.clip(count - np.arange(scenarios), 0.0, 1.0) / count
    position = np.empty(book.quantity.size)
    step = max(CELLS // scenarios, 1)
    for low in range(0, len(book.accounts), step):
        part = book.take(np.arange(low, min(low + step, len(book.accounts))))
        order = profile(part.start, part.instrument, part.quantity, pnl).argsort(axis=1, kind="stable")
        share = np.empty(order.shape)
        np.put_along_axis(share, order, np.broadcast_to(weight, order.shape), axis=1)
        loss = [-q * (pnl[i] @ share[a]) for q, i, a in zip(part.quantity, part.instrument, part.account, strict=True)]
        position[book.start[low] : book.start[low] + part.quantity.size] = loss
    held = book.instruments
    return Components(
        position=position,
        underlying=_by(book, position, held.underlying[book.instrument], len(held.underlyings)),
        expiry=_by(book, position, held.expiry[book.instrument], len(held.expiries)),
    )


def tail_count(scenarios: int, p: float) -> float:
    """Return n = S·(1 − p), the number of worst scenarios that ES averages, whole where it is so but for rounding."""
    count = scenarios * (1.0 - p)
    return float(round(count)) if abs(count - round(count)) <= 1e-12 * scenarios and round(count) > 0 else count


def _by(book: Book, column: Floats, row: Ints, count: int) -> Floats:
    """Return the sums of a position column by account and row, (A, count + 1); row −1 in the last column."""
    cell = book.account * (count + 1) + np.where(row < 0, count, row)
    sums = np.bincount(cell, column, len(book.accounts) * (count + 1))
    return sums.astype(np.float64, copy=False).reshape(-1, count + 1)
