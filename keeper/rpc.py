"""JSON-RPC over one pooled HTTP session: single calls, batches, and the few reads everything is built from.

Hot reads go through here rather than through web3, which spends two extra requests and several
formatters on every call (docs/adr/0002). Nothing here retries or guesses: a failed request is an exception,
a failed item of a batch is an `RpcRefusal` in its place.
"""

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import orjson
import requests

from keeper.chain import Block, Call, Log, Receipt
from keeper.errors import ChainError, MissingContract, RpcUnreachable, WrongChain, redacted
from keeper.rpc_http import posted, quoted, without_bytes
from keeper.rpc_records import block_of, log_of, receipt_of

BATCH = 400  # calls an HTTP request; beyond it Anvil and Geth gain nothing and providers refuse
CALL_GAS = 30_000_000


@dataclass(frozen=True, slots=True)
class RpcRefusal:
    """What the node answered instead of a result."""

    code: int
    message: str
    revert: bytes = b""  # revert payload, where the node sent one

    def __str__(self) -> str:
        return f"{self.message} (code {self.code})"


@dataclass(frozen=True, slots=True)
class FeeHistory:
    """Wei per gas."""

    next_base_fee: int
    tips: tuple[int, ...]  # median of each block that was not empty, oldest first


class RpcError(ChainError):
    """The node understood the request and refused it."""

    def __init__(self, method: str, refusal: RpcRefusal) -> None:
        super().__init__(f"{method}: {refusal}")
        self.refusal = refusal


class Rpc:
    """One endpoint. Thread-safe for independent calls as far as `requests.Session` is."""

    def __init__(
        self, url: str, timeout_s: float = 10.0, stamp: Callable[[bytes], Mapping[str, str]] | None = None
    ) -> None:
        """`stamp` returns the headers that a body needs to be let in; such a server is sent one call a request."""
        self._url = url
        self._stamp = stamp
        self._timeout = timeout_s
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.headers["Content-Type"] = "application/json"
        self._ids = itertools.count(1)  # one step under the interpreter's lock: threads never share an id

    def __repr__(self) -> str:
        return f"Rpc({redacted(self._url)})"

    # --- transport ---------------------------------------------------------------------------------

    def call(self, method: str, *params: object) -> Any:
        """Return the result. Raises RpcError when refused, RpcUnreachable when there is no answer."""
        answer = self._post([self._request(method, params)])[0]
        if isinstance(answer, RpcRefusal):
            raise RpcError(method, answer)
        return answer

    def batch(self, items: Sequence[tuple[str, Sequence[object]]]) -> list[Any | RpcRefusal]:
        """Return one result or refusal per item, in order. Raises RpcUnreachable when a request fails."""
        answers: list[Any | RpcRefusal] = []
        for start in range(0, len(items), BATCH):
            answers += self._post([self._request(m, p) for m, p in items[start : start + BATCH]])
        return answers

    def _request(self, method: str, params: Sequence[object]) -> dict[str, object]:
        return {"jsonrpc": "2.0", "id": next(self._ids), "method": method, "params": list(params)}

    def _post(self, body: list[dict[str, object]]) -> list[Any | RpcRefusal]:
        where = redacted(self._url)
        data = orjson.dumps(body[0] if self._stamp else body)
        headers = self._stamp(data) if self._stamp else {}
        raw, status = posted(self._session, self._url, data, headers, self._timeout)
        try:
            decoded = orjson.loads(raw)
        except orjson.JSONDecodeError as e:
            raise RpcUnreachable(
                f"{where}: expected JSON, found HTTP {status} with {quoted(raw)}; is this url a JSON-RPC endpoint?"
            ) from e
        return _in_order(decoded, body, where)

    # --- reads -------------------------------------------------------------------------------------

    def chain_id(self) -> int:
        found = self.call("eth_chainId")
        if not isinstance(found, str):
            raise RpcUnreachable(f"{redacted(self._url)}: expected a chain id, found {found!r}")
        return int(found, 16)

    def block(self, number: int | None = None) -> Block:
        """Return the header at `number`, or the newest. Raises ChainError if the node has no such block."""
        tag = "latest" if number is None else hex(number)
        found = self.call("eth_getBlockByNumber", tag, False)
        if found is None:
            raise ChainError(f"block {tag}: the node does not have it; it lags behind or the chain was rolled back")
        return block_of(found)

    def eth_calls(self, calls: Sequence[Call], block: Block) -> list[bytes | RpcRefusal]:
        """Execute every call at `block`; a revert is a refusal in its place."""
        tag = hex(block.number)
        items = [("eth_call", (_message(call), tag)) for call in calls]
        return [_bytes(answer) for answer in self.batch(items)]

    def codes(self, addresses: Sequence[str], block: Block) -> list[bytes | RpcRefusal]:
        """Return the code at each address at `block`, empty where there is none."""
        tag = hex(block.number)
        return [_bytes(answer) for answer in self.batch([("eth_getCode", (a, tag)) for a in addresses])]

    def simulate(
        self, calls: Sequence[Call], sender: str, block: Block, at_time: int, gas: int
    ) -> list[bytes | RpcRefusal]:
        """Execute every call, each alone, on `block`'s state as `sender` would at block time `at_time`."""
        tag = hex(block.number)
        overrides = {"time": hex(at_time), "number": hex(block.number + 1)}
        items: list[tuple[str, Sequence[object]]] = [
            ("eth_call", ({**_message(c), "from": sender, "gas": hex(min(c.gas or gas, gas))}, tag, {}, overrides))
            for c in calls
        ]
        return [_bytes(answer) for answer in self.batch(items)]

    def logs(self, addresses: Sequence[str], topics: Sequence[str], first: int, last: int) -> list[Log]:
        """Return logs of blocks first..last, both included, whose first topic is one of `topics`."""
        query = {
            "address": list(addresses),
            "topics": [list(topics)],
            "fromBlock": hex(first),
            "toBlock": hex(last),
        }
        return [log_of(entry) for entry in self.call("eth_getLogs", query)]

    def receipts(self, hashes: Sequence[str]) -> list[Receipt | RpcRefusal | None]:
        """Return receipts; None where the node knows none, which proves nothing about the transaction."""
        answers = self.batch([("eth_getTransactionReceipt", (h,)) for h in hashes])
        return [a if a is None or isinstance(a, RpcRefusal) else receipt_of(a) for a in answers]

    def nonce(self, address: str, block: Block) -> int:
        return int(self.call("eth_getTransactionCount", address, hex(block.number)), 16)

    def counts(self, address: str) -> tuple[int, int]:
        """Return the address's transaction count at the newest block and with what the node's pool holds."""
        latest, pending = (self.call("eth_getTransactionCount", address, tag) for tag in ("latest", "pending"))
        return int(latest, 16), int(pending, 16)

    def fee_history(self, blocks: int, newest: Block) -> FeeHistory:
        """Return the base fee of the block after `newest` and the median tip of each of the last `blocks` blocks.

        Empty blocks pay no tip and are left out. Raises ChainError for an answer that is no history.
        """
        found = self.call("eth_feeHistory", hex(blocks), hex(newest.number), [50])
        try:
            used = [float(share) for share in found["gasUsedRatio"]]
            tips = [int(row[0], 16) for row in found.get("reward") or []]
            return FeeHistory(
                int(found["baseFeePerGas"][-1], 16), tuple(tip for tip, share in zip(tips, used, strict=True) if share)
            )
        except (TypeError, KeyError, IndexError, ValueError) as e:
            raise ChainError(f"eth_feeHistory: expected a fee history, found {str(found)[:80]}") from e

    def gas_limit(self, block: Block) -> int:
        """Return how much gas all transactions of a block may use together."""
        return int(self.call("eth_getBlockByNumber", hex(block.number), False)["gasLimit"], 16)

    def balance(self, address: str, block: Block) -> int:
        return int(self.call("eth_getBalance", address, hex(block.number)), 16)

    def send_raw(self, signed: Sequence[bytes]) -> list[str | RpcRefusal]:
        """Offer signed bytes; return the hash or the refusal of each. Neither proves anything about the bytes."""
        items = [("eth_sendRawTransaction", ("0x" + s.hex(),)) for s in signed]
        return cast("list[str | RpcRefusal]", self.batch(items))

    # --- checks ------------------------------------------------------------------------------------

    def require_chain(self, expected: int) -> None:
        """Raise WrongChain unless the node answers for `expected`."""
        found = self.chain_id()
        if found != expected:
            raise WrongChain(
                f"chain id: expected {expected} (chain.chain_id), found {found} at {redacted(self._url)}; "
                "point chain.rpc_url at the right network or correct chain.chain_id"
            )

    def require_code(self, address: str, what: str) -> None:
        """Raise MissingContract unless there is code at `address`."""
        if self.call("eth_getCode", address, "latest") in ("0x", None):
            raise MissingContract(
                f"{what}: expected a contract at {address}, found no code; check the address and the network"
            )


