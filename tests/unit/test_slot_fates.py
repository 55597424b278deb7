"""The transaction ledger: a slot's fate is what the chain says of its siblings, until a reorg says otherwise."""

import pytest

from keeper.errors import JournalError
from keeper.journal.slot_records import (
    Closing,
    Loss,
    Mined,
    NewOffer,
    Outcome,
)
from tests.ledger_world import (
    NO_CAP,
    call,
    dump,
    history_of,
    intend,
    mine,
    moment,
    offered,
    signed,
    statuses,
)

DONE = Outcome("achieved", "took 3 ETH")


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
