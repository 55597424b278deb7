"""Websockets: requests as over HTTP, and subscriptions passed through from the node's own websocket."""

import asyncio
import itertools
from collections.abc import Sequence
from functools import partial
from typing import Any

import orjson
from aiohttp import ClientError, ClientSession, ClientWebSocketResponse, WSMsgType, web

from keeper.chaos.envelope import Desk, Parcel, Unparsable
from keeper.chaos.faults import Cut, Drop, Duplicate, Lie, Reset, Silence, Slow, Status, Truncate
from keeper.chaos.faultset import Chosen
from keeper.chaos.lies import NoSuchPath, lied
from keeper.chaos.requests import NOTIFICATION, Request
from keeper.chaos.server import HttpDesk, parse_error
from keeper.chaos.upstream import TIMEOUT_S, Answer, Upstream
from keeper.errors import RpcUnreachable

SUBSCRIBE, UNSUBSCRIBE = "eth_subscribe", "eth_unsubscribe"
SERVICE_RESTART = 1012
MAX_FRAME = 64 << 20


class SocketDesk:
    """All open websockets of the proxy."""

    def __init__(self, desk: Desk, paths: HttpDesk, upstream: Upstream, session: ClientSession) -> None:
        self._desk = desk
        self._paths = paths
        self._upstream = upstream
        self._session = session
        self._open: dict[web.WebSocketResponse, str] = {}

    async def get(self, request: web.Request) -> web.StreamResponse:
        endpoint = self._paths.endpoint(request)
        client = web.WebSocketResponse(max_msg_size=MAX_FRAME)
        await client.prepare(request)
        try:
            node = await self._session.ws_connect(self._upstream.ws_url, max_msg_size=MAX_FRAME)
        except (ClientError, OSError) as e:
            await client.close(code=SERVICE_RESTART, message=type(e).__name__.encode())
            return client
        self._open[client] = endpoint
        try:
            await _Relay(self._desk, endpoint, client, node).run()
        finally:
            del self._open[client]
            await node.close()
        return client

    async def cut(self, endpoint: str | None) -> int:
        """Close every websocket, or those of one endpoint; return how many."""
        chosen = [ws for ws, name in self._open.items() if endpoint in (None, name)]
        for ws in chosen:
            await ws.close(code=SERVICE_RESTART)
        return len(chosen)


