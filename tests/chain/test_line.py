"""The whole line on real chains: from a block to mined transactions, and what the journal says about them after."""

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import orjson
import pytest
from eth_account import Account
from eth_account.signers.local import LocalAccount

from keeper.abi import interface, topic_address, uint_at
from keeper.app import App, open_app
from keeper.chain import Block
from keeper.config import load
from keeper.demo.anvil import Anvil, start_anvil
from keeper.demo.config import write_config
from keeper.demo.curie import DEPLOYER, USDC, deploy, deposit
from keeper.demo.deployment import Deployment
from keeper.demo.path import BTC_MARCH_2020
from keeper.demo.replay import replay
from keeper.demo.traders import open_book
from keeper.demo.transactions import Batch, call, role
from keeper.journal.records import Intent, Volatility
from keeper.loop import Tick, tick
from keeper.plans import SetParameters
from keeper.rpc import Rpc
from tests.ledger_world import trails_of

PASSWORD = "correct horse battery staple"
KEY: LocalAccount = Account.from_key("0x" + "4b" * 32)
CRASH = (BTC_MARCH_2020[0], *BTC_MARCH_2020[10:13])
STEP, FLOOR, CALM = 20_000, 600_000, 700_000  # the demo's rule for WETH's collateral ratio
HOUR_S = 3_600

Open = Callable[..., App]


@pytest.fixture(scope="module")
def anvil() -> Iterator[Anvil]:
    """An Anvil of this module's own: its keeper has a key, which the shared world's has not."""
    with start_anvil() as running:
        yield running


@pytest.fixture(scope="module")
def curie(anvil: Anvil) -> Deployment:
    return open_book(anvil.url, deploy(anvil.url, keeper_address=KEY.address))


@pytest.fixture(scope="module")
def rpc(anvil: Anvil) -> Rpc:
    return Rpc(anvil.url, timeout_s=30.0)


@pytest.fixture
def keeper(tmp_path: Path, curie: Deployment, monkeypatch: pytest.MonkeyPatch) -> Iterator[Open]:
    """Open a keeper at a URL; all of one test share keystore and journal, as restarted processes do."""
    (tmp_path / "keystore.json").write_bytes(orjson.dumps(KEY.encrypt(PASSWORD, kdf="pbkdf2", iterations=1_000)))
    opened: list[App] = []

    def start(url: str, mode: str = "live") -> App:
        for before in opened:
            before.close()  # its signer ends with it, as with a process
        if mode == "live":
            monkeypatch.setenv("KEEPER_KEYSTORE_PASSWORD", PASSWORD)  # each takes it out of the environment
        opened.append(open_app(load(write_config(tmp_path, url, curie, mode))))
        return opened[-1]

    yield start
    for app in opened:
        app.close()


def turn(app: App) -> Tick:
    return tick(app.world.heads.newest(), app.world)


def mine(rpc: Rpc, after_s: int = 900) -> Block:
    """Mine what is pending, `after_s` of chain time after the head."""
    rpc.call("evm_setNextBlockTimestamp", hex(rpc.block().timestamp + after_s))
    rpc.call("evm_mine")
    return rpc.block()


@pytest.fixture
def quiet(world: Deployment, rpc: Rpc) -> Iterator[Deployment]:
    """The world before the crash, mined by hand from here on."""
    rpc.call("evm_setAutomine", False)
    yield world
    rpc.call("anvil_dropAllTransactions")  # reverting to a snapshot leaves the pool as it is
    rpc.call("evm_setAutomine", True)


@pytest.fixture
def fallen(anvil: Anvil, quiet: Deployment) -> Deployment:
    """The world after the crash without a keeper, mined by hand from here on."""
    replay(anvil.url, quiet, CRASH, block_seconds=0.0)
    return quiet


