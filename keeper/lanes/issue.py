"""New intents: priced, reserved, signed, stored and only then offered; each gets a nonce or is closed with a cause."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

from keeper.chain import Block
from keeper.journal.records import Intent
from keeper.journal.slot_records import NewSlot, Outcome, Release, Slot
from keeper.lanes.offering import moment, offer
from keeper.lanes.ports import Ledger, Outlets, Signer
from keeper.lanes.rescue import Stake
from keeper.lanes.rules import LaneRules
from keeper.lanes.signing import Wanted, signed_and_stored
from keeper.rpc import Rpc
from keeper.sending.fees import Hold, Market, Need, Offer
from keeper.sending.fees import offer as first_offer
from keeper.sending.limits import BalanceState, watch
from keeper.signer.records import Refusal
from keeper.venues.base import Sending, Venue

log = logging.getLogger(__name__)

GAP = "nonce"
WHOLE_LANE = frozenset({"killed", "drain", "mode", "key", "lease", "fencing", "store", "per_hour", "per_day"})
"""The signer's rules that have nothing to do with one call: the next one would be refused too."""


@dataclass(frozen=True, slots=True)
class Priced:
    """One transaction to be, with the intents it carries out and its first fees."""

    intents: tuple[Intent, ...]
    sending: Sending
    gas: int
    fees: Offer

    @property
    def worst(self) -> int:
        return self.gas * self.fees.max_fee


class Issue:
    """Gives intents their nonces and bytes, on one lane. Holds no state."""

    def __init__(
        self, ledger: Ledger, outlets: Outlets, signer: Signer, venue: Venue, rpc: Rpc, rules: LaneRules
    ) -> None:
        self._ledger = ledger
        self._outlets = outlets
        self._signer = signer
        self._venue = venue
        self._rpc = rpc
        self._rules = rules

    def send(
        self,
        intents: Sequence[Intent],
        stakes: Sequence[Stake],
        market: Market,
        block: Block,
        limits: Mapping[int, int],
    ) -> None:
        """Send intents in the order given; close those that no cap, block or balance has room for.

        `limits`: gas limits by intent id for transactions that carry one intent, where simulation found one.
        """
        priced = self._priced(intents, stakes, market, block, limits)
        chosen = self._affordable(priced, block)
        while chosen:
            chosen = self._issued(chosen, block)

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
        priced = []
        for sending in self._venue.sendings([intent.plan for intent in intents], limit):
            carried = tuple(intents[row] for row in sending.rows)
            gas = self._gas(sending, carried, limits)
            fees = first_offer(market, self._need(sending, carried, stakes, gas, block), self._rules.fees)
            if isinstance(fees, Hold):
                self._refuse(carried, f"{fees.why}: {fees.needed} wei wanted, {fees.allowed} allowed", block)
            else:
                priced.append(Priced(carried, sending, gas, fees))
        return priced

    def _gas(self, sending: Sending, carried: Sequence[Intent], limits: Mapping[int, int]) -> int:
        """Return the gas limit: simulation's for one intent; a batch keeps its venue's, for what it wants in hand."""
        stated = min(sending.call.gas or self._rules.gas, self._rules.gas)
        return min(limits.get(carried[0].id, stated), stated) if len(carried) == 1 else stated

    def _need(
        self, sending: Sending, carried: Sequence[Intent], stakes: Sequence[Stake], gas: int, block: Block
    ) -> Need:
        worths = [stakes[row].worth for row in sending.rows]
        stated = [worth for worth in worths if worth is not None]
        return Need(
            gas=gas,
            value_at_risk=sum(stakes[row].per_block for row in sending.rows),
            blocks_left=min(intent.plan.expires_at for intent in carried) - block.number,
            worth=sum(stated) if len(stated) == len(worths) else None,
        )

    def _affordable(self, priced: Sequence[Priced], block: Block) -> list[Priced]:
        """Return the first that one block, the caps and the balance carry; close the rest.

        More gas than a block holds is never offered at once: what does not fit would only be replaced.
        """
        held = self._ledger.exposure(self._signer.address).total
        balance = watch(self._rpc.balance(self._signer.address, block), held, self._rules.balance)
        if balance.alarm:
            log.error("%s", balance.alarm)
        gas_limit = self._rpc.gas_limit(block)
        gas = list(accumulate(one.gas for one in priced))
        cost = list(accumulate(one.worst for one in priced))
        room = sum(
            g <= gas_limit and c <= balance.free and held + c <= self._rules.exposure_cap
            for g, c in zip(gas[: self._rules.per_block], cost, strict=False)
        )
        room = 0 if balance.state == "stop" else room
        for one in priced[room:]:
            self._refuse(one.intents, self._no_room(room, gas[-1], cost[-1], gas_limit, balance, held), block)
        return list(priced[:room])

    def _no_room(self, room: int, gas: int, cost: int, gas_limit: int, balance: BalanceState, held: int) -> str:
        return (
            f"{room} transactions allowed now: signer.max_transactions_per_block is {self._rules.per_block}, "
            f"{self._signer.address} has {balance.free} wei not yet committed and all may cost {cost}, a block holds "
            f"{gas_limit} gas and all may use {gas}, open nonces may cost {held} wei of {self._rules.exposure_cap}"
        )

    # --- nonces and bytes --------------------------------------------------------------------------

    def _issued(self, chosen: Sequence[Priced], block: Block) -> list[Priced]:
        """Reserve, sign, store and offer; return those whose nonces lay beyond a refused one, to be tried again."""
        wanted = [self._slot(one) for one in chosen]
        slots = self._ledger.reserve(wanted, self._rpc.nonce(self._signer.address, block), moment(block))
        asked = [Wanted(slot, 0, "original", one.fees) for slot, one in zip(slots, chosen, strict=True)]
        stored, refused = signed_and_stored(
            asked, self._signer, self._ledger, self._rules.chain_id, self._rules.exposure_cap, block
        )
        offer(self._ledger, self._outlets, stored, block)
        return self._given_back(slots, chosen, refused, block) if refused else []

    def _slot(self, one: Priced) -> NewSlot:
        return NewSlot(
            sender=self._signer.address,
            purpose="call",
            to=one.sending.call.to,
            data=one.sending.call.data,
            gas=one.gas,
            intents=tuple(intent.id for intent in one.intents),
            deadline_block=min(intent.plan.expires_at for intent in one.intents),
        )

    def _given_back(
        self, slots: Sequence[Slot], chosen: Sequence[Priced], refused: dict[int, Refusal], block: Block
    ) -> list[Priced]:
        """Release every refused nonce. Those refused for the gap alone are tried again unless nothing is signed."""
        rows = [row for row, slot in enumerate(slots) if slot.id in refused]
        first = refused[slots[rows[0]].id]
        whole = first.rule in WHOLE_LANE
        again = [row for row in rows[1:] if refused[slots[row].id].rule == GAP and not whole]
        releases = []
        for row in rows:
            why = first if whole else refused[slots[row].id]
            ends = {} if row in again else {intent.id: Outcome("refused", str(why)) for intent in chosen[row].intents}
            cause = "behind a refused nonce" if row in again else "refused by the signer"
            releases.append(Release(slots[row].id, cause, ends))
        log.error("%d of %d refused: %s", len(rows) - len(again), len(slots), first)
        self._ledger.released(releases, slots[rows[0]].nonce - 1, moment(block))
        return [chosen[row] for row in again]

    def _refuse(self, intents: Sequence[Intent], cause: str, block: Block) -> None:
        for intent in intents:
            self._ledger.close_intent(intent.id, "refused", cause, block.number)
        log.error("%s", cause)
