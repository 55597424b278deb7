"""What Derive's managers share: an account's positions by expiry, what they refuse, and how far floats may err."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from engine.book import FUTURE, TOKEN, Book, account_sums
from engine.compiled import kernel
from engine.market import Market
from engine.types import Flags, Floats, Ints

BAND = 1e-13
"""Of an account's gross exposure: float64 was seen to differ from the protocol's 18-decimal integers by 3e-14 of it."""
SHORT = 32  # positions


@dataclass(frozen=True, slots=True)
class Groups:
    """A book's positions, sorted within each account by expiry (none first), strike, kind, instrument, and cut into
    what the account holds of one expiry. G groups; starts and expiries as in engine.scan.worst_by_expiry."""

    account_start: Ints  # (A + 1,)
    group_start: Ints  # (G + 1,)
    group_expiry: Ints  # (G,)
    instrument: Ints  # (P,)
    quantity: Floats  # (P,)

    @staticmethod
    def of(book: Book) -> "Groups":
        """Return the groups of a book: an account's are the same whatever other accounts stand beside it."""
        instruments, count = book.instruments, book.instrument.size
        rank = np.empty(len(instruments.names), np.int64)
        rank[np.lexsort((instruments.kind, instruments.strike, instruments.expiry))] = np.arange(rank.size)
        order, account_start = np.empty(count, np.int64), np.empty_like(book.start)
        group_start, group_expiry = np.empty(count + 1, np.int64), np.empty(count, np.int64)
        _arrange(book.start, book.instrument, rank, order)
        instrument = book.instrument[order]
        groups = _group(book.start, instrument, instruments.expiry, account_start, group_start, group_expiry)
        return Groups(account_start, group_start[: groups + 1], group_expiry[:groups], instrument, book.quantity[order])


def gross_exposure(book: Book, market: Market, mark: Floats) -> Floats:
    """Return what rounding errors are proportional to, (A,), USD: options count with forward + strike."""
    dated = book.instruments.expiry >= 0
    size = np.abs(mark)
    forward = (market.forward + market.forward_fixed)[book.instruments.expiry[dated]]
    size[dated] = forward + book.instruments.strike[dated]
    positions = np.abs(book.quantity) * size[book.instrument] + np.abs(book.accrued)
    return np.abs(book.cash) + account_sums(book, positions)


def require_accepted(book: Book, accepted: Flags) -> None:
    """Raise ValueError where an account owes a token, or holds an instrument that is not `accepted`, (I,): a dated
    future, or a token without terms."""
    owed = (book.instruments.kind[book.instrument] == TOKEN) & (book.quantity < 0.0)
    refused = owed | (~accepted[book.instrument] & (book.quantity != 0.0))
    if refused.any():
        row = int(np.argmax(refused))
        account, name = book.accounts[int(book.account[row])], book.instruments.names[book.instrument[row]]
        future = book.instruments.kind[book.instrument[row]] == FUTURE
        why = "a dated future, which the protocol does not know" if future else "not accepted as collateral"
        why = "a debt, which only cash can be" if owed[row] else why
        raise ValueError(f"{account}: {book.quantity[row]} {name} is {why}")


def depeg(market: Market, threshold: float, factor: float) -> float:
    """Return what the IM factor gains by a stablecoin below `threshold`: nothing at it."""
    return max(threshold - market.stable_price, 0.0) * factor


def _arrange_py(start: Ints, instrument: Ints, rank: Ints, order: Ints) -> None:
    """Fill the positions in the order of their ranks within each account, those of one rank as they stood.

    Most accounts are short, where insertion takes a quarter of the general sort's time. Keys are unique.
    """
    for a in range(start.size - 1):
        begin, end = start[a], start[a + 1]
        for p in range(begin, end):
            key = rank[instrument[p]] * (end - begin) + p - begin
            place = p
            while end - begin <= SHORT and place > begin and order[place - 1] > key:
                order[place] = order[place - 1]
                place -= 1
            order[place] = key
        if end - begin > SHORT:
            order[begin:end].sort()
        for p in range(begin, end):
            order[p] = begin + order[p] % (end - begin)


def _group_py(
    start: Ints, instrument: Ints, expiry: Ints, account_start: Ints, group_start: Ints, group_expiry: Ints
) -> int:
    """Fill where accounts and groups start and each group's expiry; return the number of groups."""
    groups = 0
    account_start[0] = 0
    group_start[0] = 0
    for a in range(start.size - 1):
        for p in range(start[a], start[a + 1]):
            if p == start[a] or expiry[instrument[p]] != expiry[instrument[p - 1]]:
                group_start[groups] = p
                group_expiry[groups] = expiry[instrument[p]]
                groups += 1
        account_start[a + 1] = groups
    group_start[groups] = instrument.size
    return groups


_arrange: Callable[..., None] = kernel(_arrange_py)
_group: Callable[..., int] = kernel(_group_py)
