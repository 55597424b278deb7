"""The node behind the proxy, asked over one pooled HTTP session of the proxy's own event loop."""

import itertools
from collections.abc import Sequence
from typing import Any

import orjson
from aiohttp import ClientError, ClientSession, ClientTimeout

from keeper.chain import Block
from keeper.errors import ChainError, RpcUnreachable, redacted

TIMEOUT_S = 60.0
Answer = dict[str, Any]
"""{"result": …} or {"error": …}, without id."""
Item = tuple[str, Sequence[Any]]


class Upstream:
    def __init__(self, url: str, session: ClientSession) -> None:
        self._url = url
        self._session = session
        self._ids = itertools.count(1)

    @property
    def ws_url(self) -> str:
        return "ws" + self._url.removeprefix("http")

    async def ask(self, items: Sequence[Item]) -> list[Answer]:
        """Return an answer per item, in order, from one request. Raises RpcUnreachable."""
        if not items:
            return []
        body = [{"jsonrpc": "2.0", "id": next(self._ids), "method": m, "params": list(p)} for m, p in items]
        asked: Any = body[0] if len(body) == 1 else body
        try:
            async with self._session.post(
                self._url,
                data=orjson.dumps(asked),
                headers={"Content-Type": "application/json"},
                timeout=ClientTimeout(TIMEOUT_S),
            ) as response:
                decoded = orjson.loads(await response.read())
        except (ClientError, OSError, TimeoutError, orjson.JSONDecodeError) as e:
            raise RpcUnreachable(
                f"{redacted(self._url)}: expected a JSON-RPC answer from the node behind the proxy, "
                f"found {type(e).__name__}; is it running and --upstream right?"
            ) from e
        by_id = {entry.get("id"): entry for entry in (decoded if isinstance(decoded, list) else [decoded])}
        return [_answer(by_id.get(request["id"])) for request in body]

    async def call(self, method: str, *params: Any) -> Any:
        """Return the result. Raises ChainError when the node refuses."""
        (answer,) = await self.ask([(method, params)])
        return result_of(method, answer)

    async def number(self) -> int:
        return int(await self.call("eth_blockNumber"), 16)

    async def header(self) -> dict[str, Any]:
        found: dict[str, Any] = await self.call("eth_getBlockByNumber", "latest", False)
        return found


def result_of(method: str, answer: Answer) -> Any:
    """Return the result of an answer. Raises ChainError for a refusal."""
    if "error" in answer:
        raise ChainError(f"{method}: the node behind the proxy refused it: {answer['error']}")
    return answer.get("result")


def block_of(header: dict[str, Any]) -> Block:
    return Block(
        number=int(header["number"], 16),
        hash=header["hash"],
        parent_hash=header["parentHash"],
        timestamp=int(header["timestamp"], 16),
        base_fee=int(header.get("baseFeePerGas", "0x0"), 16),
    )


def _answer(entry: dict[str, Any] | None) -> Answer:
    if entry is None:
        return {"error": {"code": -32_603, "message": "the node left this request unanswered"}}
    return {"error": entry["error"]} if "error" in entry else {"result": entry.get("result")}
