"""Fillers are spending like any other: no cap on a block, an hour or a day is passed for them."""

import logging
import random
from collections.abc import Iterator
from dataclasses import replace
from unittest import mock

import pytest

from keeper.lanes import alarms
from keeper.signer.records import Refusal
from tests.model import keepers
from tests.model.chain import FIRST_NONCE
from tests.model.world import World
from tests.signer_desk import ADDRESS, GWEI

FILLER = 21_000 * 25 * GWEI
"""Wei, a little more than one costs at worst at the model chain's usual fees."""
EMPTY = 6


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


def forgiven(world: World, **caps: int) -> None:
    """Reconcile above a nonce that is final, and start the keeper with these caps beyond what is spent by then."""
    mined(world, 1, [1])
    mined(world, 4, [])
    spent = sum(one.wei for one in world.keeper.journal.spends(None, -1))
    world.keeper.die()
    ((ledger,),) = world.reader.rows("SELECT ledger_id FROM meta")
    said = world.desk.service.orders.reconcile(ADDRESS, ledger, FIRST_NONCE + 1 + EMPTY, first=False)
    assert not isinstance(said, Refusal), said
    windows = replace(
        keepers.RULES.windows, **{name: spent * (name != "per_block") + cap for name, cap in caps.items()}
    )
    with mock.patch.object(keepers, "RULES", replace(keepers.RULES, windows=windows)):
        world.keeper = world._started()


def filled(world: World) -> int:
    ((count,),) = world.reader.rows("SELECT count(DISTINCT slot_id) FROM slot_attempts WHERE kind <> 'original'")
    return int(count)


def test_the_cap_on_a_block_holds_for_fillers_and_the_next_block_goes_on(world: World) -> None:
    forgiven(world, per_block=2 * FILLER)
    for count in (2, 4, 6):
        mined(world, 1, [])
        assert filled(world) == count
    mined(world, 1, [])
    mined(world, 10, [])
    assert world.reader.rows("SELECT DISTINCT state FROM slots") == [("final",)]


@pytest.mark.parametrize("window", ["per_hour", "per_day"])
def test_a_rolling_cap_holds_for_fillers_and_is_told_once(
    world: World, window: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR, logger=alarms.log.name)
    forgiven(world, **{window: 2 * FILLER})
    for block in range(3):  # not final yet: they count at their worst
        if block == 1:
            world.chain.base_fee += GWEI // 10  # the figures change, what stands in the way does not
        mined(world, 1, [])
        assert filled(world) == 2
        assert f"spend cap per {window.removeprefix('per_')}" in str(world.keeper.lane.status()["alarms"])
    assert len(caplog.records) == 1
