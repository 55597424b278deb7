"""A cancel is what ends a call that may not land: no cap on its call, or on what is open, may stop it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from random import Random
from unittest import mock

import pytest

from keeper.lanes.rules import LaneRules
from keeper.sending.fees import Caps, Hold, Market, Need, Offer, replacement
from tests.model import keepers
from tests.model.world import World
from tests.signer_desk import GWEI


@pytest.fixture
def world() -> Iterator[World]:
    world = World()
    yield world
    world.close()


@contextmanager
def ruled(world: World, rules: LaneRules) -> Iterator[None]:
    """The keeper is started again with other rules."""
    with mock.patch.object(keepers, "RULES", rules):
        world.restart_keeper()
        yield


def mined(world: World, blocks: int, most: int = 4) -> None:
    for _ in range(blocks):
        world.desk.clocks.pass_(12.0)
        world.chain.mine(Random(1), most)
        world.block([])


def states(world: World) -> set[str]:
    return {state for (state,) in world.reader.rows("SELECT state FROM slots")}


def test_a_cancel_is_held_to_its_own_worst_case_not_to_its_calls(world: World) -> None:
    fees = replace(keepers.RULES.fees, spend=keepers.GAS * 30 * GWEI)
    with ruled(world, replace(keepers.RULES, fees=fees)):
        world.block([1])
        world.chain.base_fee = 50 * GWEI  # above what the cap leaves a call, below what it leaves a cancel
        mined(world, 30)
        assert states(world) == {"final"}


def test_above_the_exposure_cap_a_cancel_that_adds_nothing_is_signed(world: World) -> None:
    """An operator lowers the cap while calls wait."""
    world.block([1, 2, 3, 4])
    with ruled(world, replace(keepers.RULES, exposure_cap=1)):
        world.chain.base_fee = 30 * GWEI
        mined(world, 30)
        assert states(world) == {"final"}


def test_one_attempt_beyond_the_bumps_is_kept_for_a_cancel() -> None:
    caps = Caps(max_fee=100 * GWEI, tip=GWEI, tip_ceiling=10 * GWEI, spend=10**18, bumps=2)
    siblings, market = [Offer(20 * GWEI, GWEI)] * 3, Market(GWEI, ())
    call = Need(21_000, 0, 0, attempts=3)
    assert replacement(market, call, caps, siblings) == Hold("no bump left", 3, 2)
    assert isinstance(replacement(market, replace(call, is_cancel=True), caps, siblings), Offer)
    after = replacement(market, replace(call, is_cancel=True, attempts=4), caps, siblings)
    assert after == Hold("no bump left", 4, 3)
