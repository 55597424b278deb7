"""Perp Curie: perpetuals settled in one stablecoin, liquidity on Uniswap v3, published as @perp/curie-contract 2.8.4.

Accounts are read in two batches a block: what each holds, then the position and collateral words of those that
hold something. The deployment itself is read by perp_curie_facts, the margin rule is in perp_curie_rule. Markets
and collaterals are the ones the accounts hold, so a market added while the keeper runs is seen with its first
position.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeVar

from keeper.abi import address_at, int_at, interface, topic_address, uint_at
from keeper.chain import Block, Call, Log, Receipt
from keeper.errors import ReadError
from keeper.plans import Liquidate, Plan, SetParameters
from keeper.rpc import Rpc, RpcRefusal, answered
from keeper.units import Wad
from keeper.venues.base import (
    Account,
    Balance,
    Collateral,
    Effect,
    ExactMargin,
    ForeignPlan,
    Market,
    Position,
    Sending,
    VenueState,
    each_alone,
)
from keeper.venues.perp_curie_facts import (
    ACCOUNT_BALANCE,
    CLEARING_HOUSE,
    COLLATERALS,
    CONFIG,
    EXCHANGE,
    VAULT,
    Contracts,
    Facts,
    contracts_of,
)
from keeper.venues.perp_curie_rule import WAD, exact_margin

T = TypeVar("T")

NAME: Final = "perp_curie"
CHANGED: Final = {
    "collateral_ratio": (COLLATERALS, "CollateralRatioChanged"),
    "mm_ratio_buffer": (COLLATERALS, "MmRatioBufferChanged"),
    "max_funding_rate": (CONFIG, "MaxFundingRateChanged"),
}
"""Kind of a settable parameter → the event its setter emits."""


@dataclass(frozen=True, slots=True)
class _Held:
    """What the first batch says about one account."""

    address: str
    base_tokens: tuple[str, ...]
    collateral_tokens: tuple[str, ...]
    cash: int
    owed_pnl: int
    pending_fee: int
    has_orders: bool


class PerpCurie:
    """Adapter for one deployment. Holds addresses and immutable facts of tokens and feeds, no account state."""

    name = NAME
    kind: Literal["perpetual"] = "perpetual"

    def __init__(self, rpc: Rpc, clearing_house: str) -> None:
        """Raises MissingContract when there is no code at the address, ReadError when it is another contract."""
        rpc.require_code(clearing_house, "venue.clearing_house")
        self._rpc = rpc
        self.contracts = contracts_of(rpc, clearing_house)
        self._facts = Facts(rpc, self.contracts)
        self._settlement_decimals = self._facts.constant(self.contracts.vault, VAULT, "decimals")

    # --- discover ----------------------------------------------------------------------------------

    def events(self) -> tuple[Sequence[str], Sequence[str]]:
        house, vault = interface(CLEARING_HOUSE), interface(VAULT)
        topics = (
            vault.event("Deposited").topic,
            house.event("PositionChanged").topic,
            house.event("LiquidityChanged").topic,
        )
        return (self.contracts.clearing_house, self.contracts.vault), topics

    def introduced(self, logs: Sequence[Log]) -> tuple[str, ...]:
        deposited = interface(VAULT).event("Deposited").topic  # (token, trader); the others lead with the account
        return tuple(dict.fromkeys(topic_address(log.topics[2 if log.topics[0] == deposited else 1]) for log in logs))

    # --- read --------------------------------------------------------------------------------------

    def read(self, block: Block, accounts: Sequence[str]) -> VenueState:
        unknown: dict[str, str] = {}
        held = self._held(block, accounts, unknown)
        parameters = self._facts.parameters(block)
        markets, dark = _each(self._facts.market, block, (t for h in held for t in h.base_tokens))
        collaterals, dim = _each(self._facts.collateral, block, (t for h in held for t in h.collateral_tokens))
        held = _readable(held, {**dark, **dim}, unknown)
        found = self._accounts(block, held, markets, collaterals, unknown)
        return VenueState(self.name, block, self._settlement_decimals, parameters, markets, collaterals, found, unknown)

    def _held(self, block: Block, accounts: Sequence[str], unknown: dict[str, str]) -> list[_Held]:
        balances, vault = interface(ACCOUNT_BALANCE), interface(VAULT)
        reads = (
            (self.contracts.account_balance, balances.function("getBaseTokens")),
            (self.contracts.vault, vault.function("getCollateralTokens")),
            (self.contracts.vault, vault.function("getBalance")),
            (self.contracts.account_balance, balances.function("getPnlAndPendingFee")),
            (self.contracts.account_balance, balances.function("hasOrder")),
        )
        calls = [function.call(to, account) for account in accounts for to, function in reads]
        answers = self._rpc.eth_calls(calls, block)
        held = []
        for row, account in enumerate(accounts):
            answer = answers[row * len(reads) : (row + 1) * len(reads)]
            try:
                base_tokens, tokens, cash, pnl, orders = answered(answer)
                held.append(
                    _Held(
                        account,
                        tuple(address_at(base_tokens, 2 + i) for i in range(uint_at(base_tokens, 1))),
                        tuple(address_at(tokens, 2 + i) for i in range(uint_at(tokens, 1))),
                        int_at(cash, 0),
                        int_at(pnl, 0),
                        uint_at(pnl, 2),
                        uint_at(orders, 0) == 1,
                    )
                )
            except ValueError as e:
                unknown[account] = f"holdings not read: {e}"
        return held

    def _accounts(
        self,
        block: Block,
        held: Sequence[_Held],
        markets: Sequence[Market],
        collaterals: Sequence[Collateral],
        unknown: dict[str, str],
    ) -> tuple[Account, ...]:
        market_row = {m.address: i for i, m in enumerate(markets)}
        collateral_row = {c.address: i for i, c in enumerate(collaterals)}
        # hasOrder skips markets that are not open, so only then is "no order" proof of "no order"
        plain = {h.address: not h.has_orders and all(markets[market_row[t]].open for t in h.base_tokens) for h in held}
        calls = [call for h in held for call in self._position_calls(h, plain[h.address])]
        answers = iter(self._rpc.eth_calls(calls, block))
        found = []
        for h in held:
            width = 2 if plain[h.address] else 5
            chunks = [[next(answers) for _ in range(width)] for _ in h.base_tokens]
            amounts = [next(answers) for _ in h.collateral_tokens]
            try:
                positions = tuple(_position(market_row[t], c) for t, c in zip(h.base_tokens, chunks, strict=True))
                balances = tuple(
                    Balance(collateral_row[t], int_at(a, 0))
                    for t, a in zip(h.collateral_tokens, answered(amounts), strict=True)
                )
            except ValueError as e:
                unknown[h.address] = f"positions not read: {e}"
                continue
            found.append(
                Account(h.address, h.cash, Wad(h.owed_pnl), Wad(h.pending_fee), h.has_orders, positions, balances)
            )
        return tuple(found)

    def _position_calls(self, h: _Held, plain: bool) -> Iterable[Call]:
        balances, exchange, vault = interface(ACCOUNT_BALANCE), interface(EXCHANGE), interface(VAULT)
        split = ("getTotalPositionSize", "getTotalOpenNotional", "getBase", "getQuote")
        names = ("getAccountInfo",) if plain else split
        for token in h.base_tokens:
            for name in names:
                yield balances.function(name).call(self.contracts.account_balance, h.address, token)
            yield exchange.function("getPendingFundingPayment").call(self.contracts.exchange, h.address, token)
        for token in h.collateral_tokens:
            yield vault.function("getBalanceByToken").call(self.contracts.vault, h.address, token)

    def exact(self, state: VenueState, account: Account) -> ExactMargin:
        return exact_margin(state, account)

    # --- act ---------------------------------------------------------------------------------------

    def encode(self, plan: Plan) -> Call:
        if isinstance(plan, Liquidate):
            liquidate = interface(CLEARING_HOUSE).function("liquidate(address,address)")
            return liquidate.call(self.contracts.clearing_house, plan.account, plan.market)
        if isinstance(plan, SetParameters):
            return _setter(self.contracts, plan)
        raise ForeignPlan(self.name, plan)

    def sendings(self, plans: Sequence[Plan], gas: int, limits: Mapping[int, int]) -> tuple[Sending, ...]:  # noqa: ARG002 - nothing is batched
        return each_alone(self, plans)

    def confirm(self, plan: Plan, receipt: Receipt) -> Effect:
        if not receipt.succeeded:
            return Effect(False, "reverted")
        if isinstance(plan, SetParameters):
            if _changed(plan, self.encode(plan).to, receipt):
                return Effect(True, f"{plan.parameter} {plan.old} -> {plan.new}")
            return Effect(False, f"mined without an event that {plan.parameter} is now {plan.new}")
        if not isinstance(plan, Liquidate):
            raise ForeignPlan(self.name, plan)
        event = interface(CLEARING_HOUSE).event("PositionLiquidated")
        for log in receipt.logs:
            ours = log.address == self.contracts.clearing_house and log.topics[0] == event.topic
            if ours and topic_address(log.topics[1]) == plan.account and topic_address(log.topics[2]) == plan.market:
                body = event.body(log)
                size, notional = body["positionSize"] / WAD, body["positionNotional"] / WAD
                fee = body["liquidationFee"] / WAD
                return Effect(True, f"took {size:.6g} for {notional:,.2f} USD, fee {fee:,.2f} USD")
        return Effect(False, "mined without a PositionLiquidated event of this account")

    def done(self, plan: Plan, first: int, last: int) -> bool:
        if not isinstance(plan, Liquidate):
            return False
        topic = interface(CLEARING_HOUSE).event("PositionLiquidated").topic
        logs = self._rpc.logs([self.contracts.clearing_house], [topic], first, last)
        subjects = {(topic_address(log.topics[1]), topic_address(log.topics[2])) for log in logs}
        return (plan.account, plan.market) in subjects

    def parameter(self, state: VenueState, name: str) -> int | None:
        """Return a settable parameter's present number, or None where this block's state does not hold it."""
        kind, _, token = name.partition(":")
        if kind == "collateral_ratio":
            return next((c.ratio for c in state.collaterals if c.address == token), None)
        return {
            "mm_ratio_buffer": state.parameters.mm_ratio_buffer,
            "max_funding_rate": state.parameters.max_funding_rate,
        }.get(kind)


def _setter(contracts: Contracts, plan: SetParameters) -> Call:
    kind, _, token = plan.parameter.partition(":")
    if kind == "collateral_ratio":
        setter = interface(COLLATERALS).function("setCollateralRatio")
        return setter.call(contracts.collateral_manager, token, plan.new)
    if kind == "mm_ratio_buffer":
        return interface(COLLATERALS).function("setMmRatioBuffer").call(contracts.collateral_manager, plan.new)
    if kind == "max_funding_rate":
        return interface(CONFIG).function("setMaxFundingRate").call(contracts.config, plan.new)
    raise ValueError(
        f"{plan.parameter}: Curie has no setter for it; "
        "expected collateral_ratio:<token>, mm_ratio_buffer or max_funding_rate"
    )


def _changed(plan: SetParameters, emitter: str, receipt: Receipt) -> bool:
    """Say whether the receipt carries the setter's own event with the plan's number."""
    kind, _, token = plan.parameter.partition(":")
    path, name = CHANGED[kind]
    event = interface(path).event(name)
    ours = [log for log in receipt.logs if log.address == emitter and log.topics[0] == event.topic]
    ours = [log for log in ours if not token or topic_address(log.topics[1]) == token]
    return any(plan.new in event.body(log).values() for log in ours)


def _each(
    read: Callable[[Block, str], T], block: Block, tokens: Iterable[str]
) -> tuple[tuple[T, ...], Mapping[str, str]]:
    """Read every distinct token once; return what was read, and why the others were not."""
    found, faults = [], {}
    for token in dict.fromkeys(tokens):
        try:
            found.append(read(block, token))
        except (ReadError, ValueError) as e:
            faults[token] = str(e)
    return tuple(found), faults


def _readable(held: Sequence[_Held], faults: Mapping[str, str], unknown: dict[str, str]) -> list[_Held]:
    """Return the accounts none of whose tokens is at fault; the others become unknown with the reason."""
    for h in held:
        why = [faults[t] for t in (*h.base_tokens, *h.collateral_tokens) if t in faults]
        if why:
            unknown[h.address] = "; ".join(why)
    return [h for h in held if h.address not in unknown]


def _position(market: int, answers: Sequence[bytes | RpcRefusal]) -> Position:
    words = answered(answers)
    if len(words) == 2:
        size, notional = int_at(words[0], 0), int_at(words[0], 1)
        shown = 0 if abs(size) < 10 else size  # AccountBalance._DUST
        return Position(market, Wad(shown), Wad(notional), Wad(size), Wad(notional), Wad(int_at(words[1], 0)))
    size, notional, base, quote, funding = (Wad(int_at(w, 0)) for w in words)
    return Position(market, size, notional, base, quote, funding)
