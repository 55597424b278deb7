"""Compile or load every kernel before the first block waits for it: the first dispatch costs a second."""

import numpy as np

from engine.margin import perp
from engine.margin.perp import PerpBook, PerpMarket


def warm() -> None:
    """Run each kernel once on an empty book, with the array types real books have."""
    none, rows, starts = np.empty(0), np.empty(0, np.int64), np.zeros(1, np.int64)
    book = PerpBook(none, starts, rows, none, none, none, none, starts, rows, none)
    perp.margin(book, PerpMarket(none, none, none, 0.1, 0.0625, 6))
