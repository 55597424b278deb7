"""HTTP: a request in, an answer out, or whatever a fault makes of the connection."""

import asyncio
import socket
import struct
from collections.abc import Collection

import orjson
from aiohttp import web

from keeper.chaos.envelope import PARSE_ERROR, Desk, Parcel, Unparsable
from keeper.chaos.faults import Reset, Slow, Status, Truncate
from keeper.errors import RpcUnreachable

JSON = "application/json"
MAX_BODY = 64 << 20
ABORT = struct.pack("ii", 1, 0)  # SO_LINGER of no time: closing sends RST
BAD_GATEWAY = 502
BAD_REQUEST = 400


class HttpDesk:
    """Answers POST on the endpoints' paths. The first endpoint is also the root."""

    def __init__(self, desk: Desk, endpoints: Collection[str]) -> None:
        self._desk = desk
        self._endpoints = endpoints

    def endpoint(self, request: web.Request) -> str:
        """Return the endpoint of the path. Raises HTTPNotFound for another path."""
        name = request.path.strip("/") or next(iter(self._endpoints))
        if name not in self._endpoints:
            raise web.HTTPNotFound(text=f"expected one of {sorted(self._endpoints)}, found {name!r}")
        return name

    async def post(self, request: web.Request) -> web.StreamResponse:
        endpoint = self.endpoint(request)
        try:
            parcel = self._desk.receive(endpoint, await request.read(), "http")
        except Unparsable:
            return web.json_response(PARSE_ERROR)
        except ConnectionResetError:  # it hung up, or died, in the middle of its request
            return web.Response(status=BAD_REQUEST)
        try:
            return await self._answered(request, parcel)
        except RpcUnreachable as e:
            parcel.cut("502: the node did not answer")
            return web.Response(status=BAD_GATEWAY, text=str(e))
        finally:
            self._desk.close(parcel)

    async def _answered(self, request: web.Request, parcel: Parcel) -> web.StreamResponse:
        fault = next(iter(parcel.connection_faults), None)
        if fault is None:
            return _json(await self._desk.answer(parcel))
        self._desk.applied(parcel, fault)
        match fault.action:
            case Status() as status:
                if status.forward:
                    await self._desk.answer(parcel)
                parcel.cut(f"HTTP {status.code}")
                return _page(status)
            case Reset(forward=forward):
                if forward:
                    await self._desk.answer(parcel)
                parcel.cut("reset")
                return _reset(request)
            case Truncate(keep=keep):
                body = await self._desk.answer(parcel)
                parcel.cut("truncated")
                return await _truncated(request, body, int(len(body) * keep))
            case Slow() as slow:
                return await _dripped(request, await self._desk.answer(parcel), slow)
        parcel.cut("cut")
        return _reset(request)


def _json(body: bytes) -> web.Response:
    return web.Response(body=body, content_type=JSON)


def _page(status: Status) -> web.Response:
    headers = {} if status.retry_after is None else {"Retry-After": str(status.retry_after)}
    return web.Response(status=status.code, text=status.body, content_type=status.content_type, headers=headers)


def _reset(request: web.BaseRequest) -> web.Response:
    """Send RST; what is returned can no longer be written."""
    transport = request.transport
    if transport is not None:
        raw = transport.get_extra_info("socket")
        if raw is not None:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, ABORT)
        transport.abort()
    return web.Response()


async def _truncated(request: web.Request, body: bytes, sent: int) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": JSON, "Content-Length": str(len(body))})
    await response.prepare(request)
    await response.write(body[: min(sent, len(body) - 1)])
    if request.transport is not None:
        request.transport.close()
    return response


async def _dripped(request: web.Request, body: bytes, slow: Slow) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": JSON, "Content-Length": str(len(body))})
    await response.prepare(request)
    size = max(-(-len(body) // slow.pieces), 1)
    for start in range(0, len(body), size):
        await asyncio.sleep(slow.pause_s)
        await response.write(body[start : start + size])
    await response.write_eof()
    return response


def parse_error() -> str:
    return orjson.dumps(PARSE_ERROR).decode()
