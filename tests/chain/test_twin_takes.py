"""Takes on the real venue beside the twin's: what moves, what is paid, who bears it, and both books afterwards.

Victims trade with one maker against honest arrays, then the price falls at once; auctions start by scenario and are
taken in parts at growing discounts, solvent and insolvent, with an insurance fund that runs dry on the way.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest
from eth_account import Account
from eth_account.signers.local import LocalAccount
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak
from reference_world import BOARD, LIMITS, OWNER, PRICES, ReferenceWorld

from keeper.abi import interface
from keeper.chain import Receipt
from keeper.demo.anvil import start_anvil
from keeper.reference.orders import Order, domain_of, match, signed
from keeper.rpc import Rpc
from keeper.twin.auction import NO_SCENARIOS, Allowance, NotBelowMaintenance, NothingToTake, after, discount, take
from keeper.twin.fixed import WAD
from keeper.twin.margin import by_arrays, by_settled_arrays, groups_by_scenario, mark_of, pack_scenarios
from keeper.twin.ramps import GRACE
from keeper.twin.records import Book, Holding, Instrument, Leg
from keeper.twin.world import World

VICTIMS = 16
EXPIRIES = 5  # of each underlying: the maker holds them all
USDC = 10**6
FOREVER = 2**40 - 1
GAS = 20_000_000
FUND = 2_000 * USDC
BONUS = 2 * WAD
VENUE, AUCTIONS, TOKEN = "reference/MarginVenue", "reference/Auctions", "demo/MintableToken"


@dataclass(frozen=True, slots=True)
class Trader:
    key: LocalAccount

    @property
    def account(self) -> int:
        return int(self.key.address, 16) << 96


def trader(name: str) -> Trader:
    return Trader(Account.from_key(keccak(text=f"takes: {name}")))


class Market:
    """The venue's ledger and auctions; every trader gets the tokens he deposits."""

    def __init__(self, world: ReferenceWorld) -> None:
        self.world = world
        self.contracts = world.manifest.contracts
        self.domain = domain_of(self.contracts.venue, world.rpc.chain_id())
        self.nonce = 0
        self.tokens = (self.contracts.settlement_token, *world.manifest.collaterals)

    def deposit(self, account: int, asset: int, amount: int) -> None:
        """By the account's owner; the venue's own accounts have none."""
        sender = to_checksum_address((account >> 96).to_bytes(20)) if account >> 96 else OWNER
        self.say(TOKEN, self.tokens[asset], "mint", sender, amount)
        self.say(TOKEN, self.tokens[asset], "approve", self.contracts.venue, amount, sender=sender)
        self.say(VENUE, self.contracts.venue, "deposit", account, asset, amount, sender=sender)

    def trade(self, buyer: Trader, seller: Trader, instrument: Instrument, size: int) -> None:
        """Match two orders of one size at the mark."""
        price = mark_of(instrument, self.world.world())
        self.nonce += 1
        buy = Order(buyer.account, instrument.id, size, price, self.nonce, FOREVER)
        sell = Order(seller.account, instrument.id, -size, price, self.nonce, FOREVER)
        signatures = signed(buy, self.domain, buyer.key), signed(sell, self.domain, seller.key)
        message = match(self.contracts.venue, buy, signatures[0], sell, signatures[1], price)
        self.world.batch.add(OWNER, message, "match", gas=GAS)

    def book(self, account: int) -> Book:
        cash, legs, held = self.ask(VENUE, self.contracts.venue, "book", account)[0]
        return Book(cash, tuple(Leg.of(leg) for leg in legs), tuple(Holding.of(h) for h in held))

    def sequence(self, account: int) -> int:
        return int(self.ask(VENUE, self.contracts.venue, "sequence", account)[0])

    def fund(self) -> int:
        return int(self.ask(VENUE, self.contracts.venue, "fund")[0])

    def bonus(self) -> Allowance:
        (period,) = self.ask(AUCTIONS, self.contracts.auctions, "bonusPeriod")
        return Allowance(*self.ask(AUCTIONS, self.contracts.auctions, "bonusAllowance"), period)

    def auction(self, account: int) -> tuple[int, int]:
        """Id and start."""
        return self.ask(AUCTIONS, self.contracts.auctions, "auction", account)[0]

    def start(self, account: int, scenarios: int) -> None:
        call = (account, self.sequence(account), FOREVER, False, scenarios)
        self.say(AUCTIONS, self.contracts.auctions, "startAuction", call)
        self.world.batch.mine()

    def take(self, account: int, taker: Trader, most: int, scenarios: int) -> tuple[dict[str, Any], int]:
        """Take; returns the event's fields and the block's time."""
        call = (
            account, taker.account, self.auction(account)[0], self.sequence(account), self.sequence(taker.account),
            most, 2**255 - 1, FOREVER, False, scenarios, False,
        )  # fmt: skip
        message = interface(AUCTIONS).function("take").packed(self.contracts.auctions, call)
        self.world.batch.add(taker.key.address, message, "take", gas=GAS)
        (receipt,) = self.world.batch.mine()
        return self.taken(receipt), self.world.rpc.block(receipt.block_number).timestamp

    def taken(self, receipt: Receipt) -> dict[str, Any]:
        event = interface(AUCTIONS).event("Taken")
        (log,) = [entry for entry in receipt.logs if entry.topics[0] == event.topic]
        return event.body(log)

    def say(self, path: str, to: str, name: str, *arguments: Any, sender: str = OWNER) -> None:
        self.world.batch.add(sender, interface(path).function(name).packed(to, *arguments), name, gas=GAS)

    def ask(self, path: str, to: str, name: str, *arguments: Any) -> tuple[Any, ...]:
        function = interface(path).function(name)
        data = "0x" + function.packed(to, *arguments).data.hex()
        answer = self.world.rpc.call("eth_call", {"to": to, "data": data, "gas": hex(GAS)}, "latest")
        return function.values(bytes.fromhex(answer[2:]))


