"""How near the float model comes to the twin's statements, on the keeper's own columns."""

from collections.abc import Sequence

import numpy as np

from engine.book import OPTION, Book
from engine.margin.arrays import ArraysAt
from keeper.columns import Columns
from keeper.twin import records
from keeper.twin.fixed import WAD
from keeper.twin.margin import by_arrays
from keeper.twin.world import World


def book_of(columns: Columns, books: Sequence[records.Book]) -> Book:
    return columns.book([str(a) for a in range(len(books))], books)


def agree(columns: Columns, priced: ArraysAt, world: World, books: Sequence[records.Book]) -> None:
    """Every statement of the twin to 1e-9 of gross notional and one array unit a contract, and within the model's
    own band."""
    book = book_of(columns, books)
    found = priced(book)
    spot = priced.market.spot[priced.instruments.underlying]
    for a, statement in enumerate(by_arrays(b, world) for b in books):
        own = slice(book.start[a], book.start[a + 1])
        rows, size = book.instrument[own], np.abs(book.quantity[own])
        units = 1e-6 * size[priced.instruments.kind[rows] == OPTION].sum()
        near = 1e-9 * (size * spot[rows]).sum() + units + 1e-15 * abs(book.cash[a])
        for ours, theirs in (
            (found.equity[a], statement.equity),
            (found.im[a], statement.im),
            (found.mm[a], statement.mm),
        ):
            assert abs(ours - theirs / WAD) <= near
        assert abs(found.equity[a] - found.mm[a] - (statement.equity - statement.mm) / WAD) <= found.band[a]
