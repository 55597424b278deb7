"""The demo's reference venue before the first hour of the path: deployed, reported, published, funded, traded on.

The keeper's address publishes the first arrays; from then on its process does. The makers are rich and hold the other
side, each of one expiry's options or one underlying's perpetual, so that no book becomes large.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from eth_account import Account
from eth_account.signers.local import LocalAccount

from keeper.abi import interface, keccak256
from keeper.chain import Call
from keeper.demo.reference_board import board_at
from keeper.demo.reference_book import TRADERS, Wish, wishes
from keeper.demo.reference_reports import REPORTERS, Sources
from keeper.demo.reference_scene import Scene
from keeper.demo.transactions import Batch, role
from keeper.publish import Publishing, publications
from keeper.reference.board import Board, Steward
from keeper.reference.deploy import deploy, enlist
from keeper.reference.manifest import Manifest
from keeper.reference.orders import VENUE, Order, domain_of, signed
from keeper.rpc import Rpc
from keeper.twin.margin import by_arrays, mark_of
from keeper.twin.records import Book, Holding, Instrument, Leg
from keeper.twin.world import World
from keeper.venues import reference_steward
from keeper.venues.portfolio import PortfolioState, account_id, account_name
from keeper.venues.reference import Reference

WAD = 10**18
USDC = 10**6
CASH, FUND = 0, 1
"""The settlement token's number as an asset, the insurance fund's as an account."""
FUND_USD, MAKER_USD, TAKER_USD = 2_000_000, 500_000_000, 25_000_000
TAKERS = 20
SUBS = 16  # accounts of one owner
FOREVER = 2**40 - 1
ANY_PRICE = 2**128 - 1
MATCH_GAS, DEPOSIT_GAS, TERMS_GAS, RELAY_GAS, TOKEN_GAS = 6_000_000, 400_000, 400_000, 10_000_000, 100_000
EVERYTHING = Publishing(on=True, after_move=0, after_shift=0, after_seconds=0)
TOKEN_STEPS = 40
"""A deposited coin asks for margin of its own: so often is its amount found anew."""

STEERED = ("im_scalar:0", "im_scalar:1")
"""What the keeper moves with volatility: IM of both coins, at once. MM stays, so nobody is liquidated by it."""
TERMS = (12_500, 20_000, 500, 3_600)
"""Least and most, BPS; largest step; least time between two, seconds."""

OWNER = role("reference owner")
DRIVER = role("reference driver")


def open_scene(rpc: Rpc, keeper: str, traders: int = TRADERS) -> Scene:
    """Build the whole world and return who is there. Raises TransactionFailed with the first thing refused."""
    board = replace(board_at(rpc.block().timestamp), steward=Steward(controller=keeper))
    batch = Batch(rpc)
    opening = _Opening(rpc, batch, board, deploy(rpc, batch, OWNER, board, REPORTERS), keeper)
    opening.enlist()
    opening.set_terms()
    opening.publish()
    for _ in range(2):  # so that newest and settled arrays both rest on the sources' surfaces
        opening.report()
        opening.publish()
    return opening.open_book(traders)


def key_of(name: str) -> LocalAccount:
    """Return a key that is no secret, the same for the same name."""
    found: LocalAccount = Account.from_key(keccak256(f"keeper demo: {name}".encode()))
    return found


def subs(owner: str, count: int) -> tuple[str, ...]:
    """Return the names of an owner's first accounts."""
    return tuple(account_name(int(owner, 16) << 96 | sub, owner) for sub in range(count))


