"""The float model of the reference venue against its integer twin: two thousand books, to 1e-9 of gross notional and
one array unit a contract."""

import random
from dataclasses import replace

import numpy as np
import pytest

from keeper.columns import Columns
from keeper.twin import records
from keeper.twin.fixed import WAD
from keeper.twin.world import Epoch, World
from tests.twin_floats import agree
from tests.twin_worlds import DAY, DAYS, NOW, PRICES, board, calm, moved, published, random_book

COINS = (0, 1)  # underlyings with options; the third is a stablecoin
OPTIONS = [option for u in COINS for day in DAYS for option in board(u, NOW + day * DAY)]


def drawn(seed: int, count: int, legs: int = 126) -> list[records.Book]:
    rng = random.Random(seed)
    return [
        random_book(rng, rng.randint(1, legs), collateral=2 + b // 2 % 2 if b % 2 else 0, perpetuals=b % 2 == 1)
        for b in range(count)
    ]


def test_sixteen_hundred_books():
    columns = Columns(calm(), tuple(OPTIONS))
    agree(columns, columns.priced(), calm(), drawn(1, 1600))


@pytest.mark.parametrize("share", [(-12, 12), (5, -7), (12, 1)])
def test_books_after_moves_inside_the_limit(share):
    """Per mille of the price; the limit is 12.5."""
    prices = {u: PRICES[u] * (1000 + moves) // 1000 for u, moves in enumerate(share)}
    spot = np.array([prices.get(u, PRICES[u]) / WAD for u in range(3)])
    columns = Columns(calm(), tuple(OPTIONS))
    agree(columns, columns.priced().moved(spot), moved(calm(), prices), drawn(2, 67))


def late(seconds: int) -> World:
    """The calm venue `seconds` before its first expiry, published then; inside the window the share that has passed is
    fixed half a percent above the price."""
    now = NOW + DAYS[0] * DAY - seconds
    underlyings = {}
    for u, known in calm().underlyings.items():
        report = replace(known.report, timestamp=now)
        if seconds < 1800 and u in COINS:
            share, average = (1800 - seconds) * WAD // 1800, report.price * 1005 // 1000
            report = replace(report, fixing_expiry=NOW + DAYS[0] * DAY, fixed_share=share, fixed_average=average)
        slices = {expiry: replace(slice_, timestamp=now) for expiry, slice_ in known.slices.items()}
        epoch: Epoch | None = published(report, slices, known.scan) if slices else None
        underlyings[u] = replace(known, report=report, slices=slices, current=epoch, settled=epoch)
    return replace(calm(), now=now, underlyings=underlyings)


@pytest.mark.parametrize("seconds", [3600, 1801, 1799, 600, 30])
def test_books_in_the_last_hour(seconds):
    world = late(seconds)
    columns = Columns(world, tuple(OPTIONS))
    agree(columns, columns.priced(), world, drawn(seconds, 40))


def test_a_unit_of_a_wrong_word_would_be_seen():
    """The tolerance is not so wide that it hides a scenario: one row of one option off by 1e-6 of its forward."""
    books = [records.Book(0, (records.Leg(OPTIONS[8], -WAD),))]
    columns = Columns(calm(), tuple(OPTIONS))
    priced = columns.priced()
    wrong = priced.words.value.copy()
    wrong[8] *= 1.0 + 1e-6
    with pytest.raises(AssertionError):
        agree(columns, replace(priced, words=replace(priced.words, value=wrong)), calm(), books)