def liquidations(rpc: Rpc, world: Deployment, first: int) -> list[tuple[str, str]]:
    """Return (account, transaction hash) of every PositionLiquidated by the keeper since block `first`."""
    event = interface("perp_curie/ClearingHouse").event("PositionLiquidated")
    query = {"address": world.contracts.clearing_house, "topics": [event.topic], "fromBlock": hex(first)}
    logs = rpc.call("eth_getLogs", query)
    assert event.indexed == ("trader", "baseToken")
    return [
        (topic_address(entry["topics"][1]), entry["transactionHash"])
        for entry in logs
        if bytes.fromhex(KEY.address[2:]) in bytes.fromhex(entry["data"][2:])
    ]


def liquidatable(rpc: Rpc, world: Deployment) -> set[str]:
    """Return the traders the protocol's own views call liquidatable now."""
    c, base_token, block = world.contracts, world.markets[0].base_token, rpc.block()
    values = rpc.eth_calls([call(c.vault, "getAccountValue(address)", a) for a in world.accounts], block)
    signature = "getLiquidatablePositionSize(address,address,int256)"
    rows = zip(world.accounts, values, strict=True)
    sized = [
        call(c.account_balance, signature, a, base_token, int.from_bytes(v, signed=True) * 10**12) for a, v in rows
    ]
    answers = rpc.eth_calls(sized, block)
    return {a for a, size in zip(world.accounts, answers, strict=True) if any(size)}


def positions(rpc: Rpc, world: Deployment) -> list[bytes]:
    c, base_token = world.contracts, world.markets[0].base_token
    signature = "getTakerPositionSize(address,address)"
    found = rpc.eth_calls([call(c.account_balance, signature, a, base_token) for a in world.accounts], rpc.block())
    return [bytes(f) for f in found]


def collateral_ratio(rpc: Rpc, world: Deployment) -> int:
    config = call(world.contracts.collateral_manager, "getCollateralConfig(address)", world.collaterals[0].token)
    (answer,) = rpc.eth_calls([config], rpc.block())
    return uint_at(bytes(answer), 1)


def pending(rpc: Rpc) -> int:
    return int(rpc.call("txpool_status")["pending"], 16)


def intents(app: App, subject: str) -> list[Intent]:
    return [d.intent for d in app.journal.decisions(subject) if d.intent is not None]


def holds(app: App, subject: str) -> list[str]:
    return [d.hold.reason for d in app.journal.decisions(subject) if d.hold is not None]


# --- a second chain that forks the first --------------------------------------------------------------


def test_the_keeper_works_on_a_fork_and_the_first_chain_is_untouched(
    anvil: Anvil, world: Deployment, rpc: Rpc, keeper: Open
) -> None:
    before, held = rpc.block(), positions(rpc, world)
    with start_anvil(fork_url=anvil.url) as fork:
        forked = Rpc(fork.url, timeout_s=30.0)
        assert forked.block().hash == before.hash
        app = keeper(fork.url)
        replay(fork.url, world, CRASH, block_seconds=0.0, on_block=lambda _: turn(app))
        events = liquidations(forked, world, before.number)
        decided = {account: intents(app, account) for account in world.accounts}
        won = {i.id: [t.winner for t in trails_of(app.journal, i)] for d in decided.values() for i in d}
        sent = {i.id: {t.slot.state for t in trails_of(app.journal, i)} for d in decided.values() for i in d}
        assert not liquidatable(forked, world)
        assert positions(forked, world) != held
    assert len({account for account, _ in events}) >= 12
    achieved = Counter(account for account, made in decided.items() for i in made if i.status == "achieved")
    assert Counter(account for account, _ in events) == achieved
    ours = {(i.plan.account, w.tx_hash) for d in decided.values() for i in d for w in won[i.id] if w is not None}
    assert set(events) == ours
    assert set().union(*sent.values()) == {"final"}
    assert {i.status for made in decided.values() for i in made} <= {"achieved", "refused"}

    assert (rpc.block(), positions(rpc, world)) == (before, held)
    assert rpc.nonce(KEY.address, before) == rpc.nonce(KEY.address, rpc.block())
    assert pending(rpc) == 0


# --- once only ----------------------------------------------------------------------------------------


