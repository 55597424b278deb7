"""What was tried and came to nothing is tried again; what a deep reorg makes of both tries is told."""

import random
from collections import Counter
from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any
from unittest import mock

import pytest

from keeper.chain import Receipt
from keeper.journal.records import Intent
from keeper.journal.slot_records import Earlier
from keeper.lanes.again import landed_before
from keeper.lanes.watch import Watch
from keeper.plans import Liquidate
from keeper.submit.agreement import Agreed, Reading, Unanswered
from tests.ledger_world import account
from tests.model.reader import Broken
from tests.model.world import World


class Fate(random.Random):
    """Draws what lets every call succeed, or none."""

    def __init__(self, *, succeeds: bool) -> None:
        super().__init__(0)
        self._drawn = 0.0 if succeeds else 0.99

    def random(self) -> float:
        return self._drawn


@pytest.fixture
def world() -> Iterator[World]:
    world = World()
    yield world
    world.close()


def mined(world: World, blocks: int, accounts: list[int], *, succeeds: bool = True) -> None:
    for _ in range(blocks):
        world.desk.clocks.pass_(12.0)
        world.chain.mine(Fate(succeeds=succeeds))
        world.block(accounts)


def failed_once(world: World) -> Earlier:
    """Let account 1 fail for good; return what is remembered of it."""
    world.block([1])
    mined(world, 4, [], succeeds=False)
    assert world.reader.rows("SELECT status FROM intents") == [("failed",)]
    (found,) = world.keeper.journal.earlier([Liquidate("curie", account(1), "0xm", 1.0, 2.0, 9).effect], 0)
    return found


def done(world: World) -> int:
    return Counter(a for one in world.chain.landed() if one.succeeded for a in one.tx.accounts)[1]


def test_what_failed_for_good_is_tried_again_at_once(world: World) -> None:
    """Waiting 64 blocks for a proof would leave the account endangered."""
    earlier = failed_once(world)
    link, landed = next((link, one) for link in world.chain.links for one in link.landed)
    assert (earlier.tx_hash, earlier.failed_in) == (landed.tx.tx_hash, link.block.hash)
    world.block([1])
    mined(world, 1, [])
    assert done(world) == 1
    world.see_through()


@pytest.mark.parametrize("is_told", [True, False])
def test_a_deep_reorg_that_lets_a_failed_try_and_the_next_one_succeed_is_told(world: World, is_told: bool) -> None:
    failed_once(world)
    world.block([1])
    mined(world, 1, [])
    world.chain.reorg(6, Fate(succeeds=True))
    with nullcontext() if is_told else mock.patch.object(Watch, "_tell", lambda *_: None):
        mined(world, 1, [])
        assert done(world) == 2
        assert is_told == any("may happen twice" in said for said in world.keeper.alarms)
        with nullcontext() if is_told else pytest.raises(Broken, match="done twice"):
            world.see_through()


EARLIER = Earlier("curie:liquidate:0xa", "0x1", "0xb1")


def receipt(block_hash: str) -> Receipt:
    return Receipt("0x1", 7, block_hash, succeeded=True, gas_used=1, effective_gas_price=1, logs=())


@pytest.mark.parametrize(
    ("earlier", "reading", "why"),
    [
        (EARLIER, Agreed(receipt("0xb1"), ("a",)), ""),
        (EARLIER, Agreed(receipt("0xb2"), ("a",)), "is in block 7 with it"),
        (EARLIER, Agreed(None, ("a",)), "left the block in which it failed"),
        (EARLIER, Unanswered(2, 1, "a: down"), "may have done it already"),
        (Earlier("curie:liquidate:0xa", "0x1", None), Agreed(None, ("a",)), ""),
        (Earlier("curie:liquidate:0xa", "0x1", None), Agreed(receipt("0xb1"), ("a",)), "is in block 7 with it"),
    ],
)
def test_the_next_try_waits_unless_the_last_one_is_where_it_came_to_nothing(
    earlier: Earlier, reading: Reading[Receipt | None], why: str
) -> None:
    ledger: Any = mock.Mock(**{"earlier.return_value": (earlier,)})
    facts: Any = mock.Mock(**{"receipts.return_value": (reading,)})
    intent = Intent(3, 1, Liquidate("curie", "0xa", "0xm", 1.0, 2.0, 9), "intended", "", None)
    found = landed_before([intent], ledger, facts, mock.Mock(number=9))
    assert why in found.get(3, "") and bool(why) == bool(found)
