"""Whatever the order of calls, crashes and reopenings, intents keep their promises, sent or not.

A plain model of the rules runs beside the journal: one live intent per effect; what was given a nonce closes with it;
closed stays closed; nothing of the ledger is ever forgotten; reopening changes nothing. The slots themselves have a
model of their own: test_ledger_machine.py.
"""

import tempfile

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from keeper.chain import Block
from keeper.errors import JournalError
from keeper.journal import MarginRow, TickRecord
from keeper.journal.slot_records import Closing, Mined, Outcome
from keeper.plans import Liquidate
from tests.ledger_world import KEY, NO_CAP, OTHER, call, file_url, moment, opened, signed

ACCOUNTS = tuple(f"0x{n:040x}" for n in range(4))


class LedgerRules(RuleBasedStateMachine):
    @initialize()
    def open(self):
        self.folder = tempfile.TemporaryDirectory()
        self.url = file_url(self.folder.name)
        self.journal = opened(self.url)
        self.blocks = 0
        self.intents = {}  # id -> (effect, status)
        self.slots = {}  # id -> [intents, attempts, is open]

    def live(self):
        return {effect: intent for intent, (effect, status) in self.intents.items() if status in ("intended", "live")}

    def under_way(self):
        return {intent for carried, _, is_open in self.slots.values() if is_open for intent in carried}

    def free(self):
        return sorted(set(self.live().values()) - self.under_way())

    def open_slots(self):
        return [slot_id for slot_id, (_, _, is_open) in self.slots.items() if is_open]

    @rule(accounts=st.lists(st.sampled_from(ACCOUNTS), max_size=5), again=st.booleans())
    def tick(self, accounts, again):
        self.blocks += 1
        block = Block(self.blocks, f"0x{self.blocks:064x}", f"0x{self.blocks - 1:064x}", 12 * self.blocks, 1)
        plans = [Liquidate("curie", account, "0xm", 1.0, 2.0, self.blocks + 3) for account in accounts]
        margins = tuple(MarginRow(account, 0.0, 1.0, 1.0, 0.0, "endangered") for account in ACCOUNTS)
        expected = list(dict.fromkeys(plan.effect for plan in plans if plan.effect not in self.live()))
        record = TickRecord(block, 0, {}, (), margins, ())
        new = self.journal.intend(record, plans)
        assert [intent.plan.effect for intent in new] == expected
        self.intents.update({intent.id: (intent.plan.effect, "intended") for intent in new})
        if again:
            assert self.journal.intend(record, plans) == ()

    @precondition(lambda self: self.free())
    @rule(sender=st.sampled_from((KEY, OTHER)), choice=st.randoms(use_true_random=False))
    def sign(self, sender, choice):
        """One transaction carries out one or more intents."""
        carried = choice.sample(self.free(), choice.randint(1, len(self.free())))
        (slot,) = self.journal.reserve([call(*carried, sender=sender)], 0, moment(self.blocks))
        self.journal.stored([signed(slot)], moment(self.blocks), exposure_cap=NO_CAP)
        self.slots[slot.id] = [carried, 1, True]
        for intent in carried:
            self.intents[intent] = (self.intents[intent][0], "live")
        with pytest.raises(JournalError, match="under way"):
            self.journal.reserve([call(carried[0], sender=sender)], 0, moment(self.blocks))

    @precondition(lambda self: self.open_slots())
    @rule(choice=st.randoms(use_true_random=False), kind=st.sampled_from(("replacement", "cancel")))
    def bump(self, choice, kind):
        slot = self.journal.slot(choice.choice(self.open_slots()))
        count = self.slots[slot.id][1]
        self.journal.stored([signed(slot, kind, tag=count)], moment(self.blocks), exposure_cap=NO_CAP)
        self.slots[slot.id][1] += 1

    @precondition(lambda self: self.open_slots())
    @rule(choice=st.randoms(use_true_random=False), status=st.sampled_from(("achieved", "failed")))
    def end(self, choice, status):
        """The label follows the sibling that was mined."""
        slot_id = choice.choice(self.open_slots())
        winner = choice.choice(self.journal.siblings(slot_id))
        carried = self.slots[slot_id][0]
        label = "cancelled" if winner.kind == "cancel" else status
        outcomes = {} if label == "cancelled" else {intent: Outcome(label, "") for intent in carried}
        self.journal.mined([Mined(slot_id, winner.tx_hash, self.blocks, "0xb")], moment(self.blocks))
        self.journal.final([Closing(slot_id, winner.tx_hash, outcomes)], moment(self.blocks))
        self.slots[slot_id][2] = False
        for intent in carried:
            self.intents[intent] = (self.intents[intent][0], label)

    @precondition(lambda self: self.intents)
    @rule(choice=st.randoms(use_true_random=False), status=st.sampled_from(("refused", "shadow", "expired")))
    def close(self, choice, status):
        intent = choice.choice(sorted(self.intents))
        effect, before = self.intents[intent]
        if before == status or intent in self.free():
            self.journal.close_intent(intent, status, "", self.blocks)
            self.intents[intent] = (effect, status)
        else:
            with pytest.raises(JournalError):
                self.journal.close_intent(intent, status, "", self.blocks)

    @rule(keep=st.integers(1, 4))
    def prune(self, keep):
        self.journal.prune(keep)

    @rule()
    def reopen(self):
        self.journal.close()
        self.journal = opened(self.url)

    @invariant()
    def the_ledger_is_the_model(self):
        live = self.journal.live_intents()
        assert {intent.plan.effect: intent.id for intent in live} == self.live()
        assert len(live) == len(self.live())
        assert [slot.id for slot in sorted(self.journal.open_slots(), key=lambda s: s.id)] == self.open_slots()
        assert [intent.id for intent in self.journal.intents_without_slot()] == self.free()
        assert self.journal.effects_under_way() == self.live().keys()

    @invariant()
    def nothing_of_the_ledger_is_ever_gone(self):
        counts = self.journal.counts()
        signed_in_all = sum(count for _, count, _ in self.slots.values())
        assert (counts.intents, counts.attempts) == (len(self.intents), signed_in_all)
        assert counts.open_attempts == sum(count for _, count, is_open in self.slots.values() if is_open)
        explained = [d for who in ACCOUNTS for d in self.journal.decisions(who, 10_000) if d.intent is not None]
        assert {d.intent.id: (d.intent.plan.effect, d.intent.status) for d in explained} == self.intents
        trails = {(d.intent.id, t.slot.id): len(t.attempts) for d in explained for t in d.trails}
        assert trails == {(i, slot): count for slot, (carried, count, _) in self.slots.items() for i in carried}

    def teardown(self):
        self.journal.close()
        self.folder.cleanup()


TestLedger = LedgerRules.TestCase
TestLedger.settings = settings(
    max_examples=15, stateful_step_count=30, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
