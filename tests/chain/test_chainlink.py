"""Chainlink quotes from a real aggregator: what is a price, what is a fault, and who becomes unknown by it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from keeper.app import App, open_app
from keeper.chain import Block
from keeper.config import load
from keeper.demo.anvil import Anvil
from keeper.demo.config import write_config
from keeper.demo.curie import DEPLOYER
from keeper.demo.deployment import Deployment
from keeper.demo.path import BTC_MARCH_2020, to_feed
from keeper.demo.replay import replay
from keeper.demo.transactions import Batch, call, role
from keeper.loop import Tick, look, tick
from keeper.oracles.base import Feed, Quote
from keeper.oracles.chainlink import Chainlink
from keeper.perpetuals import PerpetualSight
from keeper.rpc import Rpc
from keeper.stages import Stages

HEARTBEAT_S = 3_600
CRASH = (BTC_MARCH_2020[0], *BTC_MARCH_2020[10:13])
WAYS_TO_FAIL = ["zero", "negative", "stale", "no contract"]


def feed_of(world: Deployment, **changed: object) -> Feed:
    facts = {"symbol": "BTC/USD", "address": world.markets[0].aggregator, "decimals": 8, "heartbeat_s": HEARTBEAT_S}
    return Feed(**(facts | changed))  # type: ignore[arg-type]


def quote_of(rpc: Rpc, feed: Feed, block: Block | None = None) -> Quote:
    (found,) = Chainlink(rpc).read(block or rpc.block(), (feed,))
    return found


def push(rpc: Rpc, aggregator: str, answer: int) -> Block:
    """Push an answer; returns the block it is dated with."""
    batch = Batch(rpc)
    batch.add(DEPLOYER, call(aggregator, "push(int256)", answer), "push")
    batch.mine()
    return rpc.block()


def mine_at(rpc: Rpc, timestamp: int) -> Block:
    rpc.call("evm_setNextBlockTimestamp", hex(timestamp))
    rpc.call("evm_mine")
    return rpc.block()


# --- one quote ----------------------------------------------------------------------------------------


def test_a_good_answer_is_the_aggregator_s_own(rpc: Rpc, world: Deployment) -> None:
    block = push(rpc, world.markets[0].aggregator, 793_457_000_001)
    quote = quote_of(rpc, feed_of(world))
    assert quote == Quote("BTC/USD", world.markets[0].aggregator, 793_457_000_001, 8, block.timestamp, 0, "")


def test_an_answer_as_old_as_its_heartbeat_is_good_and_a_second_older_is_stale(rpc: Rpc, world: Deployment) -> None:
    pushed = push(rpc, world.markets[0].aggregator, to_feed(7_000.0))
    last_good = quote_of(rpc, feed_of(world), mine_at(rpc, pushed.timestamp + HEARTBEAT_S))
    stale = quote_of(rpc, feed_of(world), mine_at(rpc, pushed.timestamp + HEARTBEAT_S + 1))
    assert (last_good.age_s, last_good.fault) == (HEARTBEAT_S, "")
    assert (stale.age_s, stale.answer) == (HEARTBEAT_S + 1, to_feed(7_000.0))
    assert "3601 s old, heartbeat 3600 s" in stale.fault


@pytest.mark.parametrize("answer", [0, -1, -(2**191)])
def test_an_answer_that_is_not_positive_is_a_fault(rpc: Rpc, world: Deployment, answer: int) -> None:
    push(rpc, world.markets[0].aggregator, answer)
    quote = quote_of(rpc, feed_of(world))
    assert quote.answer == answer
    assert quote.fault == f"expected an answer > 0, found {answer}"


def test_the_least_and_the_largest_answer_are_prices(rpc: Rpc, world: Deployment) -> None:
    for answer in (1, 2**191 - 1):
        push(rpc, world.markets[0].aggregator, answer)
        assert (quote_of(rpc, feed_of(world)).answer, quote_of(rpc, feed_of(world)).fault) == (answer, "")


def test_where_there_is_no_feed_there_is_no_number(rpc: Rpc, world: Deployment) -> None:
    for address in (role("nobody"), world.contracts.usdc, world.contracts.vault):
        quote = quote_of(rpc, feed_of(world, address=address))
        assert (quote.answer, quote.updated_at, quote.age_s) == (None, None, None)
        assert quote.fault.startswith("not read: ")


@pytest.mark.parametrize("code", ["0x60206000f3", "0x60a06000fd", "0xfe", "0x00"])
def test_an_answer_of_another_shape_is_no_number(rpc: Rpc, world: Deployment, code: str) -> None:
    rpc.call("anvil_setCode", world.markets[0].aggregator, code)
    quote = quote_of(rpc, feed_of(world))
    assert quote.answer is None and quote.fault.startswith("not read: ")


@pytest.mark.parametrize("decimals", [0, 7, 18])
def test_other_decimals_than_configured_are_a_fault(rpc: Rpc, world: Deployment, decimals: int) -> None:
    quote = quote_of(rpc, feed_of(world, decimals=decimals))
    assert quote.decimals == 8
    assert quote.fault.startswith(f"expected {decimals} decimals, found 8")


def test_a_price_at_a_bound_is_absurd_and_one_unit_inside_is_not(rpc: Rpc, world: Deployment) -> None:
    feed = feed_of(world, min_answer=100.0, max_answer=10_000.0)
    faulty = {}
    for answer in (100 * 10**8, 100 * 10**8 + 1, 10_000 * 10**8 - 1, 10_000 * 10**8):
        push(rpc, world.markets[0].aggregator, answer)
        faulty[answer] = quote_of(rpc, feed).fault
        assert quote_of(rpc, feed_of(world)).fault == ""
    below, least, most, above = faulty.values()
    assert (least, most) == ("", "")
    assert "at or below the configured bound 100" in below and "at or above the configured bound 10,000" in above


def test_a_quote_is_of_the_block_it_was_asked_at(rpc: Rpc, world: Deployment) -> None:
    then = push(rpc, world.markets[0].aggregator, to_feed(7_000.0))
    now = push(rpc, world.markets[0].aggregator, 0)
    assert quote_of(rpc, feed_of(world), then).answer == to_feed(7_000.0)
    assert quote_of(rpc, feed_of(world), then).fault == ""
    assert quote_of(rpc, feed_of(world), now).fault != ""


def test_one_bad_feed_does_not_touch_the_others(rpc: Rpc, world: Deployment) -> None:
    feeds = (
        feed_of(world),
        feed_of(world, symbol="nobody", address=role("nobody")),
        feed_of(world, symbol="ETH/USD", address=world.collaterals[0].aggregator),
    )
    first, nobody, last = Chainlink(rpc).read(rpc.block(), feeds)
    assert [q.symbol for q in (first, nobody, last)] == ["BTC/USD", "nobody", "ETH/USD"]
    assert first.fault == last.fault == "" != nobody.fault
    assert last.answer == to_feed(BTC_MARCH_2020[0][1] * 0.0246)


# --- whom it concerns ---------------------------------------------------------------------------------


@pytest.fixture
def app(anvil: Anvil, world: Deployment, tmp_path: Path) -> Iterator[App]:
    """A keeper that only observes, after the crash: there are accounts it would liquidate."""
    replay(anvil.url, world, CRASH, block_seconds=0.0)
    opened = open_app(load(write_config(tmp_path, anvil.url, world, "observe")))
    with opened.journal:
        yield opened


def see(app: App) -> Tick:
    return look(app.world.heads.newest(), app.world, Stages())


def of_status(seen: Tick, status: str) -> set[str]:
    return {v.account for v in seen.verdicts if v.status == status}


def planned(seen: Tick) -> set[str]:
    return {p.account for p in seen.plans if p.kind == "liquidate"}


def break_feed(rpc: Rpc, aggregator: str, way: str) -> None:
    if way == "no contract":
        rpc.call("anvil_setCode", aggregator, "0x")
    elif way == "stale":
        mine_at(rpc, rpc.block().timestamp + HEARTBEAT_S + 1)
    else:
        push(rpc, aggregator, {"zero": 0, "negative": -1}[way])


@pytest.mark.parametrize("way", WAYS_TO_FAIL)
def test_without_a_bitcoin_price_every_trader_is_unknown_and_nothing_is_planned(
    rpc: Rpc, world: Deployment, app: App, way: str
) -> None:
    assert len(planned(see(app))) >= 12
    break_feed(rpc, world.markets[0].aggregator, way)
    seen = see(app)
    assert {*world.accounts, world.market_maker} <= of_status(seen, "unknown")
    assert of_status(seen, "healthy") == {world.keeper}  # it has cash and no position
    assert not of_status(seen, "endangered") and not planned(seen)
    require_no_numbers(seen)


@pytest.mark.parametrize("way", ["zero", "negative", "no contract"])
def test_without_an_ether_price_only_its_holders_are_unknown(rpc: Rpc, world: Deployment, app: App, way: str) -> None:
    before = see(app)
    assert isinstance(before.sight, PerpetualSight)
    holders = {a.address for a in before.sight.state.accounts if a.balances}
    assert len(holders) >= 10 and holders & planned(before)
    break_feed(rpc, world.collaterals[0].aggregator, way)
    seen = see(app)
    assert of_status(seen, "unknown") == holders
    assert planned(seen) == planned(before) - holders
    require_no_numbers(seen)


def require_no_numbers(seen: Tick) -> None:
    reasons = {h.subject: h.reason for h in seen.holds}
    for v in seen.verdicts:
        if v.status == "unknown":
            assert v.equity != v.equity and v.health != v.health, "NaN, never zero"
            assert v.reason and reasons[v.account] == f"unknown: {v.reason}"


def test_the_reason_names_feed_and_fault(rpc: Rpc, world: Deployment, app: App) -> None:
    break_feed(rpc, world.markets[0].aggregator, "zero")
    trader = next(v for v in see(app).verdicts if v.account == world.accounts[0])
    assert trader.reason == "BTC/USD: expected an answer > 0, found 0"


def test_when_the_feed_recovers_so_do_the_accounts(rpc: Rpc, world: Deployment, app: App) -> None:
    before = planned(see(app))
    break_feed(rpc, world.markets[0].aggregator, "zero")
    assert not planned(see(app))
    push(rpc, world.markets[0].aggregator, to_feed(CRASH[-1][1]))
    after = see(app)
    assert not of_status(after, "unknown")
    assert planned(after) == before


def test_a_tick_of_unknown_accounts_is_journalled_without_numbers_or_intents(
    rpc: Rpc, world: Deployment, app: App
) -> None:
    break_feed(rpc, world.markets[0].aggregator, "stale")
    tick(app.world.heads.newest(), app.world)
    stored = app.journal.last_tick()
    assert stored is not None and (stored.endangered, stored.healthy) == (0, 1)
    assert stored.unknown == stored.accounts - 1 == len(world.accounts) + 2
    for margin in app.journal.margins(stored.id):
        if margin.status == "unknown":
            assert (margin.equity, margin.im, margin.mm, margin.health) == (None, None, None, None)
            assert "heartbeat 3600 s" in margin.reason
    assert app.journal.counts().intents == 0
    (bad,) = [q for q in app.journal.quotes(stored.id) if q.symbol == "BTC/USD"]
    assert bad.status == "bad" and "s old" in bad.reason


def test_a_feed_nobody_configured_leaves_its_traders_unknown(
    anvil: Anvil, rpc: Rpc, world: Deployment, tmp_path: Path
) -> None:
    path = write_config(tmp_path, anvil.url, world, "observe")
    path.write_text(path.read_text().replace(world.markets[0].aggregator, world.collaterals[0].price_feed))
    text = path.read_text().replace(world.collaterals[0].aggregator, world.markets[0].price_feed)
    path.write_text(text)
    opened = open_app(load(path))
    with opened.journal:
        seen = see(opened)
    assert of_status(seen, "unknown") >= set(world.accounts)
    trader = next(v for v in seen.verdicts if v.account == world.accounts[0])
    assert f"{world.markets[0].aggregator} is no configured [[oracle]]" in trader.reason
    assert rpc.block().number == seen.head.block.number
