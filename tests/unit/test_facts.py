"""Facts from several endpoints: lag is not contradiction, contradiction is never outvoted, lies are left out."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from keeper.chain import Block
from keeper.rpc import Rpc
from keeper.rpc_records import block_of
from keeper.submit.agreement import Agreed, Conflict, Unanswered, agree, agree_or_lag
from keeper.submit.endpoints import Endpoint, Endpoints
from keeper.submit.facts import Facts
from tests.unit.lying_node import LyingNode, Refuse, lying_node

CHAIN = 31_337
HASH = "0x" + "aa" * 32
SENDER = "0x" + "11" * 20


def block_hash(number: int) -> str:
    return "0x" + f"{number:064x}"


def header(number: int, **changes: Any) -> dict[str, Any]:
    return {
        "number": hex(number),
        "hash": block_hash(number),
        "parentHash": block_hash(number - 1),
        "timestamp": hex(1000 + 12 * number),
        "baseFeePerGas": "0x7",
        **changes,
    }


def receipt(**changes: Any) -> dict[str, Any]:
    return {
        "transactionHash": HASH,
        "blockNumber": hex(5),
        "blockHash": block_hash(5),
        "status": "0x1",
        "gasUsed": "0x5208",
        "effectiveGasPrice": "0x9",
        "logs": [],
        **changes,
    }


def headers(head: int) -> Callable[[list[Any]], Any]:
    def answer(params: list[Any]) -> Any:
        number = head if params[0] == "latest" else int(params[0], 16)
        return header(number) if number <= head else None

    return answer


@pytest.fixture
def nodes() -> Iterator[list[LyingNode]]:
    with ExitStack() as stack:
        yield [
            stack.enter_context(
                lying_node(
                    eth_chainId=lambda _: hex(CHAIN),
                    eth_getBlockByNumber=headers(9),
                    eth_getTransactionReceipt=lambda _: receipt(),
                    eth_getTransactionCount=lambda _: "0x4",
                )
            )
            for _ in range(3)
        ]


def over(nodes: list[LyingNode], agreeing: int = 2) -> tuple[Facts, Endpoints]:
    endpoints = [Endpoint(name, Rpc(node.url, 5.0)) for name, node in zip("abc", nodes, strict=False)]
    found = Endpoints(endpoints, CHAIN, agreeing=agreeing, patience_s=5.0)
    return Facts(found), found


def tell(node: LyingNode, **answers: Any) -> None:
    for method, answer in answers.items():
        node.answers[method] = lambda _, answer=answer: answer


def test_a_receipt_all_have_is_agreed(nodes: list[LyingNode]) -> None:
    (found,) = over(nodes)[0].receipts([HASH])
    assert isinstance(found, Agreed)
    assert found.by == ("a", "b", "c")
    assert found.answer is not None
    assert (found.answer.block_number, found.answer.succeeded) == (5, True)


def test_one_that_has_not_seen_it_lags_and_contradicts_nobody(nodes: list[LyingNode]) -> None:
    """F4, F5: the others still make a fact; one alone does not, and never a `not there`."""
    tell(nodes[2], eth_getTransactionReceipt=None)
    (found,) = over(nodes)[0].receipts([HASH])
    assert isinstance(found, Agreed)
    assert found.by == ("a", "b")
    tell(nodes[1], eth_getTransactionReceipt=None)
    (found,) = over(nodes)[0].receipts([HASH])
    assert isinstance(found, Unanswered)
    assert "not seen yet" in found.why


def test_none_is_a_fact_only_when_enough_looked(nodes: list[LyingNode]) -> None:
    for node in nodes:
        tell(node, eth_getTransactionReceipt=None)
    assert over(nodes)[0].receipts([HASH]) == (Agreed(None, ("a", "b", "c")),)
    for node in nodes[:2]:
        tell(node, eth_getTransactionReceipt=Refuse(-32000, "transaction indexing is in progress"))
    (found,) = over(nodes)[0].receipts([HASH])
    assert isinstance(found, Unanswered)
    assert "indexing is in progress" in found.why


@pytest.mark.parametrize("lie", [{"status": "0x0"}, {"gasUsed": "0x1"}, {"effectiveGasPrice": "0xffffff"}])
def test_a_receipt_that_differs_in_anything_is_a_conflict_also_two_against_one(
    nodes: list[LyingNode], lie: dict[str, str]
) -> None:
    tell(nodes[0], eth_getTransactionReceipt=receipt(**lie))
    (found,) = over(nodes)[0].receipts([HASH])
    assert isinstance(found, Conflict)
    assert [name for name, _ in found.answers] == ["a", "b", "c"]


def test_a_cached_receipt_of_an_orphaned_block_is_no_fact(nodes: list[LyingNode]) -> None:
    """F23: all endpoints still tell of a block the chain no longer has at that height."""
    for node in nodes:
        tell(node, eth_getTransactionReceipt=receipt(blockHash="0x" + "dd" * 32))
    (found,) = over(nodes)[0].receipts([HASH])
    assert isinstance(found, Unanswered)
    assert "is not the chain's at 5" in found.why


@pytest.mark.parametrize(
    "torn",
    [
        {"transactionHash": "0x" + "bb" * 32},
        {"blockNumber": "five"},
        {"status": None},
        {
            "logs": [
                {
                    "address": SENDER,
                    "topics": [],
                    "data": "0x",
                    "blockNumber": hex(5),
                    "blockHash": "0x" + "ee" * 32,
                    "logIndex": "0x0",
                }
            ]
        },
        "not an object",
        7,
    ],
)
def test_a_torn_or_foreign_receipt_is_left_out_and_counted(nodes: list[LyingNode], torn: Any) -> None:
    tell(nodes[0], eth_getTransactionReceipt=receipt(**torn) if isinstance(torn, dict) else torn)
    facts, endpoints = over(nodes)
    (found,) = facts.receipts([HASH])
    assert isinstance(found, Agreed)
    assert found.by == ("b", "c")
    assert endpoints.views()[0].faults >= 1


def test_two_receipts_are_judged_apart(nodes: list[LyingNode]) -> None:
    other = "0x" + "bb" * 32
    for node in nodes:
        node.answers["eth_getTransactionReceipt"] = lambda p: receipt() if p[0] == HASH else None
    first, second = over(nodes)[0].receipts([HASH, other])
    assert isinstance(first, Agreed)
    assert first.answer is not None
    assert second == Agreed(None, ("a", "b", "c"))


def test_the_nonce_is_pinned_to_the_block_s_hash(nodes: list[LyingNode]) -> None:
    block = Block(5, block_hash(5), block_hash(4), 1060, 7)
    assert over(nodes)[0].nonce(SENDER, block) == Agreed(4, ("a", "b", "c"))
    pinned = {"blockHash": block.hash, "requireCanonical": True}
    assert nodes[0].asked("eth_getTransactionCount") == [[SENDER, pinned]]
    tell(nodes[1], eth_getTransactionCount="0x5")
    assert isinstance(over(nodes)[0].nonce(SENDER, block), Conflict)
    tell(nodes[1], eth_getTransactionCount=Refuse(-32001, "Resource not found"))  # it has not that block
    assert over(nodes)[0].nonce(SENDER, block) == Agreed(4, ("a", "c"))


def test_a_single_endpoint_is_believed_only_where_it_is_the_only_one_configured(nodes: list[LyingNode]) -> None:
    block = Block(5, block_hash(5), block_hash(4), 1060, 7)
    assert over(nodes[:1])[0].nonce(SENDER, block) == Agreed(4, ("a",))
    tell(nodes[1], eth_getTransactionCount=Refuse(-32005, "limit exceeded"))
    assert isinstance(over(nodes[:2])[0].nonce(SENDER, block), Unanswered)


def test_another_chain_behind_the_same_url_is_found_left_out_and_taken_back(nodes: list[LyingNode]) -> None:
    """T30, F23: after a fail-over the name leads to another network's node, which answers everything."""
    facts, endpoints = over(nodes[:2])
    tell(nodes[0], eth_chainId="0x1", eth_getTransactionCount="0x63")
    block = Block(5, block_hash(5), block_hash(4), 1060, 7)
    assert isinstance(facts.nonce(SENDER, block), Unanswered)
    assert endpoints.views()[0].wrong_chain == 1
    assert endpoints.usable(urgent=True) == ("b",)
    tell(nodes[0], eth_chainId=hex(CHAIN))
    assert facts.probe(block) == block
    assert set(endpoints.usable(urgent=True)) == {"a", "b"}


