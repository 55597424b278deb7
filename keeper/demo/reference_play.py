"""The demo on the reference venue: options, perpetuals, several collaterals, two underlyings, over 300 accounts."""

from pathlib import Path

from keeper.demo.anvil import BLOCK_GAS
from keeper.demo.play import Play, Prepared
from keeper.demo.reference_board import START
from keeper.demo.reference_config import INBOX, write_config
from keeper.demo.reference_replay import BLOCK_SECONDS, BLOCKS_PER_HOUR
from keeper.demo.reference_world import open_scene
from keeper.rpc import Rpc

SETUP_GAS = 400_000_000


def prepare(url: str, folder: Path, mode: str, keeper: str) -> Prepared:
    scene = open_scene(Rpc(url, timeout_s=120.0), keeper)
    (folder / INBOX).mkdir(exist_ok=True)
    for stale in (folder / INBOX).iterdir():
        stale.unlink()
    (folder / "deployment.json").write_text(scene.to_json())
    write_config(folder, url, scene, mode)
    kinds = len({kind for _, kind in scene.traders})
    said = f"reference venue deployed, {len(scene.traders)} accounts of {kinds} kinds have traded"
    return Prepared(scene.chain_id, said)


def replayed_with(folder: Path, mode: str) -> list[str]:
    """A live keeper relays what the reporters sign; without one prices would stand still, so the market does it."""
    return ["--inbox", str(folder / INBOX)] if mode == "live" else []


REFERENCE = Play(
    name="reference",
    venue="reference",
    observer="scripts/observer_reference.py",
    replay="keeper.demo.reference_replay",
    start=START,
    preparation_s=2_400,
    setup_gas=SETUP_GAS,
    block_gas=BLOCK_GAS,
    block_seconds=BLOCK_SECONDS,
    calm_block_s=0.24,
    blocks_per_hour=BLOCKS_PER_HOUR,
    prepare=prepare,
    replayed_with=replayed_with,
    counted=(
        "blocks", "accounts", "liquidatable", "started", "started_with_many_legs", "underlyings_started",
        "liquidated", "ended", "missed", "reverted", "refused_starts", "transactions", "reports", "publications",
        "settlements", "parameter_updates", "fund_usd",
    ),
    at_least={
        "accounts": 300, "liquidatable": 40, "most_liquidatable_in_one_hour": 10, "liquidated": 30,
        "started_with_many_legs": 5, "underlyings_started": 2, "settlements": 2, "publications": 150,
        "parameter_updates": 4, "comparisons": 1,
    },
)  # fmt: skip
