"""The transaction ledger: what is written first survives, what must be refused is refused and changes nothing."""

import sqlite3

import pytest
from sqlalchemy import insert

from keeper.abi import transaction_hash
from keeper.errors import JournalError
from keeper.journal.lifecycle import fold
from keeper.journal.schema import attempts
from keeper.journal.slot_records import (
    Answer,
    Closing,
    Loss,
    Mined,
    NewOffer,
    NewSlot,
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
    TARGET,
    call,
    dump,
    file_url,
    history_of,
    intend,
    moment,
    offers_of,
    opened,
    signed,
)

DONE = Outcome("achieved", "took 3 ETH")


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request, tmp_path):
    return file_url(tmp_path) if request.param == "sqlite" else request.getfixturevalue("postgres_url")


@pytest.fixture
def journal(url):
    with opened(url) as journal:
        yield journal


def reserved(journal, accounts=(1,), number=1, chain_count=0):
    intents = intend(journal, number, accounts)
    return journal.reserve([call(intent.id) for intent in intents], chain_count, moment(number))


def offered(journal, number=1, accounts=(1,)):
    """Return a slot whose original was offered to one endpoint, with that attempt."""
    (slot,) = reserved(journal, accounts, number)
    (attempt,) = journal.stored([signed(slot)], moment(number), exposure_cap=NO_CAP)
    journal.offering([NewOffer(attempt.id, "first")], moment(number))
    return journal.slot(slot.id), attempt


def mine(journal, slot, tx_hash, number=5, fork="b"):
    journal.mined([Mined(slot.id, tx_hash, number, f"0x{fork}{number:063d}")], moment(number))


def statuses(journal):
    return {d.intent.id: d.intent.status for d in journal.decisions("0x" + "0" * 39 + "1", 99) if d.intent}


# --- reserving ---------------------------------------------------------------------------------------


def test_nonces_follow_the_chain_and_then_the_highest_slot(journal):
    slots = reserved(journal, (1, 2, 3), chain_count=7)
    assert [slot.nonce for slot in slots] == [7, 8, 9]
    assert {slot.state for slot in slots} == {"reserved"}
    assert len({slot.request_id for slot in slots}) == 3
    (more,) = reserved(journal, (4,), number=2, chain_count=8)
    assert more.nonce == 10
    (beyond,) = reserved(journal, (5,), number=3, chain_count=20)
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
    assert [slot.id for slot in journal.slots_from(KEY, 1)] == [second.id, again.id, third.id, beyond.id]
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


# --- what the chain says -----------------------------------------------------------------------------


def test_the_label_follows_the_hash_that_was_mined(journal):
    slot, original = offered(journal)
    (cancel,) = journal.stored([signed(slot, "cancel", 1)], moment(), exposure_cap=NO_CAP)
    mine(journal, slot, original.tx_hash)
    with pytest.raises(JournalError, match=f"expected {cancel.tx_hash} noted as mined"):
        journal.final([Closing(slot.id, cancel.tx_hash, {})], moment(9))
    with pytest.raises(JournalError, match="the mined hash decides"):
        journal.final([Closing(slot.id, original.tx_hash, {})], moment(9))
    with pytest.raises(JournalError, match="the mined hash decides"):
        journal.final([Closing(slot.id, original.tx_hash, {slot.intents[0]: Outcome("cancelled", "")})], moment(9))
    journal.final([Closing(slot.id, original.tx_hash, {slot.intents[0]: DONE})], moment(9))
    assert statuses(journal) == {slot.intents[0]: "achieved"}
    assert (journal.open_slots(), journal.live_attempts(), journal.effects_under_way()) == ((), (), frozenset())
    closed = journal.slot(slot.id)
    assert (closed.state, closed.standing.winner_hash, closed.standing.mined_number) == ("final", original.tx_hash, 5)


def test_a_mined_cancel_cancels_the_intents(journal):
    slot, _ = offered(journal)
    (cancel,) = journal.stored([signed(slot, "cancel", 1)], moment(), exposure_cap=NO_CAP)
    mine(journal, slot, cancel.tx_hash)
    with pytest.raises(JournalError, match="the mined hash decides"):
        journal.final([Closing(slot.id, cancel.tx_hash, {slot.intents[0]: DONE})], moment(9))
    journal.final([Closing(slot.id, cancel.tx_hash, {})], moment(9))
    assert statuses(journal) == {slot.intents[0]: "cancelled"}


