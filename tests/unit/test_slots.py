"""The transaction ledger: what is written first survives, what must be refused is refused and changes nothing."""

import pytest

from keeper.errors import JournalError
from keeper.journal.slot_records import (
    Answer,
    Closing,
    NewOffer,
    NewSlotAttempt,
    Outcome,
    Release,
    filler,
)
from tests.ledger_world import (
    FEE,
    GAS,
    KEY,
    NO_CAP,
    OTHER,
    dump,
    mine,
    moment,
    offered,
    offers_of,
    reserved,
    signed,
)

DONE = Outcome("achieved", "took 3 ETH")


# --- storing -----------------------------------------------------------------------------------------


def test_siblings_are_stored_in_order_and_offered_bytes_stay_live(journal):
    slot, original = offered(journal)
    more = [signed(slot, "replacement", 1), signed(slot, "cancel", 2), signed(slot, "replacement", 3)]
    stored = journal.stored(more, moment(2), exposure_cap=NO_CAP)
    assert [(a.ordinal, a.kind) for a in stored] == [(1, "replacement"), (2, "cancel"), (3, "replacement")]
    assert journal.siblings(slot.id) == journal.live_attempts(KEY) == (original, *stored)
    assert journal.live_attempts(OTHER) == ()
    assert journal.slot(slot.id).state == "offered"
    assert stored[0].raw == more[0].raw
    assert repr(more[0].raw) not in repr(stored[0])


@pytest.mark.parametrize(
    ("kinds", "found"),
    [
        (("replacement",), "found replacement after nothing"),
        (("original", "original"), "found original"),
        (("filler",), "found filler"),
        (("cancel", "original"), "found original"),
        (("cancel", "replacement"), "found replacement"),
    ],
)
def test_what_is_no_sibling_is_refused(journal, kinds, found):
    (slot,) = reserved(journal)
    before = dump(journal)
    with pytest.raises(JournalError, match=found):
        journal.stored([signed(slot, k, n) for n, k in enumerate(kinds)], moment(), exposure_cap=NO_CAP)
    assert dump(journal) == before


def test_a_filler_is_replaced_but_not_cancelled(journal):
    (slot,) = journal.reserve([filler(KEY, 9)], 0, moment())
    journal.stored([signed(slot, "filler"), signed(slot, "replacement", 1)], moment(), exposure_cap=NO_CAP)
    with pytest.raises(JournalError, match="found cancel"):
        journal.stored([signed(slot, "cancel")], moment(), exposure_cap=NO_CAP)


def test_the_same_bytes_are_stored_once(journal):
    first, second = reserved(journal, (1, 2))
    (stored,) = journal.stored([signed(first)], moment(), exposure_cap=NO_CAP)
    stolen = NewSlotAttempt(second.id, "original", stored.tx_hash, stored.raw, GAS, FEE, 1)
    with pytest.raises(JournalError, match="nothing was written"):
        journal.stored([stolen], moment(), exposure_cap=NO_CAP)
    with pytest.raises(JournalError, match="expected an attempt of slot"):
        journal.imported([stolen], moment())


def test_the_worst_case_of_all_open_slots_stays_below_the_cap(journal):
    first, second = reserved(journal, (1, 2))
    cap = 3 * GAS * FEE
    journal.stored([signed(first), signed(first, "replacement", 1, 2 * FEE)], moment(), exposure_cap=cap)
    assert journal.exposure(KEY).total == journal.exposure(KEY).waiting == 2 * GAS * FEE  # the dearest sibling
    before = dump(journal)
    with pytest.raises(JournalError, match=f"at most {cap - 1} wei .* found {cap}; nothing was stored"):
        journal.stored([signed(second)], moment(), exposure_cap=cap - 1)
    assert dump(journal) == before
    (own,) = journal.stored([signed(second)], moment(), exposure_cap=cap)  # equality is allowed
    mine(journal, second, own.tx_hash)
    assert (journal.exposure(KEY).waiting, journal.exposure(KEY).mined) == (2 * GAS * FEE, GAS * FEE)
    journal.final([Closing(second.id, own.tx_hash, {second.intents[0]: DONE})], moment(9))
    assert journal.exposure(KEY).total == 2 * GAS * FEE
    assert journal.exposure(OTHER).total == 0


# --- offering ----------------------------------------------------------------------------------------


def test_an_offer_is_written_before_its_answer_and_answered_once(journal):
    (slot,) = reserved(journal)
    (attempt,) = journal.stored([signed(slot)], moment(), exposure_cap=NO_CAP)
    assert offers_of(journal, attempt.id) == ()
    one, two = journal.offering([NewOffer(attempt.id, "a"), NewOffer(attempt.id, "b")], moment(3, 1_000))
    assert (one.endpoint, one.block_number, one.wall_ms, one.answer_class) == ("a", 3, 1_000, None)
    assert journal.slot(slot.id).state == "offered"
    journal.answered([Answer(two.id, "ACCEPTED", "0x1\x00" + "x" * 9_999)], 1_250)
    found = offers_of(journal, attempt.id)
    assert found[0] == one
    assert (found[1].answer_class, len(found[1].answer_text), found[1].answered_ms) == ("ACCEPTED", 500, 1_250)
    with pytest.raises(JournalError, match="waiting for its one answer"):
        journal.answered([Answer(one.id, "UNKNOWN", ""), Answer(two.id, "UNKNOWN", "")], 2_000)
    assert offers_of(journal, attempt.id) == found
    journal.offering([NewOffer(attempt.id, "a")], moment(4))
    assert [offer.endpoint for offer in offers_of(journal, attempt.id)] == ["a", "b", "a"]


def test_only_stored_bytes_of_a_nonce_that_waits_are_offered(journal):
    slot, attempt = offered(journal)
    before = dump(journal)
    with pytest.raises(JournalError, match="store them first"):
        journal.offering([NewOffer(attempt.id, "a"), NewOffer(attempt.id + 1, "a")], moment())
    assert dump(journal) == before
    mine(journal, slot, attempt.tx_hash)
    with pytest.raises(JournalError, match="found mined; nothing is to be sent"):
        journal.offering([NewOffer(attempt.id, "a")], moment())


# --- importing ---------------------------------------------------------------------------------------


def test_bytes_only_the_signer_knew_count_as_live(journal):
    (slot,) = reserved(journal)
    (attempt,) = journal.imported([signed(slot)], moment(2))
    assert (attempt.imported, attempt.kind, attempt.ordinal) == (True, "original", 0)
    assert journal.slot(slot.id).state == "signed"
    assert journal.live_attempts() == (attempt,)
    assert journal.imported([signed(slot)], moment(2)) == ()  # known by now
    mine(journal, slot, attempt.tx_hash)
    journal.final([Closing(slot.id, attempt.tx_hash, {slot.intents[0]: DONE})], moment(9))
    (late,) = journal.imported([signed(slot, "replacement", 1)], moment(9))
    assert journal.slot(slot.id).state == "final"
    assert journal.siblings(slot.id) == (attempt, late)


def test_bytes_for_a_released_nonce_contradict_the_proof(journal):
    (slot,) = reserved(journal)
    journal.released([Release(slot.id, "x", {})], -1, moment())
    with pytest.raises(JournalError, match="reconcile command"):
        journal.imported([signed(slot)], moment())
