"""Empty nonces that would hold up all behind them: each gets a transfer of nothing."""

import logging
from collections.abc import Sequence

from keeper.chain import Block
from keeper.journal.slot_records import Release, Slot, filler
from keeper.lanes.alarms import Alarms
from keeper.lanes.books import used
from keeper.lanes.nonces import Nonces
from keeper.lanes.offering import Desk, moment
from keeper.lanes.ports import Ledger
from keeper.lanes.rules import LaneRules
from keeper.lanes.signing import SELF_TRANSFER_GAS, Wanted
from keeper.sending.fees import Hold, Market, Need
from keeper.sending.fees import offer as first_offer
from keeper.sending.limits import Ask
from keeper.stages import Stages

log = logging.getLogger(__name__)

FILLED_A_BLOCK = 16
"""Nonces, the lowest first: an operator may have forgiven many."""
FILLER_BLOCKS = 3
"""A filler's deadline: the line behind it is urgent at once."""


class Filling:
    """Fills one lane's empty nonces. Holds no state."""

    def __init__(self, ledger: Ledger, desk: Desk, nonces: Nonces, rules: LaneRules, alarms: Alarms) -> None:
        self._ledger = ledger
        self._desk = desk
        self._nonces = nonces
        self._rules = rules
        self._alarms = alarms

    def fill(self, unsigned: Sequence[Slot], used_up: int | None, at_risk: int, market: Market, block: Block) -> str:
        """Put empty transfers where nonces would hold up all behind them: at `unsigned` slots, for whose nonces the
        signer takes nothing else, and at nonces given back below live ones. `at_risk`: wei the line loses per block.
        Return why one of them stays empty, '' if none does: nothing behind it could land.

        `used_up`: nonces the chain has taken, by endpoints that agree; while that is not known nothing is looked for.
        """
        sender = self._nonces.sender
        gaps = () if used_up is None else self._ledger.gaps(sender, used_up)
        empty = sorted([*gaps, *(slot.nonce for slot in unsigned)])[:FILLED_A_BLOCK]
        if not empty:
            return ""
        fees = first_offer(market, Need(SELF_TRANSFER_GAS, at_risk, 0), self._rules.fees)
        if isinstance(fees, Hold):
            text = f"nonce {empty[0]} is empty below live ones: {fees.why}, {fees.allowed} wei allowed"
            self._alarms.tell(text, about=f"{sender} not filled, {fees.why}")
            return text
        empty, stays = self._within_caps(empty, SELF_TRANSFER_GAS * fees.max_fee, block)
        if not empty:
            return stays
        log.warning("nonces %s are empty below live ones: filled by transfers of nothing", empty)
        wanted = [filler(sender, block.number + FILLER_BLOCKS) for nonce in gaps if nonce in empty]
        given = self._ledger.reserve(wanted, gaps[0], moment(block)) if wanted else ()
        slots = sorted([*given, *(s for s in unsigned if s.nonce in empty)], key=lambda slot: slot.nonce)
        asked = [Wanted(s, 0, "filler" if s.purpose == "filler" else "cancel", fees) for s in slots]
        stored, refused = self._nonces.signed(asked, block, Stages())
        if refused:
            first = next(iter(refused.values()))
            stays = f"nonce {empty[0]} is empty below live ones and the signer does not fill it: {first}"
            self._alarms.tell(stays, about=f"{sender} not filled, {first.rule}")
            ends = [Release(s.id, "refused by the signer", {}) for s in given if s.id in refused]
            self._nonces.released(ends, given, block)
        self._desk.offer(stored, block)
        return stays

    def _within_caps(self, empty: Sequence[int], wei: int, block: Block) -> tuple[list[int], str]:
        """Return the lowest of the nonces for which every cap has room, `wei` each at worst, and why not all of them;
        nothing is reserved for the others.

        As with cancels neither the balance nor the day's loss budget stops them, and as liquidations may be held up,
        what is kept for those is theirs too.
        """
        account = used(self._ledger, None, block, priced=self._rules.priced)
        allowed: list[int] = []
        for nonce in empty:
            if stop := account.stop(Ask(wei, for_liquidation=True), 0, self._rules):
                text = f"nonce {nonce} is empty below live ones and not filled: {stop.alarm}"
                self._alarms.tell(text, about=f"{self._nonces.sender} not filled, {stop.cap}")
                return allowed, text
            account = account.with_dearer(wei, for_liquidation=False, loss=wei)
            allowed.append(nonce)
        return allowed, ""