def test_lag_is_behind_what_enough_have_reached_so_one_boaster_makes_nobody_late(nodes: list[LyingNode]) -> None:
    """T11, T30."""
    nodes[0].answers["eth_getBlockByNumber"] = headers(10**9)
    nodes[2].answers["eth_getBlockByNumber"] = headers(6)
    facts, endpoints = over(nodes)
    assert facts.probe(block_of(header(10**9))) == block_of(header(9))
    assert [view.lag for view in endpoints.views()] == [0, 0, 3]
    assert endpoints.usable(urgent=True) == ("a", "b", "c")


def test_too_few_heads_are_no_height(nodes: list[LyingNode]) -> None:
    tell(nodes[0], eth_getBlockByNumber=None)
    tell(nodes[1], eth_getBlockByNumber=Refuse(-32000, "header not found"))
    assert over(nodes)[0].probe(block_of(header(9))) is None


def test_a_head_is_gone_by_where_enough_have_reached_its_number_and_its_time(nodes: list[LyingNode]) -> None:
    facts, _ = over(nodes)
    nodes[2].answers["eth_getBlockByNumber"] = headers(6)  # one of three lags
    for number in (5, 9):
        assert facts.probe(block_of(header(number))) == block_of(header(number))
    assert facts.probe(block_of(header(10))) == block_of(header(9))
    ahead_of_time = header(9, timestamp=hex(1000 + 12 * 9 + 1))
    nodes[0].answers["eth_getBlockByNumber"] = lambda _: ahead_of_time
    assert facts.probe(block_of(ahead_of_time)) == block_of(header(9))