def test_intents_of_one_call_end_each_by_its_own_effect(journal):
    one, two = intend(journal, 1, (1, 2))
    (slot,) = journal.reserve([call(one.id, two.id)], 0, moment())
    (attempt,) = journal.stored([signed(slot)], moment(), exposure_cap=NO_CAP)
    mine(journal, slot, attempt.tx_hash)
    ends = {one.id: DONE, two.id: Outcome("failed", "refused in its batch")}
    journal.final([Closing(slot.id, attempt.tx_hash, ends)], moment(9))
    assert statuses(journal) == {one.id: "achieved"}
    assert journal.counts().live_intents == 0


def test_a_reorg_of_the_same_height_swaps_the_winner(journal):
    slot, original = offered(journal)
    (bump,) = journal.stored([signed(slot, "replacement", 1)], moment(), exposure_cap=NO_CAP)
    mine(journal, slot, original.tx_hash)
    mine(journal, slot, original.tx_hash)  # said twice: no second step
    mine(journal, slot, bump.tx_hash, fork="c")
    standing = journal.slot(slot.id).standing
    assert (standing.winner_hash, standing.mined_hash) == (bump.tx_hash, f"0xc{5:063d}")
    assert [change.state for change in history_of(journal, slot.id)].count("mined") == 2


def test_an_orphaned_slot_keeps_its_nonce_and_its_bytes_are_offered_again(journal):
    slot, attempt = offered(journal)
    mine(journal, slot, attempt.tx_hash)
    assert journal.orphaned([slot.id], "block 5 left the chain", moment(6)) == ()
    orphan = journal.slot(slot.id)
    assert (orphan.state, orphan.standing.winner_hash, orphan.standing.mined_number) == ("orphaned", None, None)
    assert journal.live_attempts() == (attempt,)
    journal.offering([NewOffer(attempt.id, "a")], moment(6))
    mine(journal, slot, attempt.tx_hash, number=7)
    states = [change.state for change in history_of(journal, slot.id)]
    assert states == ["reserved", "signed", "offered", "mined", "orphaned", "offered", "mined"]


def test_a_reorg_deeper_than_finality_opens_slot_and_intent_again(journal):
    slot, attempt = offered(journal)
    mine(journal, slot, attempt.tx_hash)
    journal.final([Closing(slot.id, attempt.tx_hash, {slot.intents[0]: DONE})], moment(9))
    assert journal.orphaned([slot.id], "deep", moment(10)) == ()
    assert statuses(journal) == {slot.intents[0]: "live"}
    assert intend(journal, 11, (1,)) == ()  # the effect is taken again
    mine(journal, slot, attempt.tx_hash, number=12)
    journal.final([Closing(slot.id, attempt.tx_hash, {slot.intents[0]: Outcome("failed", "reverted")})], moment(20))
    assert statuses(journal) == {slot.intents[0]: "failed"}


def test_an_intent_stays_closed_if_another_carries_its_effect_by_then(journal):
    slot, attempt = offered(journal)
    mine(journal, slot, attempt.tx_hash)
    journal.final([Closing(slot.id, attempt.tx_hash, {slot.intents[0]: DONE})], moment(9))
    (rival,) = intend(journal, 10, (1,))
    assert journal.orphaned([slot.id], "deep", moment(11)) == slot.intents
    assert statuses(journal) == {slot.intents[0]: "achieved", rival.id: "intended"}
    with pytest.raises(JournalError, match="under way in slot"):  # until the old slot has been seen through
        journal.reserve([call(rival.id)], 0, moment())
    (cancel,) = journal.stored([signed(slot, "cancel", 1)], moment(11), exposure_cap=NO_CAP)
    mine(journal, slot, cancel.tx_hash, number=12)
    journal.final([Closing(slot.id, cancel.tx_hash, {})], moment(20))
    assert journal.reserve([call(rival.id)], 1, moment(21))[0].nonce == 1


def test_a_nonce_is_lost_only_by_its_use_at_a_final_block(journal):
    slot, attempt = offered(journal)
    before = dump(journal)
    for count, winner, complaint in ((slot.nonce, None, "final count"), (1, attempt.tx_hash, "a stranger's hash")):
        with pytest.raises(JournalError, match=complaint):
            journal.lost([Loss(slot.id, count, winner, "x")], moment())
    assert dump(journal) == before
    journal.lost([Loss(slot.id, 1, "0xforeign", "used by another transaction")], moment())
    assert statuses(journal) == {slot.intents[0]: "lost"}
    assert journal.slot(slot.id).standing.winner_hash == "0xforeign"
    with pytest.raises(JournalError, match="after lost expected lost or orphaned, found mined"):
        mine(journal, slot, attempt.tx_hash)


