"""A reference venue with traders on Anvil, for the tests that need one: deployed, funded and traded on."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from eth_account import Account
from eth_account.signers.local import LocalAccount

from keeper.abi import interface
from keeper.chain import Block
from keeper.demo.transactions import Batch, role
from keeper.publish import Publishing, publications
from keeper.reference.board import DEMO, Board
from keeper.reference.deploy import deploy, enlist
from keeper.reference.manifest import Manifest
from keeper.reference.orders import Order, domain_of, match, signed
from keeper.reference.reports import Reporters, observation
from keeper.rpc import Rpc
from keeper.twin.margin import by_arrays, mark_of
from keeper.twin.records import Book, Instrument, Leg, Slice
from keeper.twin.world import World
from keeper.venues.portfolio import PortfolioState, account_id, account_name
from keeper.venues.reference import Reference

WAD = 10**18
USDC = 10**6
OWNER = role("reference owner")
REPORTERS = Reporters.named("reference market")
FOREVER = 2**40 - 1
FUND = 1
"""The insurance fund's account."""
MAKER: LocalAccount = Account.from_key("0x" + "3a" * 32)
KEEPER: LocalAccount = Account.from_key("0x" + "4e" * 32)
TRADERS: tuple[LocalAccount, ...] = tuple(Account.from_key(f"0x{n:064x}") for n in range(0x7001, 0x7009))


@dataclass(frozen=True, slots=True)
class Wish:
    """What one account is to hold, and with how much cash against its initial margin."""

    name: str
    key: LocalAccount
    legs: tuple[tuple[Instrument, int], ...]
    cover: float  # deposit ÷ IM of the legs


