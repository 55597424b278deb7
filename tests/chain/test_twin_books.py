"""Two thousand random books: the margin contract's statement and the integer twin's, equal in every integer; the float
model near them; and what the arrays ask of them enough after any allowed move.

Arrays are published by the twin through RiskArrays; prices, products, arrays and margin are the real contracts. 1,600
books on an even keel, 200 after moves inside the limit, 200 in the last hour of an expiry, before and inside its
averaging window. Refusals are compared by their names.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import replace

import pytest
from reference_books import MOST_LEGS, compared, live_options, many, model, near, renewed, said, twin
from reference_world import EXPIRIES, LIMITS, PRICES, STRIKES, ReferenceWorld

from engine.margin.arrays import ArraysAt
from keeper.columns import Columns, scan_terms
from keeper.demo.anvil import start_anvil
from keeper.rpc import Rpc
from keeper.twin.margin import (
    by_scenario,
    mark_of,
    pack_scenarios,
)
from keeper.twin.records import Book, Instrument, Leg
from keeper.twin.words import packed
from tests.coverage_study.__main__ import IM_GATE, MM_GATE
from tests.coverage_study.measure import coverage
from tests.coverage_study.world import World as Study
from tests.twin_floats import book_of
from tests.twin_worlds import SCAN

EVEN, MOVED, LAST_HOUR = 1_600, 200, 200
MINUTE = 60


@pytest.fixture(scope="module")
def venue() -> Iterator[ReferenceWorld]:
    """An epoch on which the window is over, and a newer one at prices 0.4 % away."""
    with start_anvil(gas_limit=4_000_000_000) as anvil:
        world = ReferenceWorld(Rpc(anvil.url, timeout_s=60.0))
        renewed(world, world.start + MINUTE, {0: 1_000, 1: 1_000, 2: 1_000})
        renewed(world, world.start + 13 * MINUTE, {0: 1_004, 1: 996, 2: 1_000})
        yield world


@pytest.fixture
def world(venue: ReferenceWorld) -> Iterator[ReferenceWorld]:
    with venue.undone():
        yield venue


def covered(columns: Columns, priced: ArraysAt, books: Sequence[Book]) -> None:
    """IM of the ordinary rows covers 200 prices and both volatilities after any allowed move; where the mark enters the
    shortfall is at most a hundredth of the legs' own scans. Cash is on both sides and left out."""
    held = book_of(columns, [replace(book, cash=0) for book in books])
    found = coverage(Study(priced.instruments, priced.market, held, scan_terms(SCAN)))
    assert (found.im <= IM_GATE * found.notional).all()
    for short in (found.mm, found.tail_mm):
        assert (short <= MM_GATE * found.gross_scan + IM_GATE * found.notional).all()


# ---- the books of the gate ----


def test_the_board_is_priced_alike(world):
    every = [*live_options(world), Instrument(1)]
    picture = world.world()
    assert len(every) == 2 * len(EXPIRIES[0]) * 2 * len(STRIKES) + 1
    assert world.marks(every) == [mark_of(i, picture) for i in every]


def test_every_published_array_is_what_the_contract_recomputes(world):
    """Bytes as a challenge would compare them, inside and outside an averaging window, on ids that the twin hashed."""
    for at in (world.now, world.expiry(0, 0) - 10 * MINUTE):
        if at > world.now:
            renewed(world, at, {0: 1_010, 1: 990, 2: 1_000})
        arrays = {u: world.known[u].epochs[-1][1].arrays for u in (0, 1)}
        options = live_options(world)
        assert world.recomputed(options) == [packed(arrays[i.underlying][i.expiry][i.index]) for i in options]


def test_sixteen_hundred_books_on_an_even_keel(world):
    rng = random.Random(1)
    books = many(rng, world, EVEN)
    assert sum(len(book.legs) >= MOST_LEGS for book in books) > 100
    given = compared(world, books, rng)
    assert given == dict.fromkeys(given, EVEN)
    columns, priced = model(world)
    near(world, columns, priced, books)
    covered(columns, priced, books)
    bare = [replace(book, cash=0) for book in books[:200]]
    study = Study(priced.instruments, priced.market, book_of(columns, bare), scan_terms(SCAN))
    without = coverage(study, weaken="gap")
    assert (without.im > IM_GATE * without.notional).sum() > 20  # it would be seen if the gap charge covered nothing


