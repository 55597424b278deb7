"""One key's sequence of nonces: recovered, watched, rescued, given new ones. What lasts is in the ledger."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from keeper.chain import Block, Call
from keeper.errors import ChainError, SignerUnreachable, SigningRefused
from keeper.heads import Head
from keeper.in_turn import Step
from keeper.journal.lifecycle import OFFERABLE
from keeper.journal.records import Intent
from keeper.journal.slot_records import Slot, SlotAttempt
from keeper.lanes.alarms import Alarms
from keeper.lanes.books import is_liquidation
from keeper.lanes.choice import Priced, Purse
from keeper.lanes.filling import Filling
from keeper.lanes.issue import Issue
from keeper.lanes.jobs import stated
from keeper.lanes.nonces import Nonces
from keeper.lanes.offering import Desk
from keeper.lanes.ports import Facts, Ledger, Outlets, Signer
from keeper.lanes.privacy import Private
from keeper.lanes.recover import counted, is_overtaken, recover
from keeper.lanes.replies import Said, wants_simulation
from keeper.lanes.rescue import Rescue, Stake, Waiting
from keeper.lanes.rules import LaneRules
from keeper.lanes.simulate import Simulation
from keeper.lanes.watch import Watch
from keeper.plans import Plan
from keeper.rpc import Rpc
from keeper.sending.fees import Market
from keeper.signer.records import Grant
from keeper.stages import Stages
from keeper.submit.agreement import Agreed
from keeper.venues.base import Venue

log = logging.getLogger(__name__)

OVERTAKEN = "chain_nonce"
"""The signer's rule where the chain has nonces that it never signed. Nobody else has the lease."""
UNSIGNED_BLOCKS = 5
"""Blocks that other lanes go first for after the signer refused to sign for this one whatever it is."""


