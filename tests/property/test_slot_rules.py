"""Whatever the order of calls, crashes and refusals, the transaction ledger keeps I1-I7.

A plain model runs beside it. Each rule does something that may or may not be allowed; what is refused must change no
row. The invariants are asked of the rows themselves, by SQL of their own, never through the methods that wrote them.
"""

import random
import sqlite3
import tempfile
from collections import Counter
from pathlib import Path

from hypothesis import HealthCheck, event, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from keeper.errors import JournalError
from keeper.journal.lifecycle import Change, Standing, fold
from keeper.journal.slot_records import (
    Answer,
    Closing,
    Loss,
    Mined,
    NewOffer,
    Outcome,
    Release,
    filler,
)
from tests.ledger_world import FEE, GAS, KEY, OTHER, call, dump, file_url, intend, moment, opened, signed

CAP = 3 * GAS * FEE
KINDS = ("original", "replacement", "cancel", "filler")
LIVE = ("intended", "live")
CLOSED = ("final", "lost", "released")
PICK = st.integers(0, 2**32).map(random.Random)  # its draws are no choices of hypothesis, which shrinks them to 0


class SlotRules(RuleBasedStateMachine):
    @initialize(imports=st.booleans())
    def open(self, imports):
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "keeper.db"
        self.journal = opened(file_url(self.folder.name))
        self.block = 1
        self.tags = 0
        self.signer = {KEY: -1, OTHER: -1}  # watermark: what the signer would say
        self.owners = {}  # (sender, nonce) -> the slots that ever had bytes there
        self.imports = imports
        self.uncapped = False  # exposure came back that no cap was asked for: imported bytes, a deep reorg
        self.rivalled = set()
        intents = intend(self.journal, self.block, (1, 2, 3))
        self.journal.reserve([call(intents[0].id, intents[1].id), call(intents[2].id)], 0, self.now())

    # --- helpers -------------------------------------------------------------------------------------

    def rows(self, query, *given):
        connection = sqlite3.connect(self.path)
        try:
            return connection.execute(query, given).fetchall()
        finally:
            connection.close()

    def tried(self, action):
        """Do it; return None if it was refused, in which case no row may have changed."""
        before = dump(self.journal)
        try:
            return action()
        except JournalError:
            assert dump(self.journal) == before
            return None

    def now(self):
        return moment(self.block, 1_000 * self.block)

    def all_slots(self):
        return (*self.journal.slots_from(KEY, 0), *self.journal.slots_from(OTHER, 0))

    def pick(self, choice, *states):
        """Return a slot, most often one in the states where the call makes sense."""
        slots = self.all_slots()
        fitting = [slot for slot in slots if slot.state in states]
        return choice.choice(fitting if fitting and choice.random() < 0.85 else slots)

    # --- rules ---------------------------------------------------------------------------------------

    @rule(accounts=st.lists(st.integers(1, 4), min_size=1, max_size=4))
    def decide(self, accounts):
        self.block += 1
        busy = {effect for (effect,) in self.rows("SELECT effect FROM intents WHERE status IN ('intended', 'live')")}
        assert not {intent.plan.effect for intent in intend(self.journal, self.block, accounts)} & busy

    @rule(choice=PICK, sender=st.sampled_from((KEY, OTHER)), count=st.integers(0, 3), fill=st.booleans())
    def reserve(self, choice, sender, count, fill):
        intents = [i for (i,) in self.rows("SELECT id FROM intents")]
        free = [i.id for i in self.journal.intents_without_slot()]
        some = choice.sample(free or intents, k=choice.randint(0, len(free or intents)))
        wanted = [call(*some[:2], sender=sender)] if some else []
        wanted += [call(i, sender=sender) for i in some[2:]] + [filler(sender, 9)] * fill
        got = self.tried(lambda: self.journal.reserve(wanted, count, self.now()))
        assert got is None or len(got) == len(wanted)

    @rule(choice=PICK, kind=st.sampled_from(KINDS), price=st.integers(1, 4), lost_answer=st.booleans())
    def sign(self, choice, kind, price, lost_answer):
        """The signer signs in order; `lost_answer`: the keeper died before it stored the bytes, and imports them."""
        slots = [s for s in self.all_slots() if s.state != "released" and s.nonce <= self.signer[s.sender] + 1]
        waiting = [s for s in slots if s.state not in ("mined", *CLOSED)]
        if not slots:
            return
        slot = choice.choice(waiting if waiting and choice.random() < 0.9 else slots)
        first = not self.journal.siblings(slot.id) and kind == "replacement"
        kind = "filler" if slot.purpose == "filler" and kind != "replacement" else kind
        kind = "original" if slot.purpose == "call" and (kind == "filler" or first) else kind
        self.tags += 1
        attempt = signed(slot, kind, self.tags, price * FEE)
        self.signer[slot.sender] = max(self.signer[slot.sender], slot.nonce)
        if not lost_answer:
            stored = self.tried(lambda: self.journal.stored([attempt], self.now(), exposure_cap=CAP))
        elif self.imports and choice.random() < 0.7:
            stored = self.tried(lambda: self.journal.imported([attempt], self.now()))
            self.uncapped |= stored is not None
        else:
            return  # the signer alone knows them so far
        if stored is not None:
            assert [a.raw for a in stored] == [attempt.raw]

    @rule(choice=PICK)
    def carry_on(self, choice):
        """What a healthy block does: sign, offer, find in a block, close."""
        for kind in ("original", choice.choice(KINDS)):
            self.sign(choice, kind, 1, lost_answer=False)
            self.offer(choice, ["a"])
        self.mine(choice, "a")
        self.close(choice, wrong=False)

    @rule(choice=PICK, endpoints=st.lists(st.sampled_from("abc"), min_size=1, max_size=3))
    def offer(self, choice, endpoints):
        slot = self.pick(choice, "signed", "offered", "orphaned")
        siblings = [a.id for a in self.journal.siblings(slot.id)] or [10**6]
        pairs = [NewOffer(choice.choice(siblings), name) for name in endpoints]
        written = self.tried(lambda: self.journal.offering(pairs, self.now()))
        if written is None:
            assert slot.state not in ("signed", "offered", "orphaned") or siblings == [10**6]
            return
        answers = [Answer(offer.id, "UNKNOWN", "so it said") for offer in written[: choice.randint(0, len(written))]]
        self.journal.answered(answers, 5)

    @rule(choice=PICK, fork=st.sampled_from("ab"))
    def mine(self, choice, fork):
        slot = self.pick(choice, "signed", "offered", "orphaned", "mined")
        hashes = [a.tx_hash for a in self.journal.siblings(slot.id)] or ["0xforeign"]
        found = Mined(slot.id, choice.choice(hashes), self.block, f"0x{fork}{self.block}")
        self.tried(lambda: self.journal.mined([found], self.now()))

    @rule(choice=PICK)
    def reorg(self, choice):
        """Its block leaves the chain, and now and then that of a slot that was closed."""
        slot = self.pick(choice, "mined", *(("final", "lost") if choice.random() < 0.3 else ()))
        rivalled = self.tried(lambda: self.journal.orphaned([slot.id], "reorg", self.now()))
        self.rivalled |= set(rivalled or ())
        self.uncapped |= rivalled is not None and slot.state in CLOSED

    @rule(choice=PICK, wrong=st.booleans())
    def close(self, choice, wrong):
        slot = self.pick(choice, "mined")
        kinds = {a.tx_hash: a.kind for a in self.journal.siblings(slot.id)}
        winner = slot.standing.winner_hash or "0xnone"
        if wrong and kinds:
            winner = choice.choice(sorted(kinds))
        live = [i for i in slot.intents if self.status(i) in LIVE]
        ends = {i: Outcome(choice.choice(("achieved", "failed")), "as its event says") for i in live}
        right = ends if kinds.get(winner) in ("original", "replacement") else {}
        given = choice.choice(({}, ends)) if wrong else right
        done = self.tried(lambda: (self.journal.final([Closing(slot.id, winner, given)], self.now()), "done"))
        if done:
            assert (slot.state, slot.standing.winner_hash, given) == ("mined", winner, right)
            expected = {"original": ("achieved", "failed"), "replacement": ("achieved", "failed")}
            assert all(self.status(i) in expected.get(kinds[winner], ("cancelled",)) for i in live)

    @rule(choice=PICK, above=st.integers(0, 1))
    def lose(self, choice, above):
        """A stranger used the nonce: rare, or nothing else would be seen."""
        slot = self.pick(choice, "reserved" if choice.random() < 0.2 else "offered")
        if choice.random() < 0.6:
            return
        own = [a.tx_hash for a in self.journal.siblings(slot.id)]
        winner = choice.choice([None, "0xforeign", *own])
        loss = Loss(slot.id, slot.nonce + above, winner, "used by another")
        if self.tried(lambda: (self.journal.lost([loss], self.now()), "done")):
            assert above == 1
            assert winner not in own

    @rule(choice=PICK)
    def release(self, choice):
        slot = self.pick(choice, "reserved")
        closes = {i: Outcome("refused", "policy") for i in slot.intents[: choice.randint(0, 1)]}
        watermark = self.signer[slot.sender]
        if self.tried(lambda: (self.journal.released([Release(slot.id, "x", closes)], watermark, self.now()), "done")):
            assert slot.nonce > watermark

    @rule(choice=PICK)
    def close_behind_its_back(self, choice):
        """An intent with an open slot ends through that slot alone."""
        slot = self.pick(choice, "reserved", "signed", "offered", "mined", "orphaned")
        for intent in slot.intents:
            if slot.state not in CLOSED and self.status(intent) in LIVE:
                assert not self.tried(lambda i=intent: (self.journal.close_intent(i, "expired"), "done"))

    @rule()
    def crash(self):
        before = dump(self.journal)
        self.journal.close()
        self.journal = opened(file_url(self.folder.name))
        assert dump(self.journal) == before

    def status(self, intent):
        ((status,),) = self.rows("SELECT status FROM intents WHERE id = ?", intent)
        return status

    # --- I1 to I7, asked of the rows -----------------------------------------------------------------

    @invariant()
    def i1_an_effect_is_under_way_once(self):
        live = self.rows("SELECT effect, count(*) FROM intents WHERE status IN ('intended', 'live') GROUP BY 1")
        assert all(count == 1 for _, count in live)
        under_way = self.rows(
            "SELECT i.effect, i.id FROM intents i JOIN slot_intents c ON c.intent_id = i.id JOIN slots s ON "
            "s.id = c.slot_id WHERE s.state NOT IN ('final', 'lost', 'released')"
        )
        counted = Counter(effect for effect, intent in under_way if intent not in self.rivalled)
        assert all(count == 1 for count in counted.values())
        assert self.journal.effects_under_way() == {e for e, _ in live} | {e for e, _ in under_way}

    @invariant()
    def i2_all_bytes_of_a_nonce_belong_to_one_slot(self):
        owners = self.rows(
            "SELECT s.sender, s.nonce, count(DISTINCT s.id) FROM slots s JOIN slot_attempts a ON a.slot_id = s.id "
            "GROUP BY 1, 2"
        )
        assert all(count == 1 for _, _, count in owners)

    @invariant()
    def i3_every_offer_names_stored_bytes(self):
        orphans = "SELECT 1 FROM offers o LEFT JOIN slot_attempts a ON a.id = o.attempt_id WHERE a.raw IS NULL"
        assert self.rows(orphans) == []

    @invariant()
    def i4_a_nonce_is_given_again_only_if_it_was_never_signed(self):
        taken = "SELECT sender, nonce, count(*) FROM slots WHERE state <> 'released' GROUP BY 1, 2"
        assert all(count == 1 for _, _, count in self.rows(taken))
        signed_then_released = (
            "SELECT 1 FROM slots s JOIN slot_attempts a ON a.slot_id = s.id WHERE s.state = 'released'"
        )
        assert self.rows(signed_then_released) == []

    @invariant()
    def i5_the_worst_case_stays_below_the_cap(self):
        attempts = self.rows(
            "SELECT s.sender, s.id, a.gas, a.max_fee FROM slots s JOIN slot_attempts a ON a.slot_id = s.id "
            "WHERE s.state NOT IN ('final', 'lost', 'released')"
        )
        worst = {}
        for sender, slot, gas, fee in attempts:
            worst[sender, slot] = max(worst.get((sender, slot), 0), gas * int(fee))
        for key in (KEY, OTHER):
            total = sum(cost for (sender, _), cost in worst.items() if sender == key)
            assert self.journal.exposure(key).total == total
            if not self.uncapped:
                assert total <= CAP

    @invariant()
    def i6_the_label_is_that_of_the_mined_hash(self):
        for slot_id, winner in self.rows("SELECT id, winner_hash FROM slots WHERE state = 'final'"):
            last = "SELECT tx_hash FROM steps WHERE slot_id = ? AND mined_number IS NOT NULL ORDER BY id DESC LIMIT 1"
            kinds = dict(self.rows("SELECT tx_hash, kind FROM slot_attempts WHERE slot_id = ?", slot_id))
            assert winner in kinds
            if kinds[winner] == "cancel":
                said = "SELECT o.status FROM outcomes o JOIN steps t ON t.id = o.step_id WHERE t.slot_id = ?"
                ended = [status for (status,) in self.rows(f"{said} AND t.state = 'final'", slot_id)]
                assert not ended or ended[-1] == "cancelled"
            assert self.rows(last, slot_id) == [(winner,)]

    @invariant()
    def i7_the_rows_are_the_fold_of_their_steps(self):
        cached = self.rows("SELECT id, state, winner_hash, mined_number, mined_hash FROM slots ORDER BY id")
        told = "SELECT state, cause, tx_hash, mined_number, mined_hash FROM steps WHERE slot_id = ? ORDER BY id"
        for slot_id, *standing in cached:
            assert fold(Change(*step) for step in self.rows(told, slot_id)) == Standing(*standing)
        ended = "SELECT intent_id, status FROM outcomes ORDER BY id"
        for intent, status in dict(self.rows(ended)).items():
            now = self.status(intent)
            assert now == status or (status == "live" and now in LIVE)

    def teardown(self):
        for (state,) in self.rows("SELECT DISTINCT state FROM steps"):
            event(f"reached {state}")
        self.journal.close()
        self.folder.cleanup()


TestSlots = SlotRules.TestCase
TestSlots.settings = settings(
    max_examples=30, stateful_step_count=40, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
