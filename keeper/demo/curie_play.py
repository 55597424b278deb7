"""The demo on Perp Curie's published bytecode: leveraged traders, a market maker, an arbitrageur."""

from pathlib import Path

from keeper.demo.anvil import BLOCK_GAS
from keeper.demo.config import write_config
from keeper.demo.curie import deploy
from keeper.demo.path import BTC_MARCH_2020
from keeper.demo.play import Play, Prepared
from keeper.demo.replay import BLOCK_SECONDS, BLOCKS_PER_HOUR
from keeper.demo.traders import open_book


def prepare(url: str, folder: Path, mode: str, keeper: str) -> Prepared:
    deployment = open_book(url, deploy(url, keeper_address=keeper))
    (folder / "deployment.json").write_text(deployment.to_json())
    write_config(folder, url, deployment, mode)
    said = f"Perp Curie deployed, {len(deployment.accounts)} leveraged accounts open"
    return Prepared(deployment.chain_id, said)


CURIE = Play(
    name="curie",
    venue="perp_curie",
    observer="scripts/observer.py",
    replay="keeper.demo.replay",
    start=BTC_MARCH_2020[0][0],
    preparation_s=3_600,
    setup_gas=BLOCK_GAS,
    block_gas=BLOCK_GAS,
    block_seconds=BLOCK_SECONDS,
    calm_block_s=0.12,
    blocks_per_hour=BLOCKS_PER_HOUR,
    prepare=prepare,
    replayed_with=lambda _folder, _mode: [],
    counted=("blocks", "accounts", "liquidatable", "liquidated", "missed", "reverted", "parameter_updates"),
    at_least={"liquidatable": 25, "most_liquidatable_in_one_hour": 10, "liquidated": 20, "comparisons": 1},
)
