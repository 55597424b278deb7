"""−20 % in one hour on the reference venue, once with its publisher up and once without for ten blocks.

The keeper runs as it does in production, one tick a block; the chain's own events are compared with the integer twin.
"""

import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from itertools import groupby
from math import prod
from typing import Any

import orjson
import pytest
from reference_market import (
    KEEPER,
    MAKER,
    TRADERS,
    USDC,
    WAD,
    Market,
    Wish,
    fill,
    named,
    open_market,
    write_config,
)

from keeper.abi import interface
from keeper.app import App, configured, open_app
from keeper.chain import Block
from keeper.demo.anvil import Anvil, start_anvil
from keeper.demo.transactions import FUNDS, Batch
from keeper.loop import tick
from keeper.plans import ANY_SEQUENCE, StartAuction, TakeAuction
from keeper.portfolios import PortfolioLine, PortfolioSight
from keeper.reference.board import DEMO
from keeper.rpc import Rpc
from keeper.twin.auction import discount, shortfall, take
from keeper.twin.records import Instrument
from keeper.twin.world import World
from keeper.venues.portfolio import PortfolioState

PASSWORD = "correct horse battery staple"
BLOCK_S, BLOCKS = 60, 60  # an hour
QUIET = 14  # blocks after it, in which what is left is auctioned
OUTAGE = range(35, 45)
FALL = 0.20
JUMPS = {40: 0.07}  # while no arrays come: a loss that some cannot carry
MANY_LEGS, ACCOUNTS = 12, 40
TAKERS = tuple(named(KEEPER, sub) for sub in range(12))
MAKERS = tuple(named(MAKER, sub) for sub in range(2))
LATEST = 2  # blocks from the report that puts an account below MM to its auction


def price_shares() -> list[float]:
    """Return the price after each block as a share of the first: a steady fall with its jumps, then nothing."""
    jumped = [prod(1 - jump for at, jump in JUMPS.items() if n >= at) for n in range(1, BLOCKS + 1)]
    steady = (1 - FALL) / jumped[-1]
    path = [steady ** (n / BLOCKS) * share for n, share in enumerate(jumped, 1)]
    return path + path[-1:] * QUIET


@pytest.fixture(scope="module")
def anvil() -> Iterator[Anvil]:
    with start_anvil(gas_limit=400_000_000) as running:
        yield running


@pytest.fixture(scope="module")
def market(anvil: Anvil) -> Market:
    rpc = Rpc(anvil.url, timeout_s=60.0)
    margins = {"im_scalar": 10_000, "mm_scalar": 4_000}
    tails = {"extreme_cover": 1_000, "deep_up_cover": 500, "deep_down_cover": 500}
    thin = tuple(
        replace(u, margin=replace(u.margin, **margins), scan=replace(u.scan, **tails)) for u in DEMO.underlyings
    )
    market = open_market(rpc, replace(DEMO, underlyings=thin))
    rpc.call("anvil_setBalance", KEEPER.address, hex(FUNDS))
    market.fund(500_000 * USDC)
    for taker in TAKERS:
        market.deposit(taker, 20_000_000 * USDC)
    fill(market, wishes(market), MAKERS)
    market.publish()
    rpc.call("evm_setAutomine", False)
    return market


