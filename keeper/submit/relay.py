"""Relays: private first. What one says proves nothing: bytes it was given are live until the chain decides.

A relay that failed, forgot or withdrew a bundle may still see it mined by a builder who kept it, and one that promised
silence may leak it. So every offer is in the journal before, and inclusion is only ever read from receipts.
"""

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final
from uuid import UUID

from eth_utils.crypto import keccak

from keeper.errors import ChainError
from keeper.rpc import Rpc, RpcError, RpcRefusal
from keeper.rpc_http import without_bytes
from keeper.sending.answers import AnswerClass, classify
from keeper.submit.bundle import BUNDLE
from keeper.submit.endpoints import Endpoint, Endpoints, Offered, named
from keeper.submit.parcels import PREFIX, Parcel, PrivateRoute, Request
from keeper.submit.private_transaction import PRIVATE_TRANSACTION

log = logging.getLogger(__name__)

ROUTES: Final[Mapping[str, PrivateRoute]] = {
    "bundle": BUNDLE,
    "private_transaction": PRIVATE_TRANSACTION,
}
"""Private ways to send; the public one is a broadcast to every endpoint."""


def relays(urls: Sequence[str], timeout_s: float, stamp: Callable[[bytes], Mapping[str, str]]) -> tuple[Endpoint, ...]:
    """Return the relays behind these URLs; `stamp` signs what is sent to them."""
    names = [endpoint.name for endpoint in named(urls, timeout_s)]
    return tuple(Endpoint(PREFIX + name, Rpc(url, timeout_s, stamp)) for name, url in zip(names, urls, strict=True))


class Relay:
    """Several relays as one: each is given everything, and each answer is judged by itself."""

    def __init__(self, endpoints: Endpoints, route: PrivateRoute, sender: str) -> None:
        """`endpoints` made of `relays`; `sender`: whose transactions go through it, checksummed."""
        self._endpoints = endpoints
        self._route = route
        self._id = str(UUID(bytes=keccak(text=f"{endpoints.chain_id}:{sender}")[:16], version=4))

    def usable(self) -> tuple[str, ...]:
        return self._endpoints.usable(urgent=True)

    def offer(self, signed: Sequence[bytes], target: int, last: int, to: Collection[str]) -> tuple[Offered, ...]:
        """Offer transactions, lowest nonce first, for block `target`; return one answer for each and each relay.

        They stay private up to block `last`. The pairs must be in the journal before.
        """
        requests = self._route.offer(self._parcel(signed, target, last))
        answers = self._endpoints.ask(
            [n for n in self._endpoints.names if n in to], lambda _, rpc: _said(rpc, requests)
        )
        return tuple(
            offered
            for name, answer in answers.items()
            for row, request in enumerate(requests)
            for offered in _judged(name, request, answer if isinstance(answer, ChainError) else answer[row])
        )

    def withdraw(self, signed: Sequence[bytes]) -> None:
        """Ask the relays to forget the transactions. Their consent proves nothing, so it is not recorded."""
        requests = self._route.withdraw(self._parcel(signed, 0, 0))
        for name, answer in self._endpoints.ask(self.usable(), lambda _, rpc: _said(rpc, requests)).items():
            log.info("%s: asked to withdraw %d transactions: %s", name, len(signed), _in_short(answer))

    def _parcel(self, signed: Sequence[bytes], target: int, last: int) -> Parcel:
        hashes = tuple("0x" + keccak(raw).hex() for raw in signed)
        return Parcel(self._id, tuple(signed), hashes, target, last)


def _said(rpc: Rpc, requests: Sequence[Request]) -> list[object]:
    """Return a result or a refusal for each request. Raises RpcUnreachable as soon as one has no answer."""
    return [_result(rpc, request) for request in requests]


def _result(rpc: Rpc, request: Request) -> object:
    try:
        return rpc.call(request.method, *request.params)
    except RpcError as e:
        return e.refusal


def _judged(name: str, request: Request, said: object) -> list[Offered]:
    answer, text = _class(request, said)
    return [Offered(name, tx_hash, answer, text) for tx_hash in request.hashes]


def _class(request: Request, said: object) -> tuple[AnswerClass, str]:
    if isinstance(said, ChainError):
        return AnswerClass.NODE_UNAVAILABLE, without_bytes(str(said))
    if isinstance(said, RpcRefusal):
        return classify(said.code or None, said.message), str(said)
    if request.expects(said):
        return AnswerClass.ACCEPTED, ""
    return AnswerClass.UNKNOWN, f"expected what {request.method} returns, found {without_bytes(str(said))[:80]}"


def _in_short(answer: Sequence[object] | ChainError) -> str:
    said = [answer] if isinstance(answer, ChainError) else answer
    refused = [one for one in said if isinstance(one, ChainError | RpcRefusal)]
    return without_bytes(str(refused[0]))[:120] if refused else "said yes, which proves nothing"
