"""The adapter of the reference venue and what is decided from it, against the deployed contracts themselves."""

import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import astuple, replace
from pathlib import Path
from typing import Any

import pytest
from reference_market import (
    KEEPER,
    MAKER,
    OWNER,
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
from keeper.accounts import Accounts, Glance
from keeper.auctions import AuctionPolicy, Standing
from keeper.chain import Block, Call, Receipt
from keeper.demo.anvil import REPO, Anvil, start_anvil
from keeper.demo.transactions import FUNDS, Batch
from keeper.heads import Head
from keeper.in_turn import Ending, Step, try_in_turn
from keeper.journal.records import Intent
from keeper.lanes.simulate import Simulation
from keeper.memory import Memory
from keeper.plans import ANY_SEQUENCE, Plan, PublishArrays, SetParameters, StartAuction
from keeper.portfolios import PortfolioLine, PortfolioPolicy, PortfolioSight
from keeper.publish import PPM, Publishing
from keeper.reverts import revert
from keeper.rpc import Rpc, RpcRefusal
from keeper.twin.margin import by_arrays, by_scenario, by_settled_arrays
from keeper.twin.records import Book, Check, Instrument
from keeper.venues.base import ForeignPlan
from keeper.venues.portfolio import account_id

MAKERS = (named(MAKER), named(MAKER, 1))
GAS = 16_000_000


@pytest.fixture(scope="module")
def anvil() -> Iterator[Anvil]:
    with start_anvil(gas_limit=400_000_000) as running:
        yield running


@pytest.fixture(scope="module")
def rpc(anvil: Anvil) -> Rpc:
    return Rpc(anvil.url, timeout_s=60.0)


@pytest.fixture(scope="module")
def opened(rpc: Rpc) -> tuple[Market, tuple[Wish, ...]]:
    market = open_market(rpc)
    market.fund(1_000 * USDC)
    found = tuple(wishes(market))
    fill(market, found, MAKERS)
    rpc.call("anvil_setBalance", KEEPER.address, hex(FUNDS))
    return market, found


@pytest.fixture
def market(rpc: Rpc, opened: tuple[Market, tuple[Wish, ...]]) -> Iterator[Market]:
    """The traded market; whatever a test does to the chain is undone after it."""
    snapshot = rpc.call("evm_snapshot")
    yield opened[0]
    assert rpc.call("evm_revert", snapshot) is True
    opened[0].batch = Batch(rpc)


@pytest.fixture
def names(opened: tuple[Market, tuple[Wish, ...]]) -> tuple[str, ...]:
    return (*(wish.name for wish in opened[1]), *MAKERS)


def wishes(market: Market) -> Iterator[Wish]:
    """Yield one account an underlying with many legs, and some with few in one or both."""
    rng = random.Random(7)
    for number in range(10):
        legs: dict[Instrument, int] = {}
        both = (0, 1) if number % 2 else (number // 2 % 2,)
        for _ in range(12 if number < 2 else 3):
            u = rng.choice(both)
            size = rng.choice((-1, 1)) * rng.randint(1, 20) * WAD // (10 if u == 0 else 200)
            legs[market.option(u, rng.randint(0, 2), rng.randint(0, 4), is_call=rng.random() < 0.5)] = size
        key = TRADERS[number % len(TRADERS)]
        yield Wish(named(key, number), key, tuple(legs.items()), 4.0)


def look(
    market: Market, names: Sequence[str] = (), *, publish: bool = True, only: frozenset[int] = frozenset()
) -> PortfolioSight:
    policy = PortfolioPolicy(
        AuctionPolicy(True, True, (), 0.0, 0.0, 50, 120, True, 0),
        Publishing(publish, after_move=PPM // 2, after_shift=PPM // 400, after_seconds=10**9, only=only),
        KEEPER.address,
        3,
    )
    return PortfolioLine(market.venue, policy, lambda _: Memory()).read(market.rpc.block(), names, ())


def published(sight: PortfolioSight) -> list[PublishArrays]:
    plans, _ = sight.decisions(sight.verdicts())
    return [plan for plan in plans if isinstance(plan, PublishArrays)]


def send(market: Market, plans: Sequence[PublishArrays]) -> list[Receipt]:
    for plan in plans:
        call = market.venue.encode(plan)
        market.batch.add(KEEPER.address, call, plan.why, gas=call.gas or 0)
    return market.batch.mine()


def asked(market: Market, name: str, book: Book, *arguments: int) -> Check:
    """Return what the margin contract itself says."""
    words = (book.cash, [leg.packed for leg in book.legs], [held.packed for held in book.collateral])
    call = interface("reference/Margin").function(name).packed(market.manifest.contracts.margin, words, *arguments)
    (answer,) = market.rpc.eth_calls([call], market.rpc.block())
    assert isinstance(answer, bytes), answer
    return Check(*(int.from_bytes(answer[at : at + 32], signed=at == 0) for at in (0, 32, 64)))


# --- discover and read -------------------------------------------------------------------------------


class NoCursor:
    """A journal that has seen nothing."""

    def scanned(self) -> tuple[tuple[int, str], ...]:
        return ()

    def accounts(self) -> tuple[str, ...]:
        return ()


def test_balance_changes_introduce_every_account_and_none_of_the_venues_own(
    market: Market, names: tuple[str, ...]
) -> None:
    cursor = Glance(NoCursor())  # type: ignore[arg-type]
    found = Accounts(market.rpc, market.venue, cursor, market.manifest.start_block).at(market.rpc.block())
    assert sorted(found) == sorted(names)


def test_every_statement_of_the_twin_is_the_contracts(market: Market, names: tuple[str, ...]) -> None:
    sight = look(market, names)
    assert sight.compared.compared > len(names)
    assert sight.compared.apart == {}
    state = sight.state
    assert len(state.accounts) == len(names) and not state.unknown
    for account in state.accounts:
        found = sight.standings[account.name]
        assert found.newest == asked(market, "byArrays", account.book) == by_arrays(account.book, state.world)
        assert found.settled == asked(market, "bySettledArrays", account.book)
        assert found.settled == by_settled_arrays(account.book, state.world)
        assert found.proof == asked(market, "byScenario", account.book, found.scenarios)


def test_the_scenarios_named_are_the_ones_that_show_most(market: Market, names: tuple[str, ...]) -> None:
    """Of an account in one underlying: the contract is asked for each of the 18 rows."""
    sight = look(market, names)
    single = [a for a in sight.state.accounts if len({leg.instrument.underlying for leg in a.book.legs}) == 1]
    assert len(single) >= 4
    for account in single:
        (u,) = {leg.instrument.underlying for leg in account.book.legs}
        none = (1 << 256) - 1
        rows = [asked(market, "byScenario", account.book, none ^ (0xFF ^ row) << 8 * u) for row in range(18)]
        proof = sight.standings[account.name].proof
        assert proof is not None
        assert proof.mm == max(check.mm for check in rows)


class Refusing:
    """A node that fails every call about one account."""

    def __init__(self, rpc: Rpc, account: int) -> None:
        self._rpc = rpc
        self._word = account.to_bytes(32)

    def __getattr__(self, name: str) -> object:
        return getattr(self._rpc, name)

    def eth_calls(self, calls: Sequence[Call], block: Block) -> list[bytes | RpcRefusal]:
        answers = self._rpc.eth_calls(calls, block)
        return [
            RpcRefusal(-32000, "missing trie node") if self._word in call.data else answer
            for call, answer in zip(calls, answers, strict=True)
        ]


def test_an_account_that_cannot_be_read_is_unknown_and_nobody_else_is(
    market: Market, names: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(market.venue, "_rpc", Refusing(market.rpc, account_id(names[3])))
    verdicts = {v.account: v for v in look(market, names).verdicts()}
    assert [name for name, v in verdicts.items() if v.status == "unknown"] == [names[3]]
    assert "missing trie node" in verdicts[names[3]].reason


def test_with_an_old_report_nobody_with_positions_is_known_to_be_healthy(
    market: Market, names: tuple[str, ...]
) -> None:
    reported_at = market.state().world.underlyings[0].report.timestamp
    market.next_block(reported_at + market.board.limits.max_report_age - market.rpc.block().timestamp)
    market.rpc.call("evm_mine")
    assert {v.status for v in look(market, names).verdicts()} == {"healthy"}  # exactly as old as allowed
    market.next_block(1)
    market.rpc.call("evm_mine")
    sight = look(market, names)
    assert {v.status for v in sight.verdicts()} == {"unknown"}
    assert len(sight.faults()) == 3


# --- publish -----------------------------------------------------------------------------------------


def test_what_is_published_already_is_not_published_again(market: Market) -> None:
    assert published(look(market)) == []


def test_half_the_move_limit_makes_that_underlying_alone_due(market: Market) -> None:
    eth, btc, dai = (u.price for u in market.board.underlyings)
    half = market.board.underlyings[0].scan.move // 2
    market.next_block(12)
    market.report([eth * (WAD - half) // WAD + 1, btc, dai])
    market.mine()
    assert published(look(market)) == []
    market.next_block(12)
    market.report([eth * (WAD - half) // WAD, btc, dai])
    market.mine()
    plans = published(look(market))
    assert [(p.underlying, p.expiry) for p in plans] == [(0, e) for e in market.manifest.underlyings[0].expiries]
    receipts = send(market, plans)
    assert all(market.venue.confirm(p, r).achieved for p, r in zip(plans, receipts, strict=True))
    assert published(look(market)) == []


def refit(market: Market, underlying: int, **changes: int) -> None:
    """Set new slices of every expiry: fields changed by so many parts per thousand, at an unmoved price."""
    market.next_block(12)
    known = market.state().world.underlyings[underlying]
    slices = [
        replace(old, timestamp=market.at, **{name: getattr(old, name) * by // 1_000 for name, by in changes.items()})
        for old in known.slices.values()
    ]
    market.report([u.price for u in market.board.underlyings])
    market.fit(slices)
    market.mine()


@pytest.mark.parametrize(
    ("little", "much"),
    [({"forward": 1_002}, {"forward": 1_004}), ({"b": 990}, {"b": 700}), ({"a": 1_010}, {"a": 1_300, "b": 1_300})],
    ids=["forward", "less volatility", "more volatility"],
)
def test_slices_that_moved_a_mark_make_their_underlying_due(
    market: Market, little: dict[str, int], much: dict[str, int]
) -> None:
    refit(market, 0, **little)
    assert published(look(market)) == []
    refit(market, 0, **much)
    plans = published(look(market))
    assert [(p.underlying, p.expiry) for p in plans] == [(0, e) for e in market.manifest.underlyings[0].expiries]
    assert "slices or fixings moved a mark by 0." in plans[0].reason
    receipts = send(market, plans)
    assert all(market.venue.confirm(p, r).achieved for p, r in zip(plans, receipts, strict=True))
    assert published(look(market)) == []


def test_an_epoch_left_half_published_is_completed_from_where_it_stands(market: Market) -> None:
    moved(market)
    plans = published(look(market))
    of_eth = [plan for plan in plans if plan.underlying == 0]
    send(market, of_eth[:1])
    assert [plan.effect for plan in published(look(market))] == [plan.effect for plan in plans[1:]]
    send(market, plans[1:])
    assert published(look(market)) == []


def test_new_parameters_in_mid_epoch_start_it_anew(market: Market) -> None:
    """Words of one version under the header of another would cost the bond, though every one of them is right."""
    moved(market)
    send(market, [plan for plan in published(look(market)) if plan.underlying == 0][:1])
    setting = interface("reference/Products").function("setScanParameters")
    scan = replace(market.board.underlyings[0].scan, scan=market.board.underlyings[0].scan.scan + WAD // 100)
    call = setting.packed(market.manifest.contracts.products, 0, astuple(scan))
    market.batch.add(market.steward(), call, "scan", gas=1_000_000)
    market.batch.mine()
    plans = [plan for plan in published(look(market)) if plan.underlying == 0]
    assert [(p.version, p.expiry) for p in plans] == [(2, e) for e in market.manifest.underlyings[0].expiries]
    receipts = send(market, plans)
    assert all(market.venue.confirm(p, r).achieved for p, r in zip(plans, receipts, strict=True))
    challenge = interface("reference/RiskArrays").function("challenge")
    epoch = look(market).state.lines[0].current
    assert epoch is not None and epoch.version == 2
    block = market.rpc.block()
    calls = [challenge.packed(market.manifest.contracts.risk_arrays, 0, epoch.epoch, p.expiry, 0) for p in plans]
    for answer in market.rpc.simulate(calls, KEEPER.address, block, block.timestamp + 12, GAS):
        assert isinstance(answer, RpcRefusal)
        assert interface("reference/RiskArrays").error_named(answer.revert[:4]) == "ArrayCorrect"


def endings(rpc: Rpc, runs: list[list[Step]]) -> list[tuple[Ending, ...]]:
    block = rpc.block()
    found = try_in_turn(rpc, runs, KEEPER.address, block, block.timestamp + 12)
    return [answer for answer in found if not isinstance(answer, RpcRefusal)]


def test_publications_succeed_in_turn_and_not_alone(market: Market) -> None:
    moved(market)
    plans = [plan for plan in published(look(market)) if plan.underlying == 0]
    calls, block = [market.venue.encode(plan) for plan in plans], market.rpc.block()
    at = block.timestamp + 12
    alone = market.rpc.simulate(calls, KEEPER.address, block, at, GAS)
    steps = [Step(call, GAS) for call in calls]
    in_turn, backwards = endings(market.rpc, [steps, steps[::-1]])
    assert [isinstance(answer, RpcRefusal) for answer in alone] == [False, True, True]
    assert [ending.succeeded for ending in in_turn] == [True, True, True]
    assert [ending.succeeded for ending in backwards] == [False, False, True]
    assert str(revert(backwards[0].returned)).startswith("WrongOrder(")


def test_a_start_is_simulated_on_the_arrays_that_the_same_tick_publishes(
    market: Market, names: tuple[str, ...]
) -> None:
    """By arrays an hour old nothing can be said of the account; by those published ahead of it, it is healthy."""
    market.next_block(3_600)
    market.report([*(u.price * 99 // 100 for u in market.board.underlyings[:2]), WAD], fit=True)
    block = market.mine()
    deadline = block.timestamp + 60
    begin = StartAuction("reference", names[0], ANY_SEQUENCE, True, 0, 12, 1.0, deadline, block.number + 3)
    simulation = Simulation(market.rpc, market.venue, GAS, 250_000)

    def simulated(plans: Sequence[Plan]) -> list[str]:
        intents = [Intent(row, 1, plan, "intended", "", None) for row, plan in enumerate(plans)]
        found = simulation.simulate(intents, Head(block, 0, False, 12), KEEPER.address)
        return [str(found.refusals.get(intent.id, "")) for intent in intents]

    assert not simulated([begin])[0].startswith("simulation: NotBelowMaintenance(")
    *publications, last = simulated([*published(look(market)), begin])
    assert publications and set(publications) == {""}
    assert last.startswith("simulation: NotBelowMaintenance(")


def test_an_option_listed_since_is_published_though_nothing_moved(market: Market) -> None:
    listing = interface("reference/Products").function("listOptions")
    expiry = market.manifest.underlyings[1].expiries[2]
    call = listing.packed(market.manifest.contracts.products, 1, expiry, [12_345 * 10**8], [True])
    market.batch.add(OWNER, call, "list", gas=1_000_000)
    market.next_block(12)
    market.report([u.price for u in market.board.underlyings])
    market.mine()
    plans = published(look(market))
    assert {plan.underlying for plan in plans} == {1}
    assert [plan.options for plan in plans] == [10, 10, 11]
    send(market, plans)
    assert published(look(market)) == []


def test_a_reorganised_listing_makes_publish_revert_and_no_array_wrong(market: Market, rpc: Rpc) -> None:
    """The plans are made on one branch and sent on another, where two options have changed places."""
    of_btc = market.manifest.underlyings[1].expiries
    fork = rpc.call("evm_snapshot")
    listed_and_reported(market, (12_345 * 10**8, 54_321 * 10**8))
    before = published(look(market))
    assert rpc.call("evm_revert", fork) is True
    market.batch = Batch(rpc)
    listed_and_reported(market, (54_321 * 10**8, 12_345 * 10**8))
    after = published(look(market))
    assert [(p.expiry, p.report_id, p.slice_id, p.version) for p in before] == [
        (p.expiry, p.report_id, p.slice_id, p.version) for p in after
    ]
    assert [old.expiry for old, new in zip(before, after, strict=True) if old.arrays != new.arrays] == [of_btc[1]]
    (answers,) = endings(rpc, [[Step(market.venue.encode(plan), GAS) for plan in before]])
    assert not answers[1].succeeded
    assert str(revert(answers[1].returned)).startswith("ListingChanged")
    receipts = send(market, after)
    assert all(market.venue.confirm(p, r).achieved for p, r in zip(after, receipts, strict=True))


def listed_and_reported(market: Market, strikes: tuple[int, ...]) -> None:
    """List calls of these strikes on bitcoin's second expiry, and report, in one block."""
    listing = interface("reference/Products").function("listOptions")
    expiry = market.manifest.underlyings[1].expiries[1]
    call = listing.packed(market.manifest.contracts.products, 1, expiry, list(strikes), [True] * len(strikes))
    market.batch.add(OWNER, call, "list", gas=1_000_000)
    market.next_block(12)
    market.report([u.price for u in market.board.underlyings])
    market.mine()


def test_who_may_not_publish_holds_and_says_so(market: Market) -> None:
    moved(market)
    sight = look(market, publish=False)
    plans, holds = sight.decisions(sight.verdicts())
    assert not plans
    assert {h.subject: h.reason for h in holds} == {f"arrays:{u}": "portfolio.publish is off" for u in (0, 1)}


def test_underlyings_of_another_publisher_are_left_to_him(market: Market) -> None:
    moved(market)
    sight = look(market, only=frozenset({1}))
    plans, holds = sight.decisions(sight.verdicts())
    assert {plan.underlying for plan in plans if isinstance(plan, PublishArrays)} == {1}
    assert {h.subject: h.reason for h in holds} == {"arrays:0": "portfolio.publish_underlyings does not name it"}


def test_an_old_slice_is_not_published_on(market: Market) -> None:
    market.next_block(market.board.limits.max_slice_age + 1)
    market.report([u.price * 99 // 100 for u in market.board.underlyings])
    market.mine()
    sight = look(market)
    _, holds = sight.decisions(sight.verdicts())
    assert published(sight) == []
    assert all("fit again first" in h.reason for h in holds if h.subject.startswith("arrays:"))
    known = sight.state.world.underlyings[0]
    again = [replace(slice_, timestamp=known.report.timestamp) for slice_ in known.slices.values()]
    market.fit(again)
    market.batch.mine()
    assert {plan.underlying for plan in published(look(market))} == {0}


def moved(market: Market) -> None:
    market.next_block(12)
    market.report([*(u.price * 99 // 100 for u in market.board.underlyings[:2]), WAD])
    market.mine()


# --- act ---------------------------------------------------------------------------------------------


def test_a_healthy_accounts_auction_does_not_start_and_the_chain_says_why(
    market: Market, names: tuple[str, ...]
) -> None:
    found = look(market, names).standings[names[0]]
    answer = refused(market, start(market, found, found.account.sequence))
    assert answer == "NotBelowMaintenance"


def test_a_start_that_expects_another_sequence_is_refused_before_anything_is_computed(
    market: Market, names: tuple[str, ...]
) -> None:
    found = look(market, names).standings[names[0]]
    assert refused(market, start(market, found, found.account.sequence + 1)) == "UnexpectedSequence"


def start(market: Market, found: Standing, sequence: int) -> Call:
    deadline = market.rpc.block().timestamp + 60
    plan = StartAuction(
        "reference",
        found.account.name,
        sequence,
        False,
        found.scenarios,
        len(found.account.book.legs),
        1.0,
        deadline,
        0,
    )
    return market.venue.encode(plan)


def refused(market: Market, call: Call) -> str:
    """Return the name of the error a call ends in."""
    block = market.rpc.block()
    (answer,) = market.rpc.simulate([call], KEEPER.address, block, block.timestamp + 12, GAS)
    assert isinstance(answer, RpcRefusal)
    found = {interface(f"reference/{name}").error_named(answer.revert[:4]) for name in ("Auctions", "MarginVenue")}
    return max(found)


def test_a_receipt_proves_nothing_about_another_plan(market: Market) -> None:
    moved(market)
    first, second, *_ = published(look(market))
    (receipt,) = send(market, [first])
    assert market.venue.confirm(first, receipt).achieved
    assert not market.venue.confirm(second, receipt).achieved
    assert not market.venue.confirm(first, replace(receipt, succeeded=False)).achieved
    other = replace(receipt, logs=tuple(replace(log, address=OWNER) for log in receipt.logs))
    assert not market.venue.confirm(first, other).achieved


def test_a_plan_of_another_kind_of_venue_is_refused(market: Market) -> None:
    with pytest.raises(ForeignPlan, match="set_parameters"):
        market.venue.encode(SetParameters("reference", "mm_ratio_buffer", 1, 2, "", 0))


def test_what_an_account_holds_adds_up_to_its_equity(market: Market, names: tuple[str, ...]) -> None:
    sight = look(market, names)
    marks = {a.name: by_scenario(a.book, sight.state.world, (1 << 256) - 1) for a in sight.state.accounts}
    for name in names:
        total = sum(part.value for part in sight.parts(name))
        assert total == pytest.approx(marks[name].equity / WAD, abs=1e-6)


# --- the command line --------------------------------------------------------------------------------


def keeper(folder: Path, *arguments: str) -> dict[str, Any]:
    """Run a command as an operator would; returns the JSON it prints."""
    done = subprocess.run(
        [sys.executable, "-m", "keeper", *arguments, "--json"],
        cwd=folder, env=os.environ | {"PYTHONPATH": str(REPO)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_the_commands_know_the_venue(anvil: Anvil, market: Market, names: tuple[str, ...], tmp_path: Path) -> None:
    path = write_config(tmp_path, anvil.url, market, MAKERS, mode="shadow")
    assert keeper(tmp_path, "check-config", str(path))["ok"]
    listed = keeper(tmp_path, "accounts", "--config", str(path))["accounts"]
    assert {row["account"]: row["status"] for row in listed} == dict.fromkeys(names, "healthy")
    fund = keeper(tmp_path, "fund", "--config", str(path), "--events")
    assert (fund["faults"], fund["bad_debt"]) == ([], "0")
    assert sum(int(event["wad"]) for event in fund["events"]) == int(fund["fund"])
    sub = next(name for name in names if "/" in name)
    explained = keeper(tmp_path, "explain", sub, "--config", str(path))
    assert sum(p["value"] for p in explained["positions"]) == pytest.approx(explained["equity"], abs=1e-6)
    moved(market)
    once = keeper(tmp_path, "once", "--config", str(path))
    assert [plan["kind"] for plan in once["plans"]] == ["publish_arrays"] * 6
