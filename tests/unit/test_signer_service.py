"""Nonces, request ids, caps and the kill switch, over a real store that is closed and opened again."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from eth_account import Account

from keeper.signer.leases import Session
from keeper.signer.records import Refusal, SignedBytes
from tests.signer_desk import (
    ADDRESS,
    GWEI,
    POLICY,
    STRANGER,
    Clocks,
    Desk,
    attempts,
    call,
    is_hash,
    ledger,
    touch,
    transfer,
)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path)
    yield made
    made.stop()


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


def test_drain_hands_out_no_stored_bytes_but_cancels(desk: Desk) -> None:
    """A keeper that asks again after a lost answer would offer them: they may never have left."""
    held = desk.session()
    call_, filler, cancel = desk.ask(held, call(0), transfer(1, "f", "filler"), transfer(0, "cancel"))
    desk.service.core.switch.ask("drain")
    asked = call(0), transfer(1, "f", "filler"), transfer(0, "cancel")
    assert desk.ask(held, *asked) == ["drain", "drain", cancel]
    assert desk.service.orders.resume() is None
    assert desk.ask(held, *asked) == [call_, filler, cancel]


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
