"""What stops a lane is told once a block, spends no more than the day's budget, and does not stop what is signed."""

import logging
import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from dataclasses import replace
from unittest import mock

import pytest

from keeper.lanes import alarms as told
from keeper.lanes import lane
from keeper.lanes.books import used
from keeper.lanes.filling import Filling
from keeper.lanes.recover import _state
from keeper.lanes.rules import LaneRules, Windows
from keeper.sending.priority import SendingPolicy
from keeper.signer import wire
from keeper.signer.records import LedgerState, State
from tests.model import keepers
from tests.model.chain import FIRST_NONCE, receipt
from tests.model.world import World
from tests.signer_desk import ADDRESS, GWEI

BUDGET = 30 * GWEI * keepers.GAS
"""Wei: room for one call at the model chain's usual fees, not for it at twice."""


@contextmanager
def started(rules: LaneRules = keepers.RULES) -> Iterator[World]:
    with mock.patch.object(keepers, "RULES", rules):
        world = World()
        yield world
        world.close()


@pytest.fixture
def world() -> Iterator[World]:
    with started() as world:
        mined(world, 3, [1])
        mined(world, 5, [])
        yield world


def mined(world: World, blocks: int, accounts: list[int], most: int = 4) -> None:
    for _ in range(blocks):
        world.desk.clocks.pass_(12.0)
        world.chain.mine(random.Random(1), most)
        world.block(accounts)


def alarms(world: World) -> list[str]:
    return list(world.keeper.lane.status()["alarms"])  # type: ignore[call-overload]


# --- the day's loss budget -----------------------------------------------------------------------------


def lost(world: World) -> int:
    return used(world.keeper.journal, None, world.chain.head, priced=False).lost


@pytest.mark.parametrize("is_protected", [True, False])
def test_replacements_keep_within_the_days_loss_budget(is_protected: bool) -> None:
    rules = replace(keepers.RULES, policy=SendingPolicy("protocol", loss_budget=BUDGET))
    off = mock.patch.object(SendingPolicy, "over_budget", lambda *_: "")
    with started(rules) as world, nullcontext() if is_protected else off:
        world.block([])
        world.block([2])
        world.chain.base_fee = 60 * GWEI
        mined(world, 2, [])
        assert (lost(world) <= BUDGET) is is_protected
        assert any("is not replaced: policy protocol" in text for text in alarms(world)) is is_protected


