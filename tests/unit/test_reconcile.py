"""Two stores, one rule: what start-up imports, and when it stops."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keeper.abi import transaction_hash
from keeper.journal.reconcile import Import, LedgerView, SignerRecord, SignerView, Stop, reconcile, view_of
from keeper.journal.slot_records import Closing, Mined, Outcome, Release
from tests.ledger_world import KEY, NO_CAP, call, intend, moment, opened, signed

ID = "a" * 32


def record(slot, ordinal, kind="call", tag=""):
    raw = f"{slot.nonce} {ordinal} {kind} {tag}".encode()
    return SignerRecord(slot.request(ordinal), slot.nonce, kind, transaction_hash(raw), raw, 100_000, 10**9, 1)


def known(attempt, slot, kind="call"):
    """Return the signer's record of an attempt the ledger has too."""
    request = slot.request(attempt.ordinal)
    return SignerRecord(request, slot.nonce, kind, attempt.tx_hash, attempt.raw, attempt.gas, attempt.max_fee, 1)


@pytest.fixture(params=["sqlite", "postgresql"])
def journal(request):
    with opened("sqlite://" if request.param == "sqlite" else request.getfixturevalue("postgres_url")) as journal:
        yield journal


@pytest.fixture
def slots(journal):
    """Three reserved slots, nonces 5 to 7."""
    intents = intend(journal, 1, (1, 2, 3))
    return journal.reserve([call(intent.id) for intent in intents], 5, moment())


def view(journal):
    slots = journal.slots_from(KEY, 0)
    attempts = [a for slot in slots for a in journal.siblings(slot.id)]
    return view_of(journal.ledger_id, KEY, slots, attempts)


def signer(journal, *signed, watermark=None, first=5, signed_from=5):
    highest = max((r.nonce for r in signed), default=first - 1)
    return SignerView(journal.ledger_id, first, highest if watermark is None else watermark, signed_from, signed)


def stopped(found):
    assert isinstance(found, Stop), found
    assert KEY in found.reason
    assert "keeper signer reconcile" in found.reason
    return found.reason


def test_two_new_stores_agree(journal):
    assert reconcile(view(journal), signer(journal), 5) == Import(())


def test_open_requests_are_imported_and_then_the_two_agree(journal, slots):
    first, second, third = slots
    stored = journal.stored([signed(first), signed(second)], moment(), exposure_cap=NO_CAP)
    told = signer(
        journal,
        known(stored[0], first),
        known(stored[1], second),
        record(second, 1, "cancel"),
        record(third, 0),
    )
    found = reconcile(view(journal), told, 5)
    assert isinstance(found, Import)
    assert [(a.slot_id, a.kind, a.raw) for a in found.attempts] == [
        (second.id, "cancel", told.signed[2].raw),
        (third.id, "original", told.signed[3].raw),
    ]
    journal.imported(found.attempts, moment())
    assert reconcile(view(journal), told, 5) == Import(())
    assert {slot.state for slot in journal.open_slots()} == {"signed"}


def test_two_signatures_for_one_request_are_both_imported(journal, slots):
    """A key service that signs at random gives another string when it is asked again."""
    told = signer(journal, record(slots[0], 0, tag="one"), record(slots[0], 0, tag="two"))
    found = reconcile(view(journal), told, 5)
    assert isinstance(found, Import)
    assert len(found.attempts) == 2
    journal.imported(found.attempts, moment())
    assert len(journal.siblings(slots[0].id)) == 2


def test_bytes_of_a_slot_that_is_final_by_now_are_imported_for_the_record(journal, slots):
    (attempt,) = journal.stored([signed(slots[0])], moment(), exposure_cap=NO_CAP)
    journal.mined([Mined(slots[0].id, attempt.tx_hash, 2, "0x2")], moment())
    ends = {slots[0].intents[0]: Outcome("achieved", "")}
    journal.final([Closing(slots[0].id, attempt.tx_hash, ends)], moment())
    found = reconcile(view(journal), signer(journal, known(attempt, slots[0]), record(slots[0], 1)), 6)
    assert isinstance(found, Import)
    journal.imported(found.attempts, moment())
    assert journal.slot(slots[0].id).state == "final"


def test_what_an_operator_accepted_stops_nothing_any_more(journal, slots):
    """An old store of the signer, accepted by hand up to nonce 6: it lacks 5, and has what no ledger asked for."""
    journal.stored([signed(slots[0])], moment(), exposure_cap=NO_CAP)
    strange = replace(record(slots[1], 0), request_id="f" * 32 + "-0")
    told = signer(journal, strange, watermark=6)
    assert "in the ledger alone" in stopped(reconcile(view(journal), told, 5))
    assert reconcile(view(journal), replace(told, forgiven_to=6), 5) == Import(())


def test_what_is_beyond_what_an_operator_accepted_stops(journal, slots):
    journal.stored([signed(slots[0]), signed(slots[1])], moment(), exposure_cap=NO_CAP)
    told = replace(signer(journal, watermark=6), forgiven_to=5)
    assert "of nonce 6 known to the signer" in stopped(reconcile(view(journal), told, 5))


@pytest.mark.parametrize("other", ["b" * 32, None])
def test_a_signer_that_does_not_know_this_ledger_stops(journal, other):
    assert "enrolled with" in stopped(reconcile(view(journal), replace(signer(journal), ledger_id=other), 5))


