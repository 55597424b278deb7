"""The reference demo in step: a block, a tick of the keeper, a look of the observer; so that no slow machine matters."""

import importlib
import json
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import orjson
import pytest
from eth_account import Account

from keeper.app import configured, open_app
from keeper.demo.anvil import Anvil, start_anvil
from keeper.demo.path import BTC_MARCH_2020
from keeper.demo.reference_config import INBOX, write_config
from keeper.demo.reference_play import REFERENCE
from keeper.demo.reference_replay import BLOCKS_AFTER, BLOCKS_PER_HOUR, replay
from keeper.demo.reference_scene import Scene
from keeper.demo.reference_world import open_scene
from keeper.loop import tick
from keeper.rpc import Rpc
from keeper.signer.keystore import PASSWORD

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))
observer = importlib.import_module("observer_reference")
node = importlib.import_module("observer_node")

SECRET = "correct horse battery staple"
HOURS = 13
TRADERS = 64
"""Two of every 32 kinds: enough for every kind to fall."""


@pytest.fixture(scope="module")
def anvil() -> Iterator[Anvil]:
    with start_anvil(timestamp=BTC_MARCH_2020[0][0] - REFERENCE.preparation_s, gas_limit=REFERENCE.setup_gas) as running:
        yield running


@pytest.fixture(scope="module")
def key() -> Any:
    return Account.create()


@pytest.fixture(scope="module")
def scene(anvil: Anvil, key: Any) -> Scene:
    rpc = Rpc(anvil.url, timeout_s=120.0)
    found = open_scene(rpc, key.address, TRADERS)
    rpc.call("evm_setBlockGasLimit", hex(REFERENCE.block_gas))
    return found


@pytest.fixture(scope="module")
def walked(
    anvil: Anvil, scene: Scene, key: Any, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], dict[str, Any]]:
    """Return a way to walk the first hours in a mode of the signer; the same walk is taken once."""
    rpc = Rpc(anvil.url, timeout_s=120.0)

    @cache
    def walk(mode: str) -> dict[str, Any]:
        folder = tmp_path_factory.mktemp(mode)
        (folder / INBOX).mkdir()
        (folder / "keystore.json").write_bytes(orjson.dumps(key.encrypt(SECRET, kdf="pbkdf2", iterations=1_000)))
        snapshot = rpc.call("evm_snapshot")
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv(PASSWORD, SECRET)
            found = in_step(rpc, scene, folder, mode, HOURS)
        rpc.call("anvil_dropAllTransactions")
        assert rpc.call("evm_revert", snapshot) is True
        return found

    return walk


def in_step(rpc: Rpc, scene: Scene, folder: Path, mode: str, hours: int) -> dict[str, Any]:
    """Walk so many hours and return the observer's report."""
    witness = observer.Reference(node.Node(rpc.url), json.loads(scene.to_json()), None)
    with open_app(configured(write_config(folder, rpc.url, scene, mode))) as app:

        def step(number: int) -> None:
            tick(app.world.heads.newest(), app.world)
            witness.take(number - 1)

        last = replay(rpc, scene, hours=hours, block_seconds=0, inbox=folder / INBOX if mode == "live" else None, on_block=step)
    witness.take(last)
    witness.finish(last)
    return witness.report(folder / "keeper.db")