@dataclass
class _Opening:
    rpc: Rpc
    batch: Batch
    board: Board
    manifest: Manifest
    keeper: str
    _approved: set[tuple[str, int]] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._venue = Reference(self.rpc, self.manifest.contracts.venue)
        self._tokens = (self.manifest.contracts.settlement_token, *self.manifest.collaterals)

    def state(self) -> PortfolioState:
        return self._venue.read(self.rpc.block(), [], self.keeper)

    # --- prices and arrays -----------------------------------------------------------------------------

    def enlist(self) -> None:
        bond = self.board.limits.bond
        self._mint(CASH, self.keeper, bond)
        enlist(self.batch, self.manifest, self.keeper, bond)
        self.batch.mine()

    def set_terms(self) -> None:
        """Say within what bounds and in which steps the keeper may move what it steers."""
        (steward,) = (created.address for created in self.manifest.deployed if created.name == "steward")
        set_terms = interface(reference_steward.STEWARD).function("setTerms")
        for name in STEERED:
            call = set_terms.packed(steward, *reference_steward.key_of(name), TERMS)
            self.batch.add(OWNER, call, f"terms of {name}", gas=TERMS_GAS)
        self.batch.mine()

    def report(self) -> None:
        """Report again when a challenge window has passed: what was published before it is settled then."""
        at = self.rpc.block().timestamp + self.board.limits.challenge_window + 1
        for call in Sources(self.rpc, self.manifest).calls(at):
            self.batch.add(DRIVER, call, "relay", gas=RELAY_GAS)
        self.rpc.call("evm_setNextBlockTimestamp", hex(at))
        self.batch.mine()

    def publish(self) -> None:
        plans, _ = publications(self.state(), EVERYTHING, 3)
        for plan in plans:
            call = self._venue.encode(plan)
            self.batch.add(self.keeper, call, plan.why, gas=call.gas or 0)
        self.batch.mine()

    # --- who is there ----------------------------------------------------------------------------------

    def open_book(self, traders: int) -> Scene:
        """Fund everybody, let everybody trade what he wishes, and return them."""
        world = self.state().world
        prices = [known.report.price for _, known in sorted(world.underlyings.items())]
        wanted = wishes(self.manifest, prices, traders)
        keys = [key_of(f"trader {n}") for n in range(-(-traders // SUBS))]
        names = [name for key in keys for name in subs(key.address, SUBS)][:traders]
        deal = _Deal(self, world, key_of("maker"))
        takers = subs(self.keeper, TAKERS)
        self._deposit(FUND, CASH, FUND_USD * USDC, OWNER)
        for name in takers:
            self._deposit(account_id(name), CASH, TAKER_USD * USDC, OWNER)
        for name, wish in zip(names, wanted, strict=True):
            self._cover(name, wish, world)
            deal.ask(name, keys[names.index(name) // SUBS], wish)
        makers = deal.makers()
        for name in makers:
            self._deposit(account_id(name), CASH, MAKER_USD * USDC, OWNER)
        self.batch.mine()
        for call, what in deal.calls():
            self.batch.add(OWNER, call, what, gas=MATCH_GAS)
        self.batch.mine()
        named = tuple((name, wish.kind) for name, wish in zip(names, wanted, strict=True))
        return Scene(self.manifest, named, makers, takers, self.keeper)

    def _cover(self, name: str, wish: Wish, world: World) -> None:
        owner = name.partition("/")[0]
        if wish.token is None:
            self._deposit(account_id(name), CASH, cash_for(wish, world) // 10**12 + USDC, OWNER)
            return
        amount = token_for(wish, world)
        self._deposit(account_id(name), 1 + wish.token, amount, owner)

    def _deposit(self, account: int, asset: int, amount: int, sender: str) -> None:
        """Queue a deposit of base units; a stranger may bring cash."""
        venue = self.manifest.contracts.venue
        self._mint(asset, sender, amount)
        if (sender, asset) not in self._approved:
            self._approved.add((sender, asset))
            approve = interface("demo/MintableToken").function("approve").packed(self._tokens[asset], venue, 2**256 - 1)
            self.batch.add(sender, approve, "approve", gas=TOKEN_GAS)
        call = interface(VENUE).function("deposit").packed(venue, account, asset, amount)
        self.batch.add(sender, call, f"deposit {asset} for {account:#x}", gas=DEPOSIT_GAS)

    def _mint(self, asset: int, to: str, amount: int) -> None:
        mint = interface("demo/MintableToken").function("mint").packed(self._tokens[asset], to, amount)
        self.batch.add(OWNER, mint, "mint", gas=TOKEN_GAS)


def cash_for(wish: Wish, world: World) -> int:
    """Return USD wad that cover the legs as wished, and every state on the way there."""
    on_the_way = [by_arrays(book_of(wish.legs[:n]), world).im for n in range(1, len(wish.legs) + 1)]
    return max(round(on_the_way[-1] * wish.cover), *(im * 101 // 100 for im in on_the_way))


def token_for(wish: Wish, world: World) -> int:
    """Return base units of the wish's token that cover legs and token as wished."""
    assert wish.token is not None
    accepted = world.collaterals[wish.token]
    price = world.underlyings[accepted.underlying].report.price
    scale = 10 ** (18 - accepted.decimals)
    amount: int = wish.amount // scale
    for _ in range(TOKEN_STEPS if not amount else 0):
        im = by_arrays(book_of(wish.legs, Holding(wish.token, amount)), world).im
        amount = round(im * wish.cover) * WAD // price // scale + 1
    return amount


def book_of(legs: Iterable[tuple[Instrument, int]], *collateral: Holding) -> Book:
    return Book(0, tuple(Leg(instrument, size) for instrument, size in legs), collateral)


class _Deal:
    """The traders' orders and the makers' other side: one resting order an instrument and side, filled bit by bit."""

    def __init__(self, opening: _Opening, world: World, maker: LocalAccount) -> None:
        manifest = opening.manifest
        self._venue = manifest.contracts.venue
        self._domain = domain_of(self._venue, manifest.chain_id)
        self._world = world
        self._maker = maker
        self._asked: list[tuple[str, LocalAccount, Instrument, int]] = []

    def ask(self, name: str, key: LocalAccount, wish: Wish) -> None:
        self._asked += [(name, key, instrument, size) for instrument, size in wish.legs]

    def makers(self) -> tuple[str, ...]:
        places = sorted({(i.underlying, i.expiry) for _, _, i, _ in self._asked})
        self._books = dict(zip(places, subs(self._maker.address, len(places)), strict=True))
        return tuple(self._books.values())

    def calls(self) -> list[tuple[Call, str]]:
        """Return the matches in the order asked for, each at its mark."""
        resting = self._resting()
        found = []
        for number, (name, key, instrument, size) in enumerate(self._asked):
            mine = Order(account_id(name), instrument.id, size, ANY_PRICE if size > 0 else 0, number, FOREVER)
            other, other_signature = resting[instrument, size > 0]
            both = ((mine, signed(mine, self._domain, key)), (other, other_signature))
            (buy, bought), (sell, sold) = both if size > 0 else both[::-1]
            arguments = (buy.words, bought, sell.words, sold, abs(size), mark_of(instrument, self._world))
            call = interface(VENUE).function("matchOrders").packed(self._venue, *arguments)
            found.append((call, f"match {name} {instrument}"))
        return found

    def _resting(self) -> dict[tuple[Instrument, bool], tuple[Order, bytes]]:
        """Return the maker's order against buyers (True) and sellers of each instrument, and its signature."""
        sizes: dict[tuple[Instrument, bool], int] = defaultdict(int)
        for _, _, instrument, size in self._asked:
            sizes[instrument, size > 0] += size
        found = {}
        for number, ((instrument, sells), size) in enumerate(sizes.items()):
            maker = account_id(self._books[instrument.underlying, instrument.expiry])
            order = Order(maker, instrument.id, -size, 0 if sells else ANY_PRICE, number, FOREVER)
            found[instrument, sells] = order, signed(order, self._domain, self._maker)
        return found