class Lane:
    """Holds nothing but what this process knows of the last blocks: whether it has recovered, and what waits."""

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
        simulation: Simulation,
        alarms: Alarms,
        private: Private | None,
    ) -> None:
        self._ledger = ledger
        self._facts = facts
        self._alarms = alarms
        self._signer = signer
        self._stake = stake
        self._simulation = simulation
        self._patience = rules.patience
        self._watch = Watch(ledger, facts, venue, signer, rules.confirmations, alarms)
        self._desk = Desk(ledger, outlets, signer.address, private)
        self._rescue = Rescue(ledger, self._desk, signer, rules, alarms)
        nonces = Nonces(ledger, signer, rules)
        self._filling = Filling(ledger, self._desk, nonces, rules, alarms)
        self.issue = Issue(ledger, self._desk, nonces, venue, rpc, rules, alarms)
        self.is_seated = self._may_stand_by = False
        self._stopped = ""  # by the signer's switch, as of its last answer, and why: nothing new is to be offered
        self._has_all = False  # the ledger has all that was signed: the two agreed when somebody else used the key
        self._hole = ""  # why a nonce stays empty that all behind it waits for
        self._used_up: int | None = None  # nonces that the chain has taken, as of this block; None: not known
        self._is_stuck = False
        self._unsigned_until = 0  # block
        self.waiting: tuple[Slot, ...] = ()  # signed, and no block holds them yet, as of the last block watched
        self._unsigned: tuple[Slot, ...] = ()  # reserved, where the signer takes self-transfers only

    @property
    def address(self) -> str:
        return self._signer.address

    @property
    def is_late(self) -> bool:
        """Whether something is to be seen through."""
        return bool(self.waiting or self._unsigned)

    def recover(self, block: Block) -> None:
        """Keep the lease, or take it and make ledger and signer agree. Raises SignerUnreachable, SigningRefused.

        A lane whose key somebody else has used is recovered like one that begins: at each block the signer says what to
        do, until the two agree again, by the command or by a reorg.
        """
        with self._seated():
            grant = self._renewed() if self.is_seated else None
            count = counted(self._facts, self.address, block, self._alarms)
            self._used_up = count.answer if isinstance(count, Agreed) else None
            if grant is None or is_overtaken(grant, count):
                self._has_all |= grant is not None
                self.is_seated = False
                grant = recover(self._ledger, self._signer, count, block)
                self.is_seated = self._may_stand_by = True
                self._has_all = False
            self._stopped = "" if grant.state == "running" else _stopped(self.address, grant)
            if self._stopped:
                self._alarms.tell(self._stopped, about=self._stopped)

    def watch(self, block: Block) -> None:
        """Bring every slot up to date with the chain at `block`."""
        self._hole = ""
        with self._seated():
            self._pend(self._watch.settle(block))
            self._is_stuck = any(block.number - slot.opened_block >= self._patience for slot in self.waiting)

    def stand_by(self, block: Block) -> None:
        """While the signer cannot be reached: note what the chain made of what is signed, and offer it again.

        Only once the ledger was found to agree with the signer: one that never was may be an old copy. Not after the
        signer refused the lease: another keeper has it and sees this ledger through. A key used elsewhere
        is no such case; there what a stranger took is lost, so that another key may do it.
        """
        if not self._may_stand_by:
            return
        self._pend(self._watch.note(block, closes_lost=self._has_all))
        newest = {attempt.slot_id: attempt for attempt in self._ledger.live_attempts(self.address)}
        withheld = {slot.id for slot in self.waiting if self._is_withheld(slot)}
        self._desk.offer([newest[slot.id] for slot in self.waiting], block, withheld)

    def _is_withheld(self, slot: Slot) -> bool:
        """Say whether its call may not leave: while the signer is drained or killed, what was never offered stays here.

        It was stored, or imported by recovery, when the keeper stopped. Signed is the state before the first offer.
        """
        return bool(self._stopped) and slot.purpose == "call" and slot.state == "signed"

    def _pend(self, pending: Sequence[Slot]) -> None:
        self.waiting = tuple(slot for slot in pending if slot.state != "reserved")
        self._unsigned = tuple(slot for slot in pending if slot.state == "reserved")

    def carry_on(self, market: Market, block: Block) -> None:
        """See what waits through: offer again, replace, cancel, and fill gaps below it."""
        with self._seated():
            waiting = self._waiting(block)
            self._rescue.carry_on(waiting, market, block)
            if self._stopped:
                return  # nothing would be signed: an alarm stands already
            at_risk = sum(one.stake.per_block for one in waiting)
            self._hole = self._filling.fill(self._unsigned, self._used_up, at_risk, market, block)

    def standstill(self) -> str:
        """Return why nothing new may be sent, '' if it may: no nonce is reserved only to be given back, or to wait
        behind one that stays empty."""
        return self._stopped or self._hole or self.issue.standstill()

    def purse(self, block: Block) -> Purse:
        """Return what it can take on at `block`."""
        is_late = self._is_stuck or block.number < self._unsigned_until
        return self.issue.purse(block, is_stuck=is_late)

    def give(self, chosen: Sequence[Priced], block: Block, stage: Stages) -> None:
        """Give what was chosen for this lane its nonces and bytes, and offer them."""
        with self._seated():
            if not self.issue.give(chosen, block, stage):
                self._unsigned_until = block.number + UNSIGNED_BLOCKS

    def under_way(self) -> list[Step]:
        """Return its calls that land before anything new, lowest nonce first."""
        attempts = self._ledger.live_attempts(self.address)
        cancelled = {attempt.slot_id for attempt in attempts if attempt.kind == "cancel"}
        slots = self._ledger.open_slots(self.address)
        waiting = [s for s in slots if s.state in OFFERABLE and s.id not in cancelled]
        return [Step(Call(slot.to, slot.data), slot.gas) for slot in waiting if slot.purpose == "call"]

    def _renewed(self) -> Grant | None:
        """Renew the lease; None says that it was lost, as after a long pause of the chain, and is to be taken anew."""
        try:
            return self._signer.renew()
        except (SignerUnreachable, SigningRefused) as error:
            log.warning("%s; the lease is asked for again", error)
            return None

    @contextmanager
    def _seated(self) -> Iterator[None]:
        """After a lost signer, lease or journal nothing is known about what was signed: the next block recovers first.

        A chain that cannot be read is no such case: nothing is asked of it between a reserved nonce and its bytes.
        """
        try:
            yield
        except ChainError:
            raise
        except SigningRefused as error:
            self.is_seated = False
            self._may_stand_by &= error.rule == OVERTAKEN
            raise
        except Exception:  # whatever it was, it may have come between a signature and its row; raised again
            self.is_seated = False
            raise

    # --- what waits --------------------------------------------------------------------------------

    def _waiting(self, block: Block) -> list[Waiting]:
        live = {intent.id: intent for intent in self._ledger.live_intents()}
        siblings: dict[int, list[SlotAttempt]] = {slot.id: [] for slot in self.waiting}
        for attempt in self._ledger.live_attempts(self.address):
            if attempt.slot_id in siblings:
                siblings[attempt.slot_id].append(attempt)
        newest = {slot.id: siblings[slot.id][-1].id for slot in self.waiting}
        said = self._desk.said(list(newest.values()))
        return [
            self._judged(slot, tuple(siblings[slot.id]), live, said[newest[slot.id]], block) for slot in self.waiting
        ]

    def _judged(
        self, slot: Slot, siblings: tuple[SlotAttempt, ...], live: Mapping[int, Intent], said: Said, block: Block
    ) -> Waiting:
        intents = [live[i] for i in slot.intents if i in live]
        stakes = [self._stake(intent.plan) for intent in intents]
        stake = Stake(sum(s.per_block for s in stakes), stated(stakes))
        unwanted = self._unwanted(slot, intents, said, block)
        for_liquidation = is_liquidation([i.plan.kind for i in intents])
        return Waiting(slot, siblings, stake, unwanted, said, for_liquidation, is_withheld=self._is_withheld(slot))

    def _unwanted(self, slot: Slot, intents: Sequence[Intent], said: Said, block: Block) -> str:
        """Return why the slot's call should not land any more, '' while it should."""
        if slot.purpose != "call":
            return ""
        if self._is_withheld(slot):
            return "the signer is stopped, and it was never offered"
        if slot.deadline_block < block.number:
            return "past its last block"
        if not intents:
            return "its intents are closed"
        if not wants_simulation(said):
            return ""
        refused = self._simulation.simulate(intents, Head(block, 0, False, 1), self.address).refusals
        return "" if len(refused) < len(intents) else str(next(iter(refused.values())))


def _stopped(address: str, grant: Grant) -> str:
    found = f"found its switch at {grant.state!r}"
    return f"{address}: expected a signer that runs, {found}; nothing new is sent, run `keeper signer resume`"
