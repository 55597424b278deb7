"""The reference venue: portfolios margined by risk arrays (docs/risk-arrays.md), liquidated by auction.

Accounts are introduced by BalanceChange, the one event that every balance change emits. An account is read as the
margin rules see it (`book`), with its number of changes and its auction; what margins it is the integer twin.
"""

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import replace
from typing import Any, Final, Literal, Self

from keeper.abi import WORD, checksummed, int_at, interface, uint_at
from keeper.chain import Block, Call, Log, Receipt
from keeper.plans import (
    ANY_SEQUENCE,
    EndAuction,
    Plan,
    PublishArrays,
    RelayReports,
    StartAuction,
    TakeAuction,
    WriteParameters,
)
from keeper.rpc import Rpc, RpcRefusal, answered
from keeper.twin.auction import Allowance
from keeper.twin.records import Book, Holding, Leg
from keeper.venues import reference_steward
from keeper.venues.base import Effect, ForeignPlan, Sending, each_alone, needed
from keeper.venues.executor_jobs import Executor, Kind, executor_of
from keeper.venues.portfolio import PortfolioAccount, PortfolioState, Steering, account_id, account_name
from keeper.venues.reference_batches import StartBatch, batches
from keeper.venues.reference_contracts import AUCTIONS, MARGIN, PRICES, RISK_ARRAYS, VENUE, contracts_of
from keeper.venues.reference_facts import Facts
from keeper.venues.reference_relays import Relays

NAME: Final = "reference"
OWN_IDS: Final = 1 << 96
"""Accounts below belong to the venue itself: insurance fund, rounding dust, bad debt."""

GAS: Final = {
    "publish": (900_000, 40_000),
    "start": (900_000, 75_000),
    "end": (900_000, 75_000),
    "take": (2_000_000, 110_000),
}
"""Gas limits, not costs: a flat part, and what each array or leg may add."""
TOLD_BY: Final = {"start_auction": "AuctionStarted", "take_auction": "Taken", "end_auction": "AuctionEnded"}
"""Kind of plan → the event of whoever did it."""


