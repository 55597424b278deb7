"""Worlds that are built once per worker and are as new for every run: an Anvil, a venue, endangered accounts.

Whatever a run does to the chain is undone by Anvil's snapshot and its pool is emptied. A snapshot reverted puts back
blocks, logs, receipts and time; it is spent by that, so every run takes its own.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from keeper.abi import interface, topic_address
from keeper.chaos.mining import next_base_fee
from keeper.demo.curie import USDC, deposit
from keeper.demo.traders import BEAR, CRASH
from keeper.demo.transactions import FUNDS, Batch, call
from keeper.lanes.ports import Signer
from keeper.lanes.rules import LaneRules
from keeper.rpc import Rpc
from tests.chain import lane_world
from tests.chain.lane_world import RULES, Fallen, LaneKeeper, fallen_world, open_lane
from tests.chaos_suite.reference_site import reference
from tests.chaos_suite.rival import RIVAL, signed
from tests.signer_desk import ADDRESS

ENDANGERED = 50
RIVAL_DEPOSIT = 20_000_000 * USDC
GAS_LIMIT = 120_000_000
"""Of a block: all fifty fit in one, so that what delays them is the fault."""


class Signing(Protocol):
    """A signer process."""

    def client(self, holder: str) -> Signer: ...
    def hang_up(self) -> None:
        """Close every connection: the keepers that held them are gone."""

    def stop(self) -> None: ...


class Site(Protocol):
    """A venue with endangered accounts behind a node, the same interface for every venue."""

    rpc: Rpc
    """Straight to the node: what a run is judged by."""
    address: str
    """The keeper's."""
    rules: LaneRules
    kinds: tuple[str, ...]
    """Kinds of intent whose effects are counted."""

    @property
    def url(self) -> str: ...
    def signing(self, folder: Path) -> Signing:
        """Start the signer process that may sign what this venue needs."""

    def keeper(self, folder: Path, **parts: Any) -> LaneKeeper:
        """Open a keeper on the journal in `folder`; `parts` as of lane_world.opened."""

    def account_of(self, log: Mapping[str, Any]) -> str | None:
        """Return whose liquidation (sale in an auction) this log of a receipt tells of, None for any other."""

    def rival(self, accounts: Sequence[str], tip: int) -> list[bytes]:
        """Return a competitor's signed liquidations of these accounts; `tip` in wei per gas."""


class CurieSite:
    address = ADDRESS
    rules = replace(RULES, per_block=ENDANGERED + 10)
    kinds = ("liquidate",)

    def __init__(self, fallen: Fallen) -> None:
        self.fallen = fallen
        self.rpc = fallen.rpc
        self._house = fallen.deployment.contracts.clearing_house
        self._topic = interface("perp_curie/ClearingHouse").event("PositionLiquidated").topic

    @property
    def url(self) -> str:
        return self.fallen.url

    def signing(self, folder: Path) -> Signing:
        return lane_world.Signing(folder, self._house)

    def keeper(self, folder: Path, **parts: Any) -> LaneKeeper:
        return open_lane(folder, self.fallen, **parts)

    def account_of(self, log: Mapping[str, Any]) -> str | None:
        return topic_address(log["topics"][1]) if log["topics"][0] == self._topic else None

    def rival(self, accounts: Sequence[str], tip: int) -> list[bytes]:
        market = self.fallen.deployment.markets[0].base_token
        nonce = self.rpc.nonce(RIVAL.address, self.rpc.block())
        calls = [call(self._house, "liquidate(address,address)", account, market) for account in accounts]
        return [signed(one, nonce + row, tip) for row, one in enumerate(calls)]


@contextmanager
def curie() -> Iterator[CurieSite]:
    """Perp Curie after the fall of 12 March 2020: five traders of six can be liquidated, a competitor is rich."""
    traders = ENDANGERED * 6 // 5
    with fallen_world(traders=traders, profiles=(*[CRASH] * 5, BEAR), gas_limit=GAS_LIMIT) as fallen:
        batch = Batch(fallen.rpc)
        deposit(batch, fallen.deployment, RIVAL.address, RIVAL_DEPOSIT)
        batch.mine()
        fallen.rpc.call("anvil_setBalance", RIVAL.address, hex(FUNDS))
        yield CurieSite(fallen)


MOST_RUNS = 20
"""Runs on one node. Anvil 1.7.1 keeps the states of some hundred blocks, reverted ones among them; a reorg back
to one it has dropped leaves contracts without code, and calls to them succeed and do nothing."""
WORLDS: Mapping[str, Callable[[], AbstractContextManager[Site]]] = {"curie": curie, "reference": reference}


class Worlds:
    """A worker's worlds, each opened when a scenario first asks for it, and anew after so many runs."""

    def __init__(self) -> None:
        self._opened: dict[str, ExitStack] = {}
        self._sites: dict[str, Site] = {}
        self._runs: Counter[str] = Counter()

    def __enter__(self) -> "Worlds":
        return self

    def __exit__(self, *_: object) -> None:
        for name in list(self._opened):
            self._close(name)

    def _close(self, name: str) -> None:
        del self._sites[name]
        self._opened.pop(name).close()

    def _site(self, name: str) -> Site:
        if self._runs[name] % MOST_RUNS == 0 and name in self._sites:
            self._close(name)
        if name not in self._sites:
            self._opened[name] = ExitStack()
            self._sites[name] = self._opened[name].enter_context(WORLDS[name]())
        self._runs[name] += 1
        return self._sites[name]

    @contextmanager
    def undone(self, name: str) -> Iterator[Site]:
        """Yield the site; what the block does to its chain is undone."""
        with undone(self._site(name)) as site:
            yield site


@contextmanager
def undone(site: Site) -> Iterator[Site]:
    """Yield the site; what the block does to its chain is undone."""
    header = site.rpc.call("eth_getBlockByNumber", "latest", False)
    # Anvil 1.7.1 puts everything back but the base fee it would ask next, which eth_feeHistory tells
    site.rpc.call("anvil_setNextBlockBaseFeePerGas", hex(next_base_fee(header)))
    snapshot = site.rpc.call("evm_snapshot")
    try:
        yield site
    finally:
        site.rpc.call("anvil_dropAllTransactions")
        if site.rpc.call("evm_revert", snapshot) is not True:
            raise RuntimeError(f"world at {site.url}: expected its snapshot back, found it gone")
