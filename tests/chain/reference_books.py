"""Random books and what is said of them, on the chain and here: for the tests that compare the two."""

import random
from collections.abc import Callable, Sequence

import numpy as np
from reference_world import PRICES, TOKENS, ReferenceWorld, Refused

from engine.margin.arrays import ArraysAt
from keeper.columns import Columns
from keeper.twin.fixed import WAD
from keeper.twin.margin import (
    by_arrays,
    by_arrays_regardless,
    by_legs,
    by_scenario,
    by_settled_arrays,
    by_settled_arrays_regardless,
    groups_by_arrays,
    pack_scenarios,
)
from keeper.twin.records import MAX_SIZE, Book, Check, Holding, Instrument, Leg
from keeper.twin.world import MarginRefused
from tests.twin_floats import agree

MOST_LEGS = 126


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
