"""What still waits: offered again, replaced where its fees are out of the money, cancelled where it is unwanted.

The lowest stuck nonce goes first, for it holds up all behind it. Every endpoint gets the newest bytes of every waiting
nonce at each block, lowest first: what a node dropped without a word is back within one.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from keeper.chain import Block
from keeper.journal.slot_records import CALLS, AttemptKind, Slot, SlotAttempt
from keeper.lanes.alarms import Alarms
from keeper.lanes.books import used
from keeper.lanes.offering import Desk
from keeper.lanes.ports import Ledger, Signer
from keeper.lanes.replies import Said, alarm, one_in_flight, wants_cancel, wants_sibling
from keeper.lanes.rules import LaneRules
from keeper.lanes.signing import SELF_TRANSFER_GAS, Wanted, signed_and_stored
from keeper.sending.fees import Hold, Market, Need, Offer, is_stuck, replacement
from keeper.sending.limits import Ask
from keeper.stages import Stages

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Stake:
    """What waiting costs: wei a block, and what the job is worth, None where that is not stated.

    `at_risk` is lost if it is never done, micro-USD: it says what goes first and pays for nothing.
    """

    per_block: int
    worth: int | None
    at_risk: int = 0


@dataclass(frozen=True, slots=True)
class Waiting:
    """A slot that is neither mined nor closed, its siblings oldest first."""

    slot: Slot
    siblings: tuple[SlotAttempt, ...]
    stake: Stake
    unwanted: str  # why its call should not land any more; '' while it should
    said: Said = frozenset()  # what endpoints last said of the newest bytes, none of whom has them
    for_liquidation: bool = False
    is_withheld: bool = False  # never offered, and not to be: only a cancel of it leaves

    @property
    def newest(self) -> SlotAttempt:
        return self.siblings[-1]

    @property
    def fees(self) -> tuple[Offer, ...]:
        return tuple(Offer(sibling.max_fee, sibling.tip) for sibling in self.siblings)

    @property
    def best(self) -> Offer:
        return Offer(max(f.max_fee for f in self.fees), max(f.tip for f in self.fees))

    @property
    def kinds(self) -> tuple[AttemptKind, ...]:
        return tuple(sibling.kind for sibling in self.siblings)

    @property
    def is_cancelled(self) -> bool:
        return self.newest.kind == "cancel"


class Rescue:
    """Sees one lane's waiting slots through. Holds no state."""

    def __init__(self, ledger: Ledger, desk: Desk, signer: Signer, rules: LaneRules, alarms: Alarms) -> None:
        self._ledger = ledger
        self._desk = desk
        self._signer = signer
        self._rules = rules
        self._alarms = alarms

    def carry_on(self, waiting: Sequence[Waiting], market: Market, block: Block) -> None:
        """Replace or cancel what needs it, then offer the newest bytes of all, lowest nonce first."""
        waiting = sorted(waiting, key=lambda one: one.slot.nonce)
        for one in waiting:
            if why := alarm(one.said, len(one.siblings)):
                self._tell(f"nonce {one.slot.nonce}: {why}", why)
        public_from = {berth.slot.id: berth.public_from for berth in self._desk.berths()}
        wanted = self._within_caps(
            [
                (one, w)
                for row, one in enumerate(waiting)
                if (w := self._next(one, waiting[row:], market, block, row == 0, public_from.get(one.slot.id, 0)))
            ],
            block,
        )
        stored, refused = signed_and_stored(
            wanted, self._signer, self._ledger, self._rules.chain_id, self._rules.exposure_cap, block, Stages()
        )
        nonces = {one.slot.id: one.slot.nonce for one in waiting}
        for slot_id, refusal in refused.items():
            self._tell(f"nonce {nonces[slot_id]} is not replaced: {refusal}", f"not replaced, {refusal.rule}")
        newest: Mapping[int, SlotAttempt] = {one.slot.id: one.newest for one in waiting} | {
            a.slot_id: a for a in stored
        }
        taken = waiting[:1] if one_in_flight([one.said for one in waiting]) else waiting
        withheld = {one.slot.id for one in waiting if one.is_withheld}
        self._desk.offer([newest[one.slot.id] for one in taken], block, withheld)

    def _tell(self, text: str, cause: str) -> None:
        self._alarms.tell(text, about=f"{self._signer.address} {cause}")

    def _within_caps(self, wanted: Sequence[tuple[Waiting, Wanted]], block: Block) -> list[Wanted]:
        """Return the replacements that the rolling caps and the day's loss budget have room for; each adds what it is
        dearer than its siblings.

        The balance does not stop them: what would be saved by not replacing is lost by the line behind. For the same
        reason cancels and fillers, 21,000 gas each, pass a spent budget (they count in it), and what is kept for
        liquidations is a filler's too.
        """
        if not wanted:
            return []
        account = used(self._ledger, None, block, priced=self._rules.priced)
        allowed = []
        for one, sibling in wanted:
            dearest = max(attempt.gas * attempt.max_fee for attempt in one.siblings)
            is_filler = one.slot.purpose == "filler"
            ask = Ask(sibling.gas * sibling.fees.max_fee, dearest, None, one.for_liquidation or is_filler)
            loss = max(ask.worst - max(dearest, one.stake.worth or 0), 0)
            may_lose = 0 if is_filler or sibling.kind == "cancel" else loss
            if stop := account.stop(ask, may_lose, self._rules):
                self._tell(f"nonce {one.slot.nonce} is not replaced: {stop.alarm}", f"not replaced, {stop.cap}")
                continue
            account = account.with_dearer(ask.added, for_liquidation=one.for_liquidation, loss=loss)
            allowed.append(sibling)
        return allowed

    def _next(
        self, one: Waiting, behind: Sequence[Waiting], market: Market, block: Block, is_head: bool, since: int
    ) -> Wanted | None:
        """Return the sibling the slot needs now, if any. `behind` begins with itself: what its delay holds up.

        `since`: block from which it is public. What only relays have is not late, and out of the money only where its
        fees cannot be included at all: tips of public blocks say nothing about it.
        """
        kind = self._kind(one)
        cancels = kind == "cancel" and not one.is_cancelled
        overdue = is_head and block.number - max(since, one.slot.opened_block) >= self._rules.patience * len(
            one.siblings
        )
        stuck = is_stuck(one.best, market) if block.number >= since else not one.best.includable(market.base_fee)
        if not (cancels or overdue or wants_sibling(one.said, one.kinds) or stuck):
            return None
        fees = replacement(market, self._need(one, kind, behind, block), self._rules.fees, one.fees)
        if isinstance(fees, Hold):
            text = f"nonce {one.slot.nonce} waits: {fees.why}, {fees.needed} wanted, {fees.allowed} allowed"
            if fees.for_worth:
                log.warning("%s", text)
            else:
                self._tell(text, f"waits, {fees.why}")
            return None
        why = one.unwanted or ", ".join(sorted(one.said)) or ("head of line" if is_head else "fees out of the money")
        log.info("nonce %d: %s (%s), max fee %d, tip %d wei", one.slot.nonce, kind, why, fees.max_fee, fees.tip)
        return Wanted(one.slot, len(one.siblings), kind, fees)

    def _kind(self, one: Waiting) -> AttemptKind:
        if one.slot.purpose == "filler":
            return "replacement"
        unwanted = one.unwanted or one.is_cancelled or wants_cancel(one.said, one.kinds)
        return "cancel" if unwanted else "replacement"

    def _need(self, one: Waiting, kind: AttemptKind, behind: Sequence[Waiting], block: Block) -> Need:
        """Return what hangs on the sibling; a cancel is priced by its own gas and rests on nothing its call earns."""
        return Need(
            gas=one.slot.gas if kind in CALLS else SELF_TRANSFER_GAS,
            value_at_risk=sum(other.stake.per_block for other in behind),
            blocks_left=one.slot.deadline_block - block.number,
            attempts=len(one.siblings),
            worth=one.stake.worth if kind in CALLS else None,
            is_cancel=kind == "cancel",
        )
