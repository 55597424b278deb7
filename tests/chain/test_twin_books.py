"""Two thousand random books: the margin contract's statement and the integer twin's, equal in every integer; the float
model near them; and what the arrays ask of them enough after any allowed move.

Arrays are published by the twin through RiskArrays; prices, products, arrays and margin are the real contracts. 1,600
books on an even keel, 200 after moves inside the limit, 200 in the last hour of an expiry, before and inside its
averaging window. Refusals are compared by their names.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np
import pytest
from reference_world import EXPIRIES, LIMITS, PRICES, STRIKES, TOKENS, ReferenceWorld, Refused

from engine.margin.arrays import ArraysAt
from keeper.columns import Columns, scan_terms
from keeper.demo.anvil import start_anvil
from keeper.rpc import Rpc
from keeper.twin.fixed import WAD
from keeper.twin.margin import (
    by_arrays,
    by_arrays_regardless,
    by_legs,
    by_scenario,
    by_settled_arrays,
    by_settled_arrays_regardless,
    groups_by_arrays,
    mark_of,
    pack_scenarios,
)
from keeper.twin.records import MAX_SIZE, Book, Check, Holding, Instrument, Leg
from keeper.twin.words import packed
from keeper.twin.world import MarginRefused
from tests.coverage_study.__main__ import IM_GATE, MM_GATE
from tests.coverage_study.measure import coverage
from tests.coverage_study.world import World as Study
from tests.twin_floats import agree, book_of
from tests.twin_worlds import SCAN

EVEN, MOVED, LAST_HOUR = 1_600, 200, 200
MOST_LEGS = 126
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


def renewed(world: ReferenceWorld, at: int, per_mille: dict[int, int]) -> None:
    """Report at these shares of the first prices, fit and publish."""
    world.report({u: PRICES[u] * share // 1_000 for u, share in per_mille.items()}, at)
    world.fit((0, 1))
    for u in (0, 1):
        world.publish(u)


# ---- books ----


def size(rng: random.Random) -> int:
    largest = MAX_SIZE if rng.random() < 0.01 else 10 ** rng.randint(12, 23)
    return rng.choice((-1, 1)) * rng.randint(1, largest)


def drawn(rng: random.Random, options: Sequence[Instrument], rich: bool, must: Sequence[Instrument] = ()) -> Book:
    """1 to 126 options, of both underlyings where there are two and of three expiries where there are three; `rich`:
    perpetuals and collaterals."""
    count = rng.choice((rng.randint(1, 16), rng.randint(1, MOST_LEGS), MOST_LEGS))
    chosen = dict.fromkeys((*must, *spread(rng, options), *rng.sample(options, len(options))))
    legs = [Leg(i, size(rng)) for i in list(chosen)[: max(count, len(must))]]
    held: tuple[Holding, ...] = ()
    if rich:
        legs += [Leg(Instrument(0), size(rng)), Leg(Instrument(1), size(rng))]
        kinds = rng.sample(range(len(TOKENS)), rng.randint(2, 3))
        held = tuple(Holding(n, rng.randint(1, 10 ** rng.randint(1, 6 + TOKENS[n][0].decimals))) for n in kinds)
    rng.shuffle(legs)
    return Book(rng.choice((-1, 1)) * rng.randint(0, 10 ** rng.randint(1, 26)), tuple(legs), held)


def spread(rng: random.Random, options: Sequence[Instrument]) -> list[Instrument]:
    """Three options of three expiries, the first two of different underlyings."""
    first = rng.choice(options)
    second = rng.choice([i for i in options if i.underlying != first.underlying and i.expiry != first.expiry])
    third = rng.choice([i for i in options if i.expiry not in (first.expiry, second.expiry)])
    return [first, second, third]


def many(rng: random.Random, world: ReferenceWorld, count: int, must: Sequence[Instrument] = ()) -> list[Book]:
    books = [drawn(rng, live_options(world), n % 2 == 0, rng.sample(must, min(2, len(must)))) for n in range(count)]
    for book in books:
        options = [leg.instrument for leg in book.legs if leg.instrument.is_option]
        assert 1 <= len(options) <= MOST_LEGS
        assert must or len({i.underlying for i in options}) >= min(2, len(options))
        assert must or len({i.expiry for i in options}) >= min(3, len(options))
    assert sum(len(b.legs) > 2 and len(b.collateral) >= 2 for b in books) >= count // 2  # those with perpetuals
    return books


def live_options(world: ReferenceWorld) -> list[Instrument]:
    return [i for u in (0, 1) for expiry in world.live(u) for i in world.known[u].board[expiry]]


# ---- in floats ----


def model(world: ReferenceWorld) -> tuple[Columns, ArraysAt]:
    """The float model at the reports that the newest epochs were published on."""
    columns = Columns(world.world(), tuple(live_options(world)))
    return columns, columns.priced()


def near(world: ReferenceWorld, columns: Columns, priced: ArraysAt, books: Sequence[Book]) -> None:
    """The float model of the epochs, at the newest prices, beside the twin's statements of the same books."""
    picture = world.world()
    spot = np.array([picture.underlyings[u].report.price / WAD for u in range(3)])
    agree(columns, priced.moved(spot), picture, books)


