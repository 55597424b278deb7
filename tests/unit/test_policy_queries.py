"""What limits, quarantine and rescue ask of the ledger, on both databases; a reopened journal answers the same."""

import pytest

from keeper.chain import Block
from keeper.journal import TickRecord
from keeper.journal.lifecycle import fold
from keeper.journal.slot_records import Answer, Closing, Mined, NewOffer, Outcome, Release, filler
from keeper.plans import Liquidate
from tests.ledger_world import (
    FEE,
    GAS,
    KEY,
    NO_CAP,
    OTHER,
    account,
    call,
    history_of,
    intend,
    moment,
    opened,
    signed,
)


def tick(journal, number, plans=()):
    """Write the tick of a block; block n is at second 12 n."""
    head = Block(number, f"0x{number:064x}", f"0x{number - 1:064x}", 12 * number, 1)
    return journal.intend(TickRecord(head, 0, {}, (), (), ()), plans)


def sent(journal, number, intents, *, max_fee=FEE):
    slots = journal.reserve([call(intent.id) for intent in intents], 0, moment(number))
    journal.stored([signed(slot, max_fee=max_fee) for slot in slots], moment(number), exposure_cap=NO_CAP)
    return slots


def close(journal, slot, attempt, number, status):
    journal.mined([Mined(slot.id, attempt.tx_hash, number, f"0x{number:064x}")], moment(number))
    ends = {intent: Outcome(status, "as its logs say") for intent in slot.intents}
    journal.final([Closing(slot.id, attempt.tx_hash, ends)], moment(number))


def test_a_nonce_counts_once_with_its_dearest_attempt_at_the_time_of_its_decision(journal):
    (slot,) = sent(journal, 3, intend(journal, 3, [1]))
    journal.stored([signed(slot, "replacement", 1, 5 * FEE)], moment(4), exposure_cap=NO_CAP)
    journal.stored([signed(slot, "cancel", 2, 6 * FEE, gas=21_000)], moment(5), exposure_cap=NO_CAP)
    (spend,) = journal.spends(KEY, 0)
    assert (spend.wei, spend.timestamp, spend.opened_block) == (GAS * 5 * FEE, 36, 3)
    assert (spend.kinds, spend.is_open, spend.gas) == (("liquidate",), True, GAS)
    assert journal.spends(OTHER, 0) == ()


def test_an_open_nonce_counts_however_old_and_a_closed_one_until_its_decision_is_too_old(journal):
    (old,) = sent(journal, 1, intend(journal, 1, [1]))
    (done,) = sent(journal, 2, intend(journal, 2, [2]))
    tick(journal, 50)
    (attempt,) = journal.siblings(done.id)
    close(journal, done, attempt, 50, "achieved")
    assert {one.slot_id for one in journal.spends(KEY, 23)} == {old.id, done.id}
    assert {one.slot_id for one in journal.spends(KEY, 24)} == {old.id}  # decided on at exactly second 24


def test_released_nonces_cost_nothing_and_fillers_count_from_the_first_tick_after_them(journal):
    tick(journal, 1)
    (given,) = journal.reserve([call(intend(journal, 2, [1])[0].id)], 0, moment(2))
    journal.released([Release(given.id, "refused", {})], -1, moment(2))
    (slot,) = journal.reserve([filler(KEY, 9)], 0, moment(3))
    journal.stored([signed(slot, "filler", gas=21_000)], moment(3), exposure_cap=NO_CAP)
    assert [(one.slot_id, one.timestamp, one.kinds) for one in journal.spends(KEY, 0)] == [(slot.id, 24, ())]
    tick(journal, 5)
    assert [one.timestamp for one in journal.spends(KEY, 0)] == [60]


def test_failures_on_the_chain_and_in_simulation_are_told_until_the_subject_succeeds(url, journal):
    mined, simulated, capped = intend(journal, 3, [1, 2, 3])
    (slot,) = sent(journal, 3, [mined])
    tick(journal, 6)
    close(journal, slot, journal.siblings(slot.id)[0], 6, "failed")
    journal.close_intent(simulated.id, "refused", "simulation: NL", 3)
    journal.close_intent(capped.id, "refused", "spend cap per day: expected less", 3)
    with opened(url) as again:
        found = again.failures(0)
    told = [(one.subject, one.cause, one.on_chain, one.timestamp) for one in found]
    assert [one.at_risk_usd for one in found] == [1.0, 1.0]
    assert told == [(account(1), "as its logs say", True, 72), (account(2), "simulation: NL", False, 36)]
    assert journal.failures(36) == ()  # decided on at exactly second 36
    (better,) = tick(journal, 8, [Liquidate("curie", account(1), "0xm", 1.0, 2.0, 11)])
    (slot,) = sent(journal, 8, [better])
    close(journal, slot, journal.siblings(slot.id)[0], 9, "achieved")
    assert [one.subject for one in journal.failures(0)] == [account(2)]