def wishes(market: Market) -> list[Wish]:
    """Return accounts that lose when prices fall: long perpetuals and calls, short puts; twelve with many legs."""
    rng = random.Random(2020)
    found = []
    for number in range(ACCOUNTS):
        key = TRADERS[number % len(TRADERS)]
        legs: dict[Instrument, int] = {}
        wanted = MANY_LEGS if number < MANY_LEGS else rng.randint(1, 3)
        while len(legs) < wanted:
            underlying = rng.randint(0, 1)
            size = rng.randint(5, 20) * (WAD if underlying == 0 else WAD // 20)
            if not legs or rng.random() < 0.2:
                legs[Instrument(underlying)] = size
            else:
                is_call = rng.random() < 0.3
                row = rng.randint(0, 4)
                option = market.option(underlying, rng.randint(0, 2), row, is_call=is_call)
                legs[option] = size if is_call else -size
        found.append(Wish(named(key, number), key, tuple(legs.items()), rng.uniform(1.01, 1.06)))
    return found


@dataclass(frozen=True)
class Event:
    """One start or take as the chain told it."""

    name: str
    account: str
    auction: int
    block: int
    body: dict[str, Any]


@dataclass(frozen=True)
class Run:
    """What one hour did: `due` are (account, block) of every report that left one below MM and not in auction."""

    due: tuple[tuple[str, int], ...]
    blocks: tuple[int, ...]  # of the path's reports
    legs: dict[str, int]  # at the start
    events: tuple[Event, ...]
    faults: tuple[str, ...]  # where the twin and the chain differ
    ticks_without_arrays: int
    sent: Counter[str]  # the keeper's transactions by function

    @property
    def starts(self) -> int:
        return sum(e.name == "AuctionStarted" for e in self.events)

    @property
    def bad_debt(self) -> int:
        """What takers received from the insurance fund and as shared loss, USD wad."""
        return sum(e.body["fromFund"] + e.body["shared"] for e in self.events if e.name == "Taken")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, anvil: Anvil, market: Market) -> Callable[[range], Run]:
    """Return a way to walk the hour with the publisher silent in the given blocks; the same walk is taken once."""

    @cache
    def walked(outage: range) -> Run:
        folder = tmp_path_factory.mktemp("keeper")
        keystore = KEEPER.encrypt(PASSWORD, kdf="pbkdf2", iterations=1_000)
        (folder / "keystore.json").write_bytes(orjson.dumps(keystore))
        snapshot = market.rpc.call("evm_snapshot")
        market.batch = Batch(market.rpc)  # its nonces are those of this snapshot
        with (
            pytest.MonkeyPatch.context() as patch,
            patched(patch),
            open_app(configured(write_config(folder, anvil.url, market, TAKERS))) as app,
        ):
            found = fall(market, app, outage)
        market.rpc.call("anvil_dropAllTransactions")
        assert market.rpc.call("evm_revert", snapshot) is True
        return found

    return walked


@contextmanager
def patched(patch: pytest.MonkeyPatch) -> Iterator[None]:
    patch.setenv("KEEPER_KEYSTORE_PASSWORD", PASSWORD)
    yield


def fall(market: Market, app: App, outage: range) -> Run:
    """Walk the path, a report and a tick each block."""
    first, names = market.rpc.block(), list(app.world.accounts.at(market.rpc.block()))
    legs = {a.name: len(a.book.legs) for a in market.state(names).accounts}
    due: list[tuple[str, int]] = []
    blocks: list[int] = []
    without = 0
    prices = [u.price for u in market.board.underlyings]
    for number, share in enumerate(price_shares()):
        market.next_block(BLOCK_S)
        market.report([*(int(p * share) for p in prices[:2]), *prices[2:]], fit=number % 30 == 29)
        market.mine()
        sight = step(app, publishes=number not in outage)
        blocks.append(sight.state.block.number)
        without += sight.standings[MAKERS[0]].newest is None
        due += [
            (name, sight.state.block.number)
            for name, found in sight.standings.items()
            if found.below and not found.account.auction_id
        ]
    market.next_block(BLOCK_S)
    market.rpc.call("evm_mine")
    found = events(market, first)
    faults = tuple(differences(market, app, found))
    return Run(tuple(due), tuple(blocks), legs, found, faults, without, sent(market, first))


def step(app: App, *, publishes: bool) -> PortfolioSight:
    line = app.world.line
    assert isinstance(line, PortfolioLine)
    publishing = replace(line.policy.publishing, on=publishes)
    line = replace(line, policy=replace(line.policy, publishing=publishing))
    seen = tick(app.world.heads.newest(), replace(app.world, line=line))
    assert isinstance(seen.sight, PortfolioSight)
    assert not [v for v in seen.verdicts if v.status == "unknown"]
    return seen.sight


def events(market: Market, first: Block) -> tuple[Event, ...]:
    auctions = market.manifest.contracts.auctions
    table = {interface("reference/Auctions").event(name).topic: name for name in ("AuctionStarted", "Taken")}
    found = []
    for log in market.rpc.logs([auctions], list(table), first.number + 1, market.rpc.block().number):
        name = table[log.topics[0]]
        (account,) = market.venue.introduced([log])
        body = interface("reference/Auctions").event(name).body(log)
        found.append(Event(name, account, int(log.topics[2], 16), log.block_number, body))
    return tuple(found)


