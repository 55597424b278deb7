"""The demo's configuration file: what an operator of this deployment would write."""

from pathlib import Path

from keeper.demo.deployment import Deployment

TEMPLATE = """# written by `keeper demo`
[chain]
rpc_url = "{url}"
chain_id = {chain_id}
poll_seconds = 0.01
confirmations = 0          # Anvil does not reorganise by itself

[venue]
name = "perp_curie"
clearing_house = "{clearing_house}"
start_block = {start_block}

[[oracle]]
symbol = "BTC/USD"
source = "chainlink"
address = "{btc_aggregator}"
decimals = 8
heartbeat_seconds = 3600
min_answer = 100.0
max_answer = 1000000.0

[[oracle]]
symbol = "ETH/USD"
source = "chainlink"
address = "{eth_aggregator}"
decimals = 8
heartbeat_seconds = 3600
min_answer = 10.0
max_answer = 100000.0

[policy]
plan_lifetime_blocks = 3
max_liquidations_per_tick = 30

[[parameter]]              # WETH counts less while ether is wild
name = "collateral_ratio:{weth}"
symbol = "ETH/USD"
calm = 700000
stressed = 600000
volatility_calm = 0.8
volatility_stressed = 3.0
max_step_tighten = 20000
max_step_loosen = 5000
min_interval_tighten_seconds = 3600
min_interval_loosen_seconds = 14400
deadband = 5000

[[parameter]]              # collateral is liquidated earlier
name = "mm_ratio_buffer"
symbol = "BTC/USD"
calm = 20000
stressed = 40000
volatility_calm = 0.8
volatility_stressed = 3.0
max_step_tighten = 5000
max_step_loosen = 1000
min_interval_tighten_seconds = 3600
min_interval_loosen_seconds = 14400
deadband = 1000

[signer]
mode = "{mode}"
keystore = "{keystore}"
address = "{keeper}"
max_gas = 1800000
max_fee_gwei = 200.0
tip_gwei = 2.0
max_transactions_per_block = 30

[journal]
url = "sqlite:///{journal}"

[jobs]
heartbeat_seconds = 1
heartbeat_file = "{heartbeat}"
volatility_seconds = 1     # wall time; the demo's hour lasts little more than a second
volatility_window_hours = 24
volatility_half_life_hours = 6
prune_seconds = 600
"""


def write_config(folder: Path, url: str, deployment: Deployment, mode: str) -> Path:
    """Write <folder>/keeper.toml for this deployment and return its path."""
    market, token = deployment.markets[0], deployment.collaterals[0]
    path = folder / "keeper.toml"
    path.write_text(
        TEMPLATE.format(
            url=url,
            chain_id=deployment.chain_id,
            clearing_house=deployment.contracts.clearing_house,
            start_block=deployment.start_block,
            btc_aggregator=market.aggregator,
            eth_aggregator=token.aggregator,
            weth=token.token,
            mode=mode,
            keystore=folder / "keystore.json",
            keeper=deployment.keeper,
            journal=folder / "keeper.db",
            heartbeat=folder / "heartbeat.json",
        )
    )
    return path
