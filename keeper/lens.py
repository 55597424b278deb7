"""Many reads in one eth_call: contracts/src/keeper/MarginLens.sol by a state override, nothing deployed.

What the lens does not answer (a call that reverts, uses up its gas or answers at length) is asked alone, as without it:
it saves requests and changes no answer. A node that refuses or ignores overrides, or that answers otherwise than the
lens does, is read as without it.
"""

import json
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, Final

from keeper.abi import ABIS, checksummed, decoded, interface, keccak256
from keeper.chain import Block, Call
from keeper.errors import ChainError, RpcBusy, RpcUnreachable
from keeper.rpc import Rpc, RpcRefusal

log = logging.getLogger(__name__)

ARTIFACT: Final = "keeper/MarginLens"
PLACE: Final = checksummed("0x" + keccak256(b"MarginLens")[12:].hex())
"""Where the code is put: an address that nobody has a key for."""
GAS: Final = 50_000_000
"""Of one request: Geth's own cap on eth_call unless configured; some nodes refuse more rather than lower it."""
GAS_EACH: Final = 1_000_000
KEPT_EACH: Final = 8_192
MOST_BYTES: Final = 4 << 20
"""Of the answers of one request; in JSON twice as many."""
MOST_CALLS: Final = 4_000
FEWEST_CALLS: Final = 20
"""Fewer go as quickly without the lens."""
REST_S: Final = 60.0
"""How long nothing is asked through the lens after a request failed as a whole."""
ANSWERED: Final = 1  # status of an answer
HEAD: Final = 4
IDENTITY: Final = "0x" + "0" * 39 + "4"
"""The precompile that returns its input."""


class LensRpc(Rpc):
    """An Rpc whose `eth_calls` go through the lens once `probe` has found that the node runs it."""

    def __init__(
        self,
        url: str,
        timeout_s: float = 10.0,
        *,
        gas: int = GAS,
        most_calls: int = MOST_CALLS,
        fewest_calls: int = FEWEST_CALLS,
        rest_s: float = REST_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(url, timeout_s)
        self._gas, self._most_calls, self._fewest_calls = gas, most_calls, fewest_calls
        self._rest_s, self._clock = rest_s, clock
        self._usable_from = float("inf")

    def probe(self) -> bool:
        """Ask what has a known answer, at the newest block; say whether the lens is used from now on."""
        kept = b"lens" * (KEPT_EACH // 4)
        known = {Call(IDENTITY, kept): kept, Call(IDENTITY, kept + b"!"): None, Call(PLACE, b"?"): None}
        try:
            answers = self._through_lens(list(known), self.block())
            if answers != list(known.values()):
                raise ValueError("expected the known answers, found others")
        except (ChainError, ValueError) as e:
            log.warning("lens not used, accounts are read by batches: %s", e)
            return False
        self._usable_from = self._clock()
        return True

    def eth_calls(self, calls: Sequence[Call], block: Block) -> list[bytes | RpcRefusal]:
        if len(calls) < self._fewest_calls or self._clock() < self._usable_from:
            return super().eth_calls(calls, block)
        answers: list[bytes | None] = []
        size = self._most_calls
        try:
            while len(answers) < len(calls):
                found = self._through_lens(calls[len(answers) : len(answers) + size], block)
                size = min(2 * len(found), self._most_calls)  # no more than there is gas for travels in vain
                answers += found
        except RpcBusy:
            raise
        except (RpcUnreachable, ValueError) as e:
            log.warning("lens not used for %.0f s, accounts are read by batches: %s", self._rest_s, e)
            self._usable_from = self._clock() + self._rest_s
        answers += [None] * (len(calls) - len(answers))
        left = iter(super().eth_calls([c for c, a in zip(calls, answers, strict=True) if a is None], block))
        return [next(left) if answer is None else answer for answer in answers]

    def _through_lens(self, calls: Sequence[Call], block: Block) -> list[bytes | None]:
        """Return the answers of the first calls, of one at least; None where a call has to be asked alone.

        Raises RpcUnreachable, or ValueError where the node's answer is no lens's.
        """
        data = request(calls)
        message = {"to": PLACE, "data": "0x" + data.hex(), "gas": hex(self._gas)}
        (answer,) = self.batch([("eth_call", (message, hex(block.number), {PLACE: {"code": code()}}))])
        if not isinstance(answer, str):
            raise ValueError(f"expected the lens's answer, found {str(answer)[:200]}")
        found = answers_in(bytes.fromhex(answer[2:]), data, len(calls))
        if not found:
            raise ValueError(f"expected gas for one of {len(calls)} calls, found too little; is eth_call capped?")
        return found


def request(calls: Sequence[Call]) -> bytes:
    """Return the lens's calldata for these calls."""
    questions = b"".join(bytes.fromhex(c.to[2:]) + len(c.data).to_bytes(HEAD) + c.data for c in calls)
    return interface(ARTIFACT).function("read").packed(PLACE, GAS_EACH, KEPT_EACH, MOST_BYTES, questions).data


def answers_in(returned: bytes, data: bytes, count: int) -> list[bytes | None]:
    """Return the answers to the first of `count` calls; None where one failed or was too long.

    Raises ValueError unless they are whole, and to `data`.
    """
    seal, stream = decoded(interface(ARTIFACT).function("read").outputs, returned)
    if keccak256(keccak256(data) + stream) != seal:
        raise ValueError(f"expected answers under their seal, found {len(returned)} bytes that are not")
    found: list[bytes | None] = []
    at = 0
    while at < len(stream):
        status, length = stream[at], int.from_bytes(stream[at + 1 : at + HEAD])
        at += HEAD + length
        found.append(stream[at - length : at] if status == ANSWERED else None)
    if at != len(stream) or len(found) > count:
        raise ValueError(f"expected answers to {count} calls, found {len(found)} in {len(stream)} bytes")
    return found


@cache
def code() -> str:
    document: Mapping[str, Any] = json.loads((ABIS / f"{ARTIFACT}.json").read_text())
    return str(document["bytecode"])
