"""A nonce that a stranger used, found final, and a reorg that is deeper: what was lost is looked at again.

The model world of tests/property/test_ledger_machine.py. Each protection is switched off once, and then it is missed.
"""

import random
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from typing import Any
from unittest import mock

import pytest

from keeper.lanes import executor, watch
from keeper.plans import Liquidate
from tests.model import keepers
from tests.model.chain import FIRST_NONCE, Tx
from tests.model.reader import Broken
from tests.model.world import World

ACCOUNT = 1


@pytest.fixture
def world() -> Iterator[World]:
    world = World()
    yield world
    world.close()


def mined(world: World, blocks: int, accounts: list[int]) -> None:
    for _ in range(blocks):
        world.desk.clocks.pass_(12.0)
        world.chain.mine(random.Random(0))
        world.block(accounts)


def lost(world: World, accounts: Sequence[int] = (ACCOUNT,)) -> dict[str, Tx]:
    """Lose the first nonce to a stranger; return the keeper's own bytes for it."""
    world.block(list(accounts))
    ours = dict(world.chain.pool)
    ((nonce,),) = world.reader.rows("SELECT nonce FROM slots")
    world.chain.stranger(nonce)
    world.chain.pool = {h: tx for h, tx in world.chain.pool.items() if h in world.chain.strangers}
    mined(world, 4, [])
    assert world.reader.rows("SELECT state, winner_hash FROM slots") == [("lost", None)]
    assert world.reader.rows("SELECT DISTINCT status FROM intents") == [("lost",)]
    return ours


@pytest.mark.parametrize("is_protected", [True, False])
def test_a_lost_nonce_that_was_ours_after_all_is_told_as_it_was(world: World, is_protected: bool) -> None:
    """The effect was planned anew meanwhile and both land: nothing can stop that, and nothing may hide it."""
    with nullcontext() if is_protected else mock.patch.object(watch.Watch, "_not_lost", lambda *_: []):
        ours = lost(world)
        world.chain.pool = ours
        world.block([ACCOUNT])  # under the next nonce; both are in the pool
        world.chain.reorg(4, random.Random(1))
        with nullcontext() if is_protected else pytest.raises(Broken, match="I1"):
            world.see_through()
    if is_protected:
        found = world.reader.rows(
            "SELECT s.state, i.status FROM slots s, slot_intents c, intents i "
            "WHERE c.slot_id = s.id AND i.id = c.intent_id ORDER BY s.nonce"
        )
        assert found == [("final", "achieved")] * 2


@pytest.mark.parametrize("is_protected", [True, False])
def test_a_lost_nonce_that_nobody_has_any_more_is_seen_through(world: World, is_protected: bool) -> None:
    """The stranger's transaction is gone for good: every later nonce waits for ours."""
    with nullcontext() if is_protected else mock.patch.object(watch.Watch, "_not_lost", lambda *_: []):
        lost(world)
        world.chain.pool = {}
        world.chain.reorg(4, random.Random(1))
        world.block([2])
        with nullcontext() if is_protected else pytest.raises(Broken):
            world.see_through()
    if is_protected:
        assert world.reader.rows("SELECT state FROM slots") == [("final",)] * 2


@pytest.mark.parametrize("is_protected", [True, False])
def test_an_effect_is_not_planned_anew_while_its_lost_bytes_may_have_landed(world: World, is_protected: bool) -> None:
    """The audit cannot tell, for one endpoint says otherwise: then the next nonce would do it a second time."""
    with nullcontext() if is_protected else mock.patch.object(executor, "landed_before", lambda *_: {}):
        world.chain.pool = lost(world)
        world.chain.reorg(4, random.Random(1))
        world.nodes[0].reads = "flipped"
        world.chain.endangered = lambda accounts, _: accounts  # type: ignore[method-assign]  # decided a block too early
        with nullcontext() if is_protected else pytest.raises(Broken, match="I1: reserved again"):
            world.block([ACCOUNT])
    if is_protected:
        assert world.reader.rows("SELECT status FROM intents") == [("lost",), ("refused",)]
        world.see_through()
        assert world.reader.rows("SELECT state FROM slots") == [("final",)]


def test_the_label_follows_when_a_cancel_is_replaced_by_its_call_in_a_deep_reorg(world: World) -> None:
    world.block([ACCOUNT])
    (original,) = world.chain.pool.values()
    for _ in range(6):  # past its last block
        world.desk.clocks.pass_(12.0)
        world.chain.mine(random.Random(0), most=0)
        world.block([])
    cancels = {h: tx for h, tx in world.chain.pool.items() if not tx.accounts}
    assert cancels
    world.chain.pool = cancels
    mined(world, 4, [])
    assert world.reader.rows("SELECT state FROM slots") == [("final",)]
    assert world.reader.rows("SELECT status FROM intents") == [("cancelled",)]
    world.chain.pool = {original.tx_hash: original}
    world.chain.reorg(4, random.Random(1))
    world.see_through()
    assert world.reader.rows("SELECT winner_hash, status FROM slots, intents") == [(original.tx_hash, "achieved")]


def lasting(*given: Any) -> Liquidate:
    """A plan that no reorg of these tests brings past its last block."""
    return Liquidate(*given[:-1], given[-1] + 100)


@pytest.mark.parametrize(("accounts", "is_cancelled"), [([ACCOUNT], True), ([ACCOUNT, 2], False)])
def test_what_opens_again_beside_a_rival_is_cancelled_unless_it_carries_more(
    world: World, accounts: list[int], is_cancelled: bool
) -> None:
    """The rival carries one effect by now. A batch goes on for the other, and each member ends by its own effect."""
    with mock.patch.object(keepers, "Liquidate", lasting):
        lost(world, accounts)
        world.chain.pool = {}
        world.block([ACCOUNT])
    world.chain.reorg(4, random.Random(1))
    world.block([])
    kinds = world.reader.rows("SELECT a.kind FROM slot_attempts a JOIN slots s ON s.id = a.slot_id WHERE s.id = 1")
    assert (("cancel",) in kinds) is is_cancelled
    rival = {h: tx for h, tx in world.chain.pool.items() if tx.nonce > FIRST_NONCE}
    newest = list(world.chain.pool.values())[-1]
    world.chain.pool = rival | {newest.tx_hash: newest}
    world.see_through()
    found = [status for (status,) in world.reader.rows("SELECT status FROM intents ORDER BY id")]
    assert found == (["cancelled", "achieved"] if is_cancelled else ["achieved"] * 3)
