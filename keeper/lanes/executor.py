"""What the loop calls: settle what is under way, then carry out new intents. What lasts is in the ledger."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace

from keeper.chain import Block, Call
from keeper.errors import ChainError, SignerUnreachable, SigningRefused
from keeper.heads import Head
from keeper.in_turn import Step
from keeper.isolation import Isolation
from keeper.journal.lifecycle import OFFERABLE
from keeper.journal.records import ClosedStatus, Intent
from keeper.journal.slot_records import Slot, SlotAttempt
from keeper.lanes.alarms import Alarms
from keeper.lanes.books import is_liquidation
from keeper.lanes.issue import Issue
from keeper.lanes.jobs import stated
from keeper.lanes.offering import Desk
from keeper.lanes.ports import Facts, Ledger, Outlets, Signer
from keeper.lanes.privacy import Private
from keeper.lanes.recover import recover
from keeper.lanes.replies import Said, judged, wants_simulation
from keeper.lanes.rescue import Rescue, Stake, Waiting
from keeper.lanes.rules import LaneRules
from keeper.lanes.simulate import Simulation
from keeper.lanes.watch import Watch
from keeper.plans import Plan
from keeper.rpc import Rpc
from keeper.sending.fees import Market
from keeper.stages import Stages
from keeper.venues.base import Venue

log = logging.getLogger(__name__)

TIP_BLOCKS = 5
"""Recent blocks whose median tips make the market."""


class LaneExecutor:
    """Moves intents through the ledger with one key. Holds no state of its own but whether it has recovered."""

    def __init__(
        self,
        rpc: Rpc,
        outlets: Outlets,
        facts: Facts,
        venue: Venue,
        signer: Signer,
        ledger: Ledger,
        rules: LaneRules,
        stake: Callable[[Plan], Stake],
        private: Private | None = None,
    ) -> None:
        self._rpc = rpc
        self._ledger = ledger
        self._facts = facts
        self._signer = signer
        self._stake = stake
        self._outlets = outlets
        self._isolation = Isolation(ledger)
        self._alarms = Alarms()
        self._simulation = Simulation(rpc, venue, rules.gas, rules.gas_margin_ppm)
        self._watch = Watch(ledger, facts, venue, signer, rules.confirmations)
        desk = Desk(ledger, outlets, signer.address, private)
        self._rescue = Rescue(ledger, desk, signer, rules, self._alarms)
        self._issue = Issue(ledger, desk, signer, venue, rpc, rules, self._alarms)
        self._recovered = False
        self._timestamp = 0  # of the last block settled

    def settle(self, block: Block) -> int:
        """Bring every slot up to date with the chain at `block` and see waiting ones through; return how many wait."""
        with self._seated():
            if not (self._recovered and self._renewed()):
                recover(self._ledger, self._signer, self._facts, block)
                self._recovered = True
            self._alarms.begin()
            self._timestamp = block.timestamp
            self._expire(block)
            slots = self._watch.settle(block)
            if slots:
                waiting, market = self._waiting(slots, block), self._market(block)
                self._rescue.carry_on(waiting, market, block)
                self._issue.fill(sum(one.stake.per_block for one in waiting), market, block)
            return len(slots)

    def status(self) -> dict[str, object]:
        """Return what an operator should see of sending; safe to call from another thread."""
        now, tally = self._timestamp, self._outlets.tally
        return {
            "alarms": list(self._alarms.now()),
            "left_alone": dict(self._isolation.held(now)),
            "undone_usd": self._isolation.undone_usd(now),
            "unknown_answers": tally.unknown_share(),
            "unknown_texts": list(tally.unknown_texts()),
        }

    def _renewed(self) -> bool:
        """Renew the lease; False says that it was lost, as after a long pause of the chain, and is to be taken anew."""
        try:
            self._signer.renew()
        except (SignerUnreachable, SigningRefused) as error:
            log.warning("%s; the lease is asked for again", error)
            return False
        return True

    @contextmanager
    def _seated(self) -> Iterator[None]:
        """After a lost signer, lease or journal nothing is known about what was signed: the next block recovers first.

        A chain that cannot be read is no such case: nothing is asked of it between a reserved nonce and its bytes.
        """
        try:
            yield
        except ChainError:
            raise
        except Exception:
            self._recovered = False
            raise

    def execute(self, intents: Sequence[Intent], head: Head, stage: Stages) -> None:
        """Simulate, sign, store and offer new intents; each one ends with a nonce or closed with its cause."""
        if not intents:
            return
        head = replace(head, block=self._rpc.block())  # a tick may outlast blocks; what counts is where it will land
        intents = self._issue.by_priority(intents, [self._stake(intent.plan) for intent in intents], head.block)
        with stage("simulate"):
            simulated = self._simulation.simulate(intents, head, self._signer.address, self._under_way())
        causes = {row: str(refused) for row, refused in simulated.refusals.items()}
        if causes:
            self._ledger.close_intents(causes, "refused", head.block.number)
            log.info("%d plans refused: %s", len(causes), "; ".join(dict.fromkeys(causes.values())))
        sound = [intent for intent in intents if intent.id not in simulated.refusals]
        if sound:
            stakes = [self._stake(intent.plan) for intent in sound]
            with self._seated():
                self._issue.send(sound, stakes, self._market(head.block), head.block, simulated.gas, stage)

    def _under_way(self) -> list[Step]:
        """Return the calls of this lane that land before anything new, lowest nonce first."""
        address = self._signer.address
        cancelled = {attempt.slot_id for attempt in self._ledger.live_attempts(address) if attempt.kind == "cancel"}
        waiting = [s for s in self._ledger.open_slots(address) if s.state in OFFERABLE and s.id not in cancelled]
        return [Step(Call(slot.to, slot.data), slot.gas) for slot in waiting if slot.purpose == "call"]

    def _expire(self, block: Block) -> None:
        """Close what was intended and never got a nonce, for the keeper stopped or could not read the chain.

        The world has moved on, and while they are live their effects cannot be planned again: this tick decides anew.
        """
        for intent in self._ledger.intents_without_slot():
            self._close(intent, "expired", "not signed in its own block", block)

    def _close(self, intent: Intent, status: ClosedStatus, cause: str, block: Block) -> None:
        self._ledger.close_intent(intent.id, status, cause, block.number)
        log.info("%s %s: %s", intent.plan.effect, status, cause)

    def _waiting(self, slots: Sequence[Slot], block: Block) -> list[Waiting]:
        live = {intent.id: intent for intent in self._ledger.live_intents()}
        siblings: dict[int, list[SlotAttempt]] = {slot.id: [] for slot in slots}
        for attempt in self._ledger.live_attempts(self._signer.address):
            if attempt.slot_id in siblings:
                siblings[attempt.slot_id].append(attempt)
        newest = {slot.id: siblings[slot.id][-1].id for slot in slots}
        answers = self._ledger.last_answers(list(newest.values()))
        return [
            self._judged(slot, tuple(siblings[slot.id]), live, judged(answers.get(newest[slot.id], {})), block)
            for slot in slots
        ]

    def _judged(
        self, slot: Slot, siblings: tuple[SlotAttempt, ...], live: Mapping[int, Intent], said: Said, block: Block
    ) -> Waiting:
        intents = [live[i] for i in slot.intents if i in live]
        stakes = [self._stake(intent.plan) for intent in intents]
        stake = Stake(sum(s.per_block for s in stakes), stated(stakes))
        unwanted = self._unwanted(slot, intents, said, block)
        return Waiting(slot, siblings, stake, unwanted, said, is_liquidation([i.plan.kind for i in intents]))

    def _unwanted(self, slot: Slot, intents: Sequence[Intent], said: Said, block: Block) -> str:
        """Return why the slot's call should not land any more, '' while it should."""
        if slot.purpose != "call":
            return ""
        if slot.deadline_block < block.number:
            return "past its last block"
        if not intents:
            return "its intents are closed"
        if not wants_simulation(said):
            return ""
        refused = self._simulation.simulate(intents, Head(block, 0, False, 1), self._signer.address).refusals
        return "" if len(refused) < len(intents) else str(next(iter(refused.values())))

    def _market(self, block: Block) -> Market:
        """Return the base fee of the next block and recent median tips. Without history there are no tips."""
        found = self._rpc.fee_history(TIP_BLOCKS, block)
        return Market(found.next_base_fee, found.tips)
