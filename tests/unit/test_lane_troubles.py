"""What a block that ended early, a strayed endpoint or a deep reorg leaves behind is seen through by the lane.

The same model world as tests/property/test_ledger_machine.py; each protection is switched off once, and then it is not.
"""

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from unittest import mock

import pytest

from keeper.chain import Call
from keeper.errors import SignerUnreachable
from keeper.lanes import recover, watch
from keeper.lanes.lane import Lane
from keeper.plans import Plan
from keeper.signer import wire
from keeper.submit.dissent import PERSISTENT
from keeper.submit.facts import Facts
from tests.ledger_world import account
from tests.model import keepers
from tests.model.chain import FIRST_NONCE
from tests.model.endpoints import Node
from tests.model.reader import Broken
from tests.model.world import World
from tests.signer_desk import GWEI


@pytest.fixture
def world() -> Iterator[World]:
    world = World()
    yield world
    world.close()


def seen_through(world: World, *, is_protected: bool) -> None:
    """Everything ends as the chain says, or, with the protection off, does not."""
    with nullcontext() if is_protected else pytest.raises(Broken):
        world.see_through()


def mined(world: World, blocks: int, accounts: list[int]) -> None:
    for _ in range(blocks):
        world.chain.mine(random.Random(1))
        world.block(accounts)


@contextmanager
def _deaf(_lane: Lane) -> Iterator[None]:
    yield


@pytest.mark.parametrize("is_protected", [True, False])
def test_a_journal_that_could_not_be_written_after_a_signature_is_made_up_for(world: World, is_protected: bool) -> None:
    """T31: the signer has bytes the ledger lacks, and every later nonce waits for theirs."""
    with nullcontext() if is_protected else mock.patch.object(Lane, "_seated", _deaf):
        world.refuse("stored")
        world.block([1, 2, 3])
        assert "disk is full" in world.said[-1]
        assert world.reader.rows("SELECT DISTINCT state FROM slots") == [("reserved",)]
        assert not world.chain.pool  # nothing was offered
        seen_through(world, is_protected=is_protected)


@pytest.mark.parametrize("is_restarted", [False, True])
@pytest.mark.parametrize("depth", [watch.AUDIT_DEPTH, 2])
def test_a_final_nonce_that_a_reorg_frees_can_still_be_cancelled(world: World, depth: int, is_restarted: bool) -> None:
    """The signer learns what is final only where the audit ends; told as soon as slots close, it refuses for ever."""
    with mock.patch.object(watch, "AUDIT_DEPTH", depth), mock.patch.object(recover, "AUDIT_DEPTH", depth):
        mined(world, 1, [1])
        mined(world, 4, [])
        if is_restarted:
            world.restart_keeper()
            world.block([])
    assert world.reader.rows("SELECT state FROM slots") == [("final",)]
    world.chain.base_fee = 60 * GWEI  # above what was offered, below every cap
    world.chain.reorg(5, random.Random(0))
    mined(world, 30, [])
    assert world.reader.rows("SELECT state FROM slots") == [("final" if depth > 2 else "offered",)]


def test_what_is_beyond_audit_is_told_to_the_signer_once(world: World) -> None:
    mined(world, 1, [1])
    with mock.patch.object(watch.Watch, "_audit", autospec=True):  # sixty quick blocks
        mined(world, watch.AUDIT_DEPTH, [])
    (before,) = world.desk.service.orders.status()
    mined(world, 2, [])
    (after,) = world.desk.service.orders.status()
    assert (before["final"], after["final"]) == (2, 3)


@pytest.mark.parametrize("method", ["reserve", "sign", "stored", "offering", "answered", "mined", "final"])
def test_a_journal_that_is_full_for_a_moment_stops_that_block_alone(world: World, method: str) -> None:
    mined(world, 2, [1, 2])
    world.refuse(method)
    for accounts in ([3, 4], [5], [6]):
        mined(world, 1, accounts)
    world.chain.reorg(2, random.Random(1))
    mined(world, 3, [])
    assert any("disk is full" in said for said in world.said)
    seen_through(world, is_protected=True)


def test_what_was_decided_when_the_chain_fell_silent_can_be_planned_again(world: World) -> None:
    world.head.is_down = True
    world.block([1])
    assert world.reader.rows("SELECT status FROM intents") == [("intended",)]
    world.head.is_down = False
    mined(world, 1, [1])
    assert world.reader.rows("SELECT status FROM intents ORDER BY id") == [("expired",), ("live",)]
    seen_through(world, is_protected=True)