def test_a_stranger_s_hash_is_not_mined_for_a_slot(journal):
    slot, _ = offered(journal)
    with pytest.raises(JournalError, match="another hash is a loss"):
        mine(journal, slot, "0xforeign")


def test_a_slot_comes_once_in_a_call(journal):
    slot, attempt = offered(journal)
    twice = [Mined(slot.id, attempt.tx_hash, 5, "0x5")] * 2
    with pytest.raises(ValueError, match="every slot once"):
        journal.mined(twice, moment())


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


# --- the database itself -----------------------------------------------------------------------------


FORBIDDEN = {
    "INSERT INTO slots SELECT 99, {cells}, 'reserved', {nothing} FROM slots": "one_slot_per_nonce|slots.nonce",
    "INSERT INTO slots SELECT 99, {cells}, 'nonsense', {nothing} FROM slots": "ck_slots_state",
    "UPDATE slots SET state = 'mined'": "ck_slots_mined",
    "UPDATE slots SET state = 'mined', mined_number = 1, mined_hash = '0x'": "ck_slots_winner",
    "UPDATE slots SET nonce = -1": "ck_slots_range",
    "INSERT INTO offers (attempt_id, endpoint, block_number, wall_ms) VALUES (77, 'a', 1, 1)": "(?i)foreign key",
    "UPDATE offers SET answer_class = 'ACCEPTED'": "ck_offers_answer",
    "UPDATE steps SET cause = ''": "steps is append-only",
    "DELETE FROM steps": "steps is append-only",
    "UPDATE slot_attempts SET raw = NULL": "slot_attempts is append-only",
    "DELETE FROM slot_attempts": "slot_attempts is append-only|(?i:foreign key)",
    "UPDATE outcomes SET status = ''": "outcomes is append-only",
}
CELLS = "sender, nonce, purpose, target, data, gas, 'r', opened_block, deadline_block"
NOTHING = "NULL, NULL, NULL, NULL, NULL"


@pytest.mark.parametrize("statement", FORBIDDEN)
def test_the_database_itself_keeps_the_rules(journal, statement):
    slot, attempt = offered(journal)
    journal.lost([Loss(slot.id, 1, None, "x")], moment())  # an outcome
    before = dump(journal)
    with pytest.raises(JournalError, match=FORBIDDEN[statement]), journal._database.writing() as connection:
        connection.exec_driver_sql(statement.format(cells=CELLS, nothing=NOTHING))
    assert dump(journal) == before
    assert journal.siblings(slot.id) == (attempt,)


def test_reopening_finds_everything_and_the_same_ledger_id(url):
    with opened(url) as journal:
        slot, attempt = offered(journal)
        ledger_id, steps = journal.ledger_id, history_of(journal, slot.id)
    with opened(url) as journal:
        assert (journal.slot(slot.id), journal.siblings(slot.id)) == (slot, (attempt,))
        assert (journal.ledger_id, history_of(journal, slot.id)) == (ledger_id, steps)
        assert len(bytes.fromhex(ledger_id)) == 16
        assert fold(steps) == slot.standing


def test_every_journal_has_its_own_ledger_id():
    with opened("sqlite://") as one, opened("sqlite://") as other:
        assert one.ledger_id != other.ledger_id


def test_a_locked_database_stops_before_anything_is_offered(tmp_path):
    with opened(file_url(tmp_path)) as journal:
        stops_while_locked(journal, tmp_path)


def stops_while_locked(journal, tmp_path):
    _, attempt = offered(journal)
    before = offers_of(journal, attempt.id)
    other = sqlite3.connect(tmp_path / "keeper.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with journal._database.reading() as connection:
        connection.exec_driver_sql("PRAGMA busy_timeout = 20")
    with pytest.raises(JournalError, match="locked"):
        journal.offering([NewOffer(attempt.id, "a")], moment())
    other.execute("ROLLBACK")
    other.close()
    assert offers_of(journal, attempt.id) == before
    assert len(journal.offering([NewOffer(attempt.id, "a")], moment())) == 1
