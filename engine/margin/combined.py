"""A book's positions by SPAN's combined commodity, what an account holds on one underlying, and by month within it."""

from dataclasses import dataclass

import numpy as np

from engine.book import Book
from engine.records import freeze
from engine.types import Floats, Ints


@dataclass(frozen=True, slots=True)
class Combined:
    """G combined commodities of A accounts with Q positions and M months; tokens that move with nothing are left out.

    Commodities are in the order of account and underlying, months in that of their expiry, what has none first; the
    positions of a month keep their order, so that sums do not depend on which accounts stand beside one another.
    """

    accounts: int  # A
    account: Ints  # (G,)
    underlying: Ints  # (G,)
    start: Ints  # (G + 1,) of its positions
    row: Ints  # (Q,) of the position in the book
    instrument: Ints  # (Q,)
    quantity: Floats  # (Q,)
    commodity: Ints  # (Q,) row of the commodity
    month: Ints  # (Q,) row of the month
    month_commodity: Ints  # (M,)
    month_expiry: Ints  # (M,) row of the expiry, −1 for none

    def __post_init__(self) -> None:
        freeze(self)

    @staticmethod
    def of(book: Book) -> "Combined":
        """Return the combined commodities of a book."""
        instruments = book.instruments
        underlyings, months = max(len(instruments.underlyings), 1), len(instruments.expiries) + 1
        rows = np.flatnonzero(instruments.underlying[book.instrument] >= 0)
        held = book.instrument[rows]
        key = book.account[rows] * underlyings + instruments.underlying[held]
        key = key * months + instruments.expiry[held] + 1
        order = np.argsort(key, kind="stable")
        month, month_key = _numbered(key[order])
        commodity, commodity_key = _numbered(key[order] // months)
        return Combined(
            accounts=len(book.accounts),
            account=commodity_key // underlyings,
            underlying=commodity_key % underlyings,
            start=np.searchsorted(commodity, np.arange(commodity_key.size + 1)),
            row=rows[order],
            instrument=held[order],
            quantity=book.quantity[rows[order]],
            commodity=commodity,
            month=month,
            month_commodity=np.searchsorted(commodity_key, month_key // months),
            month_expiry=month_key % months - 1,
        )

    def sums(self, column: Floats) -> Floats:
        """(G,) sum of a position column over each commodity."""
        return sums_by(self.commodity, column, self.account.size)

    def month_sums(self, column: Floats) -> Floats:
        """(M,) sum of a position column over each month."""
        return sums_by(self.month, column, self.month_expiry.size)

    def account_sums(self, column: Floats) -> Floats:
        """(A,) sum of a commodity column over each account."""
        return sums_by(self.account, column, self.accounts)


def sums_by(row: Ints, column: Floats, count: int) -> Floats:
    """Return the sum of a column over each row number, (count,), from left to right."""
    return np.bincount(row, column, count).astype(np.float64, copy=False)  # of nothing it is integers


def _numbered(keys: Ints) -> tuple[Ints, Ints]:
    """Return sorted keys as row numbers from 0 and the key of each row."""
    fresh = np.diff(keys, prepend=-1) != 0
    return np.cumsum(fresh) - 1, keys[fresh]
