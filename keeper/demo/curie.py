"""Perp Curie deployed on Anvil from the bytecode its authors published on npm.

One market (BTC), USDC as settlement token, WETH as second collateral, each priced by the real
ChainlinkPriceFeedV3 over an aggregator whose answers the demo sets. The keeper ends up owning
CollateralManager and ClearingHouseConfig, whose parameters it may change.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eth_abi.abi import encode
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak

from keeper.abi import ABIS
from keeper.demo.anvil import REPO
from keeper.demo.deployment import Collateral, Contracts, Deployment, Market
from keeper.demo.path import BTC_MARCH_2020, FEED_DECIMALS, eth_usd, to_feed
from keeper.demo.pool import FOREVER, sqrt_price_x96
from keeper.demo.transactions import CREATE_GAS, Batch, call, role
from keeper.errors import KeeperError
from keeper.rpc import Rpc

NODE_MODULES = REPO / "node_modules"
CURIE = "@perp/curie-contract"
ORACLE = "@perp/perp-oracle-contract"
UNISWAP = "@uniswap/v3-core"

DEPLOYER = role("deployer")
"""Owns the tokens, the aggregators and whatever the keeper does not; mints and deposits for everybody."""

USDC_DECIMALS = 6
USDC = 10**USDC_DECIMALS
FEED_TIMEOUT_S = 3_600
FEED_TWAP_S = 900
UNISWAP_FEE_PPM = 3_000
EXCHANGE_FEE_PPM = 1_000
INSURANCE_FEE_PPM = 100_000  # of the exchange fee
MAX_TICKS_A_BLOCK = 1_000
MAX_SPREAD_PPM = 500_000
OBSERVATIONS = 500
SETTER_GAS = 400_000
OBSERVATIONS_GAS = 15_000_000
QUIET_SECONDS = 2_400
"""Chain time that passes before the first trade; Curie's mark needs 30 minutes of pool history."""

COLLATERAL_PPM = 700_000
DISCOUNT_PPM = 100_000
WETH_CAP = 10**9 * 10**18

CURIE_CONTRACTS = {
    "clearing_house": "ClearingHouse",
    "vault": "Vault",
    "exchange": "Exchange",
    "account_balance": "AccountBalance",
    "clearing_house_config": "ClearingHouseConfig",
    "collateral_manager": "CollateralManager",
    "order_book": "OrderBook",
    "market_registry": "MarketRegistry",
    "insurance_fund": "InsuranceFund",
}
"""Field of Contracts → name of the published artifact."""


class MissingArtifact(KeeperError):
    """The npm packages with the published bytecode are not installed."""


@dataclass(frozen=True, slots=True)
class CollateralRules:
    """CollateralManager's parameters: parts per million, USDC base units, a count."""

    max_tokens_per_account: int = 20
    debt_to_collateral_ppm: int = 900_000
    liquidation_ppm: int = 500_000
    mm_buffer_ppm: int = 20_000
    insurance_fee_ppm: int = 12_500
    debt_threshold: int = 1_000_000 * USDC
    dust: int = 500 * USDC


def deploy(
    rpc_url: str,
    *,
    keeper_address: str,
    keeper_deposit: int = 20_000_000 * USDC,
    insurance_fund: int = 2_000_000 * USDC,
    btc_usd: float = BTC_MARCH_2020[0][1],
    node_modules: Path = NODE_MODULES,
) -> Deployment:
    """Deploy, configure and fund Curie; amounts in USDC base units (6 decimals).

    With `insurance_fund` 0 a liquidation that leaves bad debt reverts with CH_IIC. `accounts` stays empty.
    """
    rpc = Rpc(rpc_url, timeout_s=60.0)
    start_block = rpc.block().number + 1
    builder = _Builder(Batch(rpc), node_modules, btc_usd)
    deployment = builder.world(rpc.chain_id(), start_block, keeper_address)
    builder.configure(deployment)
    builder.fund(deployment, keeper_deposit, insurance_fund)
    builder.batch.mine()
    _let_time_pass(rpc, QUIET_SECONDS)
    push_prices(builder.batch, deployment, btc_usd)
    builder.batch.mine()
    _hand_over(rpc, builder.batch, deployment)
    return deployment


