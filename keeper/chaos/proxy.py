"""The proxy: a thread of its own, an event loop in it, and the few things a test or a user asks of it.

with ChaosProxy(node_url, seed=7, geth_pool=True) as proxy:
    lost = proxy.add(Fault(Drop(), sends(nonce=3)))
    ...
    proxy.mine(base_fee=20 * GWEI)
    assert proxy.hits(lost) == 1
"""

import asyncio
import socket
import threading
from collections.abc import Coroutine, Mapping, Sequence
from contextlib import suppress
from ipaddress import ip_address
from types import TracebackType
from typing import Any, Self, TypeVar

from aiohttp import ClientSession, TCPConnector, web

from keeper.chain import Block
from keeper.chaos.envelope import Desk
from keeper.chaos.faults import Fault
from keeper.chaos.faultset import FaultSet
from keeper.chaos.journal import ExchangeLog, Watch
from keeper.chaos.mining import Mined, Miner, Placed
from keeper.chaos.pipeline import Pipeline
from keeper.chaos.pool import Pool
from keeper.chaos.pool_rules import Limits
from keeper.chaos.pools import Pools
from keeper.chaos.requests import Exchange
from keeper.chaos.server import MAX_BODY, HttpDesk
from keeper.chaos.sockets import SocketDesk
from keeper.chaos.upstream import Upstream
from keeper.errors import ChainError, UsageError

LOOPBACK = "127.0.0.1"
WORK_S = 120.0  # a block of thousands of transactions takes seconds
CLOSE_S = 0.2
POLL_S = 1.0
Result = TypeVar("Result")


