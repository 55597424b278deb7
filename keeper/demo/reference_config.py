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

[policy]
plan_lifetime_blocks = 3
max_liquidations_per_tick = 100

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
prune_seconds = 600
"""


def write_config(folder: Path, url: str, scene: Scene, mode: str) -> Path:
    """Write <folder>/keeper.toml for this venue and return its path."""
    path = folder / "keeper.toml"
    path.write_text(
        TEMPLATE.format(
            url=url,
            chain_id=scene.chain_id,
            venue=scene.manifest.contracts.venue,
            start_block=scene.manifest.start_block,
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
