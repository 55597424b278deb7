"""The book: every account's positions as columns, in instruments that the whole book shares."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from engine.compiled import kernel
from engine.records import floats, own, require_finite, require_length, require_range, require_rows, require_slices
from engine.types import Codes, Flags, Floats, Ints

OPTION: Final = 0  # European, cash-settled
PERPETUAL: Final = 1
FUTURE: Final = 2  # dated, marked at its expiry's forward, not discounted
TOKEN: Final = 3  # held (collateral) or owed (debt, quantity < 0)
KINDS: Final = ("option", "perpetual", "future", "token")


@dataclass(frozen=True, slots=True)
class Instruments:
    """What can be held: I instruments on U underlyings and E expiries. An expiry belongs to one underlying."""

    names: tuple[str, ...]  # I, unique
    underlyings: tuple[str, ...]  # U
    expiries: tuple[str, ...]  # E
    kind: Codes  # (I,) OPTION, PERPETUAL, FUTURE, TOKEN
    underlying: Ints  # (I,) row of the underlying; −1 for a token that moves with none (a stablecoin)
    expiry: Ints  # (I,) row of the expiry for OPTION and FUTURE, −1 otherwise
    strike: Floats  # (I,) USD, >= 0; 0 where not an option
    is_call: Flags  # (I,)

    def __post_init__(self) -> None:
        count = len(self.names)
        require_length(self, count, "kind", "underlying", "expiry", "strike", "is_call")
        require_range(self, "kind", OPTION, TOKEN)
        require_rows(self, "underlying", len(self.underlyings), low=-1)
        require_rows(self, "expiry", len(self.expiries), low=-1)
        require_finite(self, "strike")
        require_range(self, "strike", 0.0)
        if len(set(self.names)) != count:
            twice = sorted(name for name, times in Counter(self.names).items() if times > 1)
            raise ValueError(f"Instruments.names: expected unique names, found {', '.join(twice)} more than once")
        for row in range(count):
            if (self.expiry[row] >= 0) != (self.kind[row] in (OPTION, FUTURE)):
                kind = KINDS[self.kind[row]]
                raise ValueError(f"Instruments.expiry: {self.names[row]} is a {kind}, found expiry {self.expiry[row]}")
            if self.underlying[row] < 0 and self.kind[row] != TOKEN:
                raise ValueError(f"Instruments.underlying: expected one for {self.names[row]}, found none")
        own(self)


@dataclass(frozen=True, slots=True)
class Book:
    """A accounts, P positions; positions of account a are rows start[a] : start[a + 1].

    A position is worth quantity · unit value − quantity · entry + accrued, where the unit value of a perpetual or
    future is its mark, of an option its price, of a token its price; entry is 0 for options and tokens.
    """

    instruments: Instruments
    accounts: tuple[str, ...]  # A
    cash: Floats  # (A,) USD, signed
    start: Ints  # (A + 1,)
    instrument: Ints  # (P,) row of the instrument
    quantity: Floats  # (P,) units, long > 0
    entry: Floats  # (P,) USD a unit: price at which a perpetual or future was last settled; 0 otherwise
    accrued: Floats  # (P,) USD, signed: PnL and funding not yet in cash

    def __post_init__(self) -> None:
        require_length(self, len(self.accounts), "cash")
        require_length(self, self.instrument.size, "instrument", "quantity", "entry", "accrued")
        require_length(self, len(self.accounts) + 1, "start")
        require_slices(self, "start", self.instrument.size)
        require_rows(self, "instrument", len(self.instruments.names))
        require_finite(self, "cash", "quantity", "entry", "accrued")
        marked = np.isin(self.instruments.kind[self.instrument], (PERPETUAL, FUTURE))
        if (self.entry[~marked] != 0.0).any():
            row = int(np.flatnonzero(~marked & (self.entry != 0.0))[0])
            name = self.instruments.names[self.instrument[row]]
            raise ValueError(f"Book.entry: expected 0 for {name}, which is bought outright, found {self.entry[row]}")
        own(self)

    @property
    def account(self) -> Ints:
        """(P,) row of the account that holds each position."""
        return np.repeat(np.arange(len(self.accounts), dtype=np.int64), np.diff(self.start))

    def take(self, accounts: Ints) -> "Book":
        """Return the book of these accounts only, (N,) rows, in the order given, their positions in their order."""
        sizes = np.diff(self.start)[accounts]
        starts = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        rows = np.repeat(self.start[accounts] - starts[:-1], sizes) + np.arange(starts[-1], dtype=np.int64)
        return Book(
            instruments=self.instruments,
            accounts=tuple(self.accounts[a] for a in accounts),
            cash=self.cash[accounts],
            start=starts,
            instrument=self.instrument[rows],
            quantity=self.quantity[rows],
            entry=self.entry[rows],
            accrued=self.accrued[rows],
        )


def mark_to_market(book: Book, unit_value: Floats) -> Floats:
    """Return cash + Σ quantity · (unit value − entry) + accrued of every account, (A,), USD, signed.

    `unit_value` (I,): USD a unit of each instrument.
    """
    worth = book.quantity * (unit_value[book.instrument] - book.entry) + book.accrued
    return book.cash + account_sums(book, worth)


def account_sums(book: Book, column: Floats) -> Floats:
    """Return the sum of a position column over each account, (A,): left to right within an account, bit for bit the
    same whether it stands alone or in the book."""
    sums = np.zeros(len(book.accounts))
    np.add.at(sums, book.account, column)
    return floats(sums)


def netted(book: Book) -> Floats:
    """Return what an account holds of each instrument, (P,) signed units, at the first of its positions in it, and 0 at
    the others: what is charged by |quantity| or by one side must not count a holding in parts, or what nets out."""
    held = np.empty(book.quantity.size)
    _net(book.start, book.instrument, book.quantity, np.full(len(book.instruments.names), -1), held)
    return held


def _net_py(start: Ints, instrument: Ints, quantity: Floats, first: Ints, held: Floats) -> None:
    """Fill held. `first` (I,): row of the latest account's first position in each instrument, −1 before any."""
    for a in range(start.size - 1):
        for p in range(start[a], start[a + 1]):
            i = instrument[p]
            if first[i] < start[a]:
                first[i] = p
                held[p] = quantity[p]
            else:
                held[p] = 0.0
                held[first[i]] += quantity[p]


_net: Callable[..., None] = kernel(_net_py)
