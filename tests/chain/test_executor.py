"""The executor on Anvil among real parties: reference venue and price relay as deployed, Uniswap v3's published
factory and pool, OpenZeppelin's ERC-3156 lender."""

import tomllib
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

import orjson
import pytest
from executor_market import FALLEN, FOREVER, RECEIVER, WEAK, ExecutorMarket, job, open_executor_market
from reference_market import KEEPER, MAKER, OWNER, USDC, WAD, named, write_config

from keeper.abi import interface
from keeper.allowed import allowed_calls
from keeper.app import App, configured, open_app, policy_of
from keeper.chain import Call, Receipt
from keeper.demo.anvil import start_anvil
from keeper.demo.transactions import Batch, TransactionFailed
from keeper.errors import MissingContract, ReadError
from keeper.loop import tick
from keeper.own_signer import signer_toml
from keeper.plans import ANY_SEQUENCE, StartAuction, TakeAuction
from keeper.portfolios import fresh_world, standing
from keeper.publish import Publishing, publications
from keeper.rpc import RpcError
from keeper.signer.config import SignerFile
from keeper.signer.policy import refusal
from keeper.signer.records import SignRequest
from keeper.twin.auction import NO_SCENARIOS
from keeper.twin.margin import by_scenario
from keeper.venues.executor_jobs import (
    ALL,
    EXECUTOR,
    Executor,
    Job,
    Kind,
    Loan,
    Step,
    deposit,
    run,
    step,
    swap,
    try_many,
    withdraw,
)
from keeper.venues.portfolio import account_id

WETH_ASSET = 1
BLOCK_S = 12
LENT = 2_000 * USDC
OWN = named(RECEIVER)
PASSWORD = "correct horse battery staple"


@pytest.fixture(scope="module")
def opened() -> Iterator[ExecutorMarket]:
    with start_anvil(gas_limit=60_000_000) as running:
        yield open_executor_market(running.url)


@pytest.fixture
def at(opened: ExecutorMarket) -> Iterator[ExecutorMarket]:
    """The market on the second before its fall is reported; put back afterwards."""
    snapshot = opened.rpc.call("evm_snapshot")
    opened.market.batch = Batch(opened.rpc)
    opened.market.next_block(BLOCK_S)
    yield opened
    assert opened.rpc.call("evm_revert", snapshot) is True


@dataclass(frozen=True, slots=True)
class Seen:
    """What follows from the report of the fall, looked at in a block that is undone."""

    publish: tuple[Call, ...]
    start: StartAuction
    take: TakeAuction


def looked_ahead(at: ExecutorMarket) -> Seen:
    """Return publications of the executor's, the start, and the take of all that is taken right after it."""
    market = at.market
    snapshot, time = at.rpc.call("evm_snapshot"), market.at
    batch = Batch(at.rpc)
    batch.add(KEEPER.address, at.fallen(), "report", gas=1_000_000)
    batch.mine()
    state = market.venue.read(at.rpc.block(), [named(WEAK)], at.executor)
    plans, _ = publications(state, Publishing(on=True, after_move=0, after_shift=0, after_seconds=0), 3)
    found = standing(state.accounts[0], state.world, fresh_world(state))
    assert found.by_proof
    start = StartAuction(market.venue.name, named(WEAK), ANY_SEQUENCE, False, found.scenarios, 1, 1.0, FOREVER, 0)
    take = TakeAuction(
        market.venue.name, named(WEAK), OWN, 1, ANY_SEQUENCE, ANY_SEQUENCE, WAD, 2**126, False, found.scenarios,
        True, 3, 0.0, FOREVER, 0,
    )  # fmt: skip
    assert at.rpc.call("evm_revert", snapshot) is True
    market.at = time
    at.rpc.call("evm_setNextBlockTimestamp", hex(time))
    return Seen(tuple(market.venue.encode(plan) for plan in plans), start, take)


