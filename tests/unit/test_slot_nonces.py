"""The transaction ledger: nonces are given in turn, and given again only by proof that nothing was signed for them."""

import pytest
from sqlalchemy import insert

from keeper.abi import transaction_hash
from keeper.errors import JournalError
from keeper.journal.schema import attempts
from keeper.journal.slot_records import (
    NewSlot,
    NewSlotAttempt,
    Outcome,
    Release,
    filler,
)
from tests.ledger_world import (
    GAS,
    KEY,
    NO_CAP,
    OTHER,
    TARGET,
    call,
    dump,
    intend,
    moment,
    reserved,
    signed,
)

DONE = Outcome("achieved", "took 3 ETH")


# --- reserving ---------------------------------------------------------------------------------------


def test_nonces_follow_the_chain_and_then_the_highest_slot(journal):
    slots = reserved(journal, (1, 2, 3), least=7)
    assert [slot.nonce for slot in slots] == [7, 8, 9]
    assert {slot.state for slot in slots} == {"reserved"}
    assert len({slot.request_id for slot in slots}) == 3
    (more,) = reserved(journal, (4,), number=2, least=8)
    assert more.nonce == 10
    (beyond,) = reserved(journal, (5,), number=3, least=20)
    assert beyond.nonce == 20
    (other,) = journal.reserve([filler(OTHER, 9)], 0, moment())
    assert (other.nonce, other.intents, other.to) == (0, (), OTHER)
    assert journal.highest_nonce(KEY) == 20
    assert journal.highest_nonce(TARGET) is None
    assert [slot.nonce for slot in journal.open_slots(KEY)] == [7, 8, 9, 10, 20]
    assert len(journal.open_slots()) == 6


def test_a_slot_comes_back_as_it_was_reserved(journal):
    (slot,) = reserved(journal)
    (intent,) = journal.live_intents()
    assert (slot.sender, slot.to, slot.gas, slot.purpose) == (KEY, TARGET, GAS, "call")
    assert slot.data == b"\x01\x02\x03\x04" + bytes([intent.id])
    assert (slot.intents, slot.opened_block, slot.deadline_block) == ((intent.id,), 1, 99)
    assert (intent.status, journal.intents_without_slot()) == ("live", ())
    assert slot.request(2) == f"{slot.request_id}-2"
    assert "data" not in repr(slot)


def test_an_intent_has_one_slot_and_an_effect_one_open_slot(journal):
    (slot,) = reserved(journal)
    (free,) = intend(journal, 2, (2,))
    before = dump(journal)
    with pytest.raises(JournalError, match="found it under way in slot"):
        journal.reserve([call(free.id), call(*slot.intents)], 0, moment())
    with pytest.raises(JournalError, match="found it 2 times"):
        journal.reserve([call(free.id), call(free.id)], 0, moment())
    with pytest.raises(JournalError, match="found nothing"):
        journal.reserve([call(free.id, 99)], 0, moment())
    assert dump(journal) == before
    assert journal.intents_without_slot() == (free,)


def test_a_closed_intent_gets_no_slot(journal):
    (intent,) = intend(journal, 1, (1,))
    journal.close_intent(intent.id, "expired", "late", 2)
    with pytest.raises(JournalError, match="found expired"):
        journal.reserve([call(intent.id)], 0, moment())


OLD_ATTEMPT = {
    "sender": KEY,
    "nonce": 0,
    "tx_hash": "0x1",
    "raw": b"bytes",
    "gas_limit": 1,
    "max_fee": 1,
    "tip": 1,
    "status": "broadcast",
    "cause": "",
}


def test_attempts_of_an_older_keeper_keep_their_nonce_and_their_intent(journal):
    (intent,) = intend(journal, 1, (1,))
    with journal._database.writing() as connection:
        connection.execute(insert(attempts), [{**OLD_ATTEMPT, "intent_id": intent.id}])
    assert journal.intents_without_slot() == ()
    with pytest.raises(JournalError, match="older keeper"):
        journal.reserve([call(intent.id)], 0, moment())
    assert reserved(journal, (2,), number=2)[0].nonce == 1


def test_an_intent_with_an_open_slot_closes_through_it_alone(journal):
    (slot,) = reserved(journal)
    with pytest.raises(JournalError, match="expected no open slot"):
        journal.close_intent(slot.intents[0], "expired", "late", 2)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: NewSlot(KEY, "filler", KEY, b"\x01", 21_000, (), 9),
        lambda: NewSlot(KEY, "filler", TARGET, b"", 21_000, (), 9),
        lambda: NewSlot(KEY, "call", TARGET, b"", 21_000, (), 9),
        lambda: NewSlot(KEY.lower(), "call", TARGET, b"", 21_000, (1,), 9),
        lambda: NewSlot(KEY, "call", TARGET, b"", 0, (1,), 9),
        lambda: NewSlotAttempt(1, "original", "0x" + "00" * 32, b"raw", 1, 1, 1),
        lambda: NewSlotAttempt(1, "original", transaction_hash(b""), b"", 1, 1, 1),
        lambda: NewSlotAttempt(1, "original", transaction_hash(b"raw"), b"raw", 1, 1, 2),
    ],
)
def test_records_are_checked_at_birth(wrong):
    with pytest.raises(ValueError, match="expected"):
        wrong()


# --- releasing ---------------------------------------------------------------------------------------


def test_a_released_nonce_is_given_again_before_any_higher_one(journal):
    first, second, third = reserved(journal, (1, 2, 3))
    journal.released(
        [Release(second.id, "policy said no", {second.intents[0]: Outcome("refused", "cap")})], 0, moment()
    )
    assert journal.slot(second.id).state == "released"
    assert journal.intents_without_slot() == ()  # refused with its slot
    again, beyond = journal.reserve([filler(KEY, 9), filler(KEY, 9)], 0, moment())
    assert (again.nonce, beyond.nonce) == (second.nonce, 3)
    assert [slot.id for slot in journal.slots_from(KEY, 1)] == [again.id, third.id, beyond.id]
    assert first.is_open


def test_the_intents_of_a_released_slot_may_get_another(journal):
    (slot,) = reserved(journal)
    journal.released([Release(slot.id, "the plan changed", {})], -1, moment())
    (free,) = journal.intents_without_slot()
    assert free.id == slot.intents[0]
    (again,) = journal.reserve([call(free.id)], 0, moment())
    assert (again.nonce, again.state) == (slot.nonce, "reserved")


def test_a_nonce_is_given_back_only_by_proof_that_it_was_never_signed(journal):
    (slot,) = reserved(journal)
    before = dump(journal)
    with pytest.raises(JournalError, match="above the signer's watermark"):  # equal to the watermark: signed
        journal.released([Release(slot.id, "x", {})], slot.nonce, moment())
    with pytest.raises(JournalError, match="expected intents of its"):
        journal.released([Release(slot.id, "x", {slot.intents[0]: DONE})], -1, moment())
    assert dump(journal) == before
    journal.stored([signed(slot)], moment(), exposure_cap=NO_CAP)
    with pytest.raises(JournalError, match="found signed"):
        journal.released([Release(slot.id, "x", {})], -1, moment())
