"""Worlds that are built once per worker and are as new for every run: an Anvil, a venue, endangered accounts.

Whatever a run does to the chain is undone by Anvil's snapshot and its pool is emptied. A snapshot reverted puts back
blocks, logs, receipts and time; it is spent by that, so every run takes its own.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any, Protocol

from keeper.chain import Block
from keeper.demo.traders import BEAR, CRASH
from keeper.rpc import Rpc
from tests.chain.lane_world import Fallen, LaneKeeper, Signing, fallen_world, liquidations, open_lane

ENDANGERED = 50
GAS_LIMIT = 120_000_000
"""Of a block: all fifty fit in one, so that what delays them is the fault."""


class Site(Protocol):
    """A venue with endangered accounts behind a node, the same interface for every venue."""

    rpc: Rpc
    """Straight to the node: what a run is judged by."""

    @property
    def url(self) -> str: ...
    def signing(self, folder: Path) -> Signing:
        """Start the signer process that may sign what this venue needs."""

    def keeper(self, folder: Path, **parts: Any) -> LaneKeeper:
        """Open a keeper on the journal in `folder`; `parts` as of lane_world.open_lane."""

    def effects(self, since: Block) -> Counter[str]:
        """Return how often each account was liquidated (auctioned) after `since`, by the chain's logs."""


class CurieSite:
    def __init__(self, fallen: Fallen) -> None:
        self.fallen = fallen
        self.rpc = fallen.rpc

    @property
    def url(self) -> str:
        return self.fallen.url

    def signing(self, folder: Path) -> Signing:
        return Signing(folder, self.fallen.deployment.contracts.clearing_house)

    def keeper(self, folder: Path, **parts: Any) -> LaneKeeper:
        return open_lane(folder, self.fallen, **parts)

    def effects(self, since: Block) -> Counter[str]:
        return liquidations(self.fallen, since.number)


@contextmanager
def curie() -> Iterator[CurieSite]:
    """Perp Curie after the fall of 12 March 2020: five traders of six can be liquidated."""
    traders = ENDANGERED * 6 // 5
    with fallen_world(traders=traders, profiles=(*[CRASH] * 5, BEAR), gas_limit=GAS_LIMIT) as fallen:
        yield CurieSite(fallen)


WORLDS: Mapping[str, Callable[[], AbstractContextManager[Site]]] = {"curie": curie}


class Worlds:
    """A worker's worlds, each opened when a scenario first asks for it."""

    def __init__(self) -> None:
        self._opened = ExitStack()
        self._sites: dict[str, Site] = {}

    def __enter__(self) -> "Worlds":
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()

    @contextmanager
    def undone(self, name: str) -> Iterator[Site]:
        """Yield the site; what the block does to its chain is undone."""
        if name not in self._sites:
            self._sites[name] = self._opened.enter_context(WORLDS[name]())
        site = self._sites[name]
        snapshot = site.rpc.call("evm_snapshot")
        try:
            yield site
        finally:
            site.rpc.call("anvil_dropAllTransactions")
            if site.rpc.call("evm_revert", snapshot) is not True:
                raise RuntimeError(f"world {name}: expected its snapshot back, found it gone")