def _bytes(answer: Any | RpcRefusal) -> bytes | RpcRefusal:
    """Return a hex result as bytes; anything else than hex is a refusal."""
    if isinstance(answer, RpcRefusal):
        return answer
    try:
        return bytes.fromhex(answer[2:])
    except (TypeError, ValueError, KeyError):
        return RpcRefusal(0, f"expected hex, found {str(answer)[:60]}")


def answered(answers: Sequence[bytes | RpcRefusal]) -> list[bytes]:
    """Return the answers, or raise ValueError for the first that is a refusal or empty."""
    for answer in answers:
        if isinstance(answer, RpcRefusal):
            raise ValueError(str(answer))
        if not answer:
            raise ValueError("empty answer; is there a contract at the address?")
    return [a for a in answers if isinstance(a, bytes)]


def _in_order(decoded: object, body: list[dict[str, object]], where: str) -> list[Any | RpcRefusal]:
    if isinstance(decoded, dict) and len(body) == 1 and "result" in decoded:
        decoded = [decoded]
    if isinstance(decoded, dict):  # a node refuses a whole batch with a single object
        refusal = _refusal(decoded.get("error"))
        return [refusal for _ in body]
    if not isinstance(decoded, list):
        raise RpcUnreachable(f"{where}: expected a list of answers, found {type(decoded).__name__}")
    by_id = {entry.get("id"): entry for entry in decoded if isinstance(entry, dict)}
    return [_result(by_id.get(request["id"])) for request in body]


def _result(entry: Mapping[str, Any] | None) -> Any | RpcRefusal:
    if entry is None:
        return RpcRefusal(0, "the node left this request unanswered")
    return _refusal(entry["error"]) if "error" in entry else entry.get("result")


def _refusal(error: object) -> RpcRefusal:
    if not isinstance(error, Mapping):
        return RpcRefusal(0, f"malformed error object: {without_bytes(str(error))[:80]}")
    payload = error.get("data")
    revert = b""
    if isinstance(payload, str) and payload.startswith("0x"):
        revert = bytes.fromhex(payload[2:]) if len(payload) % 2 == 0 else b""
    code = error.get("code")
    return RpcRefusal(
        code if isinstance(code, int) else 0, without_bytes(str(error.get("message", "no message")))[:300], revert
    )


def _message(call: Call) -> dict[str, str]:
    return {"to": call.to, "data": "0x" + call.data.hex(), "gas": hex(CALL_GAS)}
