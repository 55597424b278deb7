"""A reference market with an executor on Anvil: real Uniswap v3 pool, a settlement token that lends itself (ERC-3156).

One account, long of ETH and margined in WETH, is below MM once ETH has fallen by FALLEN; nobody has said so yet.
"""

import json
from dataclasses import dataclass, replace
from math import isqrt
from pathlib import Path

from eth_account import Account
from reference_market import KEEPER, MAKER, OWNER, REPORTERS, TRADERS, USDC, WAD, Market, Wish, named, open_market

from keeper.abi import address_at, interface
from keeper.chain import Call
from keeper.demo.transactions import FUNDS, Batch, call
from keeper.reference.artifacts import creation_code
from keeper.reference.board import DAY, WETH, Board, Collateral, Token, Underlying, margin_of, scan_of
from keeper.reference.reports import observation
from keeper.rpc import Rpc
from keeper.twin.records import Instrument
from keeper.venues.executor_jobs import EXECUTOR, Job, Step
from keeper.venues.portfolio import account_id

PRICE = 3_000 * WAD
FALLEN = PRICE * 93 // 100
POOL_PRICE = FALLEN * 101 // 100  # a pool that follows the fall late, so that there is a profit
FEE_PPM, SPACING, LAST_TICK = 500, 10, 887_270
DEPTH = 20_000  # WETH on either side
CREATE_GAS, CALL_GAS = 8_000_000, 6_000_000
CORE = Path(__file__).parents[2] / "node_modules/@uniswap/v3-core/artifacts/contracts"
WEAK, RECEIVER = TRADERS[0], Account.from_key("0x" + "7c" * 32)
LONG, PLEDGED = 20 * WAD, 5 * WAD
CASH = 3_600 * USDC
MARGIN = replace(margin_of(10_000 * WAD), im_scalar=10_000, mm_scalar=10_000)  # equal, so that a small fall is enough
CAPITAL = 40_000 * USDC
"""In the receiver's account: what is taken needs margin when the borrowed part has gone back."""
FOREVER = 2**40 - 1
CALLS = {"reference/Auctions": ("take",), "reference/MarginVenue": ("withdraw", "deposit")}
"""What the receiver's account lets the executor do."""


def board(settlement: str) -> Board:
    return Board(
        settlement=Token("Flash dollar", "USDF", 6, settlement),
        underlyings=(Underlying("ETH", PRICE, scan_of(15), MARGIN, expiries=(7 * DAY,), strikes=(900, 1_000)),),
        collaterals=(Collateral(WETH, 0, 1_000, 10**24),),
    )


