"""One JSON-RPC request as the proxy sees it, and the log of all of them."""

import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from keeper.chaos.transactions import BadTransaction, PoolTx, decoded

Transport = Literal["http", "ws"]
SEND = "eth_sendRawTransaction"
NOTIFICATION = "eth_subscription"
"""The method of what a node sends unasked; params as logged here: what it is about, then the node's own."""
BY_HASH = frozenset({"eth_getTransactionByHash", "eth_getTransactionReceipt", "eth_getRawTransactionByHash"})
BY_ADDRESS = frozenset({"eth_getTransactionCount", "eth_getBalance", "eth_getCode", "eth_getProof"})


@dataclass(frozen=True, slots=True)
class Request:
    endpoint: str
    method: str
    params: Sequence[Any]
    id: Any = None
    transport: Transport = "http"

    def transaction(self) -> PoolTx | None:
        """Return the signed transaction it carries, None for other requests and for bytes that are none."""
        if self.method != SEND or not self.params:
            return None
        try:
            return decoded(bytes.fromhex(str(self.params[0]).removeprefix("0x")))
        except (BadTransaction, ValueError):
            return None

    def subscription(self) -> str | None:
        """Return what a notification is about; the proxy puts it first in the params."""
        return str(self.params[0]) if self.method == NOTIFICATION and self.params else None

    def tx_hash(self) -> str | None:
        """Return the hash of the transaction it carries or asks for, lower case."""
        if tx := self.transaction():
            return tx.hash
        asks = self.method in BY_HASH and bool(self.params)
        return str(self.params[0]).lower() if asks else None

    def sender(self) -> str | None:
        """Return whose transaction it carries or whose account it asks for, lower case."""
        if tx := self.transaction():
            return tx.sender.lower()
        asks = self.method in BY_ADDRESS and bool(self.params)
        return str(self.params[0]).lower() if asks else None

    def target(self) -> tuple[str | None, bytes]:
        """Return the contract it calls, lower case, and the calldata."""
        if tx := self.transaction():
            return (tx.to.lower() if tx.to else None), tx.data
        message = self.params[0] if self.params else None
        if self.method not in ("eth_call", "eth_estimateGas") or not isinstance(message, dict):
            return None, b""
        sent = str(message.get("data") or message.get("input") or "0x")
        return str(message.get("to") or "").lower() or None, bytes.fromhex(sent.removeprefix("0x"))


@dataclass(frozen=True, slots=True)
class Exchange:
    """What became of one request. `answer` is what the client was told, None with `cut` when nothing arrived whole."""

    n: int  # order of arrival, from 1
    endpoint: str
    transport: Transport
    method: str
    params: tuple[Any, ...]
    faults: tuple[int, ...]  # ids of those applied, in order
    forwarded: int  # how often it reached the pool or the node
    answer: dict[str, Any] | None  # the envelope: result or error
    cut: str = ""  # what the transport did instead of answering
    tx_hash: str | None = None
    received_ns: int = 0  # the machine's monotonic clock at arrival, the same for all its processes
    late: dict[str, Any] | None = None  # what the node said to held bytes when they were released

    @property
    def error(self) -> dict[str, Any] | None:
        return self.answer.get("error") if self.answer else None

    @property
    def result(self) -> Any:
        return self.answer.get("result") if self.answer else None


@dataclass(slots=True)
class Open:
    """An exchange under way. Only the proxy's own loop changes it."""

    n: int
    request: Request
    received_ns: int = field(default_factory=time.monotonic_ns)
    faults: list[int] = field(default_factory=list)
    forwarded: int = 0
    answer: dict[str, Any] | None = None
    cut: str = ""
    late: dict[str, Any] | None = None
    ask: Callable[[str, Sequence[Any]], Awaitable[dict[str, Any]]] | None = None  # instead of the node's HTTP

    def closed(self) -> Exchange:
        r = self.request
        return Exchange(
            self.n,
            r.endpoint,
            r.transport,
            r.method,
            tuple(r.params),
            tuple(self.faults),
            self.forwarded,
            self.answer,
            self.cut,
            r.tx_hash(),
            self.received_ns,
            self.late,
        )
