"""What a Perp Curie deployment says of itself: its contracts, parameters, markets and collaterals at one block."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from eth_abi.exceptions import DecodingError

from keeper.abi import address_at, interface, uint_at
from keeper.chain import Block, Call
from keeper.errors import ReadError
from keeper.rpc import Rpc, answered
from keeper.units import Ppm, Wad
from keeper.venues.base import Collateral, Market, Parameters, needed

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


@dataclass(frozen=True, slots=True)
class Contracts:
    """Addresses of one deployment; the clearing house names all others."""

    clearing_house: str
    vault: str
    exchange: str
    account_balance: str
    config: str
    collateral_manager: str


class Facts:
    """Reads the deployment, block by block; remembers only what cannot change on the chain."""

    def __init__(self, rpc: Rpc, contracts: Contracts) -> None:
        self._rpc = rpc
        self._contracts = contracts
        self._feeds: dict[str, str] = {}  # price feed -> aggregator; both immutable on chain
        self._token_facts: dict[str, tuple[str, int]] = {}  # token -> symbol, decimals

    def parameters(self, block: Block) -> Parameters:
        config, manager = interface(CONFIG), interface(COLLATERALS)
        reads = [
            config.function("getImRatio").call(self._contracts.config),
            config.function("getMmRatio").call(self._contracts.config),
            manager.function("getMmRatioBuffer").call(self._contracts.collateral_manager),
            config.function("getMaxFundingRate").call(self._contracts.config),
            config.function("getLiquidationPenaltyRatio").call(self._contracts.config),
        ]
        with needed(f"perp_curie: parameters at block {block.number}"):
            return Parameters(*(Ppm(uint_at(raw, 0)) for raw in answered(self._rpc.eth_calls(reads, block))))

    def market(self, block: Block, token: str) -> Market:
        base, balances = interface(BASE_TOKEN), interface(ACCOUNT_BALANCE)
        symbol, _ = self._facts(token)
        price_feed, status, index, mark = self._required(
            [
                base.function("getPriceFeed").call(token),
                base.function("isOpen").call(token),
                base.function("getIndexPrice").call(token, 0),
                balances.function("getMarkPrice").call(self._contracts.account_balance, token),
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

    def collateral(self, block: Block, token: str) -> Collateral:
        manager = interface(COLLATERALS)
        symbol, decimals = self._facts(token)
        config, price, price_decimals = self._required(
            [
                manager.function("getCollateralConfig").call(self._contracts.collateral_manager, token),
                manager.function("getPrice").call(self._contracts.collateral_manager, token, COLLATERAL_TWAP_S),
                manager.function("getPriceFeedDecimals").call(self._contracts.collateral_manager, token),
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
        with needed(f"perp_curie: {what} at block {block.number}"):
            return answered(self._rpc.eth_calls(calls, block))

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
            decimals = self.constant(token, BASE_TOKEN, "decimals")
            try:
                name = str(symbol.values(raw)[0])
            except (DecodingError, ValueError):  # some tokens answer bytes32; a name decides nothing
                name = token
            self._token_facts[token] = (name, decimals)
        return self._token_facts[token]

    def constant(self, to: str, path: str, name: str) -> int:
        (raw,) = self._required([interface(path).function(name).call(to)], self._rpc.block(), f"{name} of {to}")
        with needed(f"perp_curie: {name} of {to}"):
            return uint_at(raw, 0)

    def _address(self, to: str, path: str, name: str) -> str:
        (raw,) = self._required([interface(path).function(name).call(to)], self._rpc.block(), f"{name} of {to}")
        with needed(f"perp_curie: {name} of {to}"):
            return address_at(raw)


def contracts_of(rpc: Rpc, clearing_house: str) -> Contracts:
    """Ask the clearing house for the others. Raises ReadError when it is not one."""
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
