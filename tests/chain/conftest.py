"""A world after a fall for the tests of lanes, as new for each; a module of another world has a `shared` of its own."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from lane_world import Fallen, Signing, fallen_world

from keeper.chaos import ChaosProxy


@pytest.fixture(scope="module")
def shared() -> Iterator[Fallen]:
    with fallen_world() as fallen:
        yield fallen


@pytest.fixture
def fallen(shared: Fallen) -> Iterator[Fallen]:
    """The shared world; whatever a test does to it is undone.

    One block more: after a revert Anvil's fee history still ends with the base fee of the chain that was left.
    """
    snapshot = shared.rpc.call("evm_snapshot")
    shared.rpc.call("evm_mine")
    yield shared
    shared.rpc.call("anvil_dropAllTransactions")
    assert shared.rpc.call("evm_revert", snapshot) is True


@pytest.fixture
def proxy(fallen: Fallen) -> Iterator[ChaosProxy]:
    with ChaosProxy(fallen.url, seed=1, geth_pool=True) as proxy:
        yield proxy


@pytest.fixture
def signing(tmp_path: Path, fallen: Fallen) -> Iterator[Signing]:
    signing = Signing(tmp_path / "signer", fallen.deployment.contracts.clearing_house)
    yield signing
    signing.stop()
