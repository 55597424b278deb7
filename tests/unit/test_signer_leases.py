"""Leases and ledgers of a key: who may ask, and whose memory must agree before anything is signed."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from keeper.signer.leases import Session
from keeper.signer.records import Grant, Refusal
from tests.signer_desk import ADDRESS, GWEI, Desk, attempts, call, is_hash, ledger, transfer


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path)
    yield made
    made.stop()


def test_a_second_keeper_waits_for_the_first_ones_lease(desk: Desk) -> None:
    first = desk.session()
    refused = desk.service.leases.hello(Session(), ADDRESS, "keeper two", ledger())
    assert isinstance(refused, Refusal) and refused.rule == "lease" and "keeper one" in refused.reason
    desk.service.leases.closed(first[0])
    second = desk.session(holder="keeper two")
    assert second[1] == first[1] + 1
    assert desk.ask(first, call(0)) == ["fencing"]
    assert desk.ask((Session(), second[1]), call(0)) == ["fencing"]  # the token alone is not enough
    assert is_hash(desk.ask(second, call(0))[0])


@pytest.mark.parametrize(("passed_ms", "rule"), [(14_999, None), (15_000, "lease")])
def test_a_stopped_keeper_loses_its_lease_at_its_end_not_before(desk: Desk, passed_ms: int, rule: str | None) -> None:
    held = desk.session()
    desk.clocks.pass_(passed_ms / 1000)
    answer = desk.ask(held, call(0))[0]
    assert answer == rule if rule else is_hash(answer)
    renewed = desk.service.leases.renew(held[0], ADDRESS, held[1])
    assert isinstance(renewed, Refusal if rule else Grant)


def test_a_paused_keeper_that_wakes_after_a_take_over_signs_nothing(desk: Desk) -> None:
    paused = desk.session()
    desk.clocks.pass_(600)
    other = desk.session(holder="keeper two")
    assert desk.ask(paused, call(0)) == ["fencing"]
    desk.service.leases.closed(paused[0])  # its end does not free what is another's
    assert is_hash(desk.ask(other, call(0))[0])


@pytest.mark.parametrize("step", [-7_200.0, 7_200.0])
def test_steps_of_the_wall_clock_move_neither_lease_nor_caps(desk: Desk, step: float) -> None:
    held = desk.session()
    desk.ask(held, call(0))
    before = desk.service.orders.status()[0]
    desk.clocks.wall += step
    assert desk.service.orders.status()[0] == before
    assert is_hash(desk.ask(held, call(1))[0])


def test_two_ledgers_one_key(desk: Desk) -> None:
    held = desk.session()
    desk.service.leases.closed(held[0])
    refused = desk.service.leases.hello(Session(), ADDRESS, "keeper two", ledger("ledger two"))
    assert isinstance(refused, Refusal) and refused.rule == "ledger" and "keeper signer reconcile" in refused.reason


def test_what_ledger_and_chain_must_know_of_what_was_signed(desk: Desk) -> None:
    held = desk.session()
    desk.ask(held, call(0), call(1), call(1, "bump", tip=2 * GWEI))
    desk.start()
    known = attempts(desk)
    good = ledger(next_nonce=2, attempts=known)
    lacks_bump = frozenset(sorted(known - {(1, desk.signed()[2].tx_hash)}))

    def rule(**changes: object) -> str | None:
        answer = desk.service.leases.hello(session := Session(), ADDRESS, "k", replace(good, **changes))  # type: ignore[arg-type]
        desk.service.leases.closed(session)
        return answer.rule if isinstance(answer, Refusal) else None

    assert rule() is None
    assert rule(chain_nonce=2) is None
    assert rule(chain_nonce=3) == "chain_nonce"
    assert rule(next_nonce=1) == "ledger_behind"
    assert rule(attempts=lacks_bump) == "ledger_behind"
    assert rule(attempts=lacks_bump, open_requests=frozenset({"1bump"})) is None
    assert rule(attempts=known | {(1, "0x" + "ab" * 32)}) == "signer_behind"
    assert rule(final=2, attempts=frozenset()) == "signer_behind"
    assert rule(final=1, attempts=frozenset()) is None  # what is final need not be told


def test_a_first_ledger_with_live_attempts_is_enrolled_by_hand(desk: Desk) -> None:
    foreign = frozenset({(3, "0x" + "ab" * 32)})
    state = ledger(chain_nonce=3, next_nonce=4, final=2, attempts=foreign)
    refused = desk.service.leases.hello(Session(), ADDRESS, "k", state)
    assert isinstance(refused, Refusal) and refused.rule == "enrolment"
    lane = desk.service.orders.reconcile(ADDRESS, "ledger one", 4, first=True)
    assert not isinstance(lane, Refusal)
    held = desk.session(state)
    assert desk.ask(held, call(3)) == ["nonce"]
    assert is_hash(desk.ask(held, transfer(3, "cancel"))[0])
    assert is_hash(desk.ask(held, call(4))[0])


def test_reconcile_replaces_the_ledger_never_lowers_the_watermark_and_fences(desk: Desk) -> None:
    held = desk.session()
    desk.ask(held, call(0), call(1))
    busy = desk.service.orders.reconcile(ADDRESS, "ledger two", 0, first=False)
    assert isinstance(busy, Refusal) and busy.rule == "lease"
    desk.service.leases.closed(held[0])
    lane = desk.service.orders.reconcile(ADDRESS, "ledger two", 0, first=False)
    assert not isinstance(lane, Refusal)
    assert (lane.watermark, lane.ledger_id, lane.token) == (1, "ledger two", held[1] + 1)
    again = desk.session(ledger("ledger two"))  # knows nothing, and that was accepted
    assert desk.ask(again, call(1, "new", intent="another")) == ["intent"]
    assert is_hash(desk.ask(again, call(2))[0])
    desk.service.leases.closed(again[0])
    behind = desk.service.leases.hello(Session(), ADDRESS, "k", ledger("ledger two"))
    assert isinstance(behind, Refusal) and behind.rule == "ledger_behind"  # accepted was what had been, not what came


def test_an_old_signer_store_is_refused(tmp_path: Path) -> None:
    """Restored from a backup of before nonce 1: the ledger and the chain know more than it."""
    (tmp_path / "old").mkdir()
    (tmp_path / "new").mkdir()
    old, new = Desk(tmp_path / "old"), Desk(tmp_path / "new")
    for each in (old, new):
        each.ask(each.session(), call(0))
    new.start()
    new.ask(new.session(ledger(next_nonce=1, attempts=attempts(new))), call(1))
    old.start()
    state = ledger(next_nonce=2, attempts=attempts(new))
    refused = old.service.leases.hello(Session(), ADDRESS, "k", state)
    assert isinstance(refused, Refusal) and refused.rule == "signer_behind"
    old.stop()
    new.stop()
