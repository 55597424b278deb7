"""Perp Curie: perpetuals settled in one stablecoin, liquidity on Uniswap v3, published as @perp/curie-contract 2.8.4.

Reads are two batches a block: what every account holds, then the position and collateral words of those that
hold something, together with markets and parameters. Markets and collaterals are the ones the accounts hold,
so a market added while the keeper runs is seen with its first position.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from eth_abi.exceptions import DecodingError

from keeper.abi import address_at, int_at, interface, topic_address, uint_at
from keeper.chain import Block, Call, Log, Receipt
from keeper.errors import ReadError
from keeper.plans import Liquidate, Plan, SetParameters
from keeper.rpc import Rpc, RpcRefusal, answered
from keeper.units import Ppm, Wad
from keeper.venues.base import (
    Account,
    Balance,
    Collateral,
    Effect,
    ExactMargin,
    Market,
    Parameters,
    Position,
    VenueState,
)

T = TypeVar("T")

NAME: Final = "perp_curie"
WAD: Final = 10**18
PPM: Final = 10**6
COLLATERAL_TWAP_S: Final = 900  # Vault._COLLATERAL_TWAP_INTERVAL

CLEARING_HOUSE = "perp_curie/ClearingHouse"
VAULT = "perp_curie/Vault"
ACCOUNT_BALANCE = "perp_curie/AccountBalance"
EXCHANGE = "perp_curie/Exchange"
CONFIG = "perp_curie/ClearingHouseConfig"
COLLATERALS = "perp_curie/CollateralManager"
BASE_TOKEN = "perp_curie/BaseToken"
DISPATCHER = "chainlink/PriceFeedDispatcher"
PRICE_FEED = "chainlink/ChainlinkPriceFeedV3"

CHANGED: Final = {
    "collateral_ratio": (COLLATERALS, "CollateralRatioChanged"),
    "mm_ratio_buffer": (COLLATERALS, "MmRatioBufferChanged"),
    "max_funding_rate": (CONFIG, "MaxFundingRateChanged"),
}
"""Kind of a settable parameter → the event its setter emits."""


@dataclass(frozen=True, slots=True)
class Contracts:
    """Addresses of one deployment; the clearing house names all others."""

    clearing_house: str
    vault: str
    exchange: str
    account_balance: str
    config: str
    collateral_manager: str


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

    def __init__(self, rpc: Rpc, clearing_house: str) -> None:
        """Raises MissingContract when there is no code at the address, ReadError when it is another contract."""
        rpc.require_code(clearing_house, "venue.clearing_house")
        self._rpc = rpc
        self.contracts = _contracts(rpc, clearing_house)
        self._settlement_decimals = self._immutable(self.contracts.vault, VAULT, "decimals")
        self._feeds: dict[str, str] = {}  # price feed -> aggregator; both immutable on chain
        self._token_facts: dict[str, tuple[str, int]] = {}  # token -> symbol, decimals

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
        parameters = self._parameters(block)
        markets, dark = _each(self._market, block, (t for h in held for t in h.base_tokens))
        collaterals, dim = _each(self._collateral, block, (t for h in held for t in h.collateral_tokens))
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

    def _parameters(self, block: Block) -> Parameters:
        config, manager = interface(CONFIG), interface(COLLATERALS)
        reads = [
            config.function("getImRatio").call(self.contracts.config),
            config.function("getMmRatio").call(self.contracts.config),
            manager.function("getMmRatioBuffer").call(self.contracts.collateral_manager),
            config.function("getMaxFundingRate").call(self.contracts.config),
            config.function("getLiquidationPenaltyRatio").call(self.contracts.config),
        ]
        return Parameters(*(Ppm(uint_at(raw, 0)) for raw in self._required(reads, block, "parameters")))

    def _market(self, block: Block, token: str) -> Market:
        base, balances = interface(BASE_TOKEN), interface(ACCOUNT_BALANCE)
        symbol, _ = self._facts(token)
        price_feed, status, index, mark = self._required(
            [
                base.function("getPriceFeed").call(token),
                base.function("isOpen").call(token),
                base.function("getIndexPrice").call(token, 0),
                balances.function("getMarkPrice").call(self.contracts.account_balance, token),
            ],
            block,
            f"market {token}",
        )
        is_open = uint_at(status, 0) == 1
        return Market(
            address=token,
            name=symbol,
            mark=Wad(uint_at(mark, 0) if is_open else self._last_price(block, token)),
            index=Wad(uint_at(index, 0)),
            feed=self._aggregator(address_at(price_feed), dispatched=True),
            open=is_open,
        )

    def _last_price(self, block: Block, token: str) -> int:
        """Return what a market that is not open is valued at, 18 decimals. As AccountBalance._getReferencePrice."""
        base, what = interface(BASE_TOKEN), f"last price of market {token}"
        (closed,) = self._required([base.function("isClosed").call(token)], block, what)
        name = "getClosedPrice" if uint_at(closed, 0) else "getPausedIndexPrice"
        (price,) = self._required([base.function(name).call(token)], block, what)
        return uint_at(price, 0)

    def _collateral(self, block: Block, token: str) -> Collateral:
        manager = interface(COLLATERALS)
        symbol, decimals = self._facts(token)
        config, price, price_decimals = self._required(
            [
                manager.function("getCollateralConfig").call(self.contracts.collateral_manager, token),
                manager.function("getPrice").call(self.contracts.collateral_manager, token, COLLATERAL_TWAP_S),
                manager.function("getPriceFeedDecimals").call(self.contracts.collateral_manager, token),
            ],
            block,
            f"collateral {token}",
        )
        return Collateral(
            address=token,
            name=symbol,
            decimals=decimals,
            price=uint_at(price, 0),
            price_decimals=uint_at(price_decimals, 0),
            ratio=Ppm(uint_at(config, 1)),
            feed=self._aggregator(address_at(config), dispatched=False),
        )

    def _required(self, calls: Sequence[Call], block: Block, what: str) -> list[bytes]:
        try:
            return answered(self._rpc.eth_calls(calls, block))
        except ValueError as e:
            raise ReadError(f"{self.name}: {what} at block {block.number} not read: {e}") from e

    def _aggregator(self, price_feed: str, dispatched: bool) -> str:
        if price_feed not in self._feeds:
            source = price_feed
            if dispatched:
                source = self._address(price_feed, DISPATCHER, "getChainlinkPriceFeedV3")
            self._feeds[price_feed] = self._address(source, PRICE_FEED, "getAggregator")
        return self._feeds[price_feed]

    def _facts(self, token: str) -> tuple[str, int]:
        if token not in self._token_facts:
            symbol = interface(BASE_TOKEN).function("symbol")
            (raw,) = self._required([symbol.call(token)], self._rpc.block(), f"token {token}")
            decimals = self._immutable(token, BASE_TOKEN, "decimals")
            try:
                name = str(symbol.values(raw)[0])
            except (DecodingError, ValueError):  # some tokens answer bytes32; a name decides nothing
                name = token
            self._token_facts[token] = (name, decimals)
        return self._token_facts[token]

    def _immutable(self, to: str, path: str, name: str) -> int:
        (raw,) = self._required([interface(path).function(name).call(to)], self._rpc.block(), f"{name} of {to}")
        return uint_at(raw, 0)

    def _address(self, to: str, path: str, name: str) -> str:
        (raw,) = self._required([interface(path).function(name).call(to)], self._rpc.block(), f"{name} of {to}")
        return address_at(raw)

    # --- the contract's rule in its own integers ---------------------------------------------------

    def exact(self, state: VenueState, account: Account) -> ExactMargin:
        """Return equity, IM and MM to the last integer, 18 decimals; equity keeps the vault's floor to its decimals.

        As Vault._getAccountValueAndTotalCollateralValue, AccountBalance.getTotalAbsPositionValue and getTotalDebtValue.
        """
        scale = 10 ** (18 - state.settlement_decimals)
        value = account.cash * scale + account.pending_fee + account.owed_pnl
        absolute = debt = quotes = 0
        for p in account.positions:
            mark = state.markets[p.market].mark
            position_value = _mul_div(p.size, mark, WAD)
            value += position_value + p.open_notional - p.pending_funding
            absolute += abs(position_value)
            debt += -_mul_div(min(p.base, 0), mark, WAD)
            quotes += p.quote
        value += sum(_counted(state.collaterals[b.collateral], b.amount) for b in account.balances)
        debt += max(-quotes, 0)
        return ExactMargin(
            equity=value // scale * scale,
            im=debt * state.parameters.im_ratio // PPM,
            mm=absolute * state.parameters.mm_ratio // PPM,
        )

    # --- act ---------------------------------------------------------------------------------------

    def encode(self, plan: Plan) -> Call:
        if isinstance(plan, Liquidate):
            liquidate = interface(CLEARING_HOUSE).function("liquidate(address,address)")
            return liquidate.call(self.contracts.clearing_house, plan.account, plan.market)
        return _setter(self.contracts, plan)

    def confirm(self, plan: Plan, receipt: Receipt) -> Effect:
        if not receipt.succeeded:
            return Effect(False, "reverted")
        if isinstance(plan, SetParameters):
            if _changed(plan, self.encode(plan).to, receipt):
                return Effect(True, f"{plan.parameter} {plan.old} -> {plan.new}")
            return Effect(False, f"mined without an event that {plan.parameter} is now {plan.new}")
        event = interface(CLEARING_HOUSE).event("PositionLiquidated")
        for log in receipt.logs:
            ours = log.address == self.contracts.clearing_house and log.topics[0] == event.topic
            if ours and topic_address(log.topics[1]) == plan.account and topic_address(log.topics[2]) == plan.market:
                body = event.body(log)
                size, notional = body["positionSize"] / WAD, body["positionNotional"] / WAD
                fee = body["liquidationFee"] / WAD
                return Effect(True, f"took {size:.6g} for {notional:,.2f} USD, fee {fee:,.2f} USD")
        return Effect(False, "mined without a PositionLiquidated event of this account")

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


def _contracts(rpc: Rpc, clearing_house: str) -> Contracts:
    block = rpc.block()

    def ask(to: str, path: str, name: str) -> str:
        (answer,) = rpc.eth_calls([interface(path).function(name).call(to)], block)
        try:
            return address_at(answered([answer])[0])
        except ValueError as e:
            raise ReadError(
                f"venue.clearing_house: expected a Curie deployment at {clearing_house}, found no {name} at {to} ({e})"
            ) from e

    vault = ask(clearing_house, CLEARING_HOUSE, "getVault")
    return Contracts(
        clearing_house=clearing_house,
        vault=vault,
        exchange=ask(clearing_house, CLEARING_HOUSE, "getExchange"),
        account_balance=ask(clearing_house, CLEARING_HOUSE, "getAccountBalance"),
        config=ask(clearing_house, CLEARING_HOUSE, "getClearingHouseConfig"),
        collateral_manager=ask(vault, VAULT, "getCollateralManager"),
    )


def _each(
    read: Callable[[Block, str], T], block: Block, tokens: Iterable[str]
) -> tuple[tuple[T, ...], Mapping[str, str]]:
    """Read every distinct token once; return what was read, and why the others were not."""
    found, faults = [], {}
    for token in dict.fromkeys(tokens):
        try:
            found.append(read(block, token))
        except ReadError as e:
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


def _counted(collateral: Collateral, amount: int) -> int:
    if collateral.decimals > 18:
        worth = amount * collateral.price // 10**collateral.price_decimals // 10 ** (collateral.decimals - 18)
    else:
        worth = amount * 10 ** (18 - collateral.decimals) * collateral.price // 10**collateral.price_decimals
    counted: int = worth * collateral.ratio // PPM
    return counted


def _mul_div(a: int, b: int, denominator: int) -> int:
    """PerpMath.mulDiv: the magnitude is floored, so a negative result rounds towards zero."""
    product = a * b
    magnitude: int = abs(product) // denominator
    return magnitude if product >= 0 else -magnitude
