"""The demo world is what its deployment says: read back from the chain, not from the code that built it."""

import subprocess
import sys
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import pytest
from eth_abi.abi import decode

from keeper.chain import Call
from keeper.demo.anvil import Anvil, AnvilError, find_anvil, free_port, start_anvil
from keeper.demo.curie import DEPLOYER, USDC, MissingArtifact, deploy, push_prices
from keeper.demo.deployment import Deployment
from keeper.demo.path import BTC_MARCH_2020, eth_usd
from keeper.demo.pool import STEP_TICKS, TICK, arbitrage, pool_price
from keeper.demo.replay import BLOCKS_AFTER, main, replay, steps
from keeper.demo.transactions import Batch, TransactionFailed, call, created_address, role
from keeper.rpc import Rpc, RpcRefusal

OPENING_USD = BTC_MARCH_2020[0][1]


def read(rpc: Rpc, to: str, signature: str, *arguments: object, returns: str = "uint256") -> object:
    (answer,) = rpc.eth_calls([call(to, signature, *arguments)], rpc.block())
    assert not isinstance(answer, RpcRefusal), f"{signature}: {answer}"
    return decode([returns], answer)[0]


def read_ints(rpc: Rpc, to: str, signature: str, rows: Sequence[tuple[object, ...]]) -> list[int]:
    answers = rpc.eth_calls([call(to, signature, *row) for row in rows], rpc.block())
    assert not any(isinstance(a, RpcRefusal) for a in answers)
    return [int.from_bytes(a, signed=True) for a in answers if isinstance(a, bytes)]


def sizes(rpc: Rpc, deployment: Deployment) -> list[int]:
    rows = [(a, deployment.markets[0].base_token) for a in deployment.accounts]
    return read_ints(rpc, deployment.contracts.account_balance, "getTakerPositionSize(address,address)", rows)


def liquidatable(rpc: Rpc, deployment: Deployment) -> list[int]:
    contracts, base_token = deployment.contracts, deployment.markets[0].base_token
    values = read_ints(rpc, contracts.vault, "getAccountValue(address)", [(a,) for a in deployment.accounts])
    rows = [(a, base_token, v * 10**12) for a, v in zip(deployment.accounts, values, strict=True)]
    signature = "getLiquidatablePositionSize(address,address,int256)"
    return read_ints(rpc, contracts.account_balance, signature, rows)


# --- the deployment -----------------------------------------------------------------------------------


def test_every_address_has_code(rpc: Rpc, curie: Deployment) -> None:
    found = Deployment.from_json(curie.to_json())
    assert found == curie
    market, collateral = curie.markets[0], curie.collaterals[0]
    named = {field: getattr(curie.contracts, field) for field in curie.contracts.__slots__}
    named |= {f"{market.name}.{field}": getattr(market, field) for field in market.__slots__ if field != "name"}
    named |= {f"WETH.{field}": getattr(collateral, field) for field in ("token", "aggregator", "price_feed")}
    for what, address in named.items():
        rpc.require_code(address, what)


def test_the_keeper_owns_what_it_may_change_and_has_money(rpc: Rpc, curie: Deployment) -> None:
    contracts = curie.contracts
    for owned in (contracts.collateral_manager, contracts.clearing_house_config):
        assert read(rpc, owned, "owner()", returns="address") == curie.keeper.lower()
    assert read(rpc, contracts.vault, "getFreeCollateral(address)", curie.keeper) == 20_000_000 * USDC
    assert rpc.balance(curie.keeper, rpc.block()) > 10**18
    assert read(rpc, contracts.insurance_fund, "getInsuranceFundCapacity()", returns="int256") >= 2_000_000 * USDC


def test_ratios_are_those_published(rpc: Rpc, curie: Deployment) -> None:
    config, manager = curie.contracts.clearing_house_config, curie.contracts.collateral_manager
    assert read(rpc, config, "getImRatio()") == 100_000
    assert read(rpc, config, "getMmRatio()") == 62_500
    assert read(rpc, manager, "getMmRatioBuffer()") == 20_000
    assert read(rpc, manager, "getDebtNonSettlementTokenValueRatio()") == 900_000
    assert read(rpc, manager, "getLiquidationRatio()") == 500_000
    assert read(rpc, manager, "getCLInsuranceFundFeeRatio()") == 12_500
    assert read(rpc, manager, "getCollateralValueDust()") == 500 * USDC
    weth = curie.collaterals[0]
    shape = "(address,uint24,uint24,uint256)"
    found = read(rpc, manager, "getCollateralConfig(address)", weth.token, returns=shape)
    assert found[:3] == (weth.price_feed.lower(), 700_000, 100_000)