class Reference:
    """Adapter for one deployment. Holds addresses and immutable facts, no account state."""

    name = NAME
    kind: Literal["portfolio"] = "portfolio"

    def __init__(self, rpc: Rpc, venue: str) -> None:
        """Raises MissingContract when there is no code at the address, ReadError when it is another contract."""
        rpc.require_code(venue, "venue.clearing_house")
        self._rpc = rpc
        self.contracts = contracts_of(rpc, venue)
        self.relays = (self.contracts.prices, self.contracts.surface)
        self.steward = reference_steward.steward_of(rpc, self.contracts.products, rpc.block())
        self._relaying = Relays(rpc, self.contracts)
        self._facts = Facts(rpc, self.contracts)
        self._rules = self._facts.rules()
        self._executor: Executor | None = None

    def through(self, executor: str) -> Self:
        same = copy(self)
        same._executor = executor_of(self._rpc, executor, self.contracts.venue)
        return same

    # --- discover ----------------------------------------------------------------------------------

    def events(self) -> tuple[Sequence[str], Sequence[str]]:
        return (self.contracts.venue,), (interface(VENUE).event("BalanceChange").topic,)

    def introduced(self, logs: Sequence[Log]) -> tuple[str, ...]:
        numbers = (int(log.topics[1], 16) for log in logs)
        return tuple(dict.fromkeys(_named(n) for n in numbers if n >= OWN_IDS))

    # --- read --------------------------------------------------------------------------------------

    def read(self, block: Block, accounts: Sequence[str], publisher: str) -> PortfolioState:
        world, lines, faults = self._facts.world(block, self._rules.limits, publisher)
        unknown: dict[str, str] = {}
        found = self._accounts(block, accounts, unknown)
        held, bonus = self._fund(block)
        return PortfolioState(
            venue=self.name,
            block=block,
            world=world,
            lines=lines,
            faults=faults,
            auctions=self._rules.auctions,
            fund=held,
            bonus=bonus,
            accounts=found,
            unknown=unknown,
        )

    def steering(self, block: Block, names: Sequence[str]) -> Steering | None:
        if self.steward is None:
            return None
        return reference_steward.steering(self._rpc, self.steward, names, block)

    def _fund(self, block: Block) -> tuple[int, Allowance]:
        """Return the insurance fund's cash and what of it may be added to discounts."""
        allowance = interface(AUCTIONS).function("bonusAllowance")
        calls = [interface(VENUE).function("fund").call(self.contracts.venue), allowance.call(self.contracts.auctions)]
        with needed(f"reference: insurance fund at block {block.number}"):
            held, bonus = answered(self._rpc.eth_calls(calls, block))
            most, spent, at = allowance.values(bonus)
            return int_at(held), Allowance(most, spent, at, self._rules.auctions.bonus_period)

    def _accounts(self, block: Block, accounts: Sequence[str], unknown: dict[str, str]) -> tuple[PortfolioAccount, ...]:
        answers = self._rpc.eth_calls(self.account_calls(accounts), block)
        found = []
        for row, name in enumerate(accounts):
            try:
                found.append(_account(name, answers[3 * row : 3 * row + 3]))
            except ValueError as e:
                unknown[name] = f"not read: {e}"
        return tuple(found)

    def account_calls(self, accounts: Sequence[str]) -> list[Call]:
        """Return what is asked of each account, three calls one behind the other."""
        venue, auctions, c = interface(VENUE), interface(AUCTIONS), self.contracts
        return [
            call
            for number in map(account_id, accounts)
            for call in (
                venue.function("book").call(c.venue, number),
                venue.function("sequence").call(c.venue, number),
                auctions.function("auction").call(c.auctions, number),
            )
        ]

    # --- act ---------------------------------------------------------------------------------------

    def encode(self, plan: Plan) -> Call:
        if isinstance(plan, StartAuction):
            return self._start(plan)
        if isinstance(plan, EndAuction):
            return self._end(plan)
        if isinstance(plan, TakeAuction):
            return self._take(plan)
        if isinstance(plan, PublishArrays):
            return self._publish(plan)
        if isinstance(plan, RelayReports):
            return self._relaying.call(plan)
        if isinstance(plan, WriteParameters) and self.steward is not None:
            return reference_steward.write(self.steward, plan)
        raise ForeignPlan(self.name, plan)

    def sendings(self, plans: Sequence[Plan], gas: int, limits: Mapping[int, int]) -> tuple[Sending, ...]:
        """Return the transactions for all plans: starts together where they fit, everything else alone."""
        alone = each_alone(self, plans)
        found = batches(plans, gas, self._rules.start_gas, [sending.call.gas or gas for sending in alone], limits)
        batched = {row for batch in found for row in batch.rows}
        left = [sending for sending in alone if sending.rows[0] not in batched]
        together = [Sending(batch.rows, self._starts(plans, batch)) for batch in found]
        return tuple(sorted(left + together, key=lambda sending: sending.rows[0]))

    def _start(self, plan: StartAuction) -> Call:
        encoded = interface(AUCTIONS).function("startAuction").packed(self.contracts.auctions, _start_call(plan))
        return _with_gas(encoded, "start", plan.legs)

    def _starts(self, plans: Sequence[Plan], batch: StartBatch) -> Call:
        calls = [_start_call(plan) for plan in (plans[row] for row in batch.rows) if isinstance(plan, StartAuction)]
        encoded = interface(AUCTIONS).function("startAuctions").packed(self.contracts.auctions, calls)
        return replace(encoded, gas=batch.gas)

    def _end(self, plan: EndAuction) -> Call:
        call = (account_id(plan.account), plan.auction_id, plan.sequence, plan.deadline)
        encoded = interface(AUCTIONS).function("endAuction").packed(self.contracts.auctions, call)
        return _with_gas(encoded, "end", plan.legs)

    def _take(self, plan: TakeAuction) -> Call:
        words = (
            account_id(plan.account), account_id(plan.taker), plan.auction_id, plan.sequence, plan.taker_sequence,
            plan.max_fraction, plan.max_price, plan.deadline, plan.by_arrays, plan.scenarios, plan.taker_by_legs,
        )  # fmt: skip
        encoded = interface(AUCTIONS).function("take").packed(self.contracts.auctions, words)
        call = _with_gas(encoded, "take", plan.legs)
        return call if self._executor is None else self._executor.alone(Kind.TAKE, call, plan.deadline)

    def _publish(self, plan: PublishArrays) -> Call:
        arrays = bytes.fromhex(plan.arrays[2:])
        report, slice_, listing = (bytes.fromhex(i[2:]) for i in (plan.report_id, plan.slice_id, plan.listing_id))
        names = (plan.underlying, plan.expiry, report, slice_, plan.version, listing)
        encoded = interface(RISK_ARRAYS).function("publish").packed(self.contracts.risk_arrays, *names, arrays)
        return _with_gas(encoded, "publish", plan.options)

    def confirm(self, plan: Plan, receipt: Receipt) -> Effect:
        if not receipt.succeeded:
            return Effect(False, "reverted")
        if isinstance(plan, StartAuction):
            return self._started(plan, receipt)
        if isinstance(plan, EndAuction):
            return self._ended(plan, receipt)
        if isinstance(plan, TakeAuction):
            return self._taken(plan, receipt)
        if isinstance(plan, PublishArrays):
            return self._published(plan, receipt)
        if isinstance(plan, RelayReports):
            return self._relaying.relayed(plan, receipt)
        if isinstance(plan, WriteParameters) and self.steward is not None:
            return reference_steward.written(self.steward, plan, receipt)
        raise ForeignPlan(self.name, plan)

    def done(self, plan: Plan, first: int, last: int) -> bool:
        if isinstance(plan, RelayReports):
            return self._relaying.all_kept(plan, first, last)
        if isinstance(plan, WriteParameters):
            return self.steward is not None and reference_steward.done(self._rpc, self.steward, plan, first, last)
        if plan.kind not in TOLD_BY:
            return False
        topic = interface(AUCTIONS).event(TOLD_BY[plan.kind]).topic
        logs = self._rpc.logs([self.contracts.auctions], [topic], first, last)
        found = {(int(log.topics[1], 16), int(log.topics[2], 16)) for log in logs}  # account, auction
        if isinstance(plan, EndAuction | TakeAuction):
            return (account_id(plan.account), plan.auction_id) in found
        return any(account == account_id(plan.subject) for account, _ in found)

    def _started(self, plan: StartAuction, receipt: Receipt) -> Effect:
        for indexed, body in self._events(receipt, self.contracts.auctions, AUCTIONS, "AuctionStarted"):
            if indexed[0] == account_id(plan.account) and plan.sequence in (body["sequence"], ANY_SEQUENCE):
                equity, mm = body["equity"] / 10**18, body["mm"] / 10**18
                return Effect(True, f"auction {indexed[1]}: equity {equity:,.2f} USD, MM {mm:,.2f} USD")
        for indexed, body in self._events(receipt, self.contracts.auctions, AUCTIONS, "AuctionRefused"):
            if indexed[0] == account_id(plan.account):
                return Effect(False, f"refused in its batch: {_named_error(body['reason'])}")
        return Effect(False, "mined without an AuctionStarted event of this account and sequence")

    def _ended(self, plan: EndAuction, receipt: Receipt) -> Effect:
        for indexed, _ in self._events(receipt, self.contracts.auctions, AUCTIONS, "AuctionEnded"):
            if indexed == [account_id(plan.account), plan.auction_id]:
                return Effect(True, f"auction {plan.auction_id} ended")
        return Effect(False, "mined without an AuctionEnded event of this account and auction")

    def _taken(self, plan: TakeAuction, receipt: Receipt) -> Effect:
        for indexed, body in self._events(receipt, self.contracts.auctions, AUCTIONS, "Taken"):
            if indexed == [account_id(plan.account), plan.auction_id, account_id(plan.taker)]:
                share, price = body["fraction"] / 10**18, body["price"] / 10**18
                lost = (body["fromFund"] + body["shared"]) / 10**18
                return Effect(True, f"took {share:.2%} for {price:,.2f} USD, {lost:,.2f} USD from fund and shared loss")
        return Effect(False, "mined without a Taken event of this account, auction and taker")

    def _published(self, plan: PublishArrays, receipt: Receipt) -> Effect:
        for indexed, body in self._events(receipt, self.contracts.risk_arrays, RISK_ARRAYS, "ArraysPublished"):
            right = (indexed[0], indexed[2]) == (plan.underlying, plan.expiry)
            if right and body["sliceId"].hex() == plan.slice_id[2:]:
                return Effect(True, f"epoch {indexed[1]}, {plan.options} arrays at {body['blob']}")
        return Effect(False, "mined without an ArraysPublished event of this expiry and slice")

    def _events(self, receipt: Receipt, address: str, path: str, name: str) -> list[tuple[list[int], dict[str, Any]]]:
        """Return indexed words and body of every such event of ours in the receipt."""
        event = interface(path).event(name)
        ours = [log for log in receipt.logs if log.address == address and log.topics[0] == event.topic]
        return [([int(topic, 16) for topic in log.topics[1:]], event.body(log)) for log in ours]


