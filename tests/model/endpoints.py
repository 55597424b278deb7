"""Endpoints that swallow, refuse, lag and lie, behind the real Endpoints and Facts; and the head the keeper follows."""

import random
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from keeper.chain import Block
from keeper.errors import ChainError, RpcUnreachable
from keeper.rpc import FeeHistory, Rpc, RpcRefusal
from keeper.submit.endpoints import Endpoint, Endpoints
from tests.model import chain as model
from tests.model.chain import Chain, Links
from tests.signer_desk import CHAIN

T = TypeVar("T")

REFUSALS = (
    (-32000, "already known"),
    (-32000, "nonce too low: next nonce 185, tx nonce 184"),
    (-32000, "invalid transaction nonce"),
    (-32000, "nonce too high: tx nonce 12, gapped nonce 10"),
    (-32000, "replacement transaction underpriced"),
    (-32000, "transaction underpriced"),
    (-32000, "max fee per gas less than block base fee: address 0xab, maxFeePerGas: 1, baseFee: 2"),
    (-32000, "tx fee (1.20 ether) exceeds the configured cap (1.00 ether)"),
    (-32000, "insufficient funds for gas * price + value: balance 9, queued cost 7, tx cost 5, overshot 3"),
    (-32000, "txpool is full"),
    (-32000, "address already reserved"),
    (-32000, "in-flight transaction limit reached for delegated accounts"),
    (-32000, "execution reverted: Pausable: paused"),
    (-32000, "not enough keccak counters to continue the execution"),
    (-32000, "exceeds block gas limit"),
    (429, "Too Many Requests"),
    (-32603, "internal error"),
    (-32603, "Transaction nonce too low"),
    (0, "unknown transaction"),
    (0, ""),
)
"""One wording of every class of answer, and strings that mean nothing."""

SENDS = ("accept", "accept", "swallow", "refuse", "refuse but keep", "answer lost", "unreachable", "another hash")
READS = (
    "true",
    "true",
    "behind",
    "old fork",
    "down",
    "no receipts",
    "indexing",
    "flipped",
    "nonce back",
    "nonce ahead",
    "other chain",
)


class Node:
    """One endpoint. `sends` and `reads` name what it does until told otherwise."""

    def __init__(self, name: str, chain: Chain, seen: Callable[[str, bytes], None]) -> None:
        self.name = name
        self._chain = chain
        self._seen = seen
        self.sends, self.reads, self.lag = "accept", "true", 2
        self.choice = random.Random(0)

    def send_raw(self, signed: Sequence[bytes]) -> list[str | RpcRefusal]:
        if self.sends == "unreachable":
            for raw in signed:
                self._seen(self.name, raw)  # what was written to the socket may have been read
            raise RpcUnreachable(f"{self.name}: expected an answer, found none")
        said = [self._send(raw) for raw in signed]
        if self.sends == "answer lost":
            raise RpcUnreachable(f"{self.name}: expected an answer, found the connection reset")
        return said

    def _send(self, raw: bytes) -> str | RpcRefusal:
        self._seen(self.name, raw)
        if self.sends not in ("swallow", "refuse"):
            self._chain.take(raw)
        if self.sends in ("refuse", "refuse but keep"):
            return RpcRefusal(*self.choice.choice(REFUSALS))
        return "0x" + "ab" * 32 if self.sends == "another hash" else model.read(raw).tx_hash

    def batch(self, items: Sequence[tuple[str, Sequence[Any]]]) -> list[Any]:
        if self.reads == "down":
            raise RpcUnreachable(f"{self.name}: expected an answer, found 502")
        return [self._told(method, params) for method, params in items]

    def _told(self, method: str, params: Sequence[Any]) -> Any:
        links = self._links()
        match method:
            case "eth_chainId":
                return hex(CHAIN + (self.reads == "other chain"))
            case "eth_getBlockByNumber":
                return model.header(links, len(links) - 1 if params[0] == "latest" else int(params[0], 16))
            case "eth_getTransactionCount":
                found = model.nonce_at(links, params[1]["blockHash"])
                wrong = {"nonce back": -1, "nonce ahead": 2}.get(self.reads, 0)
                return hex(int(found, 16) + wrong) if isinstance(found, str) else found
            case "eth_getTransactionReceipt":
                return self._receipt(links, params[0])
        raise AssertionError(f"no such question in the model: {method}")

    def _receipt(self, links: Links, tx_hash: str) -> object:
        if self.reads == "no receipts":
            return None
        if self.reads == "indexing":
            return RpcRefusal(-32000, "transaction indexing is in progress")
        return model.receipt(links, tx_hash, flipped=self.reads == "flipped")

    def _links(self) -> Links:
        chain = self._chain
        if self.reads == "old fork" and chain.abandoned:
            return chain.abandoned
        return chain.links[: max(1, len(chain.links) - self.lag)] if self.reads == "behind" else chain.links


class InTurn(Endpoints):
    """The real Endpoints, asked one after the other instead of on threads: a run must be repeatable."""

    def ask(self, names: Sequence[str], work: Callable[[str, Rpc], T]) -> dict[str, T | ChainError]:
        answers: dict[str, T | ChainError] = {}
        for name in names:
            try:
                answers[name] = self._task(name, work)()
            except ChainError as error:
                answers[name] = error
        return answers


def endpoints(nodes: Sequence[Node], clock: Callable[[], float], agreeing: int = 2) -> InTurn:
    named: list[Any] = [Endpoint(node.name, node) for node in nodes]  # type: ignore[arg-type]
    return InTurn(named, CHAIN, agreeing=agreeing, clock=clock)


class Head:
    """The keeper's own view, one node's: it may be behind. It is asked for no nonce."""

    def __init__(self, chain: Chain) -> None:
        self._chain = chain
        self.lag = 0
        self.is_down = False  # from the decision on: the simulation gets no answer

    def block(self, number: int | None = None) -> Block:
        links = self._chain.links
        return links[max(0, len(links) - 1 - self.lag) if number is None else number].block

    def fee_history(self, blocks: int, newest: Block) -> FeeHistory:
        return FeeHistory(self._chain.base_fee, (10**9,) * min(blocks, newest.number + 1))

    def balance(self, _address: str, _block: Block) -> int:
        return 10**20

    def gas_limit(self, _block: Block) -> int:
        return 30_000_000