@dataclass
class Market:
    """A deployed venue, its owner's hand, and its publisher's."""

    rpc: Rpc
    manifest: Manifest
    board: Board
    batch: Batch
    venue: Reference
    matched: int = 0

    # --- what the world is -----------------------------------------------------------------------------

    def state(self, accounts: Sequence[str] = ()) -> PortfolioState:
        return self.venue.read(self.rpc.block(), accounts, KEEPER.address)

    def option(self, underlying: int, expiry_row: int, strike_row: int, *, is_call: bool) -> Instrument:
        listed = self.manifest.underlyings[underlying]
        index = 2 * strike_row + (not is_call)
        return Instrument(underlying, listed.expiries[expiry_row], listed.strikes[strike_row], is_call, index)

    # --- what signers say ----------------------------------------------------------------------------

    def report(self, prices: Sequence[int], *, fit: bool = False) -> None:
        """Queue a report of every underlying at the next block's time, and with `fit` a slice of every expiry."""
        now = self.at
        state = self.state()
        known = state.world.underlyings
        seen = [observation(known[u].report, 0, now, price, price // 2_000) for u, price in enumerate(prices)]
        call = REPORTERS.reports(self.manifest.contracts.prices, self.manifest.chain_id, seen)
        self.batch.add(OWNER, call, "report", gas=3_000_000)
        if fit:
            slices = [
                self._slice(u, expiry, now, prices[u])
                for u, of in enumerate(self.manifest.underlyings)
                for expiry in of.expiries
            ]
            self.fit(slices)

    def fit(self, slices: Sequence[Slice]) -> None:
        """Queue signed slices."""
        call = REPORTERS.slices(self.manifest.contracts.surface, self.manifest.chain_id, slices)
        self.batch.add(OWNER, call, "fit", gas=10_000_000)

    def _slice(self, underlying: int, expiry: int, now: int, price: int) -> Slice:
        smile = self.board.underlyings[underlying].smile
        forward = price * smile.forward // WAD
        return Slice(underlying, expiry, now, forward, price, smile.a, smile.b, smile.rho, smile.m, smile.s)

    at: int = 0
    """Time of the next block, seconds."""

    def next_block(self, after_s: int) -> None:
        self.at = self.rpc.block().timestamp + after_s
        self.rpc.call("evm_setNextBlockTimestamp", hex(self.at))

    def mine(self) -> Block:
        self.batch.mine()
        return self.rpc.block()

    def steward(self) -> str:
        """Return who may change parameters: the owner, where the deployment has named nobody."""
        if self.venue.steward is not None:
            return self.venue.steward
        wire = interface("reference/Products").function("wireSteward")
        self.batch.add(OWNER, wire.packed(self.manifest.contracts.products, OWNER), "wire steward")
        return OWNER

    # --- what its publisher and traders do -------------------------------------------------------------

    def publish(self) -> None:
        """Publish every epoch on the newest reports, in one block."""
        state = self.state()
        plans, _ = publications(state, Publishing(on=True, after_move=0, after_shift=0, after_seconds=0), 3)
        for plan in plans:
            call = self.venue.encode(plan)
            self.batch.add(KEEPER.address, call, plan.why, gas=call.gas or 0)
        self.batch.mine()

    def deposit(self, name: str, usd: int) -> None:
        """Queue the owner's deposit of so many base units of the settlement token: a stranger may bring cash."""
        self._deposit(account_id(name), usd)

    def fund(self, usd: int) -> None:
        """Queue a deposit into the insurance fund."""
        self._deposit(FUND, usd)

    def _deposit(self, account: int, usd: int) -> None:
        c = self.manifest.contracts
        mint = interface("demo/MintableToken").function("mint").packed(c.settlement_token, OWNER, usd)
        self.batch.add(OWNER, mint, "mint", gas=100_000)
        message = interface("reference/MarginVenue").function("deposit").packed(c.venue, account, 0, usd)
        self.batch.add(OWNER, message, f"deposit for {account:#x}", gas=300_000)

    def trade(self, wish: Wish, maker: str, world: World) -> None:
        """Queue matches that give `wish` its legs at their marks, against the maker."""
        venue, domain = self.manifest.contracts.venue, domain_of(self.manifest.contracts.venue, self.manifest.chain_id)
        for instrument, size in wish.legs:
            price = mark_of(instrument, world)
            buyer, seller = ((wish.name, wish.key), (maker, MAKER))[:: 1 if size > 0 else -1]
            self.matched += 1
            buy = Order(account_id(buyer[0]), instrument.id, abs(size), 2**128 - 1, self.matched, FOREVER)
            sell = Order(account_id(seller[0]), instrument.id, -abs(size), 0, self.matched, FOREVER)
            signatures = signed(buy, domain, buyer[1]), signed(sell, domain, seller[1])
            call = match(venue, buy, signatures[0], sell, signatures[1], price)
            self.batch.add(OWNER, call, f"match {wish.name} {instrument}", gas=6_000_000)


def open_market(rpc: Rpc, board: Board = DEMO) -> Market:
    """Deploy `board`, enlist the keeper as publisher, publish, let a challenge window pass and publish again."""
    batch = Batch(rpc)
    manifest = deploy(rpc, batch, OWNER, board, REPORTERS)
    market = Market(rpc, manifest, board, batch, Reference(rpc, manifest.contracts.venue))
    mint = interface("demo/MintableToken").function("mint")
    token, bond = manifest.contracts.settlement_token, board.limits.bond
    batch.add(OWNER, mint.packed(token, KEEPER.address, bond), "mint the bond", gas=100_000)
    approve = interface("demo/MintableToken").function("approve")
    batch.add(OWNER, approve.packed(token, manifest.contracts.venue, 2**256 - 1), "approve", gas=100_000)
    enlist(batch, manifest, KEEPER.address, bond)
    batch.mine()
    market.publish()
    market.next_block(board.limits.challenge_window + 1)
    market.report([u.price for u in board.underlyings], fit=True)
    market.mine()
    market.publish()
    return market


def fill(market: Market, wishes: Sequence[Wish], makers: Sequence[str]) -> None:
    """Deposit for and trade every wish; the makers hold the other side, rich."""
    world = market.state().world
    for maker in makers:
        market.deposit(maker, 500_000_000 * USDC)
    for wish in wishes:
        market.deposit(wish.name, deposit_of(wish, world))
    market.mine()
    for row, wish in enumerate(wishes):
        market.trade(wish, makers[row % len(makers)], world)
    market.mine()


def deposit_of(wish: Wish, world: World) -> int:
    """Return the base units of cash that are `cover` times the legs' initial margin by the published arrays."""
    book = Book(0, tuple(Leg(instrument, size) for instrument, size in wish.legs))
    im = by_arrays(book, world).im
    return round(im * wish.cover) // 10**12 + USDC


def write_config(folder: Path, url: str, market: Market, takers: Sequence[str], **changes: str) -> Path:
    """Write a keeper's configuration for this venue and return its path."""
    path = folder / "keeper.toml"
    names = ", ".join(f'"{name}"' for name in takers)
    settings = {"publish": "true", "mode": "live"} | changes
    path.write_text(
        f"""
[chain]
rpc_url = "{url}"
chain_id = {market.manifest.chain_id}
confirmations = 0

[venue]
name = "reference"
clearing_house = "{market.manifest.contracts.venue}"
start_block = {market.manifest.start_block}

[policy]
max_liquidations_per_tick = 100

[portfolio]
take = true
takers = [{names}]
publish = {settings["publish"]}
publish_after_move = 0.5
publish_after_seconds = 600

[signer]
mode = "{settings["mode"]}"
keystore = "{folder / "keystore.json"}"
address = "{KEEPER.address}"
max_gas = 12000000
max_fee_gwei = 200.0
tip_gwei = 2.0
max_transactions_per_block = 100

[journal]
url = "sqlite:///{folder / "keeper.db"}"
"""
    )
    return path


def named(key: LocalAccount, sub: int = 0) -> str:
    return account_name(int(key.address, 16) << 96 | sub, key.address)
