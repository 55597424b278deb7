"""Offers to several endpoints: real HTTP servers that lie, limit, drip, hang up and never answer."""

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from eth_utils.crypto import keccak

from keeper.errors import RpcBusy, RpcUnreachable
from keeper.rpc import Rpc
from keeper.sending.answers import AnswerClass
from keeper.submit.endpoints import Endpoint, Endpoints, named
from keeper.submit.health import LONGEST_RETRY_AFTER_S, MOST_IN_FLIGHT, Health
from tests.unit.lying_node import LyingNode, Refuse, lying_node

RAW = [b"\x02first", b"\x02second"]
HASHES = ["0x" + keccak(raw).hex() for raw in RAW]
CHAIN = 31_337
PATIENCE = 1.0


def accepts(params: list[str]) -> str:
    return "0x" + keccak(hexstr=params[0]).hex()


def refuses(code: int, message: str):
    return lambda _: Refuse(code, message)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def nodes() -> Iterator[list[LyingNode]]:
    with ExitStack() as stack:
        yield [stack.enter_context(lying_node(eth_sendRawTransaction=accepts)) for _ in range(3)]


def pool(nodes: list[LyingNode], clock: Clock | None = None, timeout_s: float = 5.0, **options: float) -> Endpoints:
    endpoints = [Endpoint(name, Rpc(node.url, timeout_s)) for name, node in zip("abc", nodes, strict=False)]
    return Endpoints(endpoints, CHAIN, patience_s=options.get("patience_s", PATIENCE), clock=clock or time.monotonic)


def said(endpoints: Endpoints, raws: list[bytes] = RAW[:1]) -> dict[str, AnswerClass]:
    return {offered.endpoint: offered.answer for offered in endpoints.offer(raws)}


def test_every_transaction_is_offered_to_every_endpoint_and_its_hash_is_checked(nodes: list[LyingNode]) -> None:
    found = pool(nodes).offer(RAW)
    assert [(o.endpoint, o.tx_hash) for o in found] == [(name, h) for name in "abc" for h in HASHES]
    assert {(o.answer, o.text) for o in found} == {(AnswerClass.ACCEPTED, "")}
    assert [len(node.asked("eth_sendRawTransaction")) for node in nodes] == [2, 2, 2]


def test_only_those_named_are_offered_to(nodes: list[LyingNode]) -> None:
    assert {o.endpoint for o in pool(nodes).offer(RAW, to=("c", "a"))} == {"a", "c"}
    assert nodes[1].seen == []


def test_contradictory_answers_are_reported_each_by_itself(nodes: list[LyingNode]) -> None:
    nodes[0].answers["eth_sendRawTransaction"] = refuses(-32000, "nonce too low: next nonce 5, tx nonce 4")
    nodes[2].answers["eth_sendRawTransaction"] = refuses(-32603, "something new")
    endpoints = pool(nodes)
    assert said(endpoints) == {"a": AnswerClass.NONCE_USED, "b": AnswerClass.ACCEPTED, "c": AnswerClass.UNKNOWN}
    assert endpoints.tally.unknown_texts() == ("something new (code -32603)",)
    assert endpoints.tally.unknown_share() == 0.5


@pytest.mark.parametrize("lie", ["0x" + "12" * 32, None, 7, {"hash": "0x"}])
def test_another_hash_than_ours_is_a_lie_and_not_an_acceptance(nodes: list[LyingNode], lie: object) -> None:
    nodes[0].answers["eth_sendRawTransaction"] = lambda _: lie
    endpoints = pool(nodes)
    offered = endpoints.offer(RAW[:1])[0]
    assert offered.answer is AnswerClass.UNKNOWN
    assert HASHES[0] in offered.text
    assert endpoints.views()[0].faults == 1


def test_one_that_never_answers_costs_the_patience_once_and_then_nothing(nodes: list[LyingNode]) -> None:
    """F25: a node that answers at 29.9 s must not slow the others down at every block."""
    nodes[1].deaf = threading.Event()
    endpoints = pool(nodes, patience_s=1.5)
    started = time.monotonic()
    first = said(endpoints)
    assert time.monotonic() - started >= 1.5
    assert first == {"a": AnswerClass.ACCEPTED, "b": AnswerClass.NODE_UNAVAILABLE, "c": AnswerClass.ACCEPTED}
    started = time.monotonic()
    again = said(endpoints)
    assert time.monotonic() - started < 1.2
    assert (again["a"], again["c"]) == (AnswerClass.ACCEPTED, AnswerClass.ACCEPTED)


def test_what_is_under_way_to_one_endpoint_is_bounded(nodes: list[LyingNode]) -> None:
    nodes[0].deaf = threading.Event()
    endpoints = pool(nodes[:1], patience_s=0.05)
    for _ in range(MOST_IN_FLIGHT + 3):
        assert said(endpoints) == {"a": AnswerClass.NODE_UNAVAILABLE}
    assert len(nodes[0].asked("eth_sendRawTransaction")) <= MOST_IN_FLIGHT
    assert endpoints.views()[0].in_flight == MOST_IN_FLIGHT