def test_a_second_tick_at_the_same_block_sends_nothing_more(
    anvil: Anvil, fallen: Deployment, rpc: Rpc, keeper: Open
) -> None:
    start, endangered = rpc.block(), liquidatable(rpc, fallen)
    app = keeper(anvil.url)
    turn(app)
    sent, counts = pending(rpc), app.journal.counts()
    assert sent == counts.intents == counts.attempts == len(endangered) >= 12
    turn(app)
    turn(keeper(anvil.url))  # a restarted process: the same journal, nothing in memory
    assert rpc.block() == start and pending(rpc) == sent
    after = app.journal.counts()
    assert (after.ticks, after.intents, after.attempts) == (1, sent, sent)

    mine(rpc)
    turn(keeper(anvil.url))
    events = liquidations(rpc, fallen, start.number)
    assert {account for account, _ in events} == endangered and len(events) == sent
    assert {i.status for a in endangered for i in intents(app, a)[-1:]} == {"achieved"}


def test_while_a_liquidation_is_under_way_no_other_is_begun(
    anvil: Anvil, fallen: Deployment, rpc: Rpc, keeper: Open
) -> None:
    """The next head comes before the transactions land: a miner left them out."""
    endangered = liquidatable(rpc, fallen)
    app = keeper(anvil.url)
    turn(app)
    hashes = [a.tx_hash for a in app.journal.live_attempts()]
    for tx_hash in hashes:
        rpc.call("anvil_dropTransaction", tx_hash)
    mine(rpc)
    assert rpc.receipts(hashes) == [None] * len(hashes)
    turn(app)
    assert [a.tx_hash for a in app.journal.live_attempts()] == hashes
    assert pending(rpc) == len(hashes)  # the same bytes, offered again
    still = endangered & liquidatable(rpc, fallen)
    assert still
    for account in still:
        assert len(intents(app, account)) == 1
        assert any("already under way" in reason for reason in holds(app, account))
    mine(rpc)
    assert Counter(a for a, _ in liquidations(rpc, fallen, 0)) == Counter(endangered)


def test_when_somebody_else_was_first_the_journal_says_it_failed(
    anvil: Anvil, fallen: Deployment, rpc: Rpc, keeper: Open
) -> None:
    app = keeper(anvil.url)
    turn(app)
    base_token, house = fallen.markets[0].base_token, fallen.contracts.clearing_house
    rival, batch = fallen.arbitrageur, Batch(rpc)
    taken = sorted(liquidatable(rpc, fallen))[:3]
    for account in taken:
        batch.add(rival, call(house, "liquidate(address,address)", account, base_token), "the rival", gas=3_000_000)
    batch.send()  # pays more, so it comes first in the block
    mine(rpc, 1)
    reverted = {
        account
        for account in taken
        for trail in trails_of(app.journal, intents(app, account)[-1])
        if not succeeded(rpc, trail.attempts[0].tx_hash)
    }
    assert reverted and reverted <= set(taken)
    turn(app)
    for account in reverted:
        first = intents(app, account)[-1]
        assert first.status == "failed"
        assert first.cause is not None and first.cause.startswith("reverted; taken by somebody else; cost ")
        assert [t.slot.state for t in trails_of(app.journal, first)] == ["final"]
    events = {account for account, _ in liquidations(rpc, fallen, 0)}
    assert not events & reverted


def succeeded(rpc: Rpc, tx_hash: str) -> bool:
    return int(rpc.call("eth_getTransactionReceipt", tx_hash)["status"], 16) == 1


# --- modes --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["observe", "shadow"])
def test_observe_and_shadow_sign_nothing_and_say_so(
    anvil: Anvil, fallen: Deployment, rpc: Rpc, keeper: Open, mode: str, tmp_path: Path
) -> None:
    endangered, nonce = liquidatable(rpc, fallen), rpc.nonce(KEY.address, rpc.block())
    app = keeper(anvil.url, mode)
    turn(app)
    mine(rpc, 1)
    turn(app)
    assert pending(rpc) == 0 and rpc.nonce(KEY.address, rpc.block()) == nonce
    assert app.journal.counts().attempts == 0 and not app.journal.live_intents()
    for account in endangered:
        first = intents(app, account)[-1]
        assert (first.status, first.cause) == ("shadow", f"signer.mode is {mode}: not signed")
    assert not (tmp_path / "keystore-signer").exists()  # no signer was ever started