def push_prices(batch: Batch, deployment: Deployment, btc_usd: float) -> None:
    """Queue new BTC and ether answers, and the feeds' own note of them, which their TWAPs are made of.

    The note is optional: a trade in the same block may have taken it already, and then it reverts with CPF_NU.
    """
    market, collateral = deployment.markets[0], deployment.collaterals[0]
    for held, price in ((market, btc_usd), (collateral, eth_usd(btc_usd))):
        push = call(held.aggregator, "push(int256)", to_feed(price))
        batch.add(DEPLOYER, push, f"push {held.name} {price:.2f}", gas=150_000)
        note = call(held.price_feed, "update()")
        batch.add(DEPLOYER, note, f"note {held.name} {price:.2f}", gas=300_000, optional=True)


def deposit(batch: Batch, deployment: Deployment, account: str, amount: int) -> None:
    """Queue a deposit of `amount` USDC base units for `account`, minted to and paid by the deployer."""
    contracts = deployment.contracts
    batch.add(DEPLOYER, call(contracts.usdc, "mint(address,uint256)", DEPLOYER, amount), "mint USDC", gas=120_000)
    message = call(contracts.vault, "depositFor(address,address,uint256)", account, contracts.usdc, amount)
    batch.add(DEPLOYER, message, f"deposit {amount} for {account}", gas=400_000)