def test_a_first_attempt_that_would_pass_the_budget_at_its_worst_is_not_sent() -> None:
    """Twice the base fee is offered: what it is expected to cost fits twice, its worst once."""
    rules = replace(keepers.RULES, policy=SendingPolicy("protocol", loss_budget=BUDGET * 7 // 6))
    with started(rules) as world:
        world.block([])
        world.block([1, 2, 3])  # two transactions
        assert 0 < lost(world) <= BUDGET * 7 // 6
        assert any("the rest of the day's budget" in text for text in alarms(world))


def forgiven(world: World) -> None:
    """An operator's reconcile leaves one nonce that is to be filled."""
    ((ledger,),) = world.reader.rows("SELECT ledger_id FROM meta")
    world.keeper.die()
    world.desk.service.orders.reconcile(ADDRESS, ledger, FIRST_NONCE + len(world.chain.landed()) + 1, first=False)


def test_a_spent_loss_budget_leaves_no_nonce_empty(world: World) -> None:
    """What waits behind it would cost more than the transfer; it counts in the budget all the same."""
    forgiven(world)
    before = lost(world)
    with mock.patch.object(keepers, "RULES", replace(keepers.RULES, policy=SendingPolicy("protocol", loss_budget=0))):
        world.restart_keeper()
    mined(world, 4, [])
    assert world.reader.rows("SELECT state FROM slots WHERE purpose = 'filler'") == [("final",)]
    assert lost(world) > before


def test_a_spent_loss_budget_does_not_keep_a_call_from_being_cancelled() -> None:
    rules = replace(keepers.RULES, policy=SendingPolicy("protocol", loss_budget=22 * GWEI * keepers.GAS))
    with started(rules) as world:
        world.block([])
        world.block([2])
        world.chain.base_fee = 120 * GWEI
        mined(world, 20, [])
        assert world.reader.rows("SELECT state FROM slots") == [("final",)]
        assert world.reader.rows("SELECT kind FROM slot_attempts ORDER BY id")[-1] == ("cancel",)


# --- an empty nonce -------------------------------------------------------------------------------------


def test_nothing_new_is_signed_behind_a_nonce_that_stays_empty(world: World) -> None:
    forgiven(world)
    world.restart_keeper()
    with mock.patch.object(Filling, "_within_caps", lambda *_: ([], "nonce 9 stays empty")):
        mined(world, 2, [3])
        assert world.reader.rows("SELECT state FROM slots WHERE state <> 'final'") == [("reserved",)]
        assert world.reader.rows("SELECT DISTINCT cause FROM intents WHERE status = 'refused'") == [
            ("nonce 9 stays empty",)
        ]
    mined(world, 1, [3])
    mined(world, 4, [])
    assert world.reader.rows("SELECT DISTINCT state FROM slots") == [("final",)]


def test_what_is_kept_for_liquidations_fills_a_nonce_that_one_may_wait_behind(world: World) -> None:
    forgiven(world)
    call = 25 * GWEI * keepers.GAS
    spent = sum(one.wei for one in world.keeper.journal.spends(None, -1))
    windows = replace(keepers.RULES.windows, per_hour=spent + 4 * call)
    with mock.patch.object(keepers, "RULES", replace(keepers.RULES, reserved_ppm=990_000, windows=windows)):
        world.restart_keeper()
    mined(world, 1, [3])
    mined(world, 6, [])
    assert world.reader.rows("SELECT DISTINCT state FROM slots") == [("final",)]


# --- alarms --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("accounts", [[], [3, 4, 5]], ids=["a replacement", "new plans"])
def test_a_cap_of_the_signer_sounds_one_alarm(world: World, accounts: list[int]) -> None:
    if not accounts:
        world.block([2])
        world.chain.base_fee = 60 * GWEI
    world.desk.service.core.policy = replace(world.desk.policy, per_hour=1)
    mined(world, 2, accounts)
    assert len([text for text in alarms(world) if "per_hour" in text]) == 1


@pytest.mark.parametrize("accounts", [[], [3, 4, 5]], ids=["head", "new plans"])
def test_a_fee_cap_in_the_way_sounds_one_alarm(
    world: World, accounts: list[int], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR, logger=told.log.name)
    if not accounts:
        world.block([2])
    world.chain.base_fee = 400 * GWEI
    for _ in range(3):
        world.chain.base_fee += GWEI  # the figures change, what stands in the way does not
        mined(world, 1, accounts)
        assert [text for text in alarms(world) if "base fee above the cap" in text] == alarms(world) != []
    assert len([record for record in caplog.records if record.name == told.log.name]) == 1


def test_several_plans_that_one_cap_stops_sound_one_alarm() -> None:
    with started(replace(keepers.RULES, windows=Windows(1, keepers.ETHER, keepers.ETHER))) as world:
        world.block([])
        world.block([1, 2, 3, 4, 5])
        assert [text.partition(":")[0] for text in alarms(world)] == ["spend cap per block"]


def test_a_head_that_nobody_mines_sounds_an_alarm(world: World) -> None:
    world.block([2])
    mined(world, 60, [], most=0)
    assert any("replacement above the cap" in text for text in alarms(world))


def test_closed_nonces_that_a_deep_reorg_opens_again_sound_an_alarm(world: World) -> None:
    assert world.reader.rows("SELECT DISTINCT state FROM slots") == [("final",)]
    world.chain.base_fee = 60 * GWEI  # none of them lands again at once
    world.chain.reorg(8, random.Random(0))
    world.block([])
    assert any("deeper than finality" in text for text in alarms(world))


@pytest.mark.parametrize("state", ["killed", "drain"])
@pytest.mark.parametrize("is_protected", [True, False])
def test_a_stopped_signer_sounds_an_alarm_and_no_nonce_is_reserved_in_vain(
    world: World, state: State, is_protected: bool
) -> None:
    world.desk.service.core.switch.ask(state)
    with nullcontext() if is_protected else mock.patch.object(lane, "_stopped", lambda *_: ""):
        mined(world, 1, [])
        assert any("keeper signer resume" in text for text in alarms(world)) is is_protected
        mined(world, 3, [2, 3])
    assert (world.reader.rows("SELECT * FROM slots WHERE state = 'released'") == []) is is_protected
    ((cause,),) = world.reader.rows("SELECT DISTINCT cause FROM intents WHERE status = 'refused'")
    assert ("its switch" in cause) is is_protected
    assert world.desk.service.orders.resume() is None
    mined(world, 4, [2])
    assert not alarms(world)


def test_an_empty_nonce_is_filled_once_the_signer_is_no_longer_stopped(world: World) -> None:
    forgiven(world)
    world.desk.service.core.switch.ask("drain")
    world.restart_keeper()
    mined(world, 2, [])
    assert len(alarms(world)) == 1 and "its switch" in alarms(world)[0]
    assert world.desk.service.orders.resume() is None
    mined(world, 4, [])
    assert world.reader.rows("SELECT state FROM slots WHERE purpose = 'filler'") == [("final",)]


def test_what_the_signer_refuses_does_not_make_the_hello_longer(world: World) -> None:
    def asked() -> LedgerState:
        return _state(world.keeper.journal, ADDRESS, -1, 0)

    before = asked()
    world.desk.service.core.policy = replace(world.desk.policy, per_hour=1)
    mined(world, 5, [2, 3])
    assert len(world.reader.rows("SELECT * FROM slots WHERE state = 'released'")) == 5
    assert asked() == before
    world.restart_keeper()
    world.desk.service.core.policy = world.desk.policy
    mined(world, 4, [2, 3])
    world.see_through()


def test_a_signer_that_is_older_than_the_keeper_does_not_stop_what_is_signed(world: World) -> None:
    for node in world.nodes:
        node.sends = "swallow"
    world.block([2])
    for node in world.nodes:
        node.sends = "accept"
    before, real = len(world.chain.landed()), wire.grant_out
    with mock.patch.object(wire, "grant_out", lambda grant: {k: v for k, v in real(grant).items() if k != "state"}):
        mined(world, 3, [])
        assert len(world.chain.landed()) == before + 1
        assert any("an older signer is updated first" in text for text in alarms(world))


# --- the signer's store --------------------------------------------------------------------------------


@pytest.mark.parametrize("is_protected", [True, False])
def test_bytes_are_offered_and_watched_while_the_signers_store_is_locked(world: World, is_protected: bool) -> None:
    """As while the signer cannot be reached: nobody else has the lease."""
    for node in world.nodes:
        node.sends = "swallow"
    world.block([2])
    for node in world.nodes:
        node.sends = "accept"
    before = len(world.chain.landed())
    off = mock.patch("keeper.signer.client.STORE", "")  # a refused lease, like any other
    with closing(sqlite3.connect(world.folder / "signer.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with nullcontext() if is_protected else off:
            mined(world, 4, [])
        assert (len(world.chain.landed()) > before) is is_protected
        assert (world.reader.rows("SELECT DISTINCT state FROM slots") == [("final",)]) is is_protected
        assert any("expected a store that can be written" in text for text in alarms(world))
    mined(world, 4, [])
    assert world.reader.rows("SELECT DISTINCT state FROM slots") == [("final",)] and not alarms(world)


# --- what an operator is told ----------------------------------------------------------------------------


def test_what_was_spent_today_is_what_the_chain_charged_and_unknown_before_the_first_block(world: World) -> None:
    hashes = [tx_hash for (tx_hash,) in world.reader.rows("SELECT winner_hash FROM slots")]
    found_there = [receipt(world.chain.links, tx_hash) for tx_hash in hashes]
    charged = sum(int(one["gasUsed"], 16) * int(one["effectiveGasPrice"], 16) for one in found_there if one)
    found = world.keeper.lane.status()
    assert found["spent_ether_day"] == found["lost_ether_day"] == pytest.approx(charged / 10**18) and charged > 0
    world.restart_keeper()
    assert world.keeper.lane.status()["spent_ether_day"] is None
