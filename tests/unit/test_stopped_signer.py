"""While the signer is drained or killed no call leaves for the first time, wherever its bytes were by then."""

import random
from collections.abc import Iterator
from contextlib import nullcontext
from unittest import mock

import pytest

from keeper.errors import SignerUnreachable
from keeper.lanes.lane import Lane
from keeper.signer.records import State
from tests.model.world import World
from tests.signer_desk import HOUSE


@pytest.fixture
def world() -> Iterator[World]:
    world = World()
    yield world
    world.close()


def mined(world: World, blocks: int, accounts: list[int]) -> None:
    for _ in range(blocks):
        world.desk.clocks.pass_(12.0)
        world.chain.mine(random.Random(1))
        world.block(accounts)


def stopped(world: World, step: str, state: State) -> None:
    """The keeper's journal fails at `step`, after calls were signed, and the signer is stopped at that moment."""
    world.block([])
    world.refuse(step)
    world.block([1, 2, 3])
    world.desk.service.core.switch.ask(state)
    assert len(world.desk.signed()) == 2 and not world.chain.pool


def calls(world: World) -> int:
    return sum(tx.to == HOUSE for tx in world.chain.pool.values())


@pytest.mark.parametrize("is_protected", [True, False])
@pytest.mark.parametrize("step", ["stored", "offering"])
def test_in_drain_calls_that_were_never_offered_are_cancelled(world: World, step: str, is_protected: bool) -> None:
    """Imported by recovery, which asks the signer for all it signed, or stored and not offered yet."""
    stopped(world, step, "drain")
    with nullcontext() if is_protected else mock.patch.object(Lane, "_is_withheld", lambda *_: False):
        mined(world, 6, [4])
    assert (calls(world) == 0) is is_protected
    expected = {"final"}, {"cancelled", "refused"} if is_protected else {"achieved", "refused"}
    states = {state for (state,) in world.reader.rows("SELECT state FROM slots WHERE state <> 'released'")}
    assert (states, {status for (status,) in world.reader.rows("SELECT status FROM intents")}) == expected


def test_in_drain_what_was_offered_is_offered_again(world: World) -> None:
    world.block([1])
    world.chain.pool.clear()
    world.desk.service.core.switch.ask("drain")
    mined(world, 1, [])
    assert calls(world) == 1


def test_once_killed_such_calls_wait_for_resume_also_without_a_signer(world: World) -> None:
    stopped(world, "stored", "killed")
    world.block([])
    assert not world.chain.pool
    seat = world.keeper.lane.fleet.home._signer._real  # type: ignore[attr-defined]
    connect = seat._connect
    seat._connect = mock.Mock(side_effect=SignerUnreachable("expected a signer that listens, found none"))
    world.keeper.lines[0].close()
    world.block([])
    assert "found none" in world.said[-1] and not world.chain.pool
    seat._connect = connect
    assert world.desk.service.orders.resume() is None
    world.block([])
    assert calls(world) == 2
