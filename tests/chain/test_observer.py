"""The observer as its own process on real Curie: its counts of a fall in prices in which the keeper hardly acts."""

import json
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from keeper.abi import int_at, interface
from keeper.demo.anvil import start_anvil
from keeper.demo.curie import USDC, deploy, push_prices
from keeper.demo.pool import arbitrage, pool_price
from keeper.demo.traders import POSITION_GAS, open_book
from keeper.demo.transactions import Batch, call
from keeper.rpc import Rpc

OBSERVER = Path(__file__).parents[2] / "scripts/observer.py"
KEEPER = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"
FALL = (7_000.0, 6_334.0, 5_900.0, 5_400.0, 5_400.0, 5_400.0, 5_400.0)
STEP_SECONDS = 600


class Chain:
    """Curie with its traders, prices moved by hand and blocks mined one by one."""

    def __init__(self, url: str, insurance_fund: int) -> None:
        self.url = url
        self.rpc = Rpc(url, timeout_s=60.0)
        self.deployment = open_book(url, deploy(url, keeper_address=KEEPER, insurance_fund=insurance_fund))
        self.batch = Batch(self.rpc)

    def step(self, price_usd: float) -> None:
        """One block: oracle and pool move to the price, with whatever else was queued."""
        self.rpc.call("evm_increaseTime", STEP_SECONDS)
        push_prices(self.batch, self.deployment, price_usd)
        back = arbitrage(self.deployment, pool_price(self.rpc, self.deployment.markets[0].pool), price_usd)
        if back is not None:
            self.batch.add(self.deployment.arbitrageur, back, "arbitrage", gas=POSITION_GAS)
        self.batch.send()
        self.rpc.call("evm_mine")

    def liquidate(self, account: str) -> None:
        """Queue a liquidation by the keeper for the next block, whether or not it will succeed."""
        house, base_token = self.deployment.contracts.clearing_house, self.deployment.markets[0].base_token
        message = call(house, "liquidate(address,address)", account, base_token)
        self.batch.add(self.deployment.keeper, message, "liquidate", gas=3_000_000)

    def equity(self, account: str) -> float:
        vault = interface("perp_curie/Vault").function("getAccountValue")
        (answer,) = self.rpc.eth_calls([vault.call(self.deployment.contracts.vault, account)], self.rpc.block())
        assert isinstance(answer, bytes)
        return int_at(answer, 0) / USDC


@pytest.fixture
def observe(tmp_path):
    def run(chain: Chain, first: int) -> tuple[dict, dict, subprocess.CompletedProcess[str]]:
        """Run the observer over the blocks from `first` to the head; return its report, last progress and process."""
        files = {name: tmp_path / f"{name}.json" for name in ("deployment", "out", "progress", "stop")}
        files["deployment"].write_text(chain.deployment.to_json())
        files["stop"].touch()
        options = ["--rpc", chain.url, "--from-block", str(first), "--journal", str(tmp_path / "journal.sqlite")]
        options += ["--deployment", str(files["deployment"]), "--out", str(files["out"])]
        options += ["--progress", str(files["progress"]), "--until-file", str(files["stop"])]
        done = subprocess.run(
            [sys.executable, str(OBSERVER), *options], capture_output=True, text=True, timeout=120, check=False
        )
        return json.loads(files["out"].read_text()), json.loads(files["progress"].read_text()), done

    return run


def chain_of(insurance_fund: int):
    with start_anvil() as anvil:
        anvil_chain = Chain(anvil.url, insurance_fund)
        anvil_chain.rpc.call("evm_setAutomine", False)
        yield anvil_chain


@pytest.fixture
def chain():
    yield from chain_of(2_000_000 * USDC)


@pytest.fixture
def uninsured_chain():
    yield from chain_of(0)


def test_it_counts_what_the_chain_shows(chain, observe, tmp_path):
    first = chain.rpc.block().number
    for price in FALL[:4]:
        chain.step(price)
    fallen = chain.deployment.accounts[8]  # among the first to fall, half below its requirement
    chain.liquidate(fallen)
    chain.step(FALL[4])
    chain.liquidate(chain.deployment.market_maker)  # has orders: reverts
    for price in FALL[5:]:
        chain.step(price)
    head = chain.rpc.block()
    quiet = chain.deployment.accounts[1]
    with sqlite3.connect(tmp_path / "journal.sqlite") as journal:
        journal.execute("CREATE TABLE ticks (id, block_number, block_hash)")
        journal.execute("CREATE TABLE margins (tick_id, account, equity, im, mm, health, status)")
        journal.execute("INSERT INTO ticks VALUES (1, ?, ?)", (head.number, head.hash))
        row = (quiet, chain.equity(quiet) * 1.5, 0.0, 0.0)
        journal.execute("INSERT INTO margins VALUES (1, ?, ?, ?, ?, NULL, 'healthy')", row)
    journal.close()
    out, progress, done = observe(chain, first)

    assert done.returncode == 0, done.stderr
    assert (out["blocks"], out["accounts"]) == (len(FALL) + 1, len(chain.deployment.accounts) + 3)
    assert (out["liquidated"], out["reverted"], out["duplicates"]) == (1, 1, 0)
    assert out["parameter_updates"] == 0  # the deployment's own settings are not the keeper's
    assert out["liquidatable"] > out["missed"] >= 10
    assert fallen not in {streak["account"] for streak in out["missed_detail"]}
    assert out["comparisons"] == 3
    assert out["max_rel_diff"] == 1.0  # IM and MM of zero against the protocol's; equity is off by a half
    assert (progress["block"], progress["timestamp"]) == (head.number, head.timestamp)
    assert any(fallen in action for action in progress["last_actions"])
    shortfalls = [row["requirement"] - row["account_value"] for row in progress["endangered"]]
    assert len(shortfalls) > 10
    assert shortfalls == sorted(shortfalls, reverse=True)
    assert min(shortfalls) > 0


def test_an_empty_insurance_fund_excuses_only_what_it_cannot_carry(uninsured_chain, observe):
    first = uninsured_chain.rpc.block().number
    for price in (6_000.0, 5_000.0, *[4_000.0] * 8):
        uninsured_chain.step(price)
    out, _, done = observe(uninsured_chain, first)
    assert out["reasons"]["insurance_empty"] > 0
    assert out["missed"] > 0
    assert out["unsettled_bad_debt_usd"] > 0
    assert (done.returncode, out["comparisons"], out["max_rel_diff"]) == (1, 0, None)  # no journal: not a success
    assert "nothing to compare" in done.stderr
