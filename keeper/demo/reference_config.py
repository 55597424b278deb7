"""The reference demo's configuration file: what an operator of this venue would write who publishes and liquidates."""

from pathlib import Path

from keeper.demo.reference_scene import Scene

INBOX = "inbox"
"""Folder of signed reports and slices, beside the configuration."""

TEMPLATE = """# written by `keeper demo`
[chain]
rpc_url = "{url}"
chain_id = {chain_id}
poll_seconds = 0.01
confirmations = 0          # Anvil does not reorganise by itself

[venue]
name = "reference"
clearing_house = "{venue}"
start_block = {start_block}

{oracles}
[policy]
plan_lifetime_blocks = 3
max_liquidations_per_tick = 100

{parameters}
[portfolio]
take = true
takers = [
{takers}
]
publish = true
publish_after_move = 0.5
publish_after_seconds = 2400   # of chain time, as all here: blocks are far apart
deadline_seconds = 5400
end_excess = 0.5                # of MM: a block of chain time moves prices by up to 5 %

[reports]
inbox = "{inbox}"

[signer]
mode = "{mode}"
keystore = "{keystore}"
address = "{keeper}"
max_gas = 16000000
max_fee_gwei = 200.0
tip_gwei = 2.0
max_transactions_per_block = 100
max_ether_per_transaction = 4.0
max_ether_open = 100.0
max_ether_per_hour = 1000.0
max_ether_per_day = 1000.0

[journal]
url = "sqlite:///{journal}"

[jobs]
heartbeat_seconds = 1
heartbeat_file = "{heartbeat}"
volatility_seconds = 1     # wall time; the demo's hour lasts three seconds
volatility_window_hours = 24
volatility_half_life_hours = 6
prune_seconds = 600
"""

ORACLE = """[[oracle]]                 # the relay's own feed, for its volatility
symbol = "{symbol}/USD"
source = "chainlink"
address = "{feed}"
decimals = 8
heartbeat_seconds = 3600
min_answer = {least}
max_answer = {most}
"""

PARAMETER = """[[parameter]]              # more IM while {symbol} is wild, through the steward
name = "im_scalar:{number}"
symbol = "{symbol}/USD"
calm = 12500
stressed = 16000
volatility_calm = 0.8
volatility_stressed = 3.0
max_step_tighten = 500
max_step_loosen = 100
min_interval_tighten_seconds = 3600
min_interval_loosen_seconds = 14400
deadband = 100
"""
ANSWERS = {"ETH": (10.0, 100_000.0), "BTC": (100.0, 1_000_000.0)}
"""Least and most a feed may answer, USD."""


def write_config(folder: Path, url: str, scene: Scene, mode: str) -> Path:
    """Write <folder>/keeper.toml for this venue and return its path."""
    path = folder / "keeper.toml"
    coins = [(number, u.symbol) for number, u in enumerate(scene.manifest.underlyings) if u.symbol in ANSWERS]
    oracles = [
        ORACLE.format(symbol=symbol, feed=scene.manifest.feeds[number], least=least, most=most)
        for number, symbol in coins
        for least, most in (ANSWERS[symbol],)
    ]
    parameters = [PARAMETER.format(number=number, symbol=symbol) for number, symbol in coins]
    path.write_text(
        TEMPLATE.format(
            url=url,
            chain_id=scene.chain_id,
            venue=scene.manifest.contracts.venue,
            start_block=scene.manifest.start_block,
            oracles="\n".join(oracles),
            parameters="\n".join(parameters),
            inbox=folder / INBOX,
            takers=",\n".join(f'    "{name}"' for name in scene.takers),
            mode=mode,
            keystore=folder / "keystore.json",
            keeper=scene.keeper,
            journal=folder / "keeper.db",
            heartbeat=folder / "heartbeat.json",
        )
    )
    return path
