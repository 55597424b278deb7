"""What the loop calls: settle what is under way, then carry out new intents. What lasts is in the ledger."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from keeper.chain import Block
from keeper.errors import ChainError, SignerUnreachable, SigningRefused
from keeper.heads import Head
from keeper.isolation import Isolation
from keeper.journal.records import ClosedStatus, Intent
from keeper.lanes.again import landed_before
from keeper.lanes.alarms import Alarms
from keeper.lanes.books import used
from keeper.lanes.choice import ANY_KEY
from keeper.lanes.fleet import Fleet
from keeper.lanes.lane import Lane
from keeper.lanes.ports import Facts, Ledger, Outlets, Signer
from keeper.lanes.privacy import Private
from keeper.lanes.rescue import Stake
from keeper.lanes.rules import LaneRules
from keeper.lanes.simulate import Simulation
from keeper.plans import Plan
from keeper.rpc import Rpc
from keeper.sending.fees import Market
from keeper.sending.limits import DAY_S
from keeper.stages import Stages
from keeper.units import WAD_DECIMALS, to_float
from keeper.venues.base import Venue

log = logging.getLogger(__name__)

TIP_BLOCKS = 5
"""Recent blocks whose median tips make the market."""
LEAD, LEAD_S = 3, 120
"""Blocks and seconds of block time by which one endpoint may well be the first to have a block."""


class LaneExecutor:
    """Moves intents through the ledger with one key or several, the first of which is home (fleet.py)."""

    def __init__(
        self,
        rpc: Rpc,
        outlets: Outlets,
        facts: Facts,
        venue: Venue,
        signers: Sequence[Signer],
        ledger: Ledger,
        rules: LaneRules,
        stake: Callable[[Plan], Stake],
        private: Callable[[str], Private | None] = lambda _: None,
        alarm: Callable[[], str] = lambda: "",
    ) -> None:
        """`private` says where a key's private plans go; `alarm`, at each block, what a person should know of the
        signer, '' for nothing."""
        self._rpc = rpc
        self._ledger = ledger
        self._facts = facts
        self._stake = stake
        self._outlets = outlets
        self._alarm = alarm
        self._priced = rules.priced
        self._isolation = Isolation(ledger)
        self._alarms = Alarms()
        self._simulation = Simulation(rpc, venue, rules.gas, rules.gas_margin_ppm)
        shared = stake, self._simulation, self._alarms
        lanes = [
            Lane(rpc, outlets, facts, venue, signer, ledger, rules, *shared, private(signer.address))
            for signer in signers
        ]
        self.fleet = Fleet(lanes, self._alarms)
        self._block: Block | None = None  # the last one settled
        self._is_astray = False  # the endpoint that is read from is far ahead of the others

    def settle(self, block: Block) -> int:
        """Bring every slot up to date with the chain at `block` and see waiting ones through; return how many wait.

        Where too few endpoints have reached `block`, what they have reached is gone by: depths, deadlines, windows.
        """
        self._alarms.begin()
        self._block = block = self._reached(block)
        try:
            lanes = self.fleet.act(self.fleet.lanes, lambda lane: lane.recover(block))
        except (ChainError, SignerUnreachable, SigningRefused):
            self.fleet.stand_by(block)
            raise
        finally:  # a signer may have died and been started again just now
            if told := self._alarm():
                self._alarms.tell(told)
        self.fleet.stand_by(block)
        self._expire(block)
        lanes = self.fleet.act(lanes, lambda lane: lane.watch(block))
        if late := [lane for lane in lanes if lane.is_late]:
            market = self._market(block)
            self.fleet.act(late, lambda lane: lane.carry_on(market, block))
        return sum(len(lane.waiting) for lane in lanes)

    def _reached(self, told: Block) -> Block:
        """Return the block to go by: `told` by the endpoint that is read from, unless too few others are that far."""
        reached = self._facts.probe(told) or told
        self._is_astray = told.number - reached.number > LEAD or told.timestamp - reached.timestamp > LEAD_S
        if self._is_astray:
            self._alarms.tell(
                f"chain.rpc_url: expected a head that others have reached, found block {told.number} at "
                f"{told.timestamp} s where enough of chain.rpc_urls are at block {reached.number}, {reached.timestamp} "
                "s, which is gone by; look at the endpoints"
            )
        return reached

    def status(self) -> dict[str, object]:
        """Return what an operator should see of sending; safe to call from another thread."""
        tally, now = self._outlets.tally, self._block.timestamp if self._block else 0
        return {
            "alarms": list(self._alarms.now()),
            "left_alone": dict(self._isolation.held(now)),
            "undone_usd": self._isolation.undone_usd(now),
            "unknown_answers": tally.unknown_share(),
            "unknown_texts": list(tally.unknown_texts()),
            "lanes": {one.address: {"seated": one.is_seated, "waiting": len(one.waiting)} for one in self.fleet.lanes},
            **self._costs(),
        }

    def _costs(self) -> Mapping[str, float | None]:
        """Return ether of the last day, closed nonces as charged and open ones at their worst; None while no block has
        said which day that is."""
        if self._block is None:
            return {"spent_ether_day": None, "lost_ether_day": None}
        account = used(self._ledger, None, self._block, priced=self._priced)
        since = self._block.timestamp - DAY_S
        spent = sum(one.wei for one in account.books.spends if one.timestamp > since)
        return {
            "spent_ether_day": to_float(spent, WAD_DECIMALS),
            "lost_ether_day": to_float(account.lost, WAD_DECIMALS),
        }

    def execute(self, intents: Sequence[Intent], head: Head, stage: Stages) -> None:
        """Simulate, sign, store and offer new intents; each one ends with a nonce or closed with its cause."""
        if not intents:
            return
        head = replace(head, block=self._newest())  # a tick may outlast blocks; what counts is where it will land
        if not (intents := self._not_landed(intents, head.block)):
            return
        home, stakes = self.fleet.home, [self._stake(intent.plan) for intent in intents]
        intents = home.issue.by_priority(intents, stakes, head.block)
        with stage("simulate"):
            simulated = self._simulation.simulate(intents, head, home.address, home.under_way())
        causes = {row: str(refused) for row, refused in simulated.refusals.items()}
        if causes:
            self._ledger.close_intents(causes, "refused", head.block.number)
            log.info("%d plans refused: %s", len(causes), "; ".join(dict.fromkeys(causes.values())))
        if sound := [intent for intent in intents if intent.id not in simulated.refusals]:
            with stage("simulate"):
                limits = {home.address: simulated.gas, **self._elsewhere(sound, head)}
            self.send(sound, self._market(head.block), head.block, limits, stage)

    def _newest(self) -> Block:
        return self._block if self._is_astray and self._block else self._rpc.block()

    def _not_landed(self, intents: Sequence[Intent], block: Block) -> list[Intent]:
        """Return the intents whose effect no earlier bytes have had; close the others, to be decided anew."""
        causes = landed_before(intents, self._ledger, self._facts, block)
        if causes:
            self._ledger.close_intents(causes, "refused", block.number)
            log.error("%d plans not sent, the first: %s", len(causes), next(iter(causes.values())))
        return [intent for intent in intents if intent.id not in causes]

    def _elsewhere(self, intents: Sequence[Intent], head: Head) -> dict[str, Mapping[int, int]]:
        """Return, for each key but the home key, the gas limits of what succeeds from its address, behind what waits on
        its line and all others of these: a venue may want funds of whoever calls."""
        free = [intent for intent in intents if intent.plan.kind in ANY_KEY]
        others = self.fleet.lanes[1:] if free else ()
        tried = ((one, self._simulation.simulate(free, head, one.address, one.under_way())) for one in others)
        return {lane.address: found.gas for lane, found in tried}

    def send(
        self,
        intents: Sequence[Intent],
        market: Market,
        block: Block,
        limits: Mapping[str, Mapping[int, int]],
        stage: Stages,
    ) -> None:
        """Send intents by priority, on the emptiest lanes; close those that nothing has room for.

        `limits`: address → intent id → gas limit, where simulation found one from there.
        """
        home, stakes = self.fleet.home, [self._stake(intent.plan) for intent in intents]
        lanes, why = self.fleet.open_lanes()
        if not lanes:
            home.issue.refuse(intents, why, block)
            return
        with stage("price"):
            purses = [lane.purse(block) for lane in lanes]
            chosen = home.issue.chosen(intents, stakes, market, block, limits, purses)
        by_lane = {lane.address: [one for one in chosen if one.lane == lane.address] for lane in lanes}
        busy = [lane for lane in lanes if by_lane[lane.address]]
        self.fleet.act(busy, lambda lane: lane.give(by_lane[lane.address], block, stage))

    def _expire(self, block: Block) -> None:
        """Close what was intended and never got a nonce, for the keeper stopped or could not read the chain.

        The world has moved on, and while they are live their effects cannot be planned again: this tick decides anew.
        """
        for intent in self._ledger.intents_without_slot():
            self._close(intent, "expired", "not signed in its own block", block)

    def _close(self, intent: Intent, status: ClosedStatus, cause: str, block: Block) -> None:
        self._ledger.close_intent(intent.id, status, cause, block.number)
        log.info("%s %s: %s", intent.plan.effect, status, cause)

    def _market(self, block: Block) -> Market:
        """Return the base fee of the next block and recent median tips. Without history there are no tips."""
        found = self._rpc.fee_history(TIP_BLOCKS, block)
        return Market(found.next_base_fee, found.tips)