def test_headers_that_differ_at_one_height_are_a_conflict(nodes: list[LyingNode]) -> None:
    """T12."""
    tell(nodes[1], eth_getBlockByNumber=header(5, hash="0x" + "cc" * 32))
    (found,) = over(nodes)[0].headers([5])
    assert isinstance(found, Conflict)
    assert "endpoints disagree: a says Block(number=5" in str(found)
    (missing,) = over(nodes[:1])[0].headers([10])
    assert isinstance(missing, Unanswered)


def test_a_rate_limit_told_in_json_backs_off_as_well(nodes: list[LyingNode]) -> None:
    tell(nodes[0], eth_chainId=Refuse(-32005, "rate limit exceeded"))
    facts, endpoints = over(nodes)
    assert isinstance(facts.headers([5])[0], Agreed)
    assert endpoints.views()[0].backed_off_s > 0


def test_a_fact_is_still_read_from_one_that_asked_to_be_left_alone_when_too_few_others_are_there(
    nodes: list[LyingNode],
) -> None:
    """T13: a limiter must not stop settlement."""
    facts, endpoints = over(nodes[:2])
    endpoints.health("a").busy("429", 60.0)
    assert endpoints.usable(urgent=True) == ("b",)
    assert isinstance(facts.headers([5])[0], Agreed)


def test_agreement_by_hand() -> None:
    assert agree({"a": 1, "b": 1}, 2, {}) == Agreed(1, ("a", "b"))
    assert agree({"a": 1, "b": 1, "c": 2}, 2, {}) == Conflict((("a", "1"), ("b", "1"), ("c", "2")))
    assert agree({"a": 1}, 2, {"b": "silent"}) == Unanswered(2, 1, "b: silent")
    assert agree({}, 0, {}) == Unanswered(0, 0, "")
    assert agree_or_lag({"a": None, "b": 1, "c": 1}, 2, {}) == Agreed(1, ("b", "c"))
    assert isinstance(agree_or_lag({"a": None, "b": 1, "c": 2}, 1, {}), Conflict)
    assert str(Unanswered(2, 1, "b: silent")) == "expected 2 answers that agree, found 1: b: silent"