@pytest.fixture(scope="module")
def market() -> Iterator[Market]:
    """A maker, a rich taker, and victims just above IM: long the perpetual, short and long options around it.

    MM's rates and haircuts are on their way, halfway up, all the time.
    """
    with start_anvil(gas_limit=4_000_000_000) as anvil:
        world = ReferenceWorld(Rpc(anvil.url, timeout_s=60.0))
        renewed(world, world.start + 60, 1_000)
        for u, free in ((0, 5 * WAD), (1, WAD // 4)):
            world.write_margin(u, concentration_from=free)
        world.pass_until(world.now + 3 * GRACE)
        for u in (0, 1):
            world.write_margin(u, mm_scalar=9_600, concentration_rate=800, confidence_factor=15_000)
            world.write_haircut(u, 2_000)
        halfway = world.rpc.block().timestamp + GRACE * 3 // 2
        world.pass_until(halfway)
        renewed(world, halfway + 1, 1_000)
        renewed(world, halfway + 12 * 60, 1_000)
        opened = Market(world)
        for name in ("maker", "taker"):
            opened.deposit(trader(name).account, 0, 10**9 * USDC)
        opened.deposit(1, 0, FUND)
        opened.say(AUCTIONS, opened.contracts.auctions, "setBonus", BONUS, sender=world.steward)
        rng = random.Random(17)
        for n in range(VICTIMS):
            enter(opened, rng, trader(f"victim {n}"))
            world.batch.mine()
        yield opened


def renewed(world: ReferenceWorld, at: int, per_mille: int) -> None:
    world.report({u: price * (per_mille if u < 2 else 1_000) // 1_000 for u, price in enumerate(PRICES)}, at)
    world.fit((0, 1))
    for u in (0, 1):
        world.publish(u)


def enter(market: Market, rng: random.Random, victim: Trader) -> None:
    """Deposit what IM asks at its highest on the way, then trade."""
    world = market.world
    u = rng.randrange(2)
    unit = WAD if u == 0 else WAD // 20
    near = world.live(u)[:EXPIRIES]
    options = rng.sample([i for expiry in near for i in world.known[u].board[expiry][4:16]], rng.randint(1, 5))
    legs = [Leg(Instrument(u), rng.randint(6, 12) * unit)]
    legs += [Leg(option, rng.choice((-1, 1)) * rng.randint(1, 3) * unit) for option in options]
    held: tuple[Holding, ...] = ()
    if rng.random() < 0.5:
        held = (Holding(u, 10 ** BOARD.collaterals[u].token.decimals // (1 if u == 0 else 20)),)
        market.deposit(victim.account, u + 1, held[0].amount)
    picture = world.world()
    steps = [Book(0, tuple(legs[: n + 1]), held) for n in range(len(legs))]
    posted = by_arrays(Book(0, (), held), picture).equity
    most = max(margin(step, picture).im for step in steps for margin in (by_arrays, by_settled_arrays))
    market.deposit(victim.account, 0, max(most * 102 // 100 - posted, WAD) * USDC // WAD)
    for leg in legs:
        sides = (victim, trader("maker")) if leg.size > 0 else (trader("maker"), victim)
        market.trade(*sides, leg.instrument, abs(leg.size))


def worst(book: Book, world: World) -> int:
    """The rows that lose most, every row of every underlying looked at by a proof of its own."""
    rows = {}
    for row in range(18):
        for group in groups_by_scenario(book, world, pack_scenarios(dict.fromkeys(range(3), row))):
            if group.mm > rows.get(group.underlying, (-1, 0))[0]:
                rows[group.underlying] = (group.mm, row)
    return pack_scenarios({u: row for u, (_, row) in rows.items()})


def sorted_book(book: Book) -> Book:
    """A book in one order: the venue's storage has its own."""
    legs = sorted(book.legs, key=lambda leg: leg.instrument.id)
    held = sorted((holding for holding in book.collateral if holding.amount), key=lambda holding: holding.index)
    return replace(book, legs=tuple(legs), collateral=tuple(held))


@pytest.mark.parametrize(("per_mille", "insolvent"), [(860, False), (700, True)])
def test_every_take_is_the_twins(market, per_mille, insolvent):
    """One fall, auctions of all who are below MM, three rounds of takes at 0, a third and all of the discount."""
    world, rng, limits = market.world, random.Random(per_mille), BOARD.limits
    with world.undone():
        fallen = {u: PRICES[u] * (per_mille if u < 2 else 1_000) // 1_000 for u in range(3)}
        for wait in (100, LIMITS.window + 60):  # the taker needs IM under settled arrays near the price, too
            renewed(world, world.now + wait, per_mille)
        rows: dict[int, int] = {}
        for n in range(VICTIMS):
            account, picture = trader(f"victim {n}").account, world.world()
            scenarios = worst(market.book(account), picture)
            try:
                take(market.book(account), picture, scenarios, discount_bps=0, buffer=0, most=WAD, fund=0, allowed=0)
            except (NothingToTake, NotBelowMaintenance):
                continue
            rows[account] = scenarios
            market.start(account, scenarios)
        assert len(rows) >= VICTIMS // 3
        seen = {"partial": 0, "from fund": 0, "shared": 0, "restored": 0, "taken": 0, "bonus": 0, "bonus used up": 0}
        for wait, most in ((0, WAD // 3), (limits.auction_growth // 3, WAD // 2), (limits.auction_growth, WAD)):
            world.report(fallen, world.now + 30 + wait)
            world.fit((0, 1))
            for account, scenarios in rows.items():
                if market.auction(account)[0]:
                    compare(market, account, scenarios, rng.randint(most // 2, most), seen)
        assert seen["taken"] >= len(rows)
        assert seen["partial"] > 0
        assert seen["restored"] > 0
        assert (seen["shared"] > 0) == insolvent
        assert (seen["from fund"] > 0) == insolvent
        assert (seen["bonus"] > 0) == (seen["bonus used up"] > 0) == insolvent, seen


def compare(market: Market, account: int, scenarios: int, most: int, seen: dict[str, int]) -> None:
    """One take there and here. Where the twin says that there is nothing to take, nothing is asked of the chain."""
    taker, limits, picture = trader("taker"), BOARD.limits, market.world.world()
    book, rich, fund, bonus = market.book(account), market.book(taker.account), market.fund(), market.bonus()
    try:
        take(book, picture, scenarios, discount_bps=0, buffer=limits.auction_buffer, most=most, fund=fund, allowed=0)
    except (NothingToTake, NotBelowMaintenance):  # an earlier take was enough, though it did not prove so
        return
    started = market.auction(account)[1]
    event, at = market.take(account, taker, most, scenarios)
    picture = market.world.world(at)
    share = discount(at - started, limits.auction_discount, limits.auction_growth)
    ours = take(
        book, picture, scenarios, discount_bps=share, buffer=limits.auction_buffer, most=most, fund=fund,
        allowed=bonus.left(at),
    )  # fmt: skip
    found = {name: event[name] for name in ("fraction", "price", "fromFund", "shared")}
    paid = ours.payment
    assert found == {
        "fraction": ours.fraction, "price": paid.price, "fromFund": paid.from_fund, "shared": paid.shared
    }  # fmt: skip
    left, right = after(book, rich, ours)
    assert sorted_book(market.book(account)) == sorted_book(left)
    assert sorted_book(market.book(taker.account)) == sorted_book(right)
    assert (market.auction(account)[0] == 0) == ours.restored
    assert market.fund() == fund - paid.from_fund
    assert market.bonus() == bonus.spend(paid.bonus, at)
    seen["taken"] += 1
    seen["partial"] += ours.fraction < WAD
    seen["from fund"] += paid.from_fund > 0
    seen["shared"] += paid.shared > 0
    seen["bonus"] += paid.bonus > 0
    seen["bonus used up"] += paid.unpaid > 0 and bonus.left(at) == paid.bonus
    seen["restored"] += ours.restored


def test_a_healthy_account_cannot_be_started(market):
    """The twin's verdict and the contract's on the same books before any fall."""
    for n in range(VICTIMS):
        account = trader(f"victim {n}").account
        book, picture = market.book(account), market.world.world()
        with pytest.raises(NotBelowMaintenance):
            take(book, picture, NO_SCENARIOS, discount_bps=0, buffer=0, most=WAD, fund=0, allowed=0)
