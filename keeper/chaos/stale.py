"""How a node that is some blocks behind would answer: the request and the answer rewritten, as pure functions."""

from collections.abc import Mapping, Sequence
from typing import Any

TAG_PLACE = {
    "eth_getBalance": 1,
    "eth_getCode": 1,
    "eth_getTransactionCount": 1,
    "eth_getProof": 2,
    "eth_getStorageAt": 2,
    "eth_call": 1,
    "eth_estimateGas": 1,
    "eth_createAccessList": 1,
    "eth_feeHistory": 1,
    "eth_getBlockByNumber": 0,
    "eth_getBlockTransactionCountByNumber": 0,
    "eth_getBlockReceipts": 0,
}
"""Where a method takes its block; one that is left out means latest."""
HEADS = frozenset({"latest", "pending"})
BLOCK_READS = frozenset({"eth_getBlockByNumber", "eth_getBlockByHash", "eth_getTransactionReceipt"})
NOT_FOUND = {"code": -32_000, "message": "header not found"}


def changes(method: str) -> bool:
    """Whether being behind shows in this method's answers."""
    return method in TAG_PLACE or method in BLOCK_READS or method in OTHERS


OTHERS = frozenset({"eth_blockNumber", "eth_getLogs", "eth_getTransactionByHash"})


def stale_params(method: str, params: Sequence[Any], head: int) -> list[Any] | None:
    """Return the params as asked of a node whose head is `head`; None when they name a later block."""
    asked = list(params)
    if method == "eth_getLogs" and asked and isinstance(asked[0], Mapping):
        return _stale_filter(asked[0], head)
    if method not in TAG_PLACE:
        return asked
    place = TAG_PLACE[method]
    if len(asked) == place:
        asked.append("latest")
    tag = asked[place] if place < len(asked) else None
    if tag in HEADS:
        asked[place] = hex(head)
    elif isinstance(tag, str) and _number(tag) is not None and int(tag, 16) > head:
        return None
    return asked


def _stale_filter(query: Mapping[str, Any], head: int) -> list[Any] | None:
    """A range that ends later ends at the head; None for one that begins later."""
    if "blockHash" in query:
        return [dict(query)]
    begins = _number(str(query.get("fromBlock")))
    if begins is not None and begins > head:
        return None
    clipped = dict(query)
    for bound in ("fromBlock", "toBlock"):
        tag = clipped.get(bound, "latest")
        number = _number(str(tag))
        if tag in HEADS or (number is not None and number > head):
            clipped[bound] = hex(head)
    return [clipped]


def stale_result(method: str, result: Any, head: int) -> Any:
    """Return the true result as known to a node whose head is `head`."""
    if method == "eth_blockNumber":
        return hex(head)
    if not isinstance(result, Mapping):
        return result
    number = _number(str(result.get("blockNumber") or result.get("number")))
    if number is None or number <= head:
        return result
    if method in BLOCK_READS:
        return None
    if method == "eth_getTransactionByHash":  # it was in the pool then
        return {**result, "blockHash": None, "blockNumber": None, "transactionIndex": None}
    return result


def unknown_block(method: str) -> dict[str, Any]:
    """Return the answer, without its id, to a question about a block that the node does not have yet."""
    if method == "eth_getLogs":
        return {"result": []}
    return {"result": None} if method == "eth_getBlockByNumber" else {"error": NOT_FOUND}


def _number(tag: str) -> int | None:
    try:
        return int(tag, 16)
    except ValueError:
        return None
