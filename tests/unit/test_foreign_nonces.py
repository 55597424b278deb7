"""Somebody else uses nonces that the signer never signed: the lane stops with the command to run, and goes on after it.

The model world of tests/property/test_ledger_machine.py. Nonces that are signed have test_lost_nonces.py.
"""

import random
from collections.abc import Iterator
from contextlib import nullcontext
from unittest import mock

import pytest

from keeper.lanes import lane, signing
from keeper.signer.records import Refusal
from tests.model.chain import FIRST_NONCE
from tests.model.keepers import Crash
from tests.model.world import World
from tests.signer_desk import ADDRESS


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


def status(world: World) -> tuple[bool, str]:
    """Return whether the lane is seated, and its alarms."""
    found = world.keeper.lane.status()
    return found["lanes"][ADDRESS]["seated"], str(found["alarms"])  # type: ignore[index]


def statuses(world: World) -> dict[str, int]:
    return dict(world.reader.rows("SELECT status, count(*) FROM intents GROUP BY 1"))


def overtaken(world: World, accounts: list[int]) -> None:
    """Let a stranger have the next nonce of a key that is idle; decide on `accounts` in the two blocks after it."""
    mined(world, 1, [1])
    mined(world, 5, [])
    world.chain.stranger(FIRST_NONCE + 1)
    mined(world, 2, accounts)


def test_a_stranger_at_the_next_nonce_of_an_idle_key_stops_it_with_the_reconcile_command(world: World) -> None:
    overtaken(world, [2])
    for _ in range(3):
        mined(world, 1, [2])
        seated, alarms = status(world)
        assert not seated
        assert f"expected at most {FIRST_NONCE + 1} transactions of {ADDRESS}, found {FIRST_NONCE + 2}" in alarms
        assert "keeper signer reconcile" in alarms and "keeper signer reconcile" in world.said[-1]
    assert statuses(world) == {"achieved": 1}  # nothing was decided that could only be refused


def test_after_the_command_it_goes_on_without_a_restart(world: World) -> None:
    overtaken(world, [2])
    world.operator()
    mined(world, 1, [2])
    assert status(world) == (True, "[]")
    mined(world, 4, [])
    assert statuses(world) == {"achieved": 2}
    world.reader.at_the_end(world.alarms)


def test_a_reorg_without_the_stranger_lets_it_go_on(world: World) -> None:
    overtaken(world, [])
    world.chain.pool.clear()
    world.chain.reorg(3, random.Random(1))
    mined(world, 1, [2])
    assert status(world) == (True, "[]")
    mined(world, 4, [])
    assert statuses(world) == {"achieved": 2}


@pytest.mark.parametrize("is_protected", [True, False])
def test_what_is_mined_is_seen_to_its_end_while_nothing_new_is_signed(world: World, is_protected: bool) -> None:
    """Its accounts may need another transaction, by another key."""
    with nullcontext() if is_protected else mock.patch.object(lane, "OVERTAKEN", ""):
        mined(world, 1, [])
        world.block([1])
        world.chain.stranger(FIRST_NONCE + 1)
        mined(world, 4, [])
    assert status(world)[0] is False
    assert (statuses(world) == {"achieved": 1}) is is_protected


@pytest.mark.parametrize("lie", ["nonce ahead", "nonce back"])
def test_one_endpoints_nonce_count_refuses_no_plan(world: World, lie: str) -> None:
    mined(world, 1, [])
    world.nodes[0].reads = lie
    for account in range(1, 5):
        mined(world, 1, [account])
        assert status(world)[0]
    assert "a: another nonce count" in status(world)[1]
    world.calm()
    mined(world, 4, [])
    assert statuses(world) == {"achieved": 4}


def test_a_signer_that_wants_the_gap_signed_first_is_passed_over_like_one_that_signs_nothing(world: World) -> None:
    """Whatever brought the two apart: such a line would always be the emptiest, and draw all plans."""
    mined(world, 1, [])
    gap = Refusal("nonce", "expected at most 3, found 4; sign the gap first")
    seat = world.keeper.lane.fleet.home._signer
    with mock.patch.object(seat._real, "sign", lambda requests: (gap,) * len(requests)):  # type: ignore[attr-defined]
        world.block([1, 2, 3, 4])
    assert world.keeper.lane.fleet.home.purse(world.chain.head).is_stuck
    assert world.reader.rows("SELECT DISTINCT status FROM intents") == [("refused",)]


def test_what_a_stranger_took_of_an_overtaken_key_is_lost_and_may_be_done_by_another(world: World) -> None:
    """Had he taken that nonce alone, it would be lost as ever; with one more the lane waits for the command."""
    mined(world, 1, [1])
    mined(world, 5, [])
    for node in world.nodes:
        node.sends = "swallow"
    world.block([2])
    world.chain.stranger(FIRST_NONCE + 1)
    world.chain.stranger(FIRST_NONCE + 2)
    mined(world, 8, [])
    seated, alarms = status(world)
    assert not seated and "keeper signer reconcile" in alarms
    assert world.reader.rows("SELECT state FROM slots ORDER BY nonce") == [("final",), ("lost",)]
    assert not world.keeper.journal.effects_under_way()


def test_a_keeper_that_died_between_signing_and_storing_loses_nothing_while_overtaken(world: World) -> None:
    """What the ledger lacks may be what has the nonce."""
    mined(world, 1, [1])
    mined(world, 5, [])
    with mock.patch.object(signing, "attempt", dies):
        world.block([2])
    world.chain.stranger(FIRST_NONCE + 1)
    world.chain.stranger(FIRST_NONCE + 2)
    mined(world, 8, [])
    assert not status(world)[0]
    assert world.reader.rows("SELECT state FROM slots ORDER BY nonce") == [("final",), ("reserved",)]


def dies(*_: object) -> None:
    raise Crash
