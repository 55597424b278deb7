"""−20 % in one hour on the reference venue, once with its publisher up and once without for ten blocks.

The keeper runs as it does in production, one tick a block; the chain's own events are compared with the integer twin.
"""

import random
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from math import prod

import orjson
import pytest
from crash_replay import Event, differences, events, sent
from reference_market import (
    FOREVER,
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
from keeper.demo.anvil import Anvil, start_anvil
from keeper.demo.transactions import FUNDS, Batch
from keeper.loop import tick
from keeper.plans import ANY_SEQUENCE, StartAuction
from keeper.portfolios import PortfolioLine, PortfolioSight
from keeper.reference.board import DEMO
from keeper.reference.fund import Books, read_books
from keeper.rpc import Rpc, RpcRefusal
from keeper.twin.margin import pack_scenarios
from keeper.twin.records import Instrument

PASSWORD = "correct horse battery staple"
BLOCK_S, BLOCKS = 60, 60  # an hour
QUIET = 14  # blocks after it, in which what is left is auctioned
OUTAGE = range(35, 45)
FALL = 0.20
JUMPS = {40: 0.07}  # while no arrays come: a loss that some cannot carry
MANY_LEGS, ACCOUNTS = 12, 40
TAKERS = tuple(named(KEEPER, sub) for sub in range(12))
MAKERS = tuple(named(MAKER, sub) for sub in range(2))
WITNESSED = (12, 13, 15, 17)
"""Rows of falling prices that the chain itself is asked about, for every underlying at once."""
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
class Run:
    """What one hour did: `due` are (account, block) of every report that left one below MM and not in auction."""

    due: tuple[tuple[str, int], ...]
    blocks: tuple[int, ...]  # of the path's reports
    legs: dict[str, int]  # at the start
    events: tuple[Event, ...]
    faults: tuple[str, ...]  # where the twin and the chain differ
    startable: frozenset[tuple[str, bool]]  # accounts that the chain would start while silent, and whether we knew
    refusals: Counter[str]  # why the chain would not start the others
    ticks_without_arrays: int
    sent: Counter[str]  # the keeper's transactions by function
    books: Books  # of the insurance fund, since the deployment

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
    startable: set[tuple[str, bool]] = set()
    refusals: Counter[str] = Counter()
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
        if number in OUTAGE:
            answers = witnessed(market, sight)
            startable |= {(name, sight.standings[name].below) for name, refusal in answers if not refusal}
            refusals += Counter(refusal for _, refusal in answers if refusal)
    market.next_block(BLOCK_S)
    market.rpc.call("evm_mine")
    found = events(market, first)
    faults = tuple(differences(market, app, found))
    walked = tuple(due), tuple(blocks), legs, found, faults
    c, head = market.manifest, market.rpc.block()
    books = read_books(market.rpc, c.contracts.venue, c.start_block, head)
    return Run(*walked, frozenset(startable), refusals, without, sent(market, first), books)


def step(app: App, *, publishes: bool) -> PortfolioSight:
    line = app.world.line
    assert isinstance(line, PortfolioLine)
    publishing = replace(line.policy.publishing, on=publishes)
    line = replace(line, policy=replace(line.policy, publishing=publishing))
    seen = tick(app.world.heads.newest(), replace(app.world, line=line))
    assert isinstance(seen.sight, PortfolioSight)
    assert not [v for v in seen.verdicts if v.status == "unknown"]
    return seen.sight


def witnessed(market: Market, sight: PortfolioSight) -> list[tuple[str, str]]:
    """Ask the chain for the start of every account, known to be below MM or not; return account and error's name."""
    standing = [s.account for s in sight.standings.values() if not s.account.auction_id]
    rows = [pack_scenarios(dict.fromkeys(sight.state.world.underlyings, row)) for row in WITNESSED]
    plans = [
        StartAuction(sight.venue, a.name, ANY_SEQUENCE, False, row, len(a.book.legs), 0.0, FOREVER, 0)
        for a in standing
        for row in rows
    ]
    answers = market.rpc.eth_calls([market.venue.encode(plan) for plan in plans], sight.state.block)
    named_error = interface("reference/Auctions").error_named
    return [
        (plan.account, (named_error(said.revert[:4]) or said.revert.hex()) if isinstance(said, RpcRefusal) else "")
        for plan, said in zip(plans, answers, strict=True)
    ]


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
    assert {name for name, known in outage.startable if not known} == set()
    assert len(outage.startable) >= 30
    assert set(outage.refusals) == {"NotBelowMaintenance"}
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


def test_the_funds_events_are_its_cash_to_the_last_digit(run: Callable[[range], Run]) -> None:
    """Drawn on and refilled, and where it was empty bad debt: every unit of both has its event."""
    for found in (run(range(0)), run(OUTAGE)):
        books, takes = found.books, [e.body for e in found.events if e.name == "Taken"]
        assert books.faults() == []
        assert -books.total("fund", "fund") == sum(body["fromFund"] for body in takes) > 0
        assert -books.total("bad debt", "shared loss") == sum(body["shared"] for body in takes)
        assert books.total("fund") == books.fund
        assert books.total("fund", "deposit") == 500_000 * WAD
        missing = replace(books, entries=books.entries[1:])
        assert missing.faults() != []
