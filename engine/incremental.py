"""What need not be computed again: margins of unchanged accounts, and scenario profiles carried from trade to trade.

`margin_changed` is exact. `RunningProfile` is faster still and drifts by rounding; it says by how much at most.
"""

from collections.abc import Callable
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from engine.book import Book
from engine.margin.base import MarginReport
from engine.records import floats
from engine.revalue import RiskArrays
from engine.scan import profile
from engine.types import Flags, Floats, Ints

ROUNDING: Final = 2.0**-51
"""Bound on the relative error of adding one term: difference, product and sum round by 2^-53 each, rounded up."""

Number = TypeVar("Number", bound=np.generic)


def margin_changed(
    margin_of: Callable[[Book], MarginReport], before: MarginReport, book: Book, changed: Ints
) -> MarginReport:
    """Return the margin of the whole book when only the accounts in rows `changed`, (N,), differ from `before`.

    `margin_of` is what `MarginModel.at` returned for the market of `before`: another market changes every account.
    Bit for bit what `margin_of(book)` returns, since a model gives an account the same numbers beside any others.
    Raises ValueError when `before` is not of as many accounts or not of this model, IndexError for an unknown row.
    """
    accounts = len(book.accounts)
    if before.equity.size != accounts:
        raise ValueError(f"before: expected margins of {accounts} accounts, found {before.equity.size}")
    if changed.size == 0:
        return before
    if changed.min() < 0 or changed.max() >= accounts:
        raise IndexError(f"changed: expected rows 0..{accounts - 1}, found {changed.min()}..{changed.max()}")
    part = margin_of(book.take(changed))
    if part.scenarios != before.scenarios or set(part.contingencies) != set(before.contingencies):
        raise ValueError("before: expected a report of the same model and scenarios")
    return MarginReport(
        equity=_patched(before.equity, changed, part.equity),
        im=_patched(before.im, changed, part.im),
        mm=_patched(before.mm, changed, part.mm),
        mark_to_market=_patched(before.mark_to_market, changed, part.mark_to_market),
        health=_patched(before.health, changed, part.health),
        band=_patched(before.band, changed, part.band),
        status=_patched(before.status, changed, part.status),
        undecided=_patched(before.undecided, changed, part.undecided),
        worst=_patched(before.worst, changed, part.worst),
        scenarios=before.scenarios,
        contingencies={
            name: _patched(column, changed, part.contingencies[name]) for name, column in before.contingencies.items()
        },
    )


def _patched(column: NDArray[Number], rows: Ints, values: NDArray[Number]) -> NDArray[Number]:
    whole = column.copy()
    whole[rows] = values
    return whole


