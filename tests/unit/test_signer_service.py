"""Nonces, leases, request ids, caps and the kill switch, over a real store that is closed and opened again."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from eth_account import Account

from keeper.signer.leases import Session
from keeper.signer.records import Grant, Refusal, SignedBytes
from tests.signer_desk import ADDRESS, GWEI, POLICY, STRANGER, Clocks, Desk, call, ledger, touch, transfer


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path)
    yield made
    made.stop()


def is_hash(answer: str) -> bool:
    return answer.startswith("0x")


# --- nonces -------------------------------------------------------------------------------------------


def test_nonces_are_signed_in_turn_and_the_signature_is_the_keys_own(desk: Desk) -> None:
    held = desk.session(ledger(chain_nonce=7, next_nonce=7))
    assert desk.ask(held, call(6), call(8)) == ["nonce", "nonce"]
    first, second = desk.service.sign(held[0], ADDRESS, held[1], [call(7), call(8)])
    assert isinstance(first, SignedBytes) and isinstance(second, SignedBytes)
    assert [Account.recover_transaction(one.raw) for one in (first, second)] == [ADDRESS, ADDRESS]
    assert [one.nonce for one in desk.signed()] == [7, 8]


def test_a_sibling_is_the_same_call_of_the_same_intent_or_a_cancel(desk: Desk) -> None:
    held = desk.session()
    assert is_hash(desk.ask(held, call(0))[0])
    dearer = {"max_fee": 150 * GWEI, "tip": 2 * GWEI}
    assert is_hash(desk.ask(held, call(0, "bump", **dearer))[0])
    assert desk.ask(held, call(0, "intent", intent="slot 9")) == ["intent"]
    assert desk.ask(held, call(0, "data", data=touch(9))) == ["intent"]
    assert desk.ask(held, transfer(0, "filler", "filler")) == ["nonce"]
    assert is_hash(desk.ask(held, transfer(0, "cancel"))[0])
    assert is_hash(desk.ask(held, call(0, "again", **dearer, gas=90_000))[0])
    assert desk.ask(held, transfer(1, "early")) == ["nonce"]  # nothing there to cancel


def test_a_filler_takes_only_transfers_beside_it(desk: Desk) -> None:
    held = desk.session()
    assert is_hash(desk.ask(held, transfer(0, "filler", "filler"))[0])
    assert desk.ask(held, call(0)) == ["nonce"]
    assert all(map(is_hash, desk.ask(held, transfer(0, "more", "filler", tip=0), transfer(0, "cancel", tip=1))))


def test_a_final_nonce_takes_nothing_and_final_never_falls(desk: Desk) -> None:
    session, token = held = desk.session()
    desk.ask(held, call(0), call(1))
    assert desk.service.leases.final(session, ADDRESS, token, 0) == 0
    assert desk.ask(held, transfer(0, "cancel")) == ["nonce"]
    assert is_hash(desk.ask(held, transfer(1, "cancel"))[0])
    assert desk.service.leases.final(session, ADDRESS, token, -1) == 0
    refused = desk.service.leases.final(session, ADDRESS, token, 2)
    assert isinstance(refused, Refusal) and "another signer used the key" in refused.reason


# --- request ids --------------------------------------------------------------------------------------


def test_the_same_request_gives_the_same_bytes_also_after_a_restart(desk: Desk) -> None:
    held = desk.session()
    first = desk.ask(held, call(0))
    assert desk.ask(held, call(0)) == first
    desk.start()
    again = desk.session(ledger(next_nonce=1, open_requests=frozenset({"0"})))
    assert desk.ask(again, call(0)) == first
    assert len(desk.signed()) == 1


@pytest.mark.parametrize(
    "change", [{"gas": 99_999}, {"data": touch(5)}, {"intent": "other"}, {"effects": ()}, {"tip": 0}, {"nonce": 1}]
)
def test_a_request_id_with_another_content_is_refused(desk: Desk, change: dict[str, object]) -> None:
    held = desk.session()
    desk.ask(held, call(0))
    assert desk.ask(held, replace(call(0), **change)) == ["request_id"]  # type: ignore[arg-type]
    assert len(desk.signed()) == 1


# --- leases and ledgers -------------------------------------------------------------------------------


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


def attempts(desk: Desk) -> frozenset[tuple[int, str]]:
    return frozenset((one.nonce, one.tx_hash) for one in desk.signed())


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


# --- caps ---------------------------------------------------------------------------------------------

COST = 100_000 * 100 * GWEI  # of `call`: 0.01 ether


def small(tmp_path: Path, **caps: int) -> Desk:
    return Desk(tmp_path, policy=replace(POLICY, **caps))  # type: ignore[arg-type]


def test_a_cap_may_be_reached_and_not_passed_and_frees_itself_after_its_window(tmp_path: Path) -> None:
    desk = small(tmp_path, per_hour=2 * COST, per_day=3 * COST)
    held = desk.session()
    answers = desk.ask(held, call(0), call(1), call(2))
    assert [is_hash(a) for a in answers] == [True, True, False] and answers[2] == "per_hour"
    desk.start()
    state = ledger(next_nonce=2, attempts=attempts(desk))
    assert desk.ask(desk.session(state), call(2)) == ["per_hour"]  # remembered over a restart
    desk.clocks.pass_(3_600)
    desk.start()
    assert [is_hash(a) for a in desk.ask(desk.session(state), call(2), call(3))] == [True, False]  # the day's cap
    desk.stop()


@pytest.mark.parametrize(("passed_ms", "free"), [(3_599_999, False), (3_600_000, True)])
def test_a_signature_counts_for_exactly_an_hour(tmp_path: Path, passed_ms: int, free: bool) -> None:
    desk = Desk(tmp_path, policy=replace(POLICY, per_hour=COST), lease_ms=10**9)
    held = desk.session()
    desk.ask(held, call(0))
    desk.clocks.steady = 50.0 + passed_ms / 1000
    assert is_hash(desk.ask(held, call(1))[0]) == free
    desk.stop()


def test_siblings_count_once_as_the_dearest_cancels_included(tmp_path: Path) -> None:
    desk = small(tmp_path, per_hour=2 * COST)
    held = desk.session()
    assert is_hash(desk.ask(held, call(0))[0])
    dear = desk.ask(held, call(0, "bump", gas=150_000), call(0, "cheap", gas=140_000), transfer(0, "cancel"))
    assert all(map(is_hash, dear))
    assert desk.service.orders.status()[0]["spent_hour_wei"] == str(COST * 3 // 2)
    assert desk.ask(held, transfer(0, "dear", gas=200_001)) == ["per_hour"]
    assert desk.ask(held, call(1)) == ["per_hour"]
    assert is_hash(desk.ask(held, call(1, "half", gas=50_000))[0])
    desk.stop()


def test_a_wall_clock_behind_at_a_restart_does_not_turn_the_clock_back(tmp_path: Path) -> None:
    desk = small(tmp_path, per_hour=COST)
    desk.ask(desk.session(), call(0))
    desk.clocks = Clocks(wall=desk.clocks.wall - 7_200, steady=3.0)
    desk.start()
    state = ledger(next_nonce=1, attempts=attempts(desk))
    held = desk.session(state)
    assert desk.ask(held, call(1)) == ["per_hour"]
    desk.clocks.pass_(3_600)
    assert is_hash(desk.ask(desk.session(state), call(1))[0])  # and it goes on from there
    desk.stop()


# --- stopping -----------------------------------------------------------------------------------------


def test_drain_lets_only_cancels_of_signed_nonces_pass(desk: Desk) -> None:
    held = desk.session()
    desk.ask(held, call(0))
    desk.service.core.switch.ask("drain")
    assert desk.ask(held, call(0, "bump", tip=2 * GWEI), call(1), transfer(1, "f", "filler")) == ["drain"] * 3
    assert is_hash(desk.ask(held, transfer(0, "cancel"))[0])


def test_the_kill_file_stops_everything_and_its_trace_stays(desk: Desk) -> None:
    held = desk.session()
    first = desk.ask(held, call(0))
    (desk.folder / "KILL").touch()
    assert desk.ask(held, call(0), transfer(0, "cancel"), call(1)) == ["killed"] * 3
    blocked = desk.service.orders.resume()
    assert blocked is not None and blocked.rule == "kill_file"
    (desk.folder / "KILL").unlink()
    desk.start()
    held = desk.session(ledger(next_nonce=1, attempts=attempts(desk)))
    assert desk.ask(held, call(1)) == ["killed"]
    assert desk.service.orders.resume() is None
    assert desk.ask(held, call(0)) == first
    assert [one.nonce for one in desk.signed()] == [0]


def test_a_kill_in_the_middle_of_a_batch_counts_for_the_rest_of_it(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    held = desk.session()
    switch = desk.service.core.switch
    looks = iter(["running", "running", "killed", "killed"])
    monkeypatch.setattr(switch, "now", lambda: next(looks))
    answers = desk.ask(held, call(0), call(1), call(2))
    assert [is_hash(a) for a in answers] == [True, True, False]


def test_a_drain_after_a_kill_takes_nothing_back(desk: Desk) -> None:
    switch = desk.service.core.switch
    switch.ask("killed")
    switch.ask("drain")
    assert switch.now() == "killed"
    switch.clear()
    assert switch.now() == "running"


def test_a_folder_that_cannot_be_looked_into_counts_as_killed(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(_: object) -> None:
        raise PermissionError

    monkeypatch.setattr("keeper.signer.switch.os.stat", denied)
    assert desk.ask(desk.session(), call(0)) == ["killed"]


def test_another_address_is_told_which_there_are(desk: Desk) -> None:
    answer = desk.service.sign(Session(), STRANGER, 1, [call(0)])[0]
    assert isinstance(answer, Refusal) and ADDRESS in answer.reason