class _Builder:
    """Queues the deployment: creations first, because every later address follows from the nonces."""

    def __init__(self, batch: Batch, node_modules: Path, btc_usd: float) -> None:
        self.batch = batch
        self._node_modules = node_modules
        self._btc_usd = btc_usd

    def world(self, chain_id: int, start_block: int, keeper_address: str) -> Deployment:
        """Queue every creation; returns where everything will be."""
        factory = self._create(UNISWAP, "UniswapV3Factory")
        usdc = self._own("MintableToken", ["string", "string", "uint8"], "USD Coin", "USDC", 6)
        weth = self._own("MintableToken", ["string", "string", "uint8"], "Wrapped Ether", "WETH", 18)
        btc_aggregator, btc_feed = self._feed("BTC / USD", self._btc_usd)
        eth_aggregator, eth_feed = self._feed("ETH / USD", eth_usd(self._btc_usd))
        base, quote = self._tokens(btc_feed)
        contracts = Contracts(
            **{field: self._create(CURIE, name) for field, name in CURIE_CONTRACTS.items()},
            usdc=usdc, quote_token=quote, uniswap_factory=factory,
        )  # fmt: skip
        pool = self._pool_address(factory, base, quote)
        return Deployment(
            chain_id=chain_id,
            start_block=start_block,
            contracts=contracts,
            markets=(Market("BTC", base, pool, btc_aggregator, btc_feed),),
            collaterals=(Collateral("WETH", weth, 18, eth_aggregator, eth_feed),),
            accounts=(),
            market_maker=role("market maker"),
            arbitrageur=role("arbitrageur"),
            keeper=to_checksum_address(keeper_address),
        )

    def configure(self, deployment: Deployment) -> None:
        """Queue initialisers, links between the contracts, the pool and the market's limits."""
        self._initialise(deployment.contracts)
        self._link(deployment.contracts)
        self._open_market(deployment.contracts, deployment.markets[0])
        weth = deployment.collaterals[0]
        config = (weth.price_feed, COLLATERAL_PPM, DISCOUNT_PPM, WETH_CAP)
        signature = "addCollateral(address,(address,uint24,uint24,uint256))"
        self._do(deployment.contracts.collateral_manager, signature, weth.token, config)

    def fund(self, deployment: Deployment, keeper_deposit: int, insurance_fund: int) -> None:
        """Queue approvals, the insurance fund's own USDC and the keeper's deposit."""
        contracts, weth = deployment.contracts, deployment.collaterals[0].token
        for token in (contracts.usdc, weth):
            self._do(token, "approve(address,uint256)", contracts.vault, FOREVER)
        if insurance_fund:
            self._do(contracts.usdc, "mint(address,uint256)", contracts.insurance_fund, insurance_fund)
        if keeper_deposit:
            deposit(self.batch, deployment, deployment.keeper, keeper_deposit)

    # --- parts of it -------------------------------------------------------------------------------

    def _feed(self, description: str, price_usd: float) -> tuple[str, str]:
        """Queue an aggregator with a first answer and the ChainlinkPriceFeedV3 reading it."""
        aggregator = self._own("SettableAggregator", ["string", "uint8"], description, FEED_DECIMALS)
        self._do(aggregator, "push(int256)", to_feed(price_usd))
        types = ["address", "uint256", "uint80"]
        feed = self._create(ORACLE, "ChainlinkPriceFeedV3", types, aggregator, FEED_TIMEOUT_S, FEED_TWAP_S)
        self._do(feed, "update()")
        return aggregator, feed

    def _tokens(self, feed: str) -> tuple[str, str]:
        """Queue dispatcher, base and quote token; the base token takes the lower address, as Curie demands."""
        dispatcher = self._create(ORACLE, "PriceFeedDispatcher", ["address"], feed)
        self._do(dispatcher, "dispatchPrice(uint256)", 0)
        base_first = int(self.batch.next_address(DEPLOYER), 16) < int(self.batch.next_address(DEPLOYER, 1), 16)
        order = ("BaseToken", "QuoteToken") if base_first else ("QuoteToken", "BaseToken")
        made = {name: self._create(CURIE, name) for name in order}
        base, quote = made["BaseToken"], made["QuoteToken"]
        self._do(quote, "initialize(string,string)", "vUSD", "vUSD")
        self._do(base, "initialize(string,string,address)", "vBTC", "vBTC", dispatcher)
        return base, quote

    def _initialise(self, c: Contracts) -> None:
        rules = CollateralRules()
        self._do(c.clearing_house_config, "initialize()")
        self._do(c.market_registry, "initialize(address,address)", c.uniswap_factory, c.quote_token)
        self._do(c.order_book, "initialize(address)", c.market_registry)
        arguments = (c.market_registry, c.order_book, c.clearing_house_config)
        self._do(c.exchange, "initialize(address,address,address)", *arguments)
        self._do(c.order_book, "setExchange(address)", c.exchange)
        self._do(c.insurance_fund, "initialize(address)", c.usdc)
        self._do(c.account_balance, "initialize(address,address)", c.clearing_house_config, c.order_book)
        vault = (c.insurance_fund, c.clearing_house_config, c.account_balance, c.exchange)
        self._do(c.vault, "initialize(address,address,address,address)", *vault)
        signature = "initialize(address,address,uint8,uint24,uint24,uint24,uint24,uint256,uint256)"
        numbers = (
            rules.max_tokens_per_account, rules.debt_to_collateral_ppm, rules.liquidation_ppm, rules.mm_buffer_ppm,
            rules.insurance_fee_ppm, rules.debt_threshold, rules.dust,
        )  # fmt: skip
        self._do(c.collateral_manager, signature, c.clearing_house_config, c.vault, *numbers)
        house = (
            c.clearing_house_config, c.vault, c.quote_token, c.uniswap_factory, c.exchange, c.account_balance,
            c.insurance_fund,
        )  # fmt: skip
        self._do(c.clearing_house, "initialize(address,address,address,address,address,address,address)", *house)

    def _link(self, c: Contracts) -> None:
        self._do(c.clearing_house_config, "setSettlementTokenBalanceCap(uint256)", FOREVER)
        self._do(c.insurance_fund, "setVault(address)", c.vault)
        self._do(c.exchange, "setAccountBalance(address)", c.account_balance)
        self._do(c.account_balance, "setVault(address)", c.vault)
        self._do(c.vault, "setCollateralManager(address)", c.collateral_manager)
        for callee in (c.market_registry, c.order_book, c.exchange, c.account_balance, c.vault):
            self._do(callee, "setClearingHouse(address)", c.clearing_house)

    def _open_market(self, c: Contracts, market: Market) -> None:
        base, pool = market.base_token, market.pool
        pair = (base, c.quote_token, UNISWAP_FEE_PPM)
        self._do(c.uniswap_factory, "createPool(address,address,uint24)", *pair, gas=CREATE_GAS)
        self._do(pool, "initialize(uint160)", sqrt_price_x96(self._btc_usd))
        self._do(pool, "increaseObservationCardinalityNext(uint16)", OBSERVATIONS, gas=OBSERVATIONS_GAS)
        for token in (base, c.quote_token):
            for holder in (c.clearing_house, pool):
                self._do(token, "addWhitelist(address)", holder)
            self._do(token, "mintMaximumTo(address)", c.clearing_house)
        self._do(c.market_registry, "addPool(address,uint24)", base, UNISWAP_FEE_PPM)
        self._do(c.market_registry, "setFeeRatio(address,uint24)", base, EXCHANGE_FEE_PPM)
        self._do(c.market_registry, "setInsuranceFundFeeRatio(address,uint24)", base, INSURANCE_FEE_PPM)
        self._do(c.market_registry, "setMarketMaxPriceSpreadRatio(address,uint24)", base, MAX_SPREAD_PPM)
        self._do(c.exchange, "setMaxTickCrossedWithinBlock(address,uint24)", base, MAX_TICKS_A_BLOCK)

    # --- single transactions -----------------------------------------------------------------------

    def _do(self, to: str, signature: str, *arguments: Any, gas: int = SETTER_GAS) -> None:
        self.batch.add(DEPLOYER, call(to, signature, *arguments), f"{to}.{signature}", gas=gas)

    def _create(self, package: str, name: str, types: Sequence[str] = (), *arguments: Any) -> str:
        artifact = self._artifact(self._node_modules / package / "artifacts/contracts" / f"{name}.sol" / f"{name}.json")
        return self._create_from(artifact, name, types, arguments)

    def _own(self, name: str, types: Sequence[str], *arguments: Any) -> str:
        return self._create_from(self._artifact(ABIS / "demo" / f"{name}.json"), name, types, arguments)

    def _create_from(self, artifact: bytes, name: str, types: Sequence[str], arguments: Sequence[Any]) -> str:
        return self.batch.create(DEPLOYER, artifact + encode(types, arguments), f"create {name}")

    def _artifact(self, path: Path) -> bytes:
        """Return the creation bytecode in a Hardhat artifact or in one of our own files."""
        if not path.exists():
            raise MissingArtifact(f"expected published bytecode at {path}, found no file; run 'make setup' or 'npm ci'")
        return bytes.fromhex(json.loads(path.read_text())["bytecode"][2:])

    def _pool_address(self, factory: str, base: str, quote: str) -> str:
        """Return where the factory's CREATE2 puts the pool (PoolAddress.sol in Uniswap's v3-periphery)."""
        artifact = "artifacts/contracts/UniswapV3Pool.sol/UniswapV3Pool.json"
        code_hash = keccak(self._artifact(self._node_modules / UNISWAP / artifact))
        salt = keccak(encode(["address", "address", "uint24"], [base, quote, UNISWAP_FEE_PPM]))
        return to_checksum_address(keccak(b"\xff" + bytes.fromhex(factory[2:]) + salt + code_hash)[12:])


def _let_time_pass(rpc: Rpc, seconds: int) -> None:
    rpc.call("evm_increaseTime", seconds)
    rpc.call("evm_mine")


def _hand_over(rpc: Rpc, batch: Batch, deployment: Deployment) -> None:
    """Make the keeper owner of what it may change, in Curie's two steps, and leave it ether but no impersonation."""
    contracts = deployment.contracts
    owned = (contracts.collateral_manager, contracts.clearing_house_config)
    for contract in owned:
        batch.add(DEPLOYER, call(contract, "setOwner(address)", deployment.keeper), f"{contract}.setOwner")
    for contract in owned:
        batch.add(deployment.keeper, call(contract, "updateOwner()"), f"{contract}.updateOwner")
    batch.mine()
    rpc.call("anvil_stopImpersonatingAccount", deployment.keeper)