class ChaosProxy:
    """A JSON-RPC node that misbehaves on request. A context manager; one use each."""

    def __init__(
        self,
        upstream_url: str,
        *,
        seed: int = 0,
        geth_pool: bool = False,
        shared_pool: bool = True,
        limits: Limits | None = None,
        endpoints: Sequence[str] = ("main",),
        host: str = LOOPBACK,
        port: int = 0,
        poll: bool = False,
        watch: Watch | None = None,
    ) -> None:
        """`endpoints` are paths over one node, each with its faults; with `shared_pool` False each with its own pool.

        `poll` looks for blocks that others mine while something is delayed by blocks (wall time, not for tests).
        `watch` gets a line an exchange. Port 0 is any free one. Raises UsageError for an address that is not loopback.
        """
        _require_loopback(host)
        self._upstream_url = upstream_url
        self._geth_pool, self._shared, self._limits = geth_pool, shared_pool, limits
        self._endpoints = tuple(endpoints)
        self._address = (host, port)
        self._poll = poll
        self._faults = FaultSet(seed)
        self._log = ExchangeLog(self._faults, watch)
        self._started = threading.Event()
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="chaos-proxy", daemon=True)

    # --- life --------------------------------------------------------------------------------------

    def start(self) -> Self:
        """Return once it answers. Raises ChainError when the node does not suit."""
        self._socket = socket.create_server(self._address)
        self._thread.start()
        self._started.wait()
        if self._failure is not None:
            self._thread.join()
            raise self._failure
        return self

    def stop(self) -> None:
        """Close every connection, held requests too; return when the thread has ended."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._over.set)
            self._thread.join()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    # --- where -------------------------------------------------------------------------------------

    @property
    def url(self) -> str:
        """The first endpoint."""
        return self.url_of(self._endpoints[0])

    @property
    def ws_url(self) -> str:
        return self.ws_url_of(self._endpoints[0])

    def url_of(self, endpoint: str) -> str:
        return f"http://{self._where()}/{endpoint}"

    def ws_url_of(self, endpoint: str) -> str:
        return f"ws://{self._where()}/{endpoint}"

    def _where(self) -> str:
        host, port = self._socket.getsockname()[:2]
        return f"{host}:{port}"

    # --- faults ------------------------------------------------------------------------------------

    def add(self, fault: Fault) -> int:
        """Put a fault in force; return its id."""
        return self._faults.add(fault)

    def remove(self, fault: int) -> None:
        """End a fault. What it held goes on."""
        self._faults.remove(fault)
        self.release(fault)

    def hits(self, fault: int) -> int:
        """Return how often it was applied."""
        return self._faults.hits(fault)

    def wait(self, fault: int, hits: int = 1, timeout_s: float = WORK_S) -> bool:
        """Return True as soon as it was applied so often, False after `timeout_s`: instead of sleeping."""
        return self._faults.wait(fault, hits, timeout_s)

    def seen(self, fault: int) -> int:
        """Return how many requests of its kind there were, applied or not."""
        return self._faults.seen(fault)

    def release(self, fault: int) -> int:
        """Let go of what a Hold or Delay keeps, in order of arrival; return how many."""
        return self._do(self._pipeline.holds.release(fault))

    def held(self, fault: int) -> int:
        """Return how many requests it keeps."""
        return self._pipeline.holds.count(fault)

    def cut_websockets(self, endpoint: str | None = None) -> int:
        """Close all websockets, or one endpoint's; return how many."""
        return self._do(self._sockets.cut(endpoint))

    # --- what happened -----------------------------------------------------------------------------

    @property
    def exchanges(self) -> tuple[Exchange, ...]:
        """Everything asked, in order of arrival; the unfinished have neither answer nor cut."""
        return self._log.exchanges()

    @property
    def blocks(self) -> tuple[Mined, ...]:
        """The blocks made here, with what was refused or left out."""
        return tuple(self._pipeline.blocks)

    def pool(self, endpoint: str | None = None) -> Pool:
        """Return an endpoint's pool, to be looked at between requests. Raises UsageError without geth_pool."""
        if self._pools is None:
            raise UsageError("pool: expected geth_pool=True, found a proxy that leaves the pool to the node")
        return self._pools.at(endpoint or self._endpoints[0])

    # --- blocks ------------------------------------------------------------------------------------

    def mine(self, timestamp: int | None = None, base_fee: int | None = None, first: Sequence[bytes] = ()) -> Block:
        """Make exactly one block and return it; what was delayed until it is let go before this returns.

        `timestamp` is 12 s after the parent's by default, `base_fee` (wei per gas) what EIP-1559 says. `first` are
        signed bytes that come before the pool's and own their nonces: a relay's bundle, a competitor's.
        """
        return self._do(self._pipeline.mine(timestamp, base_fee, first)).block

    def reorg(
        self, depth: int, keep: Mapping[str, int] | None = None, place: Placed = (), put_back: bool = True
    ) -> Block:
        """Replace the newest `depth` blocks by as many others and return the new head.

        `keep` maps transaction hashes to the new block, from 0, that holds them again; `place` lists other signed
        bytes with theirs, such as a sibling that takes the nonce. The rest returns to the pool, as in Geth, unless
        `put_back` is False.
        """
        return self._do(self._pipeline.reorg(depth, keep or {}, place, put_back))

    def rollback(self, depth: int, put_back: bool = True) -> Block:
        """Take the newest `depth` blocks away and return the new head."""
        return self._do(self._pipeline.rollback(depth, put_back))

    # --- the thread --------------------------------------------------------------------------------

    def _do(self, work: Coroutine[Any, Any, Result]) -> Result:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(WORK_S)

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except (ChainError, OSError) as e:
            self._failure = e
        finally:
            self._started.set()
            self._socket.close()

    async def _serve(self) -> None:
        self._loop, self._over = asyncio.get_running_loop(), asyncio.Event()
        async with ClientSession(connector=TCPConnector(limit=0), trust_env=False) as session:
            upstream = Upstream(self._upstream_url, session)
            self._pools = await self._make_pools(upstream)
            miner = Miner(upstream, self._pools)
            if self._geth_pool:
                await miner.prepare()
            self._pipeline = Pipeline(upstream, self._pools, miner, self._faults)
            runner = await self._listen(upstream, session)
            poller = asyncio.create_task(self._watch_blocks(upstream)) if self._poll else None
            self._started.set()
            await self._over.wait()
            if poller:
                poller.cancel()
            await self._sockets.cut(None)
            await runner.cleanup()

    async def _make_pools(self, upstream: Upstream) -> Pools | None:
        if not self._geth_pool:
            return None
        chain_id = int(await upstream.call("eth_chainId"), 16)
        shared = Pool(chain_id, self._limits)
        own = {name: shared if self._shared else Pool(chain_id, self._limits) for name in self._endpoints}
        return Pools(upstream, own)

    async def _listen(self, upstream: Upstream, session: ClientSession) -> web.AppRunner:
        desk = Desk(self._pipeline, self._faults, self._log)
        http = HttpDesk(desk, self._endpoints)
        self._sockets = SocketDesk(desk, http, upstream, session)
        app = web.Application(client_max_size=MAX_BODY)
        app.router.add_post("/{path:.*}", http.post)
        app.router.add_get("/{path:.*}", self._sockets.get)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=CLOSE_S)
        await runner.setup()
        await web.SockSite(runner, self._socket).start()
        return runner

    async def _watch_blocks(self, upstream: Upstream) -> None:
        while True:
            await asyncio.sleep(POLL_S)
            if self._pipeline.holds.waits_for_blocks():
                with suppress(ChainError):  # the node is away; the next look may find it
                    await self._pipeline.holds.reached(await upstream.number())


def _require_loopback(host: str) -> None:
    """Raise UsageError for an address that other machines reach: the proxy checks nobody."""
    try:
        own = host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        own = False
    if not own:
        raise UsageError(f"listen: expected a loopback address such as {LOOPBACK}, found {host!r}")
