"""The stage of one run: a world as new, the proxy with Geth's pool, a signer process, keepers, and what is counted."""

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from keeper.chain import Block
from keeper.chaos import ChaosProxy
from keeper.chaos.requests import SEND
from keeper.chaos.transactions import PoolTx, decoded
from keeper.errors import KeeperError
from keeper.lanes.ports import Signer
from keeper.lanes.rules import LaneRules
from keeper.lanes.seat import Seat
from keeper.loop import Tick
from keeper.rpc import Rpc
from keeper.submit.endpoints import Endpoint
from tests.chain.lane_world import LaneKeeper
from tests.chaos_suite.scenario import Scenario
from tests.chaos_suite.world import ENDANGERED, Signing, Site, Worlds

PATIENCE_S = 120.0
"""Of wall time, for an answer: on a busy machine a slow answer is not a fault of the scenario."""
ENDPOINTS = ("main", "b", "c")
"""Paths of the proxy over one node and one pool; a keeper uses the first unless told otherwise."""
NONCE_ERRORS = ("nonce too low", "nonce too high", "replacement transaction underpriced", "invalid nonce")


@dataclass(frozen=True, slots=True)
class Sent:
    """A transaction of the key's that was mined."""

    tx_hash: str
    nonce: int
    block: int
    succeeded: bool
    cost: int  # wei: gas used times the price paid


@dataclass
class Stage:
    """Everything a scenario touches. Blocks come from `mine` alone; nothing waits for a clock."""

    folder: Path
    site: Site
    proxy: ChaosProxy
    signing: Signing
    start: Block
    first_nonce: int
    keepers: list[LaneKeeper] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)  # what ticks raised, as the loop would have logged
    _read: dict[str, tuple[tuple[dict[str, Any], int], ...]] = field(default_factory=dict)  # by block hash

    # --- keepers -------------------------------------------------------------------------------------

    def keeper(
        self,
        name: str = "one",
        *,
        most: int = ENDANGERED,
        rules: LaneRules | None = None,
        endpoints: Sequence[str] = (),
        signer: Signer | None = None,
        **parts: Any,
    ) -> LaneKeeper:
        """Open the keeper `name` with a journal of its own; opening it again is a restart, after `close`.

        At most `most` liquidations a tick. `endpoints`: more names of the proxy to send to. `ledger` and `outlets`
        wrap those parts, as lane_world.open_lane says.
        """
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        others = [Endpoint(other, self.rpc_of(other)) for other in endpoints]
        opened = self.site.keeper(
            folder,
            node=self.proxy,
            signer=signer or self.seat(name),
            most=most,
            rules=rules or self.site.rules,
            patience_s=PATIENCE_S,
            others=others,
            **parts,
        )
        self.keepers.append(opened)
        return opened

    def seat(self, name: str) -> Seat:
        """Return a keeper's place at the signer, with one line at a time: a new one closes the one before."""
        held: list[Any] = []

        def connect() -> Any:
            for earlier in held:
                earlier._line.close()
            held[:] = [self.signing.client(name)]
            return held[0]

        return Seat(self.site.address, connect)

    def rpc_of(self, endpoint: str) -> Rpc:
        return Rpc(self.proxy.url_of(endpoint), PATIENCE_S)

    def close(self, keeper: LaneKeeper) -> None:
        """End a keeper as a kill does: its journal and every line to the signer are gone."""
        keeper.app.close()
        self.signing.hang_up()
        self.signing.lines.clear()

    def tick(self, keeper: LaneKeeper) -> Tick | None:
        """Let the keeper do one block's work; None when it raised, which is what the loop logs and lives with."""
        try:
            return keeper.tick()
        except KeeperError as error:
            self.errors.append(str(error))
            return None

    def settle(self, keeper: LaneKeeper, blocks: int = 12) -> int:
        """Mine and settle until nothing is open; return how many blocks that took, at most `blocks`."""
        for passed in range(blocks):
            if not keeper.app.journal.open_slots(self.site.address):
                return passed
            self.mine()
            keeper.settle()
        return blocks

    # --- the chain -----------------------------------------------------------------------------------

    def mine(self, base_fee: int | None = None, **how: Any) -> Block:
        """Make exactly one block, 12 s after its parent; as ChaosProxy.mine."""
        return self.proxy.mine(base_fee=base_fee, **how)

    def begin(self) -> None:
        """Let the run begin at the newest block: what was done before it, by the key too, is not counted."""
        self.start = self.head()
        self.first_nonce = self.site.rpc.nonce(self.site.address, self.start)

    def head(self) -> Block:
        return self.site.rpc.block()

    def receipts(self) -> tuple[tuple[dict[str, Any], int], ...]:
        """Return every receipt since the start with its transaction's nonce, in order, read block by block."""
        found: list[tuple[dict[str, Any], int]] = []
        for number in range(self.start.number + 1, self.head().number + 1):
            key = self.site.rpc.call("eth_getBlockByNumber", hex(number), False)["hash"]
            if key not in self._read:
                block = self.site.rpc.call("eth_getBlockByHash", key, True)
                nonces = {t["hash"]: int(t["nonce"], 16) for t in block["transactions"]}
                receipts = self.site.rpc.call("eth_getBlockReceipts", hex(number)) if nonces else []
                self._read[key] = tuple((r, nonces[r["transactionHash"]]) for r in receipts)
            found += self._read[key]
        return tuple(found)

    def effects(self, sender: str | None = None) -> Counter[str]:
        """Return how often each account was liquidated since the start, by the chain's logs; by `sender` alone."""
        receipts = [r for r, _ in self.receipts() if sender is None or int(r["from"], 16) == int(sender, 16)]
        named = (self.site.account_of(log) for receipt in receipts for log in receipt["logs"])
        return Counter(account for account in named if account is not None)

    def sent(self) -> tuple[Sent, ...]:
        """Return the key's mined transactions since the start, in order."""
        return tuple(_sent(r, n) for r, n in self.receipts() if int(r["from"], 16) == int(self.site.address, 16))

    def reverted(self) -> int:
        return sum(not one.succeeded for one in self.sent())

    def spent(self) -> int:
        """Return what the key paid for gas since the start, wei."""
        return sum(one.cost for one in self.sent())

    # --- nonces --------------------------------------------------------------------------------------

    def nonces(self, keeper: LaneKeeper, foreign: Collection[str] = ()) -> str:
        """Return what is wrong with the ledger's account of the key's nonces, '' if every one is accounted for.

        The chain's count against the ledger: each mined nonce is in one slot, with the hash that was mined; what is
        above the count is open, or was given back. `foreign` hashes are not the keeper's: their slots are lost.
        """
        mined = {one.nonce: one.tx_hash for one in self.sent()}
        count = self.site.rpc.nonce(self.site.address, self.head())
        if sorted(mined) != list(range(self.first_nonce, count)):
            return f"expected nonces {self.first_nonce} to {count - 1} in blocks, found {sorted(mined)}"
        rows = keeper.rows("SELECT nonce, state, winner_hash FROM slots WHERE state <> 'released' ORDER BY nonce")
        known = {nonce: (state, winner) for nonce, state, winner in rows}
        if len(known) != len(rows):
            return f"expected one slot a nonce, found {len(rows)} slots of {len(known)} nonces"
        for nonce, tx_hash in mined.items():
            state, winner = known.get(nonce, ("in no slot", None))
            if tx_hash in foreign and state == "lost":
                continue
            if state not in ("mined", "final") or winner != tx_hash:
                return f"nonce {nonce}: expected {tx_hash} mined or final, found {winner} {state}"
        ended = {nonce for nonce, (state, _) in known.items() if state in ("mined", "final", "lost")} - mined.keys()
        return f"expected nonces {sorted(ended)} in blocks, found none" if ended else ""

    def nonce_errors(self) -> int:
        """Return how many raw transactions were refused for their nonce, by the proxy's log."""
        return sum(
            any(text in str(e.error.get("message")).lower() for text in NONCE_ERRORS)
            for e in self.proxy.exchanges
            if e.method == SEND and e.error
        )

    def offered(self, since: int = 0) -> tuple[PoolTx, ...]:
        """Return the raw transactions that reached the proxy after its exchange `since`, in order of arrival."""
        raws = (str(e.params[0]) for e in self.proxy.exchanges[since:] if e.method == SEND and e.tx_hash)
        return tuple(decoded(bytes.fromhex(raw.removeprefix("0x"))) for raw in raws)

    def now(self) -> int:
        """Return how many exchanges the proxy has logged."""
        return len(self.proxy.exchanges)

    def unfulfilled(self, keeper: LaneKeeper) -> str:
        """Return how the keeper's achieved intents differ from the chain's effects, '' if in nothing."""
        kinds = ", ".join(f"'{kind}'" for kind in self.site.kinds)
        rows = keeper.rows(f"SELECT subject FROM intents WHERE status = 'achieved' AND kind IN ({kinds})")
        claimed, there = Counter(subject for (subject,) in rows), self.effects(self.site.address)
        return (
            ""
            if claimed == there
            else f"claimed and not there {claimed - there}, there and not claimed {there - claimed}"
        )