@pytest.mark.parametrize("is_protected", [True, False])
def test_endpoints_that_were_another_chains_for_a_block_are_asked_again(world: World, is_protected: bool) -> None:
    """F23: the wrong chain behind the same URL after a fail-over, and then the right one again."""

    def usable(facts: Facts) -> tuple[str, ...]:
        return facts._endpoints.usable(urgent=True, least=2)

    with nullcontext() if is_protected else mock.patch.object(Facts, "_asked", usable):
        mined(world, 1, [1])
        for node in world.nodes[:2]:
            stray(world, node)
        seen_through(world, is_protected=is_protected)


def stray(world: World, node: Node) -> None:
    node.reads = "other chain"
    mined(world, 1, [2])
    node.reads = "true"


@pytest.mark.parametrize("is_protected", [True, False])
def test_a_sibling_in_place_of_a_final_one_is_noticed(world: World, is_protected: bool) -> None:
    """F11 deeper than finality: the count of nonces is as before, the hash is not."""
    with nullcontext() if is_protected else mock.patch.object(watch, "_left_the_chain", lambda *_: False):
        world.block([1])
        for _ in range(2):
            world.chain.mine(random.Random(0), most=0)
            world.block([])  # the head of line has waited: it is replaced
        original, replacement = sorted(world.chain.pool.values(), key=lambda tx: tx.max_fee)
        del world.chain.pool[replacement.tx_hash]
        mined(world, 4, [])
        assert world.reader.rows("SELECT winner_hash, state FROM slots") == [(original.tx_hash, "final")]
        world.chain.pool = {replacement.tx_hash: replacement}
        world.chain.reorg(4, random.Random(0))
        seen_through(world, is_protected=is_protected)
        winners = world.reader.rows("SELECT winner_hash FROM slots")
        assert (winners == [(replacement.tx_hash,)]) is is_protected


def test_a_replacement_that_the_exposure_cap_has_no_room_for_is_not_signed(world: World) -> None:
    """I5 counts what the signer has signed: bytes may land, stored or not."""
    world.block([1, 2, 3, 4, 5, 6, 7])
    world.chain.base_fee *= 4
    for _ in range(3):
        world.chain.mine(random.Random(0), most=0)
        world.block([])
    assert world.said == []  # no block ended early
    seen_through(world, is_protected=True)


@pytest.mark.parametrize("name", ["keeper.db", "signer.db"])
def test_a_database_restored_from_an_old_backup_stops_with_the_command_to_run(world: World, name: str) -> None:
    """F7: either store an hour old beside the other; nothing is sent until a person has looked."""
    mined(world, 2, [1, 2])
    backup = world.backup(name)
    mined(world, 2, [3, 4])
    sent = world.reader.offers_seen
    world.restore(name, backup)
    mined(world, 2, [5])
    assert all("keeper signer reconcile" in said for said in world.said[-2:])
    assert world.reader.offers_seen == sent


def test_new_bytes_reach_more_than_the_one_endpoint_that_is_not_resting(world: World) -> None:
    """T13: two honest ones asked to be left alone, and the third swallows what it is offered."""
    world.block([])
    for name in "ab":
        world.keeper.lane._outlets._real.health(name).busy("429", 300.0)  # type: ignore[attr-defined]
    world.nodes[2].sends = "swallow"
    world.block([1])
    mined(world, 1, [])
    assert len(world.chain.landed()) == 1


class StuckForEver(random.Random):
    """Picks the refusal after which bytes are given up."""

    def choice(self, _seq: object) -> tuple[int, str]:  # type: ignore[override]
        return -32000, "not enough keccak counters to continue the execution"


@pytest.mark.parametrize("had_them", [True, False])
def test_one_liar_cancels_nothing_while_the_others_are_out_of_reach(world: World, had_them: bool) -> None:
    """F22: whether they took the bytes before they fell silent or never answered at all."""
    if not had_them:
        world.nodes[0].sends = world.nodes[1].sends = "unreachable"
    world.block([1])
    world.nodes[0].sends = world.nodes[1].sends = "unreachable"
    world.nodes[2].sends, world.nodes[2].choice = "refuse", StuckForEver()
    for _ in range(2):
        world.chain.mine(random.Random(1), most=0)
        world.block([])
    assert ("cancel",) not in world.reader.rows("SELECT kind FROM slot_attempts")


@pytest.mark.parametrize("is_protected", [True, False])
def test_the_endpoint_that_is_read_from_alone_ends_nothing(world: World, is_protected: bool) -> None:
    """It tells of a block nobody else has: no depth, no deadline and no window of time rests on that."""
    world.block([1])
    mined(world, 1, [])
    world.block([2])
    told = world.head.block
    ahead = mock.patch.object(world.head, "block", lambda *at: replace(told(*at), number=500, timestamp=10**6))
    with ahead, nullcontext() if is_protected else mock.patch.object(Facts, "probe", lambda *_: None):
        world.block([])
    assert ("final",) not in world.reader.rows("SELECT state FROM slots")
    assert (("cancel",) in world.reader.rows("SELECT kind FROM slot_attempts")) is not is_protected
    seen_through(world, is_protected=True)
    assert not alarms(world)