def covered(columns: Columns, priced: ArraysAt, books: Sequence[Book]) -> None:
    """IM of the ordinary rows covers 200 prices and both volatilities after any allowed move; where the mark enters the
    shortfall is at most a hundredth of the legs' own scans. Cash is on both sides and left out."""
    held = book_of(columns, [replace(book, cash=0) for book in books])
    found = coverage(Study(priced.instruments, priced.market, held, scan_terms(SCAN)))
    assert (found.im <= IM_GATE * found.notional).all()
    for short in (found.mm, found.tail_mm):
        assert (short <= MM_GATE * found.gross_scan + IM_GATE * found.notional).all()


# ---- comparing ----


def twin(margin: Callable[[], Check]) -> Check | str:
    try:
        return margin()
    except MarginRefused as refused:
        return type(refused).__name__


def said(answer: Check | Refused) -> Check | str:
    return answer.name if isinstance(answer, Refused) else answer


def compared(world: ReferenceWorld, books: Sequence[Book], rng: random.Random) -> dict[str, int]:
    """Compare all six readings of every book; returns how many of each gave a statement."""
    picture = world.world()
    rows = [worst_or_any(book, world, rng) for book in books]
    given: dict[str, int] = {}
    for name, margin in (
        ("byArrays", by_arrays), ("bySettledArrays", by_settled_arrays), ("byArraysRegardless", by_arrays_regardless),
        ("bySettledArraysRegardless", by_settled_arrays_regardless), ("byLegs", by_legs),
    ):  # fmt: skip
        found = [said(answer) for answer in world.checks(name, books)]
        for book, ours in zip(books, found, strict=True):
            assert ours == twin(lambda b=book, m=margin: m(b, picture)), (name, book)
        given[name] = sum(isinstance(answer, Check) for answer in found)
    found = [said(answer) for answer in world.checks("byScenario", books, rows)]
    for book, row, ours in zip(books, rows, found, strict=True):
        assert ours == twin(lambda b=book, r=row: by_scenario(b, picture, r)), ("byScenario", row, book)
    given["byScenario"] = sum(isinstance(answer, Check) for answer in found)
    return given


def worst_or_any(book: Book, world: ReferenceWorld, rng: random.Random) -> int:
    """The arrays' own worst rows, where they can be read, or any rows at all, none among them."""
    if rng.random() < 0.5:
        try:
            return pack_scenarios({g.underlying: g.row for g in groups_by_arrays(book, world.world(), regardless=True)})
        except MarginRefused:
            pass
    return pack_scenarios({u: rng.choice((*range(18), 255)) for u in range(3)})


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
