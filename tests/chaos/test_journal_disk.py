"""T31 on the keeper's side: a full or locked journal stops sending with an alarm, and sending resumes by itself."""

import random
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import pytest

from tests.ledger_faults import full_disk, locked
from tests.model.world import World

TROUBLES: dict[str, tuple[Callable[[World], AbstractContextManager[None]], str]] = {
    "full": (lambda world: full_disk(world.keeper.journal), "free disk space"),
    "locked": (lambda world: locked(world.keeper.journal, world.folder / "keeper.db"), "stop the other process"),
}


@pytest.fixture
def world() -> Iterator[World]:
    world = World()
    yield world
    world.close()


@pytest.mark.parametrize("trouble", TROUBLES)
def test_a_journal_that_cannot_be_written_stops_sending_and_nothing_is_forgotten(world: World, trouble: str) -> None:
    begins, advice = TROUBLES[trouble]
    world.block([1, 2])
    offered, signed = world.reader.offers_seen, len(world.desk.signed())
    with begins(world):
        for _ in range(30):  # a full file has free pages left, a few small rows may still fit
            world.chain.mine(random.Random(1), most=0)
            world.block([3, 4, 5])
            if world.said and advice in world.said[-1]:
                break
        last = world.reader.offers_seen
        for _ in range(2):
            world.block([3, 4, 5])
        assert advice in world.said[-1]
        assert world.reader.offers_seen == last, "bytes were offered that could not be noted"
    world.chain.mine(random.Random(1), most=0)
    world.block([0])
    assert world.reader.offers_seen > max(offered, last)
    assert len(world.desk.signed()) > signed
    world.see_through()