def test_prices_come_from_the_aggregators_through_the_real_feeds(rpc: Rpc, curie: Deployment) -> None:
    market, weth = curie.markets[0], curie.collaterals[0]
    for held in (market, weth):
        assert read(rpc, held.price_feed, "getAggregator()", returns="address") == held.aggregator.lower()
    dispatcher = read(rpc, market.base_token, "getPriceFeed()", returns="address")
    assert read(rpc, str(dispatcher), "getChainlinkPriceFeedV3()", returns="address") == market.price_feed.lower()
    index = read(rpc, market.base_token, "getIndexPrice(uint256)", 900)
    assert index == pytest.approx(OPENING_USD * 1e18)
    ether = read(rpc, curie.contracts.collateral_manager, "getPrice(address,uint256)", weth.token, 900)
    assert ether == pytest.approx(eth_usd(OPENING_USD) * 1e8, abs=1)
    mark = read(rpc, curie.contracts.account_balance, "getMarkPrice(address)", market.base_token)
    assert mark == pytest.approx(OPENING_USD * 1e18, rel=1e-3)


def test_without_an_insurance_fund_there_is_none(rpc: Rpc, world: Deployment, anvil: Anvil) -> None:
    second = deploy(anvil.url, keeper_address=role("keeper"), insurance_fund=0)
    assert second.contracts != world.contracts
    assert read(rpc, second.contracts.insurance_fund, "getInsuranceFundCapacity()", returns="int256") == 0


def test_missing_packages_are_named(anvil: Anvil, tmp_path: Path) -> None:
    with pytest.raises(MissingArtifact, match=f"{tmp_path}.*npm ci"):
        deploy(anvil.url, keeper_address=role("keeper"), node_modules=tmp_path)


# --- the traders --------------------------------------------------------------------------------------


def test_sixty_and_more_traders_on_both_sides(rpc: Rpc, curie: Deployment) -> None:
    found = sizes(rpc, curie)
    assert len(found) >= 60 and all(found)
    assert sum(s > 0 for s in found) >= 30
    assert sum(s < 0 for s in found) >= 10


def test_some_hold_ether_as_collateral(rpc: Rpc, curie: Deployment) -> None:
    rows = [(a, curie.collaterals[0].token) for a in curie.accounts]
    held = read_ints(rpc, curie.contracts.vault, "getBalanceByToken(address,address)", rows)
    assert sum(h > 0 for h in held) >= 10


def test_nobody_is_liquidatable_at_the_start(rpc: Rpc, curie: Deployment) -> None:
    assert not any(liquidatable(rpc, curie))


# --- moving it ----------------------------------------------------------------------------------------


def test_an_aggregator_says_what_it_was_told(rpc: Rpc, world: Deployment) -> None:
    aggregator = world.markets[0].aggregator
    batch = Batch(rpc)
    for answer in (1_234, 0, -1):
        batch.add(DEPLOYER, call(aggregator, "push(int256)", answer), "push")
    batch.mine()
    shape = "(uint80,int256,uint256,uint256,uint80)"
    answers = rpc.eth_calls([call(aggregator, "latestRoundData()")], rpc.block())
    assert isinstance(answers[0], bytes)
    newest, answer, _, updated, answered_in = decode([shape], answers[0])[0]
    assert (answer, updated, answered_in) == (-1, rpc.block().timestamp, newest)
    (past,) = rpc.eth_calls([call(aggregator, "getRoundData(uint80)", newest - 2)], rpc.block())
    assert isinstance(past, bytes) and decode([shape], past)[0][1] == 1_234


def test_only_the_deployer_sets_prices(rpc: Rpc, world: Deployment) -> None:
    batch = Batch(rpc)
    batch.add(role("nobody"), call(world.markets[0].aggregator, "push(int256)", 1), "a stranger's push")
    with pytest.raises(TransactionFailed, match="a stranger's push: reverted"):
        batch.mine()


@pytest.mark.parametrize("target_usd", [OPENING_USD * 0.97, OPENING_USD * 1.03])
def test_arbitrage_moves_the_pool_to_the_price(rpc: Rpc, world: Deployment, target_usd: float) -> None:
    pool = world.markets[0].pool
    trade = arbitrage(world, pool_price(rpc, pool), target_usd)
    assert trade is not None
    batch = Batch(rpc)
    batch.add(world.arbitrageur, trade, "arbitrage")
    batch.mine()
    assert pool_price(rpc, pool) == pytest.approx(target_usd, rel=1e-9)
    assert arbitrage(world, pool_price(rpc, pool), target_usd) is None


def test_a_far_price_is_reached_in_steps_that_curie_allows(rpc: Rpc, world: Deployment) -> None:
    pool, before = world.markets[0].pool, pool_price(rpc, world.markets[0].pool)
    trade = arbitrage(world, before, before / 2)
    assert trade is not None
    batch = Batch(rpc)
    batch.add(world.arbitrageur, trade, "arbitrage")
    batch.mine()
    assert pool_price(rpc, pool) == pytest.approx(before / TICK**STEP_TICKS, rel=1e-9)