def test_a_signer_behind_the_chain_stops(journal):
    assert "6 on the chain" in stopped(reconcile(view(journal), signer(journal), 6))
    assert reconcile(view(journal), signer(journal), 5) == Import(())  # equal to watermark + 1: explained


def test_a_signer_behind_the_ledger_stops(journal, slots):
    stored = journal.stored([signed(slots[0]), signed(slots[1])], moment(), exposure_cap=NO_CAP)
    restored = signer(journal, known(stored[0], slots[0]))
    assert "expected a watermark of at least 6" in stopped(reconcile(view(journal), restored, 5))
    journal.stored([signed(slots[1], "replacement", 1)], moment(), exposure_cap=NO_CAP)
    restored = signer(journal, known(stored[0], slots[0]), known(stored[1], slots[1]))
    assert "in the ledger alone" in stopped(reconcile(view(journal), restored, 5))


def test_a_ledger_behind_by_more_than_open_requests_stops(journal, slots):
    first, _, third = slots
    beyond = replace(record(third, 0), nonce=8)
    assert "slot for nonce 8" in stopped(reconcile(view(journal), signer(journal, record(first, 0), beyond), 5))
    two_ahead = signer(journal, record(first, 0), record(first, 1))
    assert "at most beyond the ledger" in stopped(reconcile(view(journal), two_ahead, 5))
    another = signer(journal, replace(record(first, 0), request_id="f" * 32 + "-0"))
    assert "at most beyond the ledger" in stopped(reconcile(view(journal), another, 5))


def test_an_old_backup_stops_even_if_all_that_it_lacks_is_final(journal, slots):
    """The signer has nothing to list from its last final nonce on, but its watermark is far ahead."""
    journal.lost([], moment())
    journal.released([Release(slot.id, "x", {}) for slot in slots], 4, moment())
    told = signer(journal, watermark=50, signed_from=51)
    assert "slot for nonce 50" in stopped(reconcile(view(journal), told, 51))


def test_bytes_at_a_released_nonce_stop(journal, slots):
    journal.released([Release(slots[2].id, "x", {})], 4, moment())
    assert "slot for nonce 7" in stopped(reconcile(view(journal), signer(journal, record(slots[2], 0)), 5))


def test_a_known_hash_at_another_nonce_stops(journal, slots):
    (attempt,) = journal.stored([signed(slots[0])], moment(), exposure_cap=NO_CAP)
    moved = replace(known(attempt, slots[0]), nonce=slots[1].nonce)
    reason = stopped(reconcile(view(journal), signer(journal, known(attempt, slots[0]), moved), 5))
    assert "as the ledger has it" in reason


def test_the_signer_must_have_been_asked_from_the_lowest_open_slot_on(journal, slots):
    assert len(slots) == 3
    with pytest.raises(ValueError, match="from nonce 5 on"):
        reconcile(view(journal), signer(journal, signed_from=6), 5)


# --- whatever was lost ------------------------------------------------------------------------------


@st.composite
def histories(draw):
    """Return what happened, in order: (request id, nonce, ordinal, kind, hash, raw), the ledger's commits among it."""
    events, siblings, nonce = [], {}, 0
    for _ in range(draw(st.integers(1, 8))):
        if siblings and draw(st.booleans()):
            at = draw(st.sampled_from(sorted(siblings)))
        else:
            at, nonce = nonce, nonce + 1
            siblings[at] = 0
            events.append(("reserve", at, 0))
        events += [("sign", at, siblings[at]), ("store", at, siblings[at])]
        siblings[at] += 1
    return events


def lived(events):
    """Return the two views after these events."""
    slots, records = {}, []
    for what, nonce, ordinal in events:
        request = f"{nonce:032x}-{ordinal}"
        raw = request.encode()
        if what == "reserve":
            slots[nonce] = []
        elif what == "store":
            slots[nonce].append(transaction_hash(raw))
        else:
            records.append(SignerRecord(request, nonce, "call", transaction_hash(raw), raw, 1, 1, 1))
    return slots, records


def ledger_view(slots):
    from keeper.journal.reconcile import SlotView

    seen = tuple(
        SlotView(n + 1, n, "call", f"{n:032x}", "offered" if hashes else "reserved", tuple(hashes))
        for n, hashes in slots.items()
    )
    return LedgerView(ID, KEY, max(slots, default=-1), seen)


@settings(deadline=None, max_examples=300)
@given(histories(), st.data())
def test_a_crash_imports_and_a_backup_stops(events, data):
    """The ledger is as of some moment, the signer as of another; only a crash is one moment for both."""
    ledger_at = data.draw(st.integers(0, len(events)))
    signer_at = data.draw(st.integers(0, len(events)))
    slots, _ = lived(events[:ledger_at])
    had, records = lived(events[:signer_at])
    told = SignerView(ID, 0, max((r.nonce for r in records), default=-1), 0, tuple(records))
    found = reconcile(ledger_view(slots), told, 0)
    stored = {h for hashes in slots.values() for h in hashes}
    signed_hashes = [r.tx_hash for r in records]
    if isinstance(found, Import):
        imported = [a.tx_hash for a in found.attempts]
        assert stored <= set(signed_hashes)
        assert sorted([*imported, *stored]) == sorted(signed_hashes)  # nothing missing, nothing twice
        assert len(imported) <= len(slots)
    if ledger_at == signer_at:
        assert isinstance(found, Import)
        assert len(found.attempts) <= 1
    if not stored <= set(signed_hashes) or {r.nonce for r in records} - set(slots):
        assert isinstance(found, Stop)
    assert had is not None
