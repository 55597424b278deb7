"""An isolated perpetual: one market, margin in one token of 18 decimals (contracts/src/demo/IsolatedPerpetual.sol)."""

from collections.abc import Mapping, Sequence
from typing import Final, Literal

from keeper.abi import address_at, int_at, interface, topic_address, uint_at
from keeper.chain import Block, Call, Log, Receipt
from keeper.plans import Liquidate, Plan, SetParameters
from keeper.rpc import Rpc, RpcRefusal, answered
from keeper.units import Ppm, Wad
from keeper.venues.base import (
    Account,
    Effect,
    ExactMargin,
    ForeignPlan,
    Market,
    Parameters,
    Position,
    Sending,
    VenueState,
    each_alone,
    needed,
)

ABI: Final = "isolated/IsolatedPerpetual"
DECIMALS: Final = 18  # of the token, which the contract assumes too
WAD: Final = 10**18
PPM: Final = 10**6


class Isolated:
    """Adapter for one market."""

    name = "isolated"
    kind: Literal["perpetual"] = "perpetual"

    def __init__(self, rpc: Rpc, address: str) -> None:
        """Raises MissingContract when there is no code at the address, ReadError when it is another contract."""
        rpc.require_code(address, "venue.clearing_house")
        self._rpc, self._address = rpc, address
        self._feed, self._im_ratio = self._read_facts(rpc.block())

    def _read_facts(self, block: Block) -> tuple[str, int]:
        with needed(f"isolated: FEED, IM_RATIO at block {block.number}"):
            feed, im_ratio = self._asked(block, "FEED", "IM_RATIO")
            return address_at(feed), uint_at(im_ratio)

    def events(self) -> tuple[Sequence[str], Sequence[str]]:
        return (self._address,), (interface(ABI).event("Deposited").topic,)

    def introduced(self, logs: Sequence[Log]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(topic_address(log.topics[2]) for log in logs))  # (payer, trader)

    def read(self, block: Block, accounts: Sequence[str]) -> VenueState:
        with needed(f"isolated: mark, mmRatio at block {block.number}"):
            mark, mm_ratio = map(uint_at, self._asked(block, "mark", "mmRatio"))
        market = Market(self._address, "perpetual", Wad(mark), Wad(mark), self._feed, open=True)
        parameters = Parameters(Ppm(self._im_ratio), Ppm(mm_ratio), Ppm(0), Ppm(0), Ppm(0))
        held = interface(ABI).function("accounts")
        answers = self._rpc.eth_calls([held.call(self._address, account) for account in accounts], block)
        known, unknown = [], {}
        for account, answer in zip(accounts, answers, strict=True):
            try:
                known.append(_account(account, answer))
            except ValueError as e:
                unknown[account] = f"account not read: {e}"
        return VenueState(self.name, block, DECIMALS, parameters, (market,), (), tuple(known), unknown)

    def exact(self, state: VenueState, account: Account) -> ExactMargin:
        """As IsolatedPerpetual.margin, with MM one unit up: it takes over at equality, where the keeper would not."""
        equity, worth = account.cash, 0
        for p in account.positions:
            fine = p.size * state.markets[0].mark
            equity += p.open_notional + fine // WAD
            worth += abs(fine)
        im, mm = (-(-worth * ratio // (WAD * PPM)) for ratio in (state.parameters.im_ratio, state.parameters.mm_ratio))
        return ExactMargin(equity, im, mm + 1 if account.positions else mm)

    def parameter(self, state: VenueState, name: str) -> int | None:
        return state.parameters.mm_ratio if name == "mm_ratio" else None

    def encode(self, plan: Plan) -> Call:
        if isinstance(plan, Liquidate):
            return interface(ABI).function("liquidate").call(self._address, plan.account)
        if isinstance(plan, SetParameters) and plan.parameter == "mm_ratio":
            return interface(ABI).function("setMmRatio").call(self._address, plan.new)
        raise ForeignPlan(self.name, plan)

    def sendings(self, plans: Sequence[Plan], gas: int, limits: Mapping[int, int]) -> tuple[Sending, ...]:  # noqa: ARG002 - nothing is batched
        return each_alone(self, plans)

    def confirm(self, plan: Plan, receipt: Receipt) -> Effect:
        self.encode(plan)  # refuses a foreign one
        mined = [log for log in receipt.logs if receipt.succeeded and log.address == self._address]
        if isinstance(plan, Liquidate):
            for log in _of("Liquidated", mined):
                if topic_address(log.topics[2]) == plan.account:
                    body = interface(ABI).event("Liquidated").body(log)
                    return Effect(True, f"took {body['size'] / WAD:.6g} at {body['price'] / WAD:,.2f} USD")
        for log in _of("MmRatioSet", mined):
            if isinstance(plan, SetParameters) and interface(ABI).event("MmRatioSet").body(log)["set"] == plan.new:
                return Effect(True, plan.why)
        return Effect(False, "no event of it in the receipt")

    def done(self, plan: Plan, first: int, last: int) -> bool:
        logs = self._rpc.logs([self._address], [interface(ABI).event("Liquidated").topic], first, last)
        return isinstance(plan, Liquidate) and any(topic_address(log.topics[2]) == plan.account for log in logs)

    def _asked(self, block: Block, *names: str) -> list[bytes]:
        return answered(self._rpc.eth_calls([interface(ABI).function(n).call(self._address) for n in names], block))


def _of(event: str, logs: Sequence[Log]) -> list[Log]:
    return [log for log in logs if log.topics[0] == interface(ABI).event(event).topic]


def _account(name: str, answer: bytes | RpcRefusal) -> Account:
    """Return one account. Raises ValueError when it was not read whole."""
    (words,) = answered([answer])
    cash, size, notional = (int_at(words, row) for row in range(3))
    # IM is a share of |size| at the mark whichever side: the whole position counts as owed in base, nothing in quote
    held = Position(0, Wad(size), Wad(notional), Wad(-abs(size)), Wad(0), Wad(0))
    return Account(name, cash, Wad(0), Wad(0), False, (held,) if size else (), ())