def _sent(receipt: dict[str, str], nonce: int) -> Sent:
    used, price = int(receipt["gasUsed"], 16), int(receipt["effectiveGasPrice"], 16)
    number, succeeded = int(receipt["blockNumber"], 16), int(receipt["status"], 16) == 1
    return Sent(receipt["transactionHash"], nonce, number, succeeded, used * price)


@contextmanager
def stage(worlds: Worlds, scenario: Scenario, folder: Path, seed: int) -> Iterator[Stage]:
    """Yield a stage over a world as new; everything it started is ended and everything it did to the chain undone."""
    with (
        worlds.undone(scenario.world) as site,
        staged(site, folder, seed=seed, geth_pool=scenario.geth_pool) as built,
    ):
        yield built


@contextmanager
def staged(site: Site, folder: Path, *, seed: int, geth_pool: bool) -> Iterator[Stage]:
    """Yield a stage over a site as it is; everything it started is ended."""
    with ChaosProxy(site.url, seed=seed, geth_pool=geth_pool, endpoints=ENDPOINTS) as proxy:
        signing = site.signing(folder / "signer")
        start = site.rpc.block()
        built = Stage(folder, site, proxy, signing, start, site.rpc.nonce(site.address, start))
        try:
            yield built
        finally:
            for keeper in built.keepers:
                keeper.app.close()
            signing.stop()