def test_what_the_protocol_would_refuse_is_not_sent_and_the_reason_is_its_own(
    anvil: Anvil, fallen: Deployment, rpc: Rpc, keeper: Open
) -> None:
    endangered, nonce = liquidatable(rpc, fallen), rpc.nonce(KEY.address, rpc.block())
    batch = Batch(rpc)
    batch.add(DEPLOYER, call(fallen.contracts.clearing_house, "pause()"), "pause the whole protocol")
    batch.mine()
    app = keeper(anvil.url)
    turn(app)
    mine(rpc, 1)
    assert rpc.nonce(KEY.address, rpc.block()) == nonce and pending(rpc) == 0
    for account in endangered:
        (intent,) = intents(app, account)
        assert (intent.status, intent.cause) == ("refused", "simulation: Pausable: paused")


# --- parameters ---------------------------------------------------------------------------------------


def measure(app: App, rpc: Rpc, world: Deployment, annualised: float) -> None:
    app.journal.put_volatility(Volatility(world.collaterals[0].aggregator, rpc.block().timestamp, annualised, 24))


def test_volatility_moves_the_collateral_ratio_by_one_step_and_not_before_its_time(
    anvil: Anvil, quiet: Deployment, rpc: Rpc, keeper: Open
) -> None:
    app, name = keeper(anvil.url), f"collateral_ratio:{quiet.collaterals[0].token}"
    turn(app)
    assert collateral_ratio(rpc, quiet) == CALM
    assert holds(app, name) == ["no realised volatility of ETH/USD yet"]

    mine(rpc, 1)
    measure(app, rpc, quiet, 50.0)
    decided = rpc.block()
    turn(app)
    mine(rpc, 12)
    assert collateral_ratio(rpc, quiet) == CALM - STEP
    turn(app)
    (intent,) = intents(app, name)
    assert intent.status == "achieved" and isinstance(intent.plan, SetParameters)
    assert (intent.plan.old, intent.plan.new) == (CALM, CALM - STEP)

    for since, ratio in ((HOUR_S - 1, CALM - STEP), (HOUR_S, CALM - 2 * STEP)):
        mine(rpc, decided.timestamp + since - rpc.block().timestamp)
        assert rpc.block().timestamp - decided.timestamp == since
        turn(app)
        if since == HOUR_S - 1:
            assert f"changed {since} s ago, next change after {HOUR_S} s" in holds(app, name)
            assert pending(rpc) == 0
        else:
            mine(rpc, 1)
        assert collateral_ratio(rpc, quiet) == ratio


def test_no_volatility_moves_a_parameter_beyond_its_bounds(
    anvil: Anvil, quiet: Deployment, rpc: Rpc, keeper: Open
) -> None:
    app = keeper(anvil.url)
    seen = [collateral_ratio(rpc, quiet)]
    for annualised in [1e6] * 7 + [0.0] * 3:
        measure(app, rpc, quiet, annualised)
        turn(app)
        mine(rpc, 4 * HOUR_S)
        seen.append(collateral_ratio(rpc, quiet))
    tightened, loosened = seen[:8], seen[7:]
    assert tightened == [700_000, 680_000, 660_000, 640_000, 620_000, 600_000, 600_000, 600_000]
    assert loosened == [600_000, 605_000, 610_000, 615_000]


def test_a_number_somebody_else_set_outside_the_bounds_is_left_alone(
    anvil: Anvil, quiet: Deployment, rpc: Rpc, keeper: Open
) -> None:
    token = quiet.collaterals[0].token
    batch = Batch(rpc)
    batch.add(
        KEY.address,
        call(quiet.contracts.collateral_manager, "setCollateralRatio(address,uint24)", token, 500_000),
        "by hand",
    )
    batch.mine()
    app = keeper(anvil.url)
    measure(app, rpc, quiet, 50.0)
    turn(app)
    assert pending(rpc) == 0 and not intents(app, f"collateral_ratio:{token}")
    assert "outside the configured bounds 600000..700000" in holds(app, f"collateral_ratio:{token}")[0]


