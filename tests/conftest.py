"""Worlds for the tests that need one, started once and as new for every test: an Anvil, a PostgreSQL."""

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from keeper.demo.anvil import Anvil, start_anvil
from keeper.demo.curie import deploy
from keeper.demo.deployment import Deployment
from keeper.demo.traders import open_book
from keeper.demo.transactions import role
from keeper.rpc import Rpc
from tests import postgres_server

KEEPER = role("keeper")


@pytest.fixture
def tmp_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of the test's own whose path leaves room for unix sockets (107 bytes), beside xdist's workers too.

    Pytest's own fixture names it after the test.
    """
    return tmp_path_factory.mktemp("t")


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


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """A PostgreSQL server's URL, or a skip that says why there is none."""
    with postgres_server.server() as url:
        yield url


@pytest.fixture
def postgres_url(postgres: str) -> Iterator[str]:
    """An empty schema of it."""
    with postgres_server.schema(postgres, f"keeper_{uuid4().hex}") as url:
        yield url