@dataclass
class ExecutorMarket:
    """The market, and where executor and pool are."""

    url: str
    market: Market
    executor: str = ""
    pool: str = ""

    @property
    def rpc(self) -> Rpc:
        return self.market.rpc

    @property
    def dollar(self) -> str:
        return self.market.manifest.contracts.settlement_token

    @property
    def weth(self) -> str:
        return self.market.manifest.collaterals[0]

    @property
    def tokens(self) -> tuple[str, ...]:
        return self.dollar, self.weth

    def balance(self, token: str, of: str) -> int:
        return int(self.asked(call(token, "balanceOf(address)", of)), 16)

    def allowance(self, token: str, spender: str) -> int:
        return int(self.asked(call(token, "allowance(address,address)", self.executor, spender)), 16)

    def asked(self, message: Call, sender: str = OWNER) -> str:
        """Return what a call answers at the newest block. Raises RpcRefusal where it reverts."""
        fields = {"from": sender, "to": message.to, "data": "0x" + message.data.hex(), "gas": hex(25_000_000)}
        return str(self.rpc.call("eth_call", fields, "latest"))

    def fallen(self) -> Call:
        """Return the signed report of the fall at the next block's time."""
        at = self.market.at
        last = self.market.state().world.underlyings[0].report
        seen = observation(last, 0, at, FALLEN, FALLEN // 2_000)
        contracts = self.market.manifest.contracts
        return REPORTERS.reports(contracts.prices, self.market.manifest.chain_id, [seen])


def job(at: ExecutorMarket, *steps: Step) -> Job:
    return Job(at.dollar, FOREVER, steps, at.tokens)


def open_executor_market(url: str) -> ExecutorMarket:
    rpc = Rpc(url, timeout_s=60.0)
    batch = Batch(rpc)
    dollar = batch.create(OWNER, creation_code("demo_test/FlashMintToken", "Flash dollar", "USDF"), "create USDF")
    batch.mine()
    market = open_market(rpc, board(dollar))
    at, batch = ExecutorMarket(url, market), market.batch
    factory = batch.create(OWNER, _uniswap("UniswapV3Factory"), "create factory", gas=CREATE_GAS)
    batch.mine()
    at.pool = _pool(at, batch, factory)
    at.executor = _executor(at, batch, factory)
    _fill(at, batch)
    for key in (KEEPER, RECEIVER):
        rpc.call("anvil_setBalance", key.address, hex(FUNDS))
    return at


def _uniswap(name: str) -> bytes:
    return bytes.fromhex(json.loads((CORE / f"{name}.sol/{name}.json").read_text())["bytecode"][2:])


def _pool(at: ExecutorMarket, batch: Batch, factory: str) -> str:
    """Create the pool of both tokens at POOL_PRICE, as deep over the whole range as DEPTH says."""
    batch.add(OWNER, call(factory, "createPool(address,address,uint24)", *at.tokens, FEE_PPM), "pool", gas=CALL_GAS)
    batch.mine()
    asked = at.asked(call(factory, "getPool(address,address,uint24)", *at.tokens, FEE_PPM))
    pool = address_at(bytes.fromhex(asked[2:]))
    dollars, ether = POOL_PRICE * DEPTH // 10**12, DEPTH * WAD
    first, second = (ether, dollars) if int(at.weth, 16) < int(at.dollar, 16) else (dollars, ether)
    batch.add(OWNER, call(pool, "initialize(uint160)", isqrt((second << 192) // first)), "initialise")
    funder = batch.create(OWNER, creation_code("demo_test/PoolFunder"), "create funder")
    for token, amount in zip(at.tokens, (2 * dollars, 2 * ether), strict=True):
        batch.add(OWNER, call(token, "mint(address,uint256)", funder, amount), "mint for the pool")
    ticks = (-LAST_TICK // SPACING * SPACING, LAST_TICK // SPACING * SPACING)
    fund = call(funder, "fund(address,int24,int24,uint128)", pool, *ticks, isqrt(first * second))
    batch.add(OWNER, fund, "fund the pool")
    batch.mine()
    return pool


def _executor(at: ExecutorMarket, batch: Batch, factory: str) -> str:
    """Deploy it with the keeper as operator and one relay, let it sell WETH and publish under a bond of its own."""
    c = at.market.manifest.contracts
    peers = (c.venue, c.auctions, c.risk_arrays, c.products, c.settlement_token, factory, c.settlement_token)
    relays = [(c.prices, interface("keeper/PriceRelay").function("relayMany").selector)]
    code = creation_code(EXECUTOR, OWNER, KEEPER.address, RECEIVER.address, peers, relays)
    executor = batch.create(OWNER, code, "create executor", gas=CREATE_GAS)
    terms, bond = interface(EXECUTOR), at.market.board.limits.bond
    batch.add(OWNER, terms.function("allowPool").packed(executor, at.pool, at.weth, True), "allow the pool")
    publisher = interface("reference/RiskArrays").function("setPublisher")
    batch.add(OWNER, publisher.packed(c.risk_arrays, executor, True), "allow the publisher")
    batch.add(OWNER, call(at.dollar, "mint(address,uint256)", OWNER, bond), "mint the bond")
    batch.add(OWNER, call(at.dollar, "approve(address,uint256)", executor, bond), "approve the bond")
    batch.add(OWNER, terms.function("bond").packed(executor, bond), "bond")
    for contract, names in CALLS.items():
        for name in names:
            grant = interface("reference/MarginVenue").function("setDelegate")
            selector = interface(contract).function(name).selector
            message = grant.packed(c.venue, account_id(named(RECEIVER)), executor, selector, FOREVER)
            batch.add(RECEIVER.address, message, f"delegate {name}")
    batch.mine()
    return executor


def _fill(at: ExecutorMarket, batch: Batch) -> None:
    """Give the receiver his capital, the weak account its pledge and its position, the maker the other side."""
    market, c = at.market, at.market.manifest.contracts
    market.deposit(named(MAKER), 10_000_000 * USDC)
    market.deposit(named(RECEIVER), CAPITAL)
    market.deposit(named(WEAK), CASH)
    market.mine()
    batch.add(OWNER, call(at.weth, "mint(address,uint256)", WEAK.address, PLEDGED), "mint the pledge")
    batch.add(WEAK.address, call(at.weth, "approve(address,uint256)", c.venue, PLEDGED), "approve the pledge")
    pledge = interface("reference/MarginVenue").function("deposit").packed(c.venue, account_id(named(WEAK)), 1, PLEDGED)
    batch.add(WEAK.address, pledge, "pledge")
    batch.mine()
    market.trade(Wish(named(WEAK), WEAK, ((Instrument(0), LONG),), 1.0), named(MAKER), market.state().world)
    market.mine()