# --- reorganisations ----------------------------------------------------------------------------------


def newcomer_arrives(rpc: Rpc, world: Deployment, name: str) -> str:
    batch = Batch(rpc)
    deposit(batch, world, role(name), 1_000 * USDC)
    batch.mine()
    return role(name)


def roll_back(rpc: Rpc, blocks: int) -> None:
    """Drop the newest blocks and mine as many others, with nothing in them."""
    dropped = rpc.block()
    rpc.call("anvil_rollback", blocks)
    for _ in range(blocks):
        mine(rpc, 777)
    assert rpc.block().number == dropped.number and rpc.block().hash != dropped.hash


@pytest.mark.parametrize("depth", [1, 3])
def test_an_account_of_dropped_blocks_only_is_forgotten(
    anvil: Anvil, quiet: Deployment, rpc: Rpc, keeper: Open, depth: int
) -> None:
    app = keeper(anvil.url)
    turn(app)
    known = set(app.journal.accounts())
    assert set(quiet.accounts) < known
    for _ in range(depth - 1):
        mine(rpc)
        turn(app)
    newcomer = newcomer_arrives(rpc, quiet, "dropped newcomer")
    turn(app)
    assert set(app.journal.accounts()) == known | {newcomer}
    roll_back(rpc, depth)
    seen = turn(app)
    assert seen.head.reorged
    assert set(app.journal.accounts()) == known
    assert newcomer not in {v.account for v in seen.verdicts}
    assert newcomer_arrives(rpc, quiet, "dropped newcomer") in {v.account for v in turn(app).verdicts}


def test_a_chain_that_became_shorter_is_followed(anvil: Anvil, quiet: Deployment, rpc: Rpc, keeper: Open) -> None:
    app = keeper(anvil.url)
    turn(app)
    known = set(app.journal.accounts())
    newcomer_arrives(rpc, quiet, "dropped newcomer")
    mine(rpc)
    turn(app)
    rpc.call("anvil_rollback", 2)
    seen = turn(app)
    assert seen.head.reorged and seen.head.block == rpc.block()
    assert set(app.journal.accounts()) == known


def test_a_tick_of_a_dropped_block_is_discarded(anvil: Anvil, fallen: Deployment, rpc: Rpc, keeper: Open) -> None:
    app = keeper(anvil.url)
    app.world.executor.settle(rpc.block())  # recovery looks at the block it starts from, which must stand
    mine(rpc)
    head = app.world.heads.newest()
    roll_back(rpc, 1)
    seen = tick(head, app.world)
    assert seen.plans
    assert app.journal.last_tick() is None and app.journal.counts().intents == 0
    assert pending(rpc) == 0
    again = turn(app)  # derived anew from the block that stands
    stored = app.journal.last_tick()
    assert stored is not None and stored.block == again.head.block == rpc.block()
    assert pending(rpc) == len([p for p in again.plans if p.kind == "liquidate"]) == app.journal.counts().intents > 0
    assert set(app.journal.accounts()) >= set(fallen.accounts)


def test_liquidations_of_a_dropped_block_happen_once_in_the_end(
    anvil: Anvil, fallen: Deployment, rpc: Rpc, keeper: Open
) -> None:
    start, endangered = rpc.block(), liquidatable(rpc, fallen)
    app = keeper(anvil.url)
    turn(app)
    hashes = [a.tx_hash for a in app.journal.live_attempts()]
    mine(rpc, 1)
    assert len(liquidations(rpc, fallen, start.number)) == len(endangered)
    roll_back(rpc, 1)
    assert not liquidations(rpc, fallen, start.number)
    turn(app)
    assert [a.tx_hash for a in app.journal.live_attempts()] == hashes  # offered again, none signed anew
    mine(rpc, 1)
    events = liquidations(rpc, fallen, start.number)
    assert Counter(a for a, _ in events) == Counter(endangered)
    assert {h for _, h in events} == set(hashes)
    turn(app)
    assert {intents(app, account)[-1].status for account in endangered} == {"achieved"}
