"""Parameters on their way, on the chain and here: random books at rest, in the grace, halfway, held, and at rest again.

Rates, haircuts and scans are written through Products as the steward would; nothing of what they are later is read
back. Every reading of `Margin` equals the twin's in every integer, and the float model beside them is near.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import replace

import pytest
from reference_books import compared, live_options, many, model, near, renewed
from reference_world import ReferenceWorld

from keeper.abi import interface
from keeper.crosscheck import NEWEST, SETTLED, crosschecked
from keeper.demo.anvil import start_anvil
from keeper.rpc import Rpc
from keeper.twin.fixed import WAD
from keeper.twin.margin import by_arrays, by_settled_arrays
from keeper.twin.ramps import GRACE
from keeper.twin.records import Book
from keeper.twin.words import packed
from keeper.venues.portfolio import PortfolioAccount
from keeper.venues.reference import Reference
from tests.twin_worlds import MARGIN, SCAN

BOOKS = 60
WINDOW = 12 * 60
EVEN = {0: 1_000, 1: 1_000, 2: 1_000}
TIGHTER = {
    "im_scalar": 13_500, "mm_scalar": 9_700, "short_im_rate": 200, "short_mm_rate": 120, "concentration_rate": 350,
    "confidence_factor": 14_000, "concentration_from": 7 * WAD,
}  # fmt: skip
SCANS = {"scan": 18 * WAD // 100, "vol_up": 41 * WAD // 100, "vol_down": 20 * WAD // 100, "deep_up_cover": 2_500}


@pytest.fixture(scope="module")
def world() -> Iterator[ReferenceWorld]:
    with start_anvil(gas_limit=4_000_000_000) as anvil:
        world = ReferenceWorld(Rpc(anvil.url, timeout_s=60.0))
        renewed(world, world.start + 60, EVEN)
        renewed(world, world.start + 60 + WINDOW, EVEN)
        yield world


def fresh(world: ReferenceWorld, at: int) -> None:
    """Two epochs, the first of them settled."""
    world.pass_until(at)
    renewed(world, at + 1, EVEN)
    renewed(world, at + WINDOW, EVEN)


def alike(world: ReferenceWorld, seed: int) -> None:
    """Books, arrays and what the keeper reads, as they stand now."""
    rng = random.Random(seed)
    books = many(rng, world, BOOKS)
    given = compared(world, books, rng)
    assert given == dict.fromkeys(given, BOOKS)
    columns, priced = model(world)
    near(world, columns, priced, books)
    beside(world, books)
    published = {u: world.known[u].epochs[-1][1].arrays for u in (0, 1)}
    options = rng.sample(live_options(world), 30)
    assert world.recomputed(options) == [packed(published[o.underlying][o.expiry][o.index]) for o in options]
    read = Reference(world.rpc, world.manifest.contracts.venue).read(world.rpc.block(), (), world.manifest.owner)
    assert read.world.collaterals == world.world().collaterals
    for u, known in world.world().underlyings.items():
        assert replace(read.world.underlyings[u], slices={}) == replace(known, slices={})
    assert [line.scan for line in read.lines] == [world.known[line.underlying].scan for line in read.lines]


def beside(world: ReferenceWorld, books: Sequence[Book]) -> None:
    """As the line compares them: margined in floats from the published words."""
    picture = world.world()
    accounts = [PortfolioAccount(str(n), 1, 0, 0, book) for n, book in enumerate(books)]
    stated = {
        name: {a.name: margin(a.book, picture) for a in accounts}
        for name, margin in ((NEWEST, by_arrays), (SETTLED, by_settled_arrays))
    }
    found = crosschecked(picture, accounts, stated)
    assert (found.compared, found.apart) == (2 * BOOKS, {})


def in_force(world: ReferenceWorld, name: str, number: int) -> tuple[int, ...]:
    call = interface("reference/Products").function(name)
    asked = world.rpc.eth_calls([call.call(world.manifest.contracts.products, number)], world.rpc.block())
    assert isinstance(asked[0], bytes)
    return call.values(asked[0])


def test_books_agree_at_rest_in_grace_halfway_held_and_at_rest_again(world):
    alike(world, 1)

    for u in (0, 1):
        world.write_margin(u, **TIGHTER)
        world.write_scan(u, **SCANS)
    for n in (0, 1, 2):
        world.write_haircut(n, 2_100)
    written = world.rpc.block().timestamp
    fresh(world, world.now + 3_600)
    assert world.world().underlyings[0].mm.mm_scalar == MARGIN.mm_scalar
    assert world.world().underlyings[0].margin.im_scalar == TIGHTER["im_scalar"]
    assert world.world().underlyings[0].scan == SCAN
    alike(world, 2)

    fresh(world, written + GRACE * 3 // 2)
    halfway = world.world()
    assert MARGIN.mm_scalar < halfway.underlyings[0].mm.mm_scalar < TIGHTER["mm_scalar"]
    assert SCAN.scan < halfway.underlyings[0].scan.scan < SCANS["scan"]
    assert SCAN.vol_down > halfway.underlyings[0].scan.vol_down > SCANS["vol_down"]
    assert 1_000 < halfway.collaterals[0].haircut_mm < 2_100
    alike(world, 3)

    world.hold()
    held = world.world().underlyings[0].mm
    world.write_margin(1, mm_scalar=9_900)  # tightens again, so that one moves on
    world.write_haircut(0, 900)  # looser: at once
    fresh(world, world.now + GRACE // 4)
    assert world.world().underlyings[0].mm == held
    assert world.world().collaterals[0].haircut_mm == 900
    alike(world, 4)

    fresh(world, world.now + 2 * GRACE)
    assert world.world().underlyings[0].mm == held
    assert world.world().underlyings[1].mm == world.world().underlyings[1].margin
    assert world.world().underlyings[0].scan.scan == SCANS["scan"]
    assert in_force(world, "mmParameters", 0)[0][1] == held.mm_scalar
    alike(world, 5)
