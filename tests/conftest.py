"""A world on Anvil for the tests that need one: started once, and as it was again for every test."""

from collections.abc import Iterator

import pytest

from keeper.demo.anvil import Anvil, start_anvil
from keeper.demo.curie import deploy
from keeper.demo.deployment import Deployment
from keeper.demo.traders import open_book
from keeper.demo.transactions import role
from keeper.rpc import Rpc

KEEPER = role("keeper")


@pytest.fixture(scope="session")
def anvil() -> Iterator[Anvil]:
    """One Anvil for the whole run, a block per transaction."""
    with start_anvil() as running:
        yield running


@pytest.fixture(scope="session")
def curie(anvil: Anvil) -> Deployment:
    """Perp Curie with its traders, none of them liquidatable. Tests that send transactions also ask for `world`."""
    return open_book(anvil.url, deploy(anvil.url, keeper_address=KEEPER))


@pytest.fixture(scope="session")
def rpc(anvil: Anvil) -> Rpc:
    return Rpc(anvil.url, timeout_s=30.0)


@pytest.fixture
def world(rpc: Rpc, curie: Deployment) -> Iterator[Deployment]:
    """The deployed world; whatever a test does to the chain is undone after it."""
    snapshot = rpc.call("evm_snapshot")
    yield curie
    assert rpc.call("evm_revert", snapshot) is True
