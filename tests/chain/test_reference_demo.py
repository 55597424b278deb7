"""The reference demo in step: a block, a tick of the keeper, a look of the observer; no machine is too slow for it."""

import importlib
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import orjson
import pytest
from eth_account import Account

from keeper.app import configured, open_app, refresh_volatility
from keeper.demo.anvil import Anvil, start_anvil
from keeper.demo.reference_config import INBOX, write_config
from keeper.demo.reference_play import REFERENCE
from keeper.demo.reference_replay import BLOCKS_AFTER, BLOCKS_PER_HOUR, replay
from keeper.demo.reference_scene import Scene
from keeper.demo.reference_world import open_scene
from keeper.demo.run import REQUIRED_DIFF
from keeper.loop import tick
from keeper.rpc import Rpc
from keeper.signer.keystore import PASSWORD
from keeper.twin.margin import by_arrays, by_settled_arrays
from keeper.venues.reference import Reference

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "scripts"))
observer = importlib.import_module("observer_reference")
node = importlib.import_module("observer_node")

SECRET = "correct horse battery staple"
HOURS = 4
TRADERS = 96
"""Three of every kind that 32 make: enough for every kind to fall."""


@pytest.fixture(scope="module")
def anvil() -> Iterator[Anvil]:
    with start_anvil(timestamp=REFERENCE.start - REFERENCE.preparation_s, gas_limit=REFERENCE.setup_gas) as running:
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
            found = in_step(anvil.url, scene, folder, mode, HOURS)
        rpc.call("anvil_dropAllTransactions")
        assert rpc.call("evm_revert", snapshot) is True
        return found

    return walk


def in_step(url: str, scene: Scene, folder: Path, mode: str, hours: int) -> dict[str, Any]:
    """Walk so many hours and return the observer's report."""
    rpc = Rpc(url, timeout_s=120.0)
    witness = observer.Reference(node.Node(url), json.loads(scene.to_json()), None)
    with open_app(configured(write_config(folder, url, scene, mode))) as app:

        def step(number: int) -> None:
            refresh_volatility(app)
            tick(app.world.heads.newest(), app.world)
            witness.take(number - 1)

        inbox = folder / INBOX if mode == "live" else None
        last = replay(rpc, scene, hours=hours, block_seconds=0, inbox=inbox, on_block=step)
    witness.take(last)
    witness.finish(last)
    return witness.report(folder / "keeper.db")


def test_the_world_nets_to_nothing_and_everybody_begins_above_im(anvil: Anvil, scene: Scene) -> None:
    rpc = Rpc(anvil.url, timeout_s=120.0)
    names = [*(name for name, _ in scene.traders), *scene.makers, *scene.takers]
    state = Reference(rpc, scene.manifest.contracts.venue).read(rpc.block(), names, scene.keeper)
    held: Counter[int] = Counter()
    for account in state.accounts:
        held.update({leg.instrument.id: leg.size for leg in account.book.legs})
        for check in (by_arrays(account.book, state.world), by_settled_arrays(account.book, state.world)):
            assert check.equity >= check.im
    assert set(held.values()) == {0}
    traders = state.accounts[: len(scene.traders)]
    assert len({kind for _, kind in scene.traders}) == 11
    assert all(account.book.legs for account in traders)
    assert {holding.index for account in traders for holding in account.book.collateral} == {0, 1, 2}
    assert max(len(account.book.legs) for account in traders) >= 8
    assert state.fund > 0


def test_a_keeper_at_work_misses_nobody_and_is_right_about_everybody(walked: Callable[[str], dict[str, Any]]) -> None:
    found = walked("live")
    assert (found["missed"], found["reverted"], found["duplicates"]) == (0, 0, 0)
    assert found["blocks"] == HOURS * BLOCKS_PER_HOUR + BLOCKS_AFTER + 1
    assert found["liquidatable"] >= 10
    assert found["liquidated"] >= 8
    assert found["started_with_many_legs"] >= 2
    assert found["underlyings_started"] >= 2
    assert found["publications"] >= HOURS
    assert found["reports"] >= 2 * HOURS
    assert found["parameter_updates"] >= 2
    assert found["journal"]["status_disagreements"] == 0
    assert set(found["journal"]["rows_by_status"]) == {"healthy", "endangered"}
    assert found["comparisons"] >= 3 * TRADERS * HOURS * BLOCKS_PER_HOUR
    assert 0.0 <= found["max_rel_diff"] <= REQUIRED_DIFF


def test_a_keeper_that_may_not_send_misses_them(walked: Callable[[str], dict[str, Any]]) -> None:
    found = walked("observe")
    assert found["missed"] >= 8
    assert (found["liquidated"], found["transactions"], found["publications"]) == (0, 0, 0)
    assert found["parameter_updates"] == 0
    assert found["most_liquidatable_in_one_hour"] >= 5


def test_the_command_runs_its_processes_and_sums_up(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "keeper", "demo", "--json", "--folder", str(tmp_path), "--hours", "1"]
    done = subprocess.run(
        [*command, "--block-seconds", "1"], capture_output=True, text=True, check=False, timeout=600, cwd=ROOT
    )
    assert done.returncode == 0, done.stdout + done.stderr
    summary = json.loads(done.stdout)
    assert json.loads((tmp_path / "summary.json").read_text()) == summary
    assert set(REFERENCE.counted) | set(REFERENCE.at_least) <= set(summary)
    assert summary["accounts"] >= 300
    assert summary["blocks"] >= BLOCKS_PER_HOUR + BLOCKS_AFTER
    assert summary["comparisons"] >= 3 * 300
    assert summary["max_rel_diff"] <= REQUIRED_DIFF
    assert summary["engine_compared"] >= 300
    assert summary["engine_apart"] == 0
    assert 0.0 <= summary["engine_max_diff"] <= 1.0
