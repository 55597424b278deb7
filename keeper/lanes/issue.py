"""New intents: priced, chosen, reserved, signed, stored and only then offered; each gets a nonce or a cause."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace

from keeper.chain import Block
from keeper.isolation import Isolation
from keeper.journal.records import Intent
from keeper.journal.slot_records import NewSlot, Outcome, Release, Slot, SlotAttempt
from keeper.lanes.alarms import Alarms
from keeper.lanes.books import used
from keeper.lanes.choice import Priced, Purse, Room, carriers, choose
from keeper.lanes.jobs import job_of, serving, stated
from keeper.lanes.nonces import Nonces
from keeper.lanes.offering import Desk, moment
from keeper.lanes.ports import Ledger
from keeper.lanes.replies import standstill
from keeper.lanes.rescue import Stake
from keeper.lanes.rules import LaneRules
from keeper.lanes.signing import Wanted
from keeper.rpc import Rpc
from keeper.sending.answers import AnswerClass
from keeper.sending.fees import Hold, Market, Need
from keeper.sending.fees import offer as first_offer
from keeper.sending.limits import BalanceState, watch
from keeper.sending.priority import Job, ordered
from keeper.sending.quarantine import Quarantine
from keeper.signer.records import Refusal
from keeper.stages import Stages
from keeper.venues.base import Sending, Venue

log = logging.getLogger(__name__)

PPM = 10**6
GAP = "nonce"
WHOLE_LANE = frozenset({"killed", "drain", "mode", "key", "lease", "fencing", "store", "per_hour", "per_day", GAP})
"""The signer's rules that have nothing to do with the call of the lowest refused nonce: the next one would be refused
too."""


class Issue:
    """Gives intents their nonces and bytes, on one lane. Holds no state."""

    def __init__(
        self, ledger: Ledger, desk: Desk, nonces: Nonces, venue: Venue, rpc: Rpc, rules: LaneRules, alarms: Alarms
    ) -> None:
        self._ledger = ledger
        self._desk = desk
        self._nonces = nonces
        self._venue = venue
        self._rpc = rpc
        self._rules = rules
        self._alarms = alarms
        self._isolation = Isolation(ledger)

    def chosen(
        self,
        intents: Sequence[Intent],
        stakes: Sequence[Stake],
        market: Market,
        block: Block,
        limits: Mapping[str, Mapping[int, int]],
        purses: Sequence[Purse],
    ) -> list[Priced]:
        """Return what is sent now, in order, each for one of `purses`; close what nothing has room for.

        `limits`: address → intent id → gas limit of a transaction of its own, where simulation found one. This lane is
        home: what only one key may carry, or what rests on what goes before it, stays here.
        """
        home = self._nonces.sender
        most = {i: max(found.get(i, 0) for found in limits.values()) for i in limits.get(home, {})}
        priced = [
            replace(one, lanes=carriers(one.intents, home, limits))
            for one in self._priced(intents, stakes, market, block, most)
        ]
        there = Room(
            used(self._ledger, None, block, priced=self._rules.priced), tuple(purses), self._rpc.gas_limit(block)
        )
        chosen, refused = choose(priced, there, self._rules)
        for one in refused:
            if one.about:
                self._alarms.tell(one.cause, about=f"new plans, {one.about}")
        if refused:
            causes = {intent.id: one.cause for one in refused for intent in one.one.intents}
            self._ledger.close_intents(causes, "refused", block.number)
            log.error("%d plans not sent, the first: %s", len(causes), refused[0].cause)
        return sorted(chosen, key=self._is_private)  # a public nonce above a private one would uncover it

    def give(self, chosen: Sequence[Priced], block: Block, stage: Stages) -> bool:
        """Give what was chosen for this lane its nonces and bytes, and offer them.

        Return False where the signer refused for a reason that holds for the whole lane.
        """
        signs = True
        while chosen and signs:
            chosen, signs = self._issued(chosen, block, stage)
        return signs

    def purse(self, block: Block, *, is_stuck: bool) -> Purse:
        """Return what this lane can take on at `block`."""
        waiting = [s for s in self._ledger.open_slots(self._nonces.sender) if s.state != "mined"]
        return Purse(self._nonces.sender, self._balance(block), len(waiting), is_stuck)

    def by_priority(self, intents: Sequence[Intent], stakes: Sequence[Stake], block: Block) -> list[Intent]:
        """Return the intents in the order of sending, as far as it is known before simulation has found their gas."""
        failures = self._isolation.quarantine(block.timestamp)
        serves = serving([intent.plan for intent in intents])
        by_key = {intent.plan.effect: intent for intent in intents}
        jobs = [
            self._job((intent,), [stake], self._venue.encode(intent.plan).gas, 0, failures, serves)
            for intent, stake in zip(intents, stakes, strict=True)
        ]
        return [by_key[job.key] for job in ordered(jobs, self._rules.policy)]

    # --- prices and limits -------------------------------------------------------------------------

    def _priced(
        self,
        intents: Sequence[Intent],
        stakes: Sequence[Stake],
        market: Market,
        block: Block,
        limits: Mapping[int, int],
    ) -> list[Priced]:
        limit = min(self._rules.gas, self._rpc.gas_limit(block))
        serves = serving([intent.plan for intent in intents])
        failures = self._isolation.quarantine(block.timestamp)
        priced = []
        by_row = {row: limits[intent.id] for row, intent in enumerate(intents) if intent.id in limits}
        for sending in self._venue.sendings([intent.plan for intent in intents], limit, by_row):
            carried = tuple(intents[row] for row in sending.rows)
            mine = [stakes[row] for row in sending.rows]
            gas = self._gas(sending, carried, limits)
            fees = first_offer(market, self._need(carried, mine, gas, block), self._rules.fees)
            if isinstance(fees, Hold):
                self._hold(carried, fees, block)
                continue
            cost = gas * (market.base_fee + fees.effective_tip(market.base_fee))
            job = self._job(carried, mine, sending.call.gas, cost, failures, serves)
            uses = self._uses(sending, carried, limits, gas)
            priced.append(Priced(carried, sending, gas, uses, fees, job, stated(mine)))
        return priced

    def _hold(self, carried: Sequence[Intent], hold: Hold, block: Block) -> None:
        cause = f"{hold.why}: {hold.needed} wei wanted, {hold.allowed} allowed"
        if not hold.for_worth:
            self._alarms.tell(f"plans not sent: {cause} per gas; raise the cap or wait", about=f"new plans, {hold.why}")
        self.refuse(carried, cause, block)

    def _uses(self, sending: Sending, carried: Sequence[Intent], limits: Mapping[int, int], gas: int) -> int:
        """Return what a transaction is expected to use: its limits before their margin, or all where that was cut."""
        cut = len(carried) == 1 and gas == min(sending.call.gas or self._rules.gas, self._rules.gas)
        if cut or any(intent.id not in limits for intent in carried):
            return gas
        most = sum(limits[intent.id] for intent in carried)
        return min(most * PPM // (PPM + self._rules.gas_margin_ppm), gas)

    def _job(
        self,
        carried: Sequence[Intent],
        stakes: Sequence[Stake],
        gas: int | None,
        cost: int,
        failures: Quarantine,
        serves: Mapping[str, str],
    ) -> Job:
        """Return the job of one transaction; `gas` is its venue's, so that simulation's finding moves no place."""
        most = min(gas or self._rules.gas, self._rules.gas)
        strikes = max(failures.strikes(intent.plan.subject) for intent in carried)
        at_risk = sum(stake.at_risk for stake in stakes)
        return job_of([i.plan for i in carried], at_risk, stated(stakes), most, cost, strikes, serves)

    def _gas(self, sending: Sending, carried: Sequence[Intent], limits: Mapping[int, int]) -> int:
        """Return the gas limit: simulation's for one intent; a batch keeps its venue's, for what it wants in hand."""
        most = min(sending.call.gas or self._rules.gas, self._rules.gas)
        return min(limits.get(carried[0].id, most), most) if len(carried) == 1 else most

    def _need(self, carried: Sequence[Intent], stakes: Sequence[Stake], gas: int, block: Block) -> Need:
        return Need(
            gas=gas,
            value_at_risk=sum(stake.per_block for stake in stakes),
            blocks_left=min(intent.plan.expires_at for intent in carried) - block.number,
            worth=stated(stakes),
        )

    def _balance(self, block: Block) -> BalanceState:
        held = self._ledger.exposure(self._nonces.sender).total
        balance = watch(self._rpc.balance(self._nonces.sender, block), held, self._rules.balance)
        if balance.alarm:
            self._alarms.tell(f"{self._nonces.sender}: {balance.alarm}")
        return balance

    def standstill(self) -> str:
        """Return why nothing new may be sent, by what endpoints last said of what waits; '' if it may."""
        newest = {a.slot_id: a.id for a in self._ledger.live_attempts(self._nonces.sender)}
        waiting = {s.id for s in self._ledger.open_slots(self._nonces.sender) if s.state not in ("mined", "reserved")}
        return standstill(self._desk.said([newest[i] for i in waiting & newest.keys()]).values())

    # --- nonces and bytes --------------------------------------------------------------------------

    def _issued(self, chosen: Sequence[Priced], block: Block, stage: Stages) -> tuple[list[Priced], bool]:
        """Reserve, sign, store and offer; return those whose nonces lay beyond a refused one, to be tried again, and
        whether the signer signs for this lane at all."""
        wanted = [self._slot(one) for one in chosen]
        with stage("reserve"):
            slots = self._ledger.reserve(wanted, self._nonces.next(), moment(block))
        asked = [Wanted(slot, 0, "original", one.fees) for slot, one in zip(slots, chosen, strict=True)]
        stored, refused = self._nonces.signed(asked, block, stage)
        with stage("offer"):
            self._desk.offer(stored, block)
            self._offer_the_line(stored, block)
        if not refused:
            return [], True
        first = next(refused[slot.id] for slot in slots if slot.id in refused)
        return self._given_back(slots, chosen, refused, first, block), first.rule not in WHOLE_LANE

    def _offer_the_line(self, stored: Sequence[SlotAttempt], block: Block) -> None:
        """Where an endpoint misses lower nonces, offer the newest bytes of the whole line once more, lowest first."""
        said = self._ledger.last_answers([attempt.id for attempt in stored])
        if not any(AnswerClass.NONCE_GAP in last.values() for last in said.values()):
            return
        newest = {attempt.slot_id: attempt for attempt in self._ledger.live_attempts(self._nonces.sender)}
        waiting = [s for s in self._ledger.open_slots(self._nonces.sender) if s.state not in ("mined", "reserved")]
        self._desk.offer([newest[slot.id] for slot in waiting], block)

    def _is_private(self, one: Priced) -> bool:
        return self._desk.wants_privacy([intent.plan for intent in one.intents])

    def _slot(self, one: Priced) -> NewSlot:
        return NewSlot(
            sender=self._nonces.sender,
            purpose="call",
            to=one.sending.call.to,
            data=one.sending.call.data,
            gas=one.gas,
            intents=tuple(intent.id for intent in one.intents),
            deadline_block=min(intent.plan.expires_at for intent in one.intents),
        )

    def _given_back(
        self,
        slots: Sequence[Slot],
        chosen: Sequence[Priced],
        refused: dict[int, Refusal],
        first: Refusal,
        block: Block,
    ) -> list[Priced]:
        """Release every refused nonce. Those refused for the gap alone are tried again unless nothing is signed.

        `first` is the refusal of the lowest."""
        rows = [row for row, slot in enumerate(slots) if slot.id in refused]
        whole = first.rule in WHOLE_LANE
        again = [row for row in rows[1:] if refused[slots[row].id].rule == GAP and not whole]
        releases = []
        for row in rows:
            why = first if whole else refused[slots[row].id]
            ends = {} if row in again else {intent.id: Outcome("refused", str(why)) for intent in chosen[row].intents}
            cause = "behind a refused nonce" if row in again else "refused by the signer"
            releases.append(Release(slots[row].id, cause, ends))
        text = f"{len(rows) - len(again)} of {len(slots)} refused by the signer, the first: {first}"
        self._alarms.tell(text, about=f"{self._nonces.sender} refused by the signer: {first.rule}")
        free = self._nonces.released(releases, slots, block)
        return [chosen[row] for row in again if slots[row].id in free]

    def refuse(self, intents: Sequence[Intent], cause: str, block: Block) -> None:
        self._ledger.close_intents({intent.id: cause for intent in intents}, "refused", block.number)
        log.warning("%d plans not sent: %s", len(intents), cause)