class _Relay:
    """One client's websocket and the node's behind it."""

    def __init__(self, desk: Desk, endpoint: str, client: web.WebSocketResponse, node: ClientWebSocketResponse) -> None:
        self._desk = desk
        self._endpoint = endpoint
        self._client = client
        self._node = node
        self._kinds: dict[str, str] = {}  # subscription id -> what it is about
        self._early: list[dict[str, Any]] = []  # notifications before we knew what they are about
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._ids = itertools.count(1)
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Serve until either side ends; then both are over."""
        downward = asyncio.create_task(self._from_node())
        try:
            async for message in self._client:
                if message.type in (WSMsgType.TEXT, WSMsgType.BINARY):
                    self._start(message.data)
        finally:
            for task in (downward, *self._tasks):
                task.cancel()
            await asyncio.gather(downward, *self._tasks, return_exceptions=True)

    def _start(self, sent: str | bytes) -> None:
        """Serve a message beside the others: a held one keeps nobody else waiting."""
        task = asyncio.create_task(self._serve(sent))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # --- from the client ---------------------------------------------------------------------------

    async def _serve(self, sent: str | bytes) -> None:
        try:
            parcel = self._desk.receive(self._endpoint, sent, "ws")
        except Unparsable:
            await self._client.send_str(parse_error())
            return
        granted: dict[str, str] = {}
        for asked in parcel.asked:
            if asked.open.request.method in (SUBSCRIBE, UNSUBSCRIBE):
                asked.open.ask = partial(self._ask, granted)
        try:
            await self._answer(parcel)
            await self._tell_early(granted)
        except RpcUnreachable:
            parcel.cut("the node did not answer")
            await self._client.close(code=SERVICE_RESTART)
        finally:
            self._desk.close(parcel)

    async def _answer(self, parcel: Parcel) -> None:
        fault = next(iter(parcel.connection_faults), None)
        if fault is not None:
            self._desk.applied(parcel, fault)
            if not _reaches_node(fault.action):
                await self._close(parcel)
                return
        body = (await self._desk.answer(parcel)).decode()
        match fault.action if fault else None:
            case None:
                pass
            case Truncate(keep=keep):
                parcel.cut("truncated")
                body = body[: int(len(body) * keep)]
            case Slow() as slow:
                await asyncio.sleep(slow.pause_s * slow.pieces)
            case _:
                await self._close(parcel)
                return
        await self._client.send_str(body)

    async def _close(self, parcel: Parcel) -> None:
        parcel.cut("cut")
        await self._client.close(code=SERVICE_RESTART)

    async def _ask(self, granted: dict[str, str], method: str, params: Sequence[Any]) -> Answer:
        """Ask the node on its own websocket, where a subscription belongs. Raises RpcUnreachable."""
        key = next(self._ids)
        waiting = self._waiting[key] = asyncio.get_running_loop().create_future()
        try:
            await self._node.send_str(
                orjson.dumps({"jsonrpc": "2.0", "id": key, "method": method, "params": list(params)}).decode()
            )
            entry = await asyncio.wait_for(waiting, TIMEOUT_S)
        except (TimeoutError, ClientError, OSError) as e:
            raise RpcUnreachable(f"{method}: expected an answer on the node's websocket, found none") from e
        finally:
            del self._waiting[key]
        if method == SUBSCRIBE and "result" in entry:
            granted[entry["result"]] = str(params[0])
        return {"error": entry["error"]} if "error" in entry else {"result": entry.get("result")}

    # --- from the node -----------------------------------------------------------------------------

    async def _from_node(self) -> None:
        async for message in self._node:
            if message.type is not WSMsgType.TEXT:
                continue
            entry = orjson.loads(message.data)
            waiting = self._waiting.get(entry.get("id"))
            if waiting is not None and not waiting.done():
                waiting.set_result(entry)
            elif entry.get("method") == NOTIFICATION:
                await self._notified(entry)
        await self._client.close(code=SERVICE_RESTART)

    async def _notified(self, entry: dict[str, Any]) -> None:
        if entry["params"]["subscription"] in self._kinds:
            await self._tell(entry)
        else:
            self._early.append(entry)

    async def _tell_early(self, granted: dict[str, str]) -> None:
        """A node may notify before its answer to the subscription is read; the client hears the answer first."""
        self._kinds |= granted
        known = [e for e in self._early if e["params"]["subscription"] in self._kinds]
        self._early = [e for e in self._early if e not in known]
        for entry in known:
            await self._tell(entry)

    async def _tell(self, entry: dict[str, Any]) -> None:
        kind = self._kinds[entry["params"]["subscription"]]
        asked = self._desk.opened(Request(self._endpoint, NOTIFICATION, (kind, entry["params"]), None, "ws"))
        parcel, times = Parcel((asked,), False), 1
        asked.open.forwarded = 1
        for chosen in asked.chosen:
            match chosen.action:
                case Silence() | Drop():
                    self._desk.applied(parcel, chosen)
                    parcel.cut("silenced")
                    times = 0
                case Cut() | Reset() | Status():
                    self._desk.applied(parcel, chosen)
                    await self._close(parcel)
                    times = 0
                case Duplicate(times=count):
                    self._desk.applied(parcel, chosen)
                    times *= count
                case Lie():
                    entry = self._lie(parcel, chosen, entry)
        for _ in range(times):
            asked.open.answer = {"result": entry["params"]["result"]}
            await self._client.send_str(orjson.dumps(entry).decode())
        self._desk.close(parcel)

    def _lie(self, parcel: Parcel, chosen: Chosen, entry: dict[str, Any]) -> dict[str, Any]:
        action = chosen.action
        assert isinstance(action, Lie)
        try:
            told = lied(entry["params"]["result"], action.path, action.value)
        except NoSuchPath:
            return entry
        self._desk.applied(parcel, chosen)
        return {**entry, "params": {**entry["params"], "result": told}}


def _reaches_node(action: object) -> bool:
    """Whether the request is forwarded although its answer will be lost or changed."""
    match action:
        case Status(forward=forward) | Reset(forward=forward):
            return forward
        case Cut():
            return False
    return True
