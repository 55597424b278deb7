"""What the chain made of the ledger's slots: mined, orphaned, final, lost, each by facts enough endpoints agree on.

Silence, disagreement and lag change nothing: what is not known stays open and is asked again at the next block.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from keeper.chain import Block, Receipt
from keeper.errors import ChainError
from keeper.journal.lifecycle import Standing
from keeper.journal.records import Intent
from keeper.journal.slot_records import CALLS, Closing, Loss, Mined, Outcome, Slot, SlotAttempt
from keeper.lanes.alarms import Alarms
from keeper.lanes.offering import moment
from keeper.lanes.ports import Facts, Ledger, Signer
from keeper.plans import Plan, RelayReports
from keeper.signer.records import NONE_FINAL
from keeper.submit.agreement import Agreed, Conflict, Reading
from keeper.venues.base import Effect, Venue

log = logging.getLogger(__name__)

CALLERS_SHARE = 64
"""A call cannot give a callee its last 64th of gas (EIP-150): one that burns all it gets leaves that at most."""
LOST_DEPTH = 3
"""Blocks a nonce must have been used for before a slot without receipt is lost: receipts may lag the head."""
AUDIT_DEPTH = 64
"""Blocks whose final and lost slots are looked at again: two epochs, after which Ethereum itself calls them final."""


@dataclass(frozen=True, slots=True)
class Found:
    """A slot with its siblings and what is known of their receipts."""

    slot: Slot
    siblings: tuple[SlotAttempt, ...]
    readings: tuple[Reading[Receipt | None], ...]

    @property
    def receipts(self) -> tuple[Receipt, ...]:
        answers = (reading.answer for reading in self.readings if isinstance(reading, Agreed))
        return tuple(answer for answer in answers if answer is not None)

    @property
    def is_absent(self) -> bool:
        """Whether enough endpoints looked for every sibling and found none of them."""
        return all(isinstance(r, Agreed) and r.answer is None for r in self.readings)


class Watch:
    """Brings the slots of one lane up to date with the chain. Holds only what it last told the signer."""

    def __init__(
        self, ledger: Ledger, facts: Facts, venue: Venue, signer: Signer, confirmations: int, alarms: Alarms
    ) -> None:
        """`confirmations`: blocks on top of the mined one before an outcome is final."""
        self._ledger = ledger
        self._facts = facts
        self._venue = venue
        self._signer = signer
        self._confirmations = confirmations
        self._alarms = alarms
        self._told = NONE_FINAL  # highest nonce the signer was told to be final

    def settle(self, block: Block) -> tuple[Slot, ...]:
        """Note what happened up to `block`; return the open slots that no block holds yet, by nonce."""
        self._audit(block)
        self._close_lost(self._noted(block), block)
        self._tell_final(block)
        return self._pending()

    def note(self, block: Block, *, closes_lost: bool = False) -> tuple[Slot, ...]:
        """As `settle` without a signer: what is mined, orphaned and final is noted, nothing is opened again, and
        nothing is lost but where the ledger is known to have all that was signed (`closes_lost`)."""
        found = self._noted(block)
        if closes_lost:
            self._close_lost(found, block)
        return self._pending()

    def _noted(self, block: Block) -> list[Found]:
        found = self._look(self._ledger.open_slots(self._signer.address))
        for one in found:
            self._alarm(one)
        self._note_mined(found, block)
        self._note_orphaned(found, block)
        self._close_final(found, block)
        return found

    def _pending(self) -> tuple[Slot, ...]:
        slots = self._ledger.open_slots(self._signer.address)
        return tuple(slot for slot in slots if slot.state != "mined")

    def _look(self, slots: Sequence[Slot]) -> list[Found]:
        attempts: dict[int, list[SlotAttempt]] = {slot.id: [] for slot in slots}
        for attempt in self._ledger.live_attempts(self._signer.address):
            attempts[attempt.slot_id].append(attempt)
        hashes = [attempt.tx_hash for siblings in attempts.values() for attempt in siblings]
        readings = dict(zip(hashes, self._facts.receipts(hashes), strict=True))
        return [
            Found(slot, tuple(attempts[slot.id]), tuple(readings[a.tx_hash] for a in attempts[slot.id]))
            for slot in slots
        ]

    def _alarm(self, one: Found) -> None:
        for reading in one.readings:
            if isinstance(reading, Conflict):
                self._tell(f"nonce {one.slot.nonce}: {reading}; nothing is concluded from either", "conflict")
        if len(one.receipts) > 1:
            text = f"nonce {one.slot.nonce}: receipts of {len(one.receipts)} siblings; a node lies"
            self._tell(text, "two siblings")

    def _tell(self, text: str, cause: str) -> None:
        self._alarms.tell(text, about=f"{self._signer.address} watch, {cause}")

    def _note_mined(self, found: Sequence[Found], block: Block) -> None:
        news = []
        for one in found:
            if len(one.receipts) == 1 and one.slot.state != "reserved":
                (receipt,) = one.receipts
                if receipt.block_number <= block.number and one.slot.standing != _standing(receipt):
                    news.append(_mined(one.slot, receipt))
        if news:
            self._ledger.mined(news, moment(block))

    def _note_orphaned(self, found: Sequence[Found], block: Block) -> None:
        gone = [one.slot.id for one in found if one.slot.state == "mined" and one.is_absent]
        if gone:
            log.warning("%d mined transactions left the chain; their bytes are offered again", len(gone))
            self._ledger.orphaned(gone, "its block left the chain", moment(block))

    # --- ends --------------------------------------------------------------------------------------

    def _close_final(self, found: Sequence[Found], block: Block) -> None:
        """Close slots with enough blocks on top of theirs, where enough endpoints have the last of these."""
        mined = [(one, one.receipts[0]) for one in found if len(one.receipts) == 1 and one.slot.state != "reserved"]
        last = {one.slot.id: receipt.block_number + self._confirmations for one, receipt in mined}
        heights = sorted({height for height in last.values() if height <= block.number})
        headers = dict(zip(heights, self._facts.headers(heights), strict=True))
        deep = [(one, r) for one, r in mined if isinstance(headers.get(last[one.slot.id]), Agreed)]
        carried = {intent.id: intent for intent in self._ledger.intents_of([one.slot.id for one, _ in deep])}
        closings = [Closing(o.slot.id, r.tx_hash, self._outcomes(o, r, carried)) for o, r in deep]
        if closings:
            self._ledger.final(closings, moment(block))

    def _outcomes(self, one: Found, receipt: Receipt, carried: Mapping[int, Intent]) -> dict[int, Outcome]:
        """Return how each intent of the slot ended, from its own effect in the receipt; none for a cancel."""
        (winner,) = (attempt for attempt in one.siblings if attempt.tx_hash == receipt.tx_hash)
        if winner.kind not in CALLS:
            return {}
        outcomes = {}
        for intent_id in one.slot.intents:
            plan = carried[intent_id].plan
            effect = self._venue.confirm(plan, receipt)
            if receipt.succeeded and not effect.achieved and self._is_passed_over(plan, one.slot, receipt):
                effect = Effect(True, "all of it was there already: somebody else brought it first")
            summary = effect.summary if receipt.succeeded else self._why(plan, one.slot, winner, receipt)
            outcomes[intent_id] = Outcome("achieved" if effect.achieved else "failed", summary)
            log.info("%s: %s", plan.effect, summary)
        return outcomes

    def _is_passed_over(self, plan: Plan, slot: Slot, receipt: Receipt) -> bool:
        """Say whether the call found nothing left to do, which only a relay takes for success."""
        return isinstance(plan, RelayReports) and self._is_taken(plan, slot, receipt)

    def _why(self, plan: Plan, slot: Slot, winner: SlotAttempt, receipt: Receipt) -> str:
        """Return why a call reverted, as far as the chain tells, and what that cost."""
        cost = f"cost {receipt.gas_used * receipt.effective_gas_price} wei"
        if receipt.gas_used >= winner.gas - winner.gas // CALLERS_SHARE:
            return f"reverted; used all of {winner.gas} gas; {cost}"
        return f"reverted; {'taken by somebody else; ' if self._is_taken(plan, slot, receipt) else ''}{cost}"

    def _is_taken(self, plan: Plan, slot: Slot, receipt: Receipt) -> bool:
        try:
            return self._venue.done(plan, slot.opened_block, receipt.block_number)
        except ChainError as error:
            log.warning("%s: whether it was taken is not known: %s", plan.effect, error)
            return False

    def _close_lost(self, found: Sequence[Found], block: Block) -> None:
        """Close slots whose nonce a stranger's transaction used, once that is final and no sibling was found."""
        waiting = [one for one in found if one.slot.state != "mined" and one.is_absent]
        if not waiting:
            return
        depth = max(self._confirmations, LOST_DEPTH)
        (header,) = self._facts.headers([max(block.number - depth, 0)])
        if not isinstance(header, Agreed):
            return
        count = self._facts.nonce(self._signer.address, header.answer)
        if not isinstance(count, Agreed):
            return
        losses = []
        for one in waiting:
            if count.answer > one.slot.nonce:
                cause = f"nonce {one.slot.nonce} was used by a transaction that is not ours"
                self._tell(f"{cause}: is the key used elsewhere?", f"stranger at {one.slot.nonce}")
                losses.append(Loss(one.slot.id, count.answer, None, cause))
        if losses:
            self._ledger.lost(losses, moment(block))

    def _tell_final(self, block: Block) -> None:
        """Tell the signer the highest nonce up to which all is beyond audit: it signs nothing for those again.

        Not earlier: what a reorg reopens must be replaced or cancelled.
        """
        sender = self._signer.address
        highest = self._ledger.highest_nonce(sender)
        held = (*self._ledger.open_slots(sender), *self._ledger.closed_since(sender, block.number - AUDIT_DEPTH))
        lowest = min((slot.nonce for slot in held), default=NONE_FINAL + 1 if highest is None else highest + 1)
        if lowest - 1 > self._told:
            self._told = self._signer.final(lowest - 1)

    # --- audit -------------------------------------------------------------------------------------

    def _audit(self, block: Block) -> None:
        """Open closed slots again that a reorg deeper than `confirmations` has taken the ground from."""
        closed = self._ledger.closed_since(self._signer.address, block.number - AUDIT_DEPTH)
        gone = [
            *self._without_block([slot for slot in closed if slot.state == "final"]),
            *self._not_lost([slot for slot in closed if slot.state == "lost"], block),
        ]
        if gone:
            self._tell(f"{len(gone)} closed transactions are open again: a reorg deeper than finality", "deep reorg")
            # A slot none of whose intents opens again is cancelled (lane.py). One that carries others too is offered as
            # it was: starts of auctions alone share a transaction, and each is judged where it lands. A repeated one
            # finds its auction running or its account at maintenance and is refused by itself (Auctions.startAuctions).
            rivalled = self._ledger.orphaned(gone, "a reorg deeper than finality", moment(block))
            if rivalled:
                found = f"effects of intents {rivalled} are carried by later ones by now"
                self._tell(f"{found}; the older bytes may land", "rivalled")
        for slot in self._ledger.reopened(self._signer.address):
            what = ", ".join(slot.effects) or "nothing"
            found = f"nonce {slot.nonce}: open again after a reorg deeper than finality"
            self._tell(f"{found}; {what} may happen twice: look at the chain", f"reopened {slot.nonce}")

    def _without_block(self, final: Sequence[Slot]) -> list[int]:
        """Return the slots whose block left the chain.

        Their block is compared, not the nonce count alone: another sibling may have taken the nonce meanwhile.
        """
        heights = sorted({slot.standing.mined_number or 0 for slot in final})
        headers = dict(zip(heights, self._facts.headers(heights), strict=True))
        return [slot.id for slot in final if _left_the_chain(slot, headers[slot.standing.mined_number or 0])]

    def _not_lost(self, lost: Sequence[Slot], block: Block) -> list[int]:
        """Return the slots whose nonce no stranger has any more: nobody used it, or a sibling did.

        The count at `block` does not tell who used a nonce, and a receipt may lag: either is enough.
        """
        if not lost:
            return []
        count = self._facts.nonce(self._signer.address, block)
        free = {s.id for s in lost if isinstance(count, Agreed) and count.answer <= s.nonce}
        attempts = self._ledger.siblings_of([slot.id for slot in lost])
        receipts = self._facts.receipts([attempt.tx_hash for attempt in attempts])
        ours = {a.slot_id for a, reading in zip(attempts, receipts, strict=True) if _is_mined(reading, block)}
        return [slot.id for slot in lost if slot.id in free | ours]


def _is_mined(reading: Reading[Receipt | None], block: Block) -> bool:
    return isinstance(reading, Agreed) and reading.answer is not None and reading.answer.block_number <= block.number


def _left_the_chain(slot: Slot, header: Reading[Block]) -> bool:
    return isinstance(header, Agreed) and header.answer.hash != slot.standing.mined_hash


def _mined(slot: Slot, receipt: Receipt) -> Mined:
    return Mined(
        slot.id,
        receipt.tx_hash,
        receipt.block_number,
        receipt.block_hash,
        receipt.gas_used,
        receipt.effective_gas_price,
    )


def _standing(receipt: Receipt) -> Standing:
    """Return where a slot stands that this receipt has been noted for."""
    place = receipt.tx_hash, receipt.block_number, receipt.block_hash
    return Standing("mined", *place, receipt.gas_used, receipt.effective_gas_price)