def sent(market: Market, first: Block) -> Counter[str]:
    """Return how many transactions of the keeper's called each function of the auctions since `first`."""
    names = ("startAuction", "startAuctions", "take", "endAuction")
    table = {"0x" + interface("reference/Auctions").function(name).selector.hex(): name for name in names}
    numbers = range(first.number + 1, market.rpc.block().number + 1)
    blocks = market.rpc.batch([("eth_getBlockByNumber", (hex(n), True)) for n in numbers])
    theirs = (t for block in blocks for t in block["transactions"] if t["from"] == KEEPER.address.lower())
    return Counter(table[t["input"][:10]] for t in theirs if t["input"][:10] in table)


# --- the same in the twin ------------------------------------------------------------------------------


def differences(market: Market, app: App, found: Sequence[Event]) -> Iterator[str]:
    """Yield every start and take whose integers are not the twin's, from the state each one found."""
    plans = {
        (d.intent.plan.account, d.intent.plan.kind, d.intent.plan.sequence): d.intent.plan
        for name in {e.account for e in found}
        for d in app.journal.decisions(name, 10_000)
        if d.intent is not None and d.intent.status in ("achieved", "live")  # others left no event
        if isinstance(d.intent.plan, StartAuction | TakeAuction)
    }
    for number, of_block in groupby(found, key=lambda e: e.block):
        batch = list(of_block)
        before = market.venue.read(market.rpc.block(number - 1), [e.account for e in batch], KEEPER.address)
        world = at_work(before, market.venue.read(market.rpc.block(number), [], KEEPER.address))
        accounts, fund, bonus = {a.name: a for a in before.accounts}, before.fund, before.bonus
        for event in batch:
            kind = "start_auction" if event.name == "AuctionStarted" else "take_auction"
            exact, again = ((event.account, kind, n) for n in (event.body["sequence"], ANY_SEQUENCE))
            plan = plans[exact if exact in plans else again]
            path = None if plan.by_arrays else plan.scenarios
            account = accounts[event.account]
            if event.name == "AuctionStarted":
                told, computed = (event.body["equity"], event.body["mm"]), shortfall(account.book, world, path)
            else:
                rules = before.auctions
                share = discount(world.now - account.auction_started_at, rules.discount_cap, rules.growth)
                taken = take(
                    account.book, world, path,
                    discount_bps=share, buffer=rules.buffer, most=plan.max_fraction, fund=fund,
                    allowed=bonus.left(world.now),
                )  # fmt: skip
                fund -= taken.payment.from_fund
                bonus = bonus.spend(taken.payment.bonus, world.now)
                told = tuple(event.body[name] for name in ("fraction", "price", "fromFund", "shared"))
                paid = taken.payment
                computed = (taken.fraction, paid.price, paid.from_fund, paid.shared)
            if told != computed:
                yield f"{event}: the twin says {computed}"


def at_work(before: PortfolioState, there: PortfolioState) -> World:
    """Return the world a transaction of the keeper's found in a block: after its reports, before its publications."""
    known = before.world.underlyings
    found = {u: replace(now, current=known[u].current) for u, now in there.world.underlyings.items()}
    return replace(there.world, underlyings=found)


# --- the gate ------------------------------------------------------------------------------------------


def test_every_account_below_maintenance_is_in_auction_within_two_blocks_though_arrays_are_stale(
    run: Callable[[range], Run],
) -> None:
    outage = run(OUTAGE)
    starts = {(e.account, e.block) for e in outage.events if e.name == "AuctionStarted"}
    late = [(a, n) for a, n in outage.due if not any((a, n + after) in starts for after in (1, LATEST))]
    silent = outage.blocks[OUTAGE.start : OUTAGE.stop]
    fallen = {account for account, block in outage.due if block in silent}
    assert late == []
    assert len(fallen) >= 30
    assert sum(outage.legs[account] >= MANY_LEGS for account in fallen) >= 10
    assert outage.ticks_without_arrays >= 5  # the arrays did go stale, so some of it rested on proofs alone


def test_starts_of_one_block_share_their_transactions(run: Callable[[range], Run]) -> None:
    for found in (run(range(0)), run(OUTAGE)):
        assert found.sent["startAuctions"] > 0
        assert 2 * (found.sent["startAuction"] + found.sent["startAuctions"]) <= found.starts


def test_bad_debt_is_the_twins_and_hardly_more_than_with_the_publisher_up(run: Callable[[range], Run]) -> None:
    up, outage = run(range(0)), run(OUTAGE)
    assert (up.faults, outage.faults) == ((), ())
    assert up.bad_debt > 0
    assert outage.bad_debt <= up.bad_debt * 11 // 10 + WAD
