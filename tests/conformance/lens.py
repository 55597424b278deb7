"""The path through MarginLens for the kit: an endpoint that uses it for every read, and its answers with reads failed.

Requests and answers are taken apart by docs/lens.md, not by the code that makes them.
"""

from collections.abc import Collection, Iterator, Sequence
from typing import Any, Final

from eth_abi.abi import decode, encode

from keeper.abi import keccak256
from keeper.lens import IDENTITY, PLACE, LensRpc
from keeper.rpc import Rpc, RpcRefusal

Question = tuple[str, bytes]
"""Whom, and with what calldata."""
PROBED: Final = {IDENTITY.lower(), PLACE.lower()}
"""Whom the lens asks about itself: nothing of a venue's."""


class ThroughLens(LensRpc):
    """Reads through the lens however few calls there are, and asks it again at once where it failed."""

    def __init__(self, behind: Rpc) -> None:
        super().__init__("http://unused.invalid", fewest_calls=1, rest_s=0.0)
        self._behind = behind
        assert self.probe(), "expected a node that runs the lens"

    def call(self, method: str, *params: object) -> Any:
        return self._behind.call(method, *params)

    def batch(self, items: Sequence[tuple[str, Sequence[object]]]) -> list[Any | RpcRefusal]:
        return self._behind.batch(items)


def questions(params: Sequence[Any]) -> list[Question]:
    """Return what an eth_call asks: itself, or all that it asks through the lens."""
    message = params[0]
    data = bytes.fromhex(message["data"][2:])
    return list(_split(data)) if message["to"] == PLACE else [(message["to"].lower(), data)]


def _split(data: bytes) -> Iterator[Question]:
    (stream,) = decode(["uint32", "uint24", "uint32", "bytes"], data[4:])[3:]
    while stream:
        length = int.from_bytes(stream[20:24])
        yield "0x" + stream[:20].hex(), stream[24 : 24 + length]
        stream = stream[24 + length :]


def failed(params: Sequence[Any], answer: str, rows: Collection[int]) -> str:
    """Return the lens's answer as if the questions of these rows had reverted."""
    data = bytes.fromhex(params[0]["data"][2:])
    stream = decode(["bytes32", "bytes"], bytes.fromhex(answer[2:]))[1]
    kept = b"".join(b"\x02\0\0\0" if row in rows else one for row, one in enumerate(_answers(stream)))
    return "0x" + encode(["bytes32", "bytes"], [keccak256(keccak256(data) + kept), kept]).hex()


def _answers(stream: bytes) -> Iterator[bytes]:
    while stream:
        length = int.from_bytes(stream[1:4])
        yield stream[: 4 + length]
        stream = stream[4 + length :]
