"""What every observer asks a node with: raw JSON-RPC batches, selectors, topics, words.

The observers share no code with the keeper: nothing here imports `keeper` or `engine`.
"""

import time
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import orjson
import requests
from eth_utils.abi import function_signature_to_4byte_selector
from eth_utils.crypto import keccak

RETRY_SECONDS = 5.0


class ObserverError(Exception):
    """The observer cannot answer for a block; its report would not be worth anything."""


class Node:
    """A JSON-RPC endpoint asked in batches."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._session = requests.Session()
        self._session.trust_env = False  # the node is local: no proxy, and no look-up of one at every post

    def batch(self, calls: Sequence[tuple[str, list[Any]]]) -> list[dict[str, Any]]:
        """Return one reply a call, in order of the calls, errors included."""
        body = orjson.dumps(
            [
                {"jsonrpc": "2.0", "id": i, "method": method, "params": params}
                for i, (method, params) in enumerate(calls)
            ]
        )
        deadline = time.monotonic() + RETRY_SECONDS
        while True:
            try:
                reply = self._session.post(self._url, body, headers={"Content-Type": "application/json"}, timeout=60)
                replies = orjson.loads(reply.content)
                break
            except (requests.RequestException, orjson.JSONDecodeError) as error:
                if time.monotonic() > deadline:
                    raise ObserverError(f"no answer from {self._url} within {RETRY_SECONDS:.0f} s: {error}") from error
                time.sleep(0.1)
        if not isinstance(replies, list) or len(replies) != len(calls):
            raise ObserverError(f"{self._url}: expected {len(calls)} replies, found {str(replies)[:200]}")
        return sorted(replies, key=lambda r: int(r["id"]))

    def one(self, method: str, *params: Any) -> Any:
        return result(self.batch([(method, list(params))])[0], method)

    def head(self) -> int:
        return int(self.one("eth_blockNumber"), 16)


def result(reply: Mapping[str, Any], what: str) -> Any:
    if "error" in reply:
        raise ObserverError(f"{what}: expected an answer, found {reply['error']}")
    return reply["result"]


@cache
def selector(signature: str) -> str:
    return "0x" + function_signature_to_4byte_selector(signature).hex()


def topic(signature: str) -> str:
    return "0x" + keccak(text=signature).hex()


def call_data(signature: str, *arguments: str | int) -> str:
    """Pack static arguments, addresses as text and integers, as 32-byte words."""
    numbers = (int(a, 16) if isinstance(a, str) else a % 2**256 for a in arguments)
    return selector(signature) + "".join(f"{number:064x}" for number in numbers)


def word(reply: Mapping[str, Any], what: str) -> int:
    """Return the first word of an eth_call's answer as a signed integer (no answer here reaches 2^255)."""
    raw = bytes.fromhex(str(result(reply, what))[2:])
    if len(raw) != 32:
        raise ObserverError(f"{what}: expected one 32-byte word, found {len(raw)} bytes; is the address right?")
    return int.from_bytes(raw, "big", signed=True)


def address(text: str) -> str:
    """Return the address at the end of a word."""
    return "0x" + text[-40:].lower()