class RunningProfile:
    """Every account's P&L in every scenario, (A, S), kept up to date as positions and prices change.

    The profile is linear in quantity and in the risk arrays, so a change is added, never computed anew. Every addition
    rounds. `drift` bounds what that adds up to: n terms added to an account whose profile was at most M cost at most
    n · 2^-51 · (M + Σ |terms|). In practice 1e-12 of the gross held is reached after thousands of changes to one
    account; `refresh` then computes anew and sets the bound back.
    """

    def __init__(self, book: Book, arrays: RiskArrays) -> None:
        self.refresh(book, arrays)

    def refresh(self, book: Book, arrays: RiskArrays) -> None:
        """Compute every account anew from the book and the risk arrays."""
        self._arrays = arrays.pnl
        self._profile = profile(book.start, book.instrument, book.quantity, arrays.pnl)
        self._gross = np.zeros(len(book.accounts))
        np.add.at(self._gross, book.account, np.abs(book.quantity) * _most(arrays.pnl)[book.instrument])
        self._drift = ROUNDING * np.diff(book.start) * self._gross

    @property
    def pnl(self) -> Floats:
        """(A, S) USD, gain > 0; a read-only view of what the next change overwrites."""
        view = self._profile.view()
        view.flags.writeable = False
        return view

    @property
    def drift(self) -> Floats:
        """(A,) USD: bound on the error of every P&L of the account against exact arithmetic."""
        return self._drift.copy()

    def worst(self) -> tuple[Floats, Ints]:
        """Return the least P&L of each account, (A,), and its scenario, the first on ties.

        As `engine.scan.worst`, but that an account without positions has scenario 0: the profile does not know.
        """
        index = self._profile.argmin(axis=1)
        return floats(self._profile[np.arange(index.size), index]), index

    def due(self, relative: float = 1e-12) -> Flags:
        """(A,) whether the drift may exceed `relative` of gross: time to `refresh`.

        Gross is Σ |quantity| · largest P&L a unit of what was held at the refresh, and of every change since.
        """
        overdue: Flags = self._drift > relative * self._gross
        return overdue

    def trade(self, account: Ints, instrument: Ints, change: Floats) -> None:
        """Add changes of quantity, (N,) signed units, of instruments to accounts; an account may appear repeatedly.

        Raises IndexError for an unknown row, ValueError for a change that is not finite; nothing is changed then.
        """
        _require_rows("account", account, self._profile.shape[0])
        _require_rows("instrument", instrument, self._arrays.shape[0])
        if not np.isfinite(change).all():
            row = int(np.flatnonzero(~np.isfinite(change))[0])
            raise ValueError(f"change: expected finite quantities, found {change[row]} in row {row}")
        gain = change[:, np.newaxis] * self._arrays[instrument]
        self._record(account, _most(gain))
        np.add.at(self._profile, account, gain)

    def reprice(self, book: Book, instrument: Ints, arrays: RiskArrays) -> None:
        """Replace the risk arrays of some instruments, (N,) rows, by those in `arrays` of the whole market.

        `book` holds the quantities as of now: every trade so far is in it. Where most accounts hold one of them,
        `refresh` is cheaper. Raises ValueError when the book or the
        arrays are not of this profile's accounts, instruments and scenarios, IndexError for an unknown row.
        """
        if arrays.pnl.shape != self._arrays.shape or len(book.accounts) != self._profile.shape[0]:
            raise ValueError(
                f"reprice: expected {self._profile.shape[0]} accounts and risk arrays {self._arrays.shape}, "
                f"found {len(book.accounts)} and {arrays.pnl.shape}"
            )
        _require_rows("instrument", instrument, self._arrays.shape[0])
        repriced = np.zeros(self._arrays.shape[0], np.bool_)
        repriced[instrument] = True
        change = np.where(repriced[:, np.newaxis], arrays.pnl - self._arrays, 0.0)
        held = np.flatnonzero(repriced[book.instrument])
        account, row, quantity = book.account[held], book.instrument[held], book.quantity[held]
        self._record(account, np.abs(quantity) * _most(change)[row])
        touched, first = np.unique(account, return_index=True)
        self._profile[touched] += profile(np.append(first, held.size), row, quantity, change)
        self._arrays = np.where(repriced[:, np.newaxis], arrays.pnl, self._arrays)

    def _record(self, account: Ints, size: Floats) -> None:
        """Grow gross and drift by terms of `size` USD, (N,), that are about to be added to accounts."""
        count = np.bincount(account, minlength=self._gross.size)
        grown = floats(np.bincount(account, size, self._gross.size))
        touched = np.flatnonzero(count)
        self._gross += grown
        self._drift[touched] += ROUNDING * count[touched] * (_most(self._profile[touched]) + grown[touched])


def _most(rows: Floats) -> Floats:
    """Return the largest magnitude of each row, (N,)."""
    most: Floats = np.abs(rows).max(axis=1, initial=0.0)
    return most


def _require_rows(name: str, rows: Ints, count: int) -> None:
    if rows.size and not (rows.min() >= 0 and rows.max() < count):
        raise IndexError(f"{name}: expected rows 0..{count - 1}, found {rows.min()}..{rows.max()}")