def _account(name: str, answers: Sequence[bytes | RpcRefusal]) -> PortfolioAccount:
    """Return one account. Raises ValueError when a word is missing or wrong."""
    book, sequence, auction = answered(answers)
    return PortfolioAccount(name, uint_at(sequence), uint_at(auction, 0), uint_at(auction, 1), _book(book))


def _book(returned: bytes) -> Book:
    """Return a Book struct as Solidity encodes it, many times faster than a decoder of any type does.

    Raises ValueError for every other encoding.
    """
    words = [int.from_bytes(returned[at : at + WORD]) for at in range(0, len(returned), WORD)]
    try:
        _, _, _, _, legs, *rest = words
        right = len(returned) == WORD * (6 + legs + rest[legs]) and (words[0], *words[2:4]) == (32, 96, 128 + 32 * legs)
    except (ValueError, IndexError):
        right = False
    if not right:
        raise ValueError(f"expected a book, found {len(returned)} other bytes")
    return Book(int_at(returned, 1), tuple(map(Leg.of, rest[:legs])), tuple(map(Holding.of, rest[legs + 1 :])))


def _named(number: int) -> str:
    return account_name(number, checksummed("0x" + (number >> 96).to_bytes(20).hex()))


def _start_call(plan: StartAuction) -> tuple[int, int, int, bool, int]:
    return account_id(plan.account), plan.sequence, plan.deadline, plan.by_arrays, plan.scenarios


def _named_error(reason: bytes) -> str:
    """Return the name of the error that a start ended with; one that used up its gas gives none."""
    if not reason:
        return "no reason given, as when its gas runs out"
    names = (interface(path).error_named(reason[:4]) for path in (AUCTIONS, VENUE, MARGIN, RISK_ARRAYS, PRICES))
    return next((name for name in names if name), f"0x{reason[:4].hex()}")


def _with_gas(call: Call, what: str, count: int) -> Call:
    flat, each = GAS[what]
    return replace(call, gas=flat + each * count)
