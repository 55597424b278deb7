"""Which nonces are private: whatever waits on a lane, nothing public is behind something private."""

from typing import cast

from hypothesis import given
from hypothesis import strategies as st

from keeper.journal.lifecycle import Standing
from keeper.journal.slot_records import AttemptKind, Slot, SlotAttempt
from keeper.lanes.privacy import Berth, Private, berths, parcel_at, shown_at, uncovered_at
from keeper.submit.relay import Relay

BLOCKS = 3
SECRET, OPEN = 0, 1  # intents
KINDS = {SECRET: "take_auction", OPEN: "start_auction"}
SENDER = "0x" + "00" * 20


PRIVATE = Private(cast(Relay, None), frozenset({"take_auction"}), BLOCKS)


def slot(nonce: int, opened: int, intents: tuple[int, ...]) -> Slot:
    return Slot(nonce, SENDER, nonce, "call", SENDER, b"", 1, str(nonce), Standing("offered"), opened, 99, intents, ())


def sibling(nonce: int, ordinal: int, kind: AttemptKind) -> SlotAttempt:
    return SlotAttempt(10 * nonce + ordinal, nonce, ordinal, kind, False, f"0x{nonce}{ordinal}", b"", 1, 1, 0)


@st.composite
def lanes(draw: st.DrawFn) -> tuple[Berth, ...]:
    """Draw waiting slots with their newest bytes last; some carry public plans too, some are cancelled."""
    waiting = []
    for nonce in range(draw(st.integers(0, 7))):
        intents = draw(st.sampled_from([(SECRET,), (OPEN,), (SECRET, OPEN), (7,), (SECRET, 7)]))
        kinds: list[AttemptKind] = ["original", *draw(st.lists(st.sampled_from(["replacement", "cancel"]), max_size=2))]
        siblings = [sibling(nonce, row, kind) for row, kind in enumerate(kinds)]
        waiting.append((slot(nonce, draw(st.integers(0, 6)), intents), siblings))
    return berths(waiting, KINDS, PRIVATE)


BLOCK = st.integers(0, 12)


@given(lanes(), BLOCK)
def test_nothing_public_waits_behind_something_private(lane: tuple[Berth, ...], block: int) -> None:
    hidden = [berth.public_from > block for berth in lane]
    assert hidden == sorted(hidden)


@given(lanes(), BLOCK)
def test_only_private_plans_are_hidden_and_only_until_their_deadline(lane: tuple[Berth, ...], block: int) -> None:
    for berth in lane:
        if berth.public_from > block:
            assert berth.slot.intents == (SECRET,) and berth.newest.kind != "cancel"
            assert block < berth.slot.opened_block + BLOCKS


@given(lanes(), BLOCK)
def test_every_waiting_nonce_is_with_the_endpoints_or_in_the_parcel(lane: tuple[Berth, ...], block: int) -> None:
    newest = [berth.newest for berth in lane]
    shown, parcel = shown_at(newest, lane, block), parcel_at(lane, block)
    assert {a.slot_id for a in shown} | {a.slot_id for a in parcel} == {a.slot_id for a in newest}
    assert list(parcel) == newest[: len(parcel)]  # from the lowest nonce on, without a gap
    assert not {a.slot_id for a in shown} & {b.slot.id for b in lane if b.public_from > block}


@given(lanes(), BLOCK)
def test_a_new_public_nonce_takes_what_it_uncovers_along(lane: tuple[Berth, ...], block: int) -> None:
    if not lane or lane[-1].public_from > block:
        return
    shown = shown_at([lane[-1].newest], lane, block)
    assert shown[-1] == lane[-1].newest
    assert {b.newest.id for b in lane if b.is_private} <= {attempt.id for attempt in shown}
    nonces = [attempt.slot_id for attempt in shown]
    assert nonces == sorted(nonces)


@given(lanes(), BLOCK)
def test_what_is_withdrawn_is_public(lane: tuple[Berth, ...], block: int) -> None:
    assert {a.id for a in uncovered_at(lane, block)} <= {b.newest.id for b in lane if b.public_from <= block}
