"""Websockets through the proxy: requests, subscriptions, cuts and silence, against a real Anvil."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import aiohttp
import orjson
import pytest

from keeper.chaos import (
    ChaosProxy,
    Cut,
    Drop,
    Duplicate,
    Error,
    Fault,
    Hold,
    Lie,
    Match,
    Silence,
    Status,
    Truncate,
    sends,
)
from keeper.demo.anvil import Anvil
from tests.chain.chaos_node import fifo_anvil, proxied, signed

WAIT_S = 5.0
HEADS = Match(methods=("eth_subscription",), subscription="newHeads")


@pytest.fixture(scope="module")
def node() -> Iterator[Anvil]:
    with fifo_anvil() as anvil:
        yield anvil


class Client:
    """A websocket client of the proxy."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket

    async def ask(self, method: str, *params: Any) -> dict[str, Any]:
        await self.socket.send_str(
            orjson.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).decode()
        )
        return await self.heard()

    async def heard(self) -> dict[str, Any]:
        return orjson.loads(await self.socket.receive_str(timeout=WAIT_S))

    async def closed(self) -> bool:
        message = await self.socket.receive(timeout=WAIT_S)
        return message.type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED)


def talk(proxy: ChaosProxy, body: Callable[[Client], Awaitable[None]]) -> None:
    async def run() -> None:
        async with aiohttp.ClientSession() as session, session.ws_connect(proxy.ws_url) as socket:
            await body(Client(socket))

    asyncio.run(run())


async def mine(proxy: ChaosProxy) -> int:
    return (await asyncio.to_thread(proxy.mine)).number


def test_requests_and_subscriptions_pass(node):
    async def body(client: Client) -> None:
        assert (await client.ask("eth_chainId"))["result"] == "0x7a69"
        assert "result" in await client.ask("eth_sendRawTransaction", "0x" + signed(0).hex())
        key = (await client.ask("eth_subscribe", "newHeads"))["result"]
        number = await mine(proxy)
        told = await client.heard()
        assert told["params"]["subscription"] == key
        assert int(told["params"]["result"]["number"], 16) == number
        assert (await client.ask("eth_unsubscribe", key))["result"] is True

    with proxied(node) as (proxy, _):
        talk(proxy, body)
        methods = [(e.method, e.transport) for e in proxy.exchanges]
        assert methods[2:4] == [("eth_subscribe", "ws"), ("eth_subscription", "ws")]
        assert len(proxy.blocks[0].hashes) == 1


def test_all_websockets_are_cut_at_once(node):
    async def body(client: Client) -> None:
        await client.ask("eth_chainId")
        assert await asyncio.to_thread(proxy.cut_websockets) == 1
        assert await client.closed()

    with proxied(node) as (proxy, _):
        talk(proxy, body)
        assert proxy.cut_websockets() == 0


@pytest.mark.parametrize("action", [Cut(), Status(429)])
def test_a_request_may_cut_its_websocket(node, action):
    async def body(client: Client) -> None:
        await client.socket.send_str('{"jsonrpc":"2.0","id":1,"method":"eth_blockNumber"}')
        assert await client.closed()

    with proxied(node) as (proxy, _):
        cut = proxy.add(Fault(action, Match(methods=("eth_blockNumber",))))
        talk(proxy, body)
        assert proxy.hits(cut) == 1
        assert proxy.exchanges[0].cut == "cut"


def test_the_second_head_cuts_the_websocket(node):
    async def body(client: Client) -> None:
        await client.ask("eth_subscribe", "newHeads")
        await mine(proxy)
        await client.heard()
        await mine(proxy)
        assert await client.closed()

    with proxied(node) as (proxy, _):
        cut = proxy.add(Fault(Cut(), Match(methods=("eth_subscription",), first=2)))
        talk(proxy, body)
        assert (proxy.seen(cut), proxy.hits(cut)) == (2, 1)


def test_a_silent_subscription_leaves_the_other_and_the_websocket_alone(node):
    async def body(client: Client) -> None:
        await client.ask("eth_subscribe", "newHeads")
        logs = (await client.ask("eth_subscribe", "logs", {}))["result"]
        await mine(proxy)
        assert (await client.ask("eth_chainId"))["result"] == "0x7a69"
        assert await asyncio.to_thread(proxy.wait, silent, 1, WAIT_S)  # the node notifies when it likes
        assert logs

    with proxied(node) as (proxy, _):
        silent = proxy.add(Fault(Silence(), HEADS))
        talk(proxy, body)
        assert proxy.hits(silent) == 1


def test_an_open_websocket_may_say_nothing_at_all(node):
    async def body(client: Client) -> None:
        await client.ask("eth_subscribe", "newHeads")
        faults = [proxy.add(Fault(action)) for action in (Hold(), Silence())]
        await client.socket.send_str('{"jsonrpc":"2.0","id":9,"method":"eth_subscribe","params":["logs",{}]}')
        await mine(proxy)
        for key in faults:
            assert await asyncio.to_thread(proxy.wait, key, 1, WAIT_S)
        with pytest.raises(TimeoutError):
            await client.socket.receive(timeout=0.05)
        await asyncio.to_thread(proxy.remove, faults[0])
        late = await client.heard()
        assert late["id"] == 9
        assert "result" in late

    with proxied(node) as (proxy, _):
        talk(proxy, body)


def test_a_head_may_come_twice_or_with_a_lie(node):
    async def body(client: Client) -> None:
        await client.ask("eth_subscribe", "newHeads")
        await mine(proxy)
        first, second = await client.heard(), await client.heard()
        assert first == second
        assert first["params"]["result"]["hash"] == "0x" + "99" * 32

    with proxied(node) as (proxy, _):
        faults = [proxy.add(Fault(a, HEADS)) for a in (Duplicate(), Lie("hash", "0x" + "99" * 32))]
        talk(proxy, body)
        assert [proxy.hits(key) for key in faults] == [1, 1]


def test_faults_of_requests_are_the_same_as_over_http(node):
    async def body(client: Client) -> None:
        assert "result" in await client.ask("eth_sendRawTransaction", "0x" + signed(0).hex())
        assert (await client.ask("eth_gasPrice"))["error"]["message"] == "no"
        await client.socket.send_str('{"jsonrpc":"2.0","id":1,"method":"eth_chainId"}')
        cut = await client.socket.receive_str(timeout=WAIT_S)
        with pytest.raises(orjson.JSONDecodeError):
            orjson.loads(cut)

    with proxied(node) as (proxy, _):
        proxy.add(Fault(Drop(), sends()))
        proxy.add(Fault(Error(-1, "no"), Match(methods=("eth_gasPrice",))))
        proxy.add(Fault(Truncate(), Match(methods=("eth_chainId",))))
        talk(proxy, body)
        assert proxy.pool().status() == (0, 0)
        assert [len(e.faults) for e in proxy.exchanges] == [1, 1, 1]