def test_what_is_sent_beside_a_head_that_nobody_else_has_goes_by_what_others_have_reached(world: World) -> None:
    world.block([])
    told = world.head.block
    with mock.patch.object(world.head, "block", lambda *at: replace(told(*at), number=500, timestamp=10**6)):
        world.block([1])
        assert "found block 500 at 1000000 s" in str(alarms(world))
    assert world.reader.rows("SELECT opened_block FROM slots") == [(world.chain.head.number,)]


@pytest.mark.parametrize("is_protected", [True, False])
def test_one_of_three_endpoints_stops_no_start_for_ever(world: World, is_protected: bool) -> None:
    world.block([1])
    mined(world, 4, [])
    world.nodes[2].reads = "nonce back"
    world.keeper.die()
    world.keeper = world._started()
    with nullcontext() if is_protected else mock.patch.object(Facts, "nonce_without_dissent", Facts.nonce):
        mined(world, PERSISTENT - 1, [])
        assert "endpoints disagree" in world.said[-1] and "c says" in world.said[-1]
        mined(world, 1, [2])
        assert any("c: another nonce count" in str(told) for told in alarms(world)) is is_protected
        mined(world, 3, [])
    assert (len(world.chain.landed()) == 2) is is_protected


def alarms(world: World) -> list[object]:
    found = world.keeper.lane.status()["alarms"]
    assert isinstance(found, list)
    return found


def unreachable(world: World) -> None:
    """The signer's process is gone, and nothing listens in its place."""

    def nobody() -> None:
        raise SignerUnreachable("expected a signer that listens, found none")

    for line in world.keeper.lines:
        line.close()
    seat = world.keeper.lane.fleet.home._signer
    seat._real._connect = nobody  # type: ignore[attr-defined]


@pytest.mark.parametrize("is_protected", [True, False])
def test_without_a_signer_what_is_signed_is_offered_and_watched_to_its_end(world: World, is_protected: bool) -> None:
    world.block([1, 2, 3])
    signed = set(world.chain.pool)
    world.chain.pool.clear()  # every pool drops it
    unreachable(world)
    with nullcontext() if is_protected else mock.patch.object(Lane, "stand_by", lambda *_: None):
        world.block([])
        mined(world, 5, [4])
    assert "found none" in world.said[-1]
    assert ({one.tx.tx_hash for one in world.chain.landed()} == signed) is is_protected
    assert (world.reader.rows("SELECT DISTINCT state FROM slots") == [("final",)]) is is_protected
    assert world.reader.rows("SELECT count(*) FROM slots") == [(len(signed),)]  # nothing new was given a nonce


def test_without_a_signer_a_strangers_nonce_is_not_concluded_from_and_with_it_is(world: World) -> None:
    world.block([1])
    world.chain.pool.clear()
    world.chain.stranger(FIRST_NONCE)
    mined(world, 1, [])
    seat = world.keeper.lane.fleet.home._signer
    connect = seat._real._connect  # type: ignore[attr-defined]
    world.chain.pool = {h: tx for h, tx in world.chain.pool.items() if h in world.chain.strangers}
    unreachable(world)
    mined(world, 6, [])
    assert world.reader.rows("SELECT state FROM slots") == [("offered",)]
    seat._real._connect = connect  # type: ignore[attr-defined]
    mined(world, 1, [])
    assert world.reader.rows("SELECT state FROM slots") == [("lost",)]


def test_a_call_that_no_request_to_the_signer_holds_is_refused_and_others_go_on(world: World) -> None:
    real = keepers.House._call

    def swollen(house: keepers.House, plans: Sequence[Plan]) -> Call:
        made = real(house, plans)
        return replace(made, data=b"\xff" * 4_000) if len(plans) == 1 else made

    with mock.patch.object(keepers.House, "_call", swollen), mock.patch.object(wire, "MAX_LINE", 3_000):
        for _ in range(2):
            mined(world, 1, [1, 2, 3])
            assert "of calldata; let it carry less" in str(alarms(world))
    assert world.said == []  # no block ended early
    query = "SELECT i.status, count(*) FROM intents i WHERE i.subject = ? GROUP BY 1"
    assert world.reader.rows(query.replace("?", f"'{account(3)}'")) == [("refused", 2)]
    assert world.reader.rows("SELECT DISTINCT purpose FROM slots WHERE state = 'mined'") == [("call",)]
