"""Faults of the connection over HTTP before a real Anvil: what is lost on the way, and whom it concerns."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from keeper.abi import transaction_hash
from keeper.chaos import (
    Cut,
    Fault,
    Hold,
    Match,
    Reset,
    Slow,
    Status,
    Truncate,
    sends,
)
from keeper.demo.anvil import Anvil
from keeper.errors import RpcUnreachable
from keeper.rpc import Rpc
from tests.chain.chaos_node import fifo_anvil, post, proxied, signed

CHAIN = Match(methods=("eth_chainId",))


@pytest.fixture(scope="module")
def node() -> Iterator[Anvil]:
    with fifo_anvil() as anvil:
        yield anvil


# --- the connection --------------------------------------------------------------------------------


def test_a_rate_limit_says_when_to_come_back(node):
    with proxied(node) as (proxy, _):
        limited = proxy.add(Fault(Status(429, retry_after=7), Match(last=2)))
        answers = [post(proxy.url, "eth_chainId") for _ in range(3)]
        assert [a.status_code for a in answers] == [429, 429, 200]
        assert answers[0].headers["Retry-After"] == "7"
        assert answers[0].text.startswith("<html>")
        assert proxy.hits(limited) == 2
        assert [e.forwarded for e in proxy.exchanges] == [0, 0, 1]


@pytest.mark.parametrize("action", [Reset(forward=True), Status(502, forward=True), Truncate()])
def test_the_answer_is_lost_but_the_node_has_the_bytes(node, action):
    with proxied(node) as (proxy, rpc):
        fault = proxy.add(Fault(action, sends()))
        raw = signed(0)
        with pytest.raises(RpcUnreachable):
            rpc.send_raw([raw])
        proxy.mine()
        assert proxy.blocks[-1].hashes == (transaction_hash(raw),)
        assert proxy.hits(fault) == 1
        assert proxy.exchanges[0].cut != ""


@pytest.mark.parametrize("action", [Reset(), Cut(), Status(503)])
def test_the_bytes_never_left(node, action):
    with proxied(node) as (proxy, rpc):
        proxy.add(Fault(action, sends()))
        with pytest.raises(RpcUnreachable):
            rpc.send_raw([signed(0)])
        assert proxy.pool().status() == (0, 0)
        assert proxy.exchanges[0].forwarded == 0


def test_an_answer_that_drips_is_whole_in_the_end_and_too_late_for_the_impatient(node):
    with proxied(node) as (proxy, rpc):
        slow = proxy.add(Fault(Slow(pieces=4, pause_s=0.1), CHAIN))
        with pytest.raises(RpcUnreachable):
            Rpc(proxy.url, timeout_s=0.15).chain_id()
        assert rpc.chain_id() == 31_337
        assert proxy.hits(slow) == 2


def test_a_proxy_that_ends_leaves_nobody_waiting(node):
    with proxied(node) as (proxy, _):
        held = proxy.add(Fault(Hold(), CHAIN))
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(Rpc(proxy.url, timeout_s=30).chain_id)
            assert proxy.wait(held, timeout_s=10)
            proxy.stop()
            assert isinstance(waiting.exception(timeout=10), RpcUnreachable)
        assert proxy.exchanges[0].answer is None


# --- who is meant ----------------------------------------------------------------------------------


def test_a_fault_of_one_endpoint_leaves_the_other_alone(node):
    with proxied(node, endpoints=("a", "b")) as (proxy, rpc):
        proxy.add(Fault(Status(500), Match(endpoint="a")))
        with pytest.raises(RpcUnreachable):
            rpc.chain_id()
        assert Rpc(proxy.url_of("b")).chain_id() == 31_337
        assert [e.endpoint for e in proxy.exchanges] == ["a", "b"]
        assert post(proxy.url.replace("/a", "/c"), "eth_chainId").status_code == 404


def test_an_unreachable_node_is_a_bad_gateway():
    with fifo_anvil() as anvil, proxied(anvil) as (proxy, _):
        proxy._pipeline._upstream._url = "http://127.0.0.1:9"
        assert post(proxy.url, "eth_chainId").status_code == 502


def test_what_is_no_json_rpc_is_answered_as_by_a_node(node):
    with proxied(node) as (proxy, _):
        found = requests.post(proxy.url, data=b"hello", timeout=5).json()
        assert found["error"]["code"] == -32_700