def whole(at: ExecutorMarket, seen: Seen, least: int) -> Job:
    """Report, publish, start, take on borrowed margin, withdraw and sell what was seized."""
    encode, own = at.market.venue.encode, account_id(OWN)
    steps: tuple[Step, ...] = (
        step(Kind.REPORT, at.fallen(), 400_000),
        *(step(Kind.PUBLISH, message, 2_500_000) for message in seen.publish),
        step(Kind.START, encode(seen.start), 1_500_000),
        deposit(own, 0, LENT, 300_000),
        step(Kind.TAKE, encode(seen.take), 3_000_000),
        withdraw(own, WETH_ASSET, ALL, 1_500_000),
        swap(at.pool, at.weth, ALL, 1, 300_000),
    )
    return replace(job(at, *steps), loan=Loan(at.dollar, LENT, LENT // 1_000), min_profit=least)


def sent(at: ExecutorMarket, message: Call) -> Receipt:
    batch = Batch(at.rpc)
    batch.add(KEEPER.address, message, "executor", gas=25_000_000)
    (receipt,) = batch.mine()
    return receipt


def wealth(at: ExecutorMarket) -> float:
    """USD of the receiver: his tokens, and his account at the marks of the newest report."""
    state = at.market.state([OWN])
    price = state.world.underlyings[0].report.price
    worth = by_scenario(state.accounts[0].book, state.world, NO_SCENARIOS).equity / WAD
    return (
        worth + at.balance(at.dollar, RECEIVER.address) / USDC + at.balance(at.weth, RECEIVER.address) * price / WAD**2
    )


def holds_nothing(at: ExecutorMarket) -> bool:
    c = at.market.manifest.contracts
    spenders = (c.venue, c.auctions, c.risk_arrays, c.settlement_token, at.pool)
    left = [at.balance(token, at.executor) for token in at.tokens]
    return not any(left) and not any(at.allowance(token, who) for token in at.tokens for who in spenders)


def profit_of(receipt: Receipt) -> int:
    event = interface(EXECUTOR).event("Performed")
    (log,) = (log for log in receipt.logs if log.topics[0] == event.topic)
    return int(event.body(log)["profit"])


def test_one_transaction_from_report_to_profit(at: ExecutorMarket) -> None:
    seen = looked_ahead(at)
    before, in_pool = wealth(at), at.balance(at.dollar, at.pool)
    receipt = sent(at, run(at.executor, whole(at, seen, 1_000 * USDC)))
    profit = profit_of(receipt)
    assert at.balance(at.dollar, RECEIVER.address) == profit >= 1_000 * USDC
    assert in_pool - at.balance(at.dollar, at.pool) == profit + LENT // 1_000 + LENT  # withdrawn is nothing of the loan
    assert holds_nothing(at)
    assert before + 25 < wealth(at) < before + 40  # a hundredth of 3,700 USD sold, less both fees
    state = at.market.state([named(WEAK), OWN])
    assert state.lines[0].current is not None
    assert state.lines[0].current.price == state.world.underlyings[0].report.price == FALLEN
    assert not state.accounts[1].book.collateral
    assert at.market.venue.confirm(seen.start, receipt).achieved
    assert at.market.venue.confirm(seen.take, receipt).achieved


def test_the_least_profit_may_be_all_of_it_and_a_unit_more_undoes_everything(at: ExecutorMarket) -> None:
    seen = looked_ahead(at)
    time, snapshot = at.market.at, at.rpc.call("evm_snapshot")
    profit = profit_of(sent(at, run(at.executor, whole(at, seen, 0))))
    for least, done in ((profit + 1, False), (profit, True)):
        assert at.rpc.call("evm_revert", snapshot) is True
        snapshot, at.market.at = at.rpc.call("evm_snapshot"), time
        at.rpc.call("evm_setNextBlockTimestamp", hex(time))
        before = at.market.state([named(WEAK), OWN])
        with nullcontext() if done else pytest.raises(TransactionFailed, match="ProfitTooLow"):
            sent(at, run(at.executor, whole(at, seen, least)))
        after = at.market.state([named(WEAK), OWN])
        assert (after.accounts == before.accounts) is not done
        assert (after.world.underlyings[0].report == before.world.underlyings[0].report) is not done
        assert at.balance(at.dollar, RECEIVER.address) == (profit if done else 0)


def test_a_healthy_account_among_the_jobs_does_not_sink_the_others(at: ExecutorMarket) -> None:
    seen = looked_ahead(at)
    healthy = replace(seen.start, account=named(MAKER))
    starts = [step(Kind.START, at.market.venue.encode(plan), 1_500_000) for plan in (healthy, seen.start)]
    report = job(at, step(Kind.REPORT, at.fallen(), 400_000))
    jobs = [report, *(job(at, start) for start in starts)]
    receipt = sent(at, try_many(at.executor, jobs))
    assert at.market.venue.confirm(seen.start, receipt).achieved
    refused = interface(EXECUTOR).event("JobRefused")
    found = [log for log in receipt.logs if log.topics[0] == refused.topic]
    assert [int(log.topics[1], 16) for log in found] == [1]
    accounts = at.market.state([named(MAKER), named(WEAK)]).accounts
    assert [account.auction_id for account in accounts] == [0, 1]
    assert holds_nothing(at)


def test_only_operators_have_it_run(at: ExecutorMarket) -> None:
    with pytest.raises(RpcError) as refused:
        at.asked(run(at.executor, job(at)), MAKER.address)
    assert refused.value.refusal.revert[:4] == interface(EXECUTOR).error("AccessControlUnauthorizedAccount")


# --- through a keeper's lane ---------------------------------------------------------------------------


@pytest.fixture
def keeper(
    request: pytest.FixtureRequest, at: ExecutorMarket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[App]:
    """A live keeper whose takes the executor makes, for the receiver's account."""
    monkeypatch.setenv("KEEPER_KEYSTORE_PASSWORD", PASSWORD)
    (tmp_path / "keystore.json").write_bytes(orjson.dumps(KEEPER.encrypt(PASSWORD, kdf="pbkdf2", iterations=1_000)))
    config = write_config(tmp_path, at.url, at.market, (OWN,), publish="false")
    text = config.read_text().replace("[portfolio]\n", f'[portfolio]\nexecutor = "{at.executor}"\n')
    text = text.replace("[signer]\n", "[signer]\ngas_token_usd = 100.0\n")
    config.write_text(text + f'\n[sending]\npolicy = "{request.param}"\n')
    at.rpc.call("evm_setAutomine", False)
    with open_app(configured(config)) as app:
        yield app
    at.rpc.call("anvil_dropAllTransactions")
    at.rpc.call("evm_setAutomine", True)


def ticked(at: ExecutorMarket, app: App) -> None:
    """Tick on the newest block, then mine one a minute later."""
    tick(app.world.heads.newest(), app.world)
    at.market.next_block(60)
    at.rpc.call("evm_mine")


def became(app: App) -> dict[str, str]:
    """Return what became of the last plan of each kind for the weak account."""
    decisions = app.journal.decisions(named(WEAK), 100)[::-1]
    return {d.intent.plan.kind: d.intent.status for d in decisions if d.intent is not None}


def jobs_done(at: ExecutorMarket) -> int:
    performed = interface(EXECUTOR).event("Performed").topic
    return len(at.rpc.logs([at.executor], [performed], 0, at.rpc.block().number))


@pytest.mark.parametrize("keeper", ["protocol"], indirect=True)
def test_a_keeper_takes_through_it_what_it_has_started(at: ExecutorMarket, keeper: App) -> None:
    at.market.batch.add(OWNER, at.fallen(), "report", gas=1_000_000)
    at.market.batch.mine()
    for _ in range(5):
        ticked(at, keeper)
    assert became(keeper) == {"start_auction": "achieved", "take_auction": "achieved"}
    assert jobs_done(at) == 1
    assert at.market.state([OWN]).accounts[0].book.legs
    assert holds_nothing(at)


@pytest.mark.parametrize("keeper", ["profit"], indirect=True)
def test_for_profit_it_takes_what_others_have_started(at: ExecutorMarket, keeper: App) -> None:
    start = looked_ahead(at).start
    at.market.batch.add(OWNER, at.fallen(), "report", gas=1_000_000)
    at.market.batch.add(OWNER, at.market.venue.encode(start), "start", gas=2_000_000)
    at.market.batch.mine()
    for _ in range(5):
        ticked(at, keeper)
    assert became(keeper) == {"take_auction": "achieved"}
    assert jobs_done(at) == 1


@pytest.mark.parametrize("keeper", ["protocol"], indirect=True)
def test_its_signer_signs_no_other_job(at: ExecutorMarket, keeper: App) -> None:
    """What the keeper's file gives the signer: one take, nothing that moves a token."""
    calls = allowed_calls(keeper.config, keeper.venue, policy_of(keeper.config))
    policy = SignerFile.model_validate(tomllib.loads(signer_toml(keeper.config, calls, "a test"))).policy()

    def answer(message: Call) -> str:
        request = SignRequest("1", 0, "call", "1", (), policy.chain_id, message.to, message.data, 10**6, 10, 1)
        found = refusal(policy, request, KEEPER.address)
        return "" if found is None else found.rule

    seen = looked_ahead(at)
    start, take = (at.market.venue.encode(plan) for plan in (seen.start, seen.take))
    bought = step(Kind.TAKE, take, 2_000_000)
    alone = replace(job(at, bought), tokens=(at.dollar,))
    wrong = [
        replace(alone, steps=(step(Kind.START, start, 900_000),)),
        replace(alone, steps=(withdraw(account_id(OWN), WETH_ASSET, ALL, 1_500_000),)),
        replace(alone, steps=(swap(at.pool, at.weth, ALL, 1, 300_000),)),
        replace(alone, steps=(bought, bought)),
        replace(alone, steps=(replace(bought, gas=keeper.config.signer.max_gas + 1),)),
        replace(alone, loan=Loan(at.dollar, 1, 1)),
        replace(alone, tokens=at.tokens),
    ]
    assert [answer(keeper.venue.encode(plan)) for plan in (seen.start, seen.take)] == ["", ""]
    assert answer(run(at.executor, alone)) == ""
    assert [answer(run(at.executor, found)) for found in wrong] == ["argument"] * len(wrong)
    assert [answer(call) for call in (start, take)] == ["", "allow_list"]  # past the executor
    assert answer(try_many(at.executor, [alone])) == "allow_list"


def test_what_a_start_costs_more_through_it(at: ExecutorMarket) -> None:
    """About 40,000, as docs/executor.md says."""
    start = looked_ahead(at).start
    at.market.batch.add(OWNER, at.fallen(), "report", gas=1_000_000)
    at.market.batch.mine()
    snapshot, used = at.rpc.call("evm_snapshot"), []
    call = at.market.venue.encode(start)
    for made in (call, Executor(at.executor, at.dollar).alone(Kind.START, call, start.deadline)):
        batch = Batch(at.rpc)
        batch.add(KEEPER.address, made, "start", gas=2_000_000)
        (receipt,) = batch.mine()
        used.append(receipt.gas_used)
        assert at.rpc.call("evm_revert", snapshot) is True
        snapshot = at.rpc.call("evm_snapshot")
    alone, through = used
    assert 35_000 < through - alone < 45_000, used


def test_an_executor_of_another_venue_is_told_at_the_start(at: ExecutorMarket) -> None:
    with pytest.raises(MissingContract, match=r"portfolio\.executor"):
        at.market.venue.through(OWNER)
    with pytest.raises(ReadError, match="expected an executor"):
        at.market.venue.through(at.pool)