def test_a_limiter_is_left_alone_as_long_as_it_asks_and_liquidations_are_the_first_to_return(
    nodes: list[LyingNode],
) -> None:
    """T13, F24: a 429 whose body says `already known` is a 429."""
    clock = Clock()
    endpoints = pool(nodes[:2], clock)
    body = b'[{"jsonrpc":"2.0","id":1,"error":{"code":-32000,"message":"already known"}}]'
    nodes[0].raw = (429, {"Retry-After": "7"}, body)
    assert said(endpoints)["a"] is AnswerClass.NODE_UNAVAILABLE
    assert endpoints.views()[0].backed_off_s == 7.0
    for later, urgent, scan in [(6.9, "b", "b"), (7.0, "ba", "b"), (13.9, "ba", "b"), (14.0, "ba", "ba")]:
        clock.now = 1000.0 + later
        assert "".join(endpoints.usable(urgent=True)) == urgent
        assert "".join(endpoints.usable(urgent=False)) == scan


def test_what_is_urgent_is_never_left_without_an_endpoint(nodes: list[LyingNode]) -> None:
    endpoints = pool(nodes, Clock())
    for node in nodes:
        node.raw = (429, {"Retry-After": "60"}, b"slow down")
    said(endpoints)
    assert endpoints.usable(urgent=False) == ()
    assert len(endpoints.usable(urgent=True)) == 3
    assert isinstance(endpoints.best(urgent=True), Rpc)
    with pytest.raises(RpcUnreachable, match="expected one of 3 endpoints"):
        endpoints.best(urgent=False)


def test_the_one_that_faults_is_asked_last(nodes: list[LyingNode]) -> None:
    nodes[0].raw = (200, {}, b"<html>already known</html>")
    endpoints = pool(nodes)
    assert said(endpoints)["a"] is AnswerClass.NODE_UNAVAILABLE
    assert endpoints.usable(urgent=True) == ("b", "c", "a")
    nodes[0].raw = None
    said(endpoints)
    assert endpoints.usable(urgent=True) == ("a", "b", "c")


def test_names_carry_no_credentials_and_differ() -> None:
    found = named(["https://u:SECRET@h.example/KEY", "https://h.example/KEY2", "http://127.0.0.1:8545"], 1.0)
    assert [e.name for e in found] == ["h.example", "h.example#2", "127.0.0.1:8545"]
    assert "SECRET" not in repr(found)
    assert "KEY" not in repr(found)


def test_no_endpoints_or_twice_the_same_name_are_refused() -> None:
    one = Endpoint("a", Rpc("http://127.0.0.1:1"))
    for wrong in ([], [one, one]):
        with pytest.raises(ValueError, match="expected"):
            Endpoints(wrong, CHAIN)


# --- the transport underneath ---------------------------------------------------------------------------


def test_an_answer_that_drips_ends_with_the_time_allowed(nodes: list[LyingNode]) -> None:
    nodes[0].drips = True
    started = time.monotonic()
    with pytest.raises(RpcUnreachable, match="did not end in time"):
        Rpc(nodes[0].url, timeout_s=0.3).send_raw(RAW)
    assert time.monotonic() - started < 2.5  # of the four seconds it would take


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("7", 7.0), (" 0 ", 0.0), ("Wed, 21 Oct 2026 07:28:00 GMT", None), ("-1", None), ("9" * 50, None), ("", None)],
)
def test_retry_after_in_seconds_is_read_and_nothing_else(
    nodes: list[LyingNode], header: str, seconds: float | None
) -> None:
    nodes[0].raw = (429, {"Retry-After": header}, b"{}")
    with pytest.raises(RpcBusy) as busy:
        Rpc(nodes[0].url).send_raw(RAW)
    assert (busy.value.status, busy.value.retry_after_s) == (429, seconds)


def test_a_gateway_s_page_is_busy_and_a_node_s_error_with_status_500_is_an_answer(nodes: list[LyingNode]) -> None:
    nodes[0].raw = (502, {}, b"<html>Bad Gateway</html>")
    with pytest.raises(RpcBusy, match="HTTP 502"):
        Rpc(nodes[0].url).chain_id()
    nodes[0].raw = (500, {}, b'{"error":{"code":-32000,"message":"nonce too low"}}')
    assert said(pool(nodes[:1])) == {"a": AnswerClass.NONCE_USED}


# --- health -----------------------------------------------------------------------------------------------


def test_back_off_doubles_without_a_header_and_is_bounded_with_an_absurd_one() -> None:
    clock = Clock()
    health = Health("a", clock)
    waits = []
    for _ in range(9):
        health.busy("429", None)
        waits.append(health.view().backed_off_s)
        clock.now += waits[-1]
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    health.busy("429", 1e9)
    assert health.view().backed_off_s == LONGEST_RETRY_AFTER_S


def test_a_shorter_wish_does_not_cut_a_longer_one_short() -> None:
    health = Health("a", Clock())
    health.busy("429", 30.0)
    health.busy("429", 1.0)
    assert health.view().backed_off_s == 30.0
