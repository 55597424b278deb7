"""Whatever the order of calls, crashes and reopenings, the ledger keeps its promises.

A plain model of the rules runs beside the journal: one live intent per effect; a nonce is never given to two
transactions of two intents while their bytes may count; closed stays closed; reopening changes nothing.
"""

import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from keeper.chain import Block, Receipt
from keeper.errors import JournalError
from keeper.journal import Journal, MarginRow, NewAttempt, TickRecord
from keeper.plans import Liquidate

KEYS = ("0x" + "11" * 20, "0xd8dA6BF26964aF9D7eEd9e03E53415D37aA96045")
ACCOUNTS = tuple(f"0x{n:040x}" for n in range(4))
OPEN = ("signed", "broadcast")


class LedgerRules(RuleBasedStateMachine):
    @initialize()
    def open(self):
        self.folder = tempfile.TemporaryDirectory()
        self.url = f"sqlite:///{Path(self.folder.name) / 'keeper.db'}"
        self.journal = self.opened()
        self.blocks = 0
        self.intents = {}  # id -> (effect, status)
        self.attempts = {}  # id -> [intent id, sender, nonce, status, tx_hash]

    def opened(self):
        return Journal.open(self.url, chain_id=10, venue="curie")

    def live(self):
        return {effect: intent for intent, (effect, status) in self.intents.items() if status in ("intended", "live")}

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

    @precondition(lambda self: self.live())
    @rule(sender=st.sampled_from(KEYS), chain_nonce=st.integers(0, 6), choice=st.randoms(use_true_random=False))
    def sign(self, sender, chain_nonce, choice):
        intent = choice.choice(sorted(self.live().values()))
        self.store(intent, sender, self.journal.next_nonce(sender, chain_nonce))

    @precondition(lambda self: any(a[3] in OPEN for a in self.attempts.values()))
    @rule(choice=st.randoms(use_true_random=False))
    def share(self, choice):
        """One more intent is carried out by a transaction that is under way."""
        _, sender, nonce, _, tx_hash = choice.choice([a for a in self.attempts.values() if a[3] in OPEN])
        carried = {a[0] for a in self.attempts.values() if a[4] == tx_hash}
        others = [other for other in self.live().values() if other not in carried]
        if others and not self.rivals(others[0], sender, nonce, tx_hash):
            self.store(others[0], sender, nonce, tx_hash)

    def rivals(self, intent, sender, nonce, tx_hash):
        """Return whether another intent's other transaction holds the nonce."""
        return any(
            a[0] != intent and a[4] != tx_hash and a[1:3] == [sender, nonce] and a[3] != "lost"
            for a in self.attempts.values()
        )

    def store(self, intent, sender, nonce, tx_hash=None):
        tx_hash = tx_hash or f"0x{len(self.attempts) + 1:064x}"
        new = NewAttempt(intent, sender, nonce, tx_hash, tx_hash.encode(), 100_000, 2**256 - 1, 0)
        (stored,) = self.journal.store_signed([new])
        self.attempts[stored.id] = [intent, sender, nonce, "signed", tx_hash]
        self.intents[intent] = (self.intents[intent][0], "live")

    @precondition(lambda self: any(a[3] in OPEN for a in self.attempts.values()))
    @rule(choice=st.randoms(use_true_random=False))
    def bump(self, choice):
        intent, sender, nonce, _, _ = choice.choice([a for a in self.attempts.values() if a[3] in OPEN])
        if self.rivals(intent, sender, nonce, None):
            with pytest.raises(JournalError, match="in use by intent"):
                self.journal.store_signed([NewAttempt(intent, sender, nonce, "0xbump", b"", 1, 1, 1)])
            return
        self.store(intent, sender, nonce)
        others = [other for other in self.live().values() if other != intent]
        if others:
            stolen = NewAttempt(others[0], sender, nonce, "0xstolen", b"", 1, 1, 1)
            with pytest.raises(JournalError, match="in use by intent"):
                self.journal.store_signed([stolen])

    @precondition(lambda self: self.attempts)
    @rule(choice=st.randoms(use_true_random=False))
    def offer(self, choice):
        attempt = choice.choice(sorted(self.attempts))
        self.journal.mark_broadcast(attempt, None)
        if self.attempts[attempt][3] in OPEN:
            self.attempts[attempt][3] = "broadcast"

    @precondition(lambda self: any(a[3] in OPEN for a in self.attempts.values()))
    @rule(choice=st.randoms(use_true_random=False), status=st.sampled_from(("mined", "reverted", "lost")))
    def settle(self, choice, status):
        attempt = choice.choice([key for key, a in self.attempts.items() if a[3] in OPEN])
        receipt = Receipt(self.attempts[attempt][4], self.blocks, "0xb", status == "mined", 1, 1, ())
        self.journal.settle(attempt, status=status, receipt=None if status == "lost" else receipt)
        self.attempts[attempt][3] = status

    @precondition(lambda self: self.intents)
    @rule(choice=st.randoms(use_true_random=False), status=st.sampled_from(("achieved", "failed", "expired", "lost")))
    def close(self, choice, status):
        intent = choice.choice(sorted(self.intents))
        effect, before = self.intents[intent]
        may_land = any(a[0] == intent and a[3] in OPEN for a in self.attempts.values())
        if before == status or (before in ("intended", "live") and not may_land):
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
        self.journal = self.opened()

    @invariant()
    def the_ledger_is_the_model(self):
        live = self.journal.live_intents()
        assert {intent.plan.effect: intent.id for intent in live} == self.live()
        assert len(live) == len(self.live())
        found = {a.id: [a.intent_id, a.sender, a.nonce, a.status, a.tx_hash] for a in self.journal.open_attempts()}
        assert found == {key: a for key, a in self.attempts.items() if a[3] in OPEN}

    @invariant()
    def the_next_nonce_is_free(self):
        for sender in KEYS:
            taken = [a[2] for a in self.attempts.values() if a[1] == sender and a[3] != "lost"]
            assert self.journal.next_nonce(sender, 2) == max([2, *(nonce + 1 for nonce in taken)])

    @invariant()
    def nothing_of_the_ledger_is_ever_gone(self):
        counts = self.journal.counts()
        assert (counts.intents, counts.attempts) == (len(self.intents), len(self.attempts))
        explained = [d for who in ACCOUNTS for d in self.journal.decisions(who, 10_000) if d.intent is not None]
        assert {d.intent.id: (d.intent.plan.effect, d.intent.status) for d in explained} == self.intents
        assert sum(len(d.attempts) for d in explained) == len(self.attempts)

    def teardown(self):
        self.journal.close()
        self.folder.cleanup()


TestLedger = LedgerRules.TestCase
TestLedger.settings = settings(
    max_examples=30, stateful_step_count=30, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