def test_two_hundred_books_after_moves_inside_the_limit(world):
    """Newest arrays at 0.4 % from the first prices; reports move up to the whole limit of 1.25 % from there."""
    rng = random.Random(2)
    books = many(rng, world, MOVED)
    columns, priced = model(world)
    covered(columns, priced, books)
    for n, move in enumerate((-12_500, 12_500, -6_000, 3_333)):
        shares = {0: 1_004_000 * (10**6 + move) // 10**6, 1: 996_000 * (10**6 - move) // 10**6}
        prices = {u: PRICES[u] * share // 10**6 for u, share in shares.items()} | {2: PRICES[2] * 999 // 1_000}
        world.report(prices, world.now + 20)
        given = compared(world, books[n * 50 : n * 50 + 50], rng)
        assert given == dict.fromkeys(given, 50)
        near(world, columns, priced, books[n * 50 : n * 50 + 50])


def test_two_hundred_books_in_the_last_hour_of_an_expiry(world):
    """50 and 38 minutes before it, then 12 minutes before, when six tenths of its average are fixed."""
    rng = random.Random(3)
    expiry = world.expiry(0, 0)
    soon = [i for u in (0, 1) for i in world.known[u].board[expiry]]
    renewed(world, expiry - 50 * MINUTE, {0: 1_001, 1: 1_002, 2: 1_000})
    for before, count in ((38, LAST_HOUR // 2), (25, 0), (12, LAST_HOUR // 2)):
        renewed(world, expiry - before * MINUTE, {0: 998, 1: 1_003, 2: 1_000})
        if count:
            books = many(rng, world, count, soon)
            given = compared(world, books, rng)
            assert given == dict.fromkeys(given, count)
            columns, priced = model(world)
            near(world, columns, priced, books)
            covered(columns, priced, books)
    assert world.known[0].report.fixed_share == 6 * 10**17


# ---- refusals ----


def test_refusals_have_the_same_names(world):
    """Beyond the move limit, stale epochs and slices, options listed later, expired legs, rows that do not exist."""
    rng = random.Random(4)
    books = many(rng, world, 40)
    limit = world.known[0].report.price * 125 // 10_000
    world.report({0: world.known[0].report.price + limit + 1}, world.now + 20)
    moved = compared(world, books, rng)
    assert moved["byArrays"] < 40
    assert moved["bySettledArrays"] == moved["byArraysRegardless"] == moved["byScenario"] == 40

    added = world.list_later(1, world.expiry(1, -1), 77_777 * 10**8)
    later = [Book(0, (*book.legs[:100], Leg(added, 10**18))) for book in books]
    missing = compared(world, later, rng)
    recomputed = {"byLegs": 40, "byScenario": 40}
    assert missing == dict.fromkeys(missing, 0) | recomputed

    row = pack_scenarios({0: 18, 1: 18})
    perpetual = Book(0, (Leg(Instrument(0), 1),))
    assert [said(a) for a in world.checks("byScenario", [perpetual], [row])] == ["UnknownRow"]
    assert twin(lambda: by_scenario(perpetual, world.world(), row)) == "UnknownRow"

    world.report({0: PRICES[0], 1: PRICES[1], 2: PRICES[2]}, world.now + LIMITS.epoch_age + 30)
    stale = compared(world, books, rng)
    assert stale["byArrays"] == stale["byScenario"] == stale["byLegs"] == 0
    assert stale["byArraysRegardless"] == stale["bySettledArraysRegardless"] == 40


def test_an_expired_leg_is_unsettled_on_every_path(world):
    rng = random.Random(5)
    expiry = world.expiry(0, 0)
    soon = [i for u in (0, 1) for i in world.known[u].board[expiry]]
    books = many(rng, world, 20, soon)
    renewed(world, expiry - 20 * MINUTE, {0: 1_000, 1: 1_000, 2: 1_000})
    renewed(world, expiry - 5 * MINUTE, {0: 1_000, 1: 1_000, 2: 1_000})
    world.report({u: PRICES[u] for u in range(3)}, expiry + 10)
    assert set(compared(world, books, rng).values()) == {0}
    alive = many(rng, world, 20)
    assert compared(world, alive, rng)["byArrays"] == 20
