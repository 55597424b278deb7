"""The public mempool: every signed transaction in one JSON-RPC batch to the configured endpoint."""

from collections.abc import Sequence

from keeper.errors import RpcUnreachable
from keeper.rpc import Rpc, RpcRefusal

KNOWN = ("already known", "already imported", "known transaction")


class PublicRoute:
    def __init__(self, rpc: Rpc) -> None:
        self._rpc = rpc

    def send(self, signed: Sequence[bytes]) -> tuple[str, ...]:
        try:
            answers = self._rpc.send_raw(signed)
        except RpcUnreachable as e:
            return tuple(f"no answer: {e}" for _ in signed)
        return tuple(_said(answer) for answer in answers)


def _said(answer: str | RpcRefusal) -> str:
    if isinstance(answer, RpcRefusal) and not any(text in answer.message.lower() for text in KNOWN):
        return str(answer)
    return ""