def test_the_last_answer_of_each_endpoint_counts(journal):
    (slot,) = sent(journal, 1, intend(journal, 1, [1]))
    (attempt,) = journal.siblings(slot.id)
    first = journal.offering([NewOffer(attempt.id, "a"), NewOffer(attempt.id, "b")], moment(1))
    journal.answered([Answer(offer.id, "NONCE_GAP", "gap") for offer in first], 1)
    (second,) = journal.offering([NewOffer(attempt.id, "a")], moment(2))
    assert journal.last_answers([attempt.id]) == {attempt.id: {"a": "NONCE_GAP", "b": "NONCE_GAP"}}
    journal.answered([Answer(second.id, "ACCEPTED", "")], 2)
    assert journal.last_answers([attempt.id, 99]) == {attempt.id: {"a": "ACCEPTED", "b": "NONCE_GAP"}}


@pytest.mark.parametrize("later", ["NODE_UNAVAILABLE", "UNKNOWN"])
def test_silence_takes_back_no_word_of_having_the_bytes_and_a_later_word_does(journal, later):
    (slot,) = sent(journal, 3, intend(journal, 3, [1]))
    (attempt,) = journal.siblings(slot.id)

    def say(answer):
        (offer,) = journal.offering([NewOffer(attempt.id, "a")], moment(4))
        journal.answered([Answer(offer.id, answer, "")], 1)
        return journal.last_answers([attempt.id])[attempt.id]["a"]

    assert [say(one) for one in ("ACCEPTED", later, later)] == ["ACCEPTED"] * 3
    assert [say(one) for one in ("UNDERPRICED", later)] == ["UNDERPRICED", later]


def test_a_gap_is_a_released_nonce_below_a_held_one(journal):
    slots = journal.reserve([call(i.id) for i in intend(journal, 1, [1, 2, 3])], 5, moment(1))
    assert journal.gaps(KEY, 5) == ()
    journal.released([Release(slots[2].id, "refused", {})], 4, moment(1))
    assert journal.gaps(KEY, 5) == ()  # nothing waits behind it
    journal.released([Release(slots[0].id, "refused", {})], 4, moment(1))
    assert journal.gaps(KEY, 5) == (5,)
    assert journal.gaps(KEY, 6) == ()  # the chain is past it
    (filling,) = journal.reserve([filler(KEY, 9)], 5, moment(2))
    assert (filling.nonce, journal.gaps(KEY, 5)) == (5, ())


def charged(journal, slot, attempt, number, gas_used, gas_price):
    found = Mined(slot.id, attempt.tx_hash, number, f"0x{number:064x}", gas_used, gas_price)
    journal.mined([found], moment(number))


def test_a_closed_nonce_counts_at_what_it_was_charged_and_an_open_one_at_its_worst(url, journal):
    (slot,) = sent(journal, 3, intend(journal, 3, [1]))
    (attempt,) = journal.siblings(slot.id)
    worst = GAS * FEE
    charged(journal, slot, attempt, 4, 21_000, FEE // 2)
    assert [one.wei for one in journal.spends(KEY, 0)] == [worst]  # its block may leave the chain
    assert journal.slot(slot.id).standing.cost == 21_000 * (FEE // 2)
    journal.final([Closing(slot.id, attempt.tx_hash, {slot.intents[0]: Outcome("failed", "reverted")})], moment(5))
    with opened(url) as again:
        (spend,) = again.spends(KEY, 0)
    assert (spend.wei, spend.in_vain) == (21_000 * (FEE // 2), True)  # a revert is paid for


def test_a_block_that_leaves_the_chain_takes_its_cost_along_and_another_one_brings_its_own(journal):
    (slot,) = sent(journal, 3, intend(journal, 3, [1]))
    (attempt,) = journal.siblings(slot.id)
    charged(journal, slot, attempt, 4, 30_000, 7)
    journal.final([Closing(slot.id, attempt.tx_hash, {slot.intents[0]: Outcome("achieved", "done")})], moment(5))
    assert [(one.wei, one.in_vain) for one in journal.spends(KEY, 0)] == [(210_000, False)]
    journal.orphaned([slot.id], "a deep reorg", moment(6))
    assert journal.slot(slot.id).standing.cost is None
    assert [one.wei for one in journal.spends(KEY, 0)] == [GAS * FEE]
    charged(journal, slot, attempt, 7, 40_000, 8)
    journal.final([Closing(slot.id, attempt.tx_hash, {slot.intents[0]: Outcome("achieved", "done")})], moment(9))
    assert [one.wei for one in journal.spends(KEY, 0)] == [320_000]
    costs = [(change.gas_used, change.gas_price) for change in history_of(journal, slot.id)]
    assert [cost for cost in costs if cost != (None, None)] == [(30_000, 7), (40_000, 8)]
    assert fold(history_of(journal, slot.id)) == journal.slot(slot.id).standing


def test_what_intents_share_is_charged_to_each_of_them_in_equal_parts(journal):
    two = intend(journal, 3, [1, 2])
    (slot,) = journal.reserve([call(*[intent.id for intent in two])], 0, moment(3))
    journal.stored([signed(slot)], moment(3), exposure_cap=NO_CAP)
    (attempt,) = journal.siblings(slot.id)
    charged(journal, slot, attempt, 4, 30_001, 1)
    found = [journal.decisions(account(n))[0] for n in (1, 2)]
    assert [(one.cost, one.gain_usd) for one in found] == [(15_001, None)] * 2