def test_a_crash_makes_accounts_liquidatable_and_blocks_come_without_a_keeper(
    rpc: Rpc, world: Deployment, anvil: Anvil
) -> None:
    first, times = rpc.block(), []
    crash = ((0, OPENING_USD), (3_600, 7_342.49), (7_200, 6_334.44))
    stamp = lambda n: times.append(rpc.block(n).timestamp)  # noqa: E731
    last = replay(anvil.url, world, crash, block_seconds=0.0, blocks_per_hour=4, on_block=stamp)
    assert last == first.number + 2 * 4 + BLOCKS_AFTER == rpc.block().number
    assert {b - a for a, b in pairwise(times)} == {900}
    assert pool_price(rpc, world.markets[0].pool) == pytest.approx(6_334.44, rel=1e-3)
    assert sum(s != 0 for s in liquidatable(rpc, world)) >= 12
    assert rpc.call("anvil_getAutomine") is True


def test_the_driver_gives_way_to_better_paying_transactions(rpc: Rpc, world: Deployment) -> None:
    rpc.call("evm_setAutomine", False)
    driver, other = Batch(rpc, modest=True), Batch(rpc)
    push_prices(driver, world, OPENING_USD)
    driver.send()
    other.add(role("somebody"), Call(role("anybody"), b""), "sent later, offers more")
    ((_, paid_more),) = other.send()
    rpc.call("evm_mine")
    rpc.call("evm_setAutomine", True)
    assert rpc.call("eth_getBlockByNumber", "latest", False)["transactions"][0] == paid_more


def test_the_command_runs_a_world_from_its_file(world: Deployment, anvil: Anvil, tmp_path: Path) -> None:
    file = tmp_path / "deployment.json"
    file.write_text(world.to_json())
    fast = ["--block-seconds", "0", "--blocks-per-hour", "2"]
    command = [sys.executable, "-m", "keeper.demo.replay", "--rpc", anvil.url, "--deployment", str(file), *fast]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr


def test_the_command_fails_with_a_message(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["--rpc", "http://127.0.0.1:1", "--deployment", str(tmp_path / "none.json")]) == 1
    assert "FileNotFoundError" in capsys.readouterr().err


def test_no_feed_ever_times_out_in_the_path() -> None:
    for blocks_per_hour in (2, 3, 4, 12):
        pushes = [step.push for step in steps(BTC_MARCH_2020, blocks_per_hour)]
        gap = max(len(run) for run in "".join("x" if p else "." for p in pushes).split("x")) + 1
        assert gap * 3_600 // blocks_per_hour <= 3_600
    with pytest.raises(ValueError, match="2 or more"):
        list(steps(BTC_MARCH_2020, 1))


# --- Anvil --------------------------------------------------------------------------------------------


def test_anvil_stops_with_its_owner() -> None:
    with start_anvil(chain_id=4_242, timestamp=1_583_967_600) as running:
        rpc = Rpc(running.url)
        assert rpc.chain_id() == 4_242
        assert rpc.block().timestamp == 1_583_967_600
    assert not running.running()
    running.stop()  # twice is harmless


def test_old_states_stay_readable() -> None:
    with start_anvil() as running:
        rpc, account = Rpc(running.url, timeout_s=60.0), role("somebody")
        rpc.call("anvil_setBalance", account, hex(7))
        rpc.call("evm_mine")
        then = rpc.block()
        rpc.call("evm_mine")  # Anvil keeps a block's state when the next is mined; a cheat before that changes it
        rpc.call("anvil_setBalance", account, hex(8))
        rpc.call("anvil_mine", hex(1_200))
        assert rpc.balance(account, then) == 7


def test_a_port_in_use_is_reported(anvil: Anvil) -> None:
    with pytest.raises(AnvilError, match=rf"port {anvil.port}: .* in use"):
        start_anvil(port=anvil.port)


def test_anvil_is_found_or_asked_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert find_anvil().exists()
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("keeper.demo.anvil.REPO", tmp_path)
    with pytest.raises(AnvilError, match="npm ci"):
        find_anvil()
    assert 1_024 < free_port() < 65_536


@pytest.mark.parametrize("nonce", [0, 1, 127, 128, 256])
def test_created_addresses_are_those_of_the_chain(rpc: Rpc, world: Deployment, nonce: int) -> None:
    assert world.chain_id == rpc.chain_id()
    sender = role("creator")
    rpc.call("anvil_setNonce", sender, hex(nonce))
    batch = Batch(rpc)
    made = batch.create(sender, bytes.fromhex("600160005360016000f3"), "a contract whose code is one byte")
    (receipt,) = batch.mine()
    assert receipt.succeeded
    assert rpc.call("eth_getCode", made, "latest") == "0x01"


def test_created_addresses_are_those_known() -> None:
    # The example of https://ethereum.stackexchange.com/questions/760.
    sender = "0x6ac7ea33f8831ea9dcc53393aaa88b25a785dbf0"
    assert created_address(sender, 0) == "0xcd234A471b72ba2F1Ccf0A70FCABA648a5eeCD8d"
    assert created_address(sender, 1) == "0x343c43A37D37dfF08AE8C4A11544c718AbB4fCF8"
