"""The keeper's side of the socket: typed requests, time-outs, and no guess about what was not answered."""

import socket
from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import orjson
from eth_utils.crypto import keccak

from keeper.errors import SignerUnreachable, SigningRefused
from keeper.signer import wire
from keeper.signer.records import Grant, LedgerState, Refusal, SignedBytes, SignRequest

CHUNK = 32
"""Transactions in one request: answered well within a time-out, and the first can leave before the last."""
ENVELOPE = 512
"""Bytes of a request beside its transactions, at most: id, op, address, token."""
NUMBERS = ("token", "ttl_ms", "watermark", "final", "forgiven_to")
"""Of a grant, in the order of its fields."""
STORE = "store"
"""The rule by which the signer refuses while its own store is full or locked."""
NOT_ASSUMED = "nothing is assumed about what it signed: connect again and repeat the same request ids"


class Line:
    """One connection that asks and waits. After any failure it is closed, for answers would no longer match."""

    def __init__(self, path: Path, *, timeout_s: float = 5.0) -> None:
        """Connect. Raises SignerUnreachable."""
        self._path = path
        self._ids = count(1)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(timeout_s)
        try:
            self._socket.connect(str(path))
        except OSError as error:
            self.close()
            raise SignerUnreachable(
                f"signer {path}: expected a signer that listens, found {error}; run `keeper signer run`"
            ) from error
        self._reader = self._socket.makefile("rb")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; the signer frees its leases at once."""
        self._socket.close()
        if hasattr(self, "_reader"):
            self._reader.close()

    def ask(self, op: str, **fields: Any) -> dict[str, Any]:
        """Return the answer, refusal or not. Raises SignerUnreachable; SigningRefused, with nothing sent, for a request
        that no line holds."""
        number = next(self._ids)
        line = _line(number, op, fields)
        try:
            self._socket.sendall(line)
            answer = self._reader.readline(2 * wire.MAX_LINE)  # answers repeat what was asked
        except (OSError, ValueError) as error:  # ValueError: the file of a closed socket
            raise self._lost(op, str(error)) from error
        try:
            found = orjson.loads(answer)
            matching = isinstance(found, dict) and found.get("id") == number and isinstance(found.get("ok"), bool)
        except orjson.JSONDecodeError:
            matching = False
        if not matching:
            raise self._lost(op, f"{len(answer)} bytes that are no answer to request {number}")
        return dict(found)

    def demand(self, op: str, **fields: Any) -> dict[str, Any]:
        """Return the answer. Raises SigningRefused for a refusal, SignerUnreachable for none.

        A store that cannot be written is none: it says nothing about the lease, which nobody else can take meanwhile.
        """
        found = self.ask(op, **fields)
        if found["ok"]:
            return found
        refusal = _refusal(found)
        if refusal.rule == STORE:
            raise SignerUnreachable(f"signer {self._path}: {refusal}")
        raise SigningRefused(f"signer: {refusal}", refusal.rule)

    def _lost(self, op: str, found: str) -> SignerUnreachable:
        self.close()
        return SignerUnreachable(f"signer {self._path}: expected an answer to {op}, found {found}; {NOT_ASSUMED}")


class SignerClient:
    """One key's lane at the signer. Raises SignerUnreachable whenever an answer is missing or makes no sense."""

    def __init__(self, line: Line, address: str, holder: str) -> None:
        self._line = line
        self._holder = holder
        self._token = 0
        self.address = address

    def hello(self, state: LedgerState) -> Grant:
        """Take the lease. Raises SigningRefused with what to do when another holds it or the stores disagree."""
        found = self._line.demand(
            "hello",
            address=self.address,
            holder=self._holder,
            ledger=state.ledger_id,
            chain_nonce=state.chain_nonce,
            next_nonce=state.next_nonce,
            final=state.final,
            open=sorted(state.open_requests),
            attempts=sorted(state.attempts),
        )
        return self._granted(found)

    def renew(self) -> Grant:
        """Keep the lease for another term. Raises SigningRefused when it is lost."""
        return self._granted(self._line.demand("renew", address=self.address, token=self._token))

    def sign(self, requests: Sequence[SignRequest]) -> tuple[SignedBytes | Refusal, ...]:
        """Return bytes or refusal per request, in their order. The bytes were durable before they were sent here."""
        given: list[SignedBytes | Refusal] = []
        for part in _parts(requests):
            given += [_unsendable(part[0])] if _size(part[0]) > _room() else self._signed_batch(part)
        return tuple(given)

    def _signed_batch(self, requests: Sequence[SignRequest]) -> list[SignedBytes | Refusal]:
        items = [wire.item(request) for request in requests]
        found = self._line.demand("sign", address=self.address, token=self._token, items=items)
        try:
            return [_given(request, one) for request, one in zip(requests, found["items"], strict=True)]
        except (KeyError, ValueError, TypeError) as error:
            self._line.close()
            raise SignerUnreachable(
                f"signer: expected an answer per request, found {error!r}; {NOT_ASSUMED}"
            ) from error

    def signed(self, from_nonce: int) -> tuple[SignedBytes, ...]:
        """Return everything ever signed for nonces from `from_nonce` on, in the order of signing."""
        rows: list[SignedBytes] = []
        more = True
        while more:
            after = rows[-1].sequence if rows else 0
            found = self._line.demand("signed", address=self.address, from_nonce=from_nonce, after=after)
            try:
                rows += [_true(wire.signed_in(one)) for one in found["items"]]
                more = bool(found["more"]) and bool(found["items"])
            except (KeyError, ValueError, TypeError) as error:
                self._line.close()
                raise SignerUnreachable(f"signer: expected signed bytes, found {error!r}; {NOT_ASSUMED}") from error
        return tuple(rows)

    def final(self, nonce: int) -> int:
        """Tell the highest final nonce; return the one the signer holds now."""
        return int(self._line.demand("final", address=self.address, token=self._token, nonce=nonce)["final"])

    def status(self) -> list[dict[str, Any]]:
        return list(self._line.demand("status")["lanes"])

    def _granted(self, found: dict[str, Any]) -> Grant:
        try:
            token, ttl_ms, watermark, final, forgiven_to = (int(found[name]) for name in NUMBERS)
            grant = Grant(token, ttl_ms, watermark, final, forgiven_to, found["state"])
        except (KeyError, ValueError, TypeError) as error:
            self._line.close()
            wanted = ", ".join((*NUMBERS, "state"))
            why = f"signer: expected a lease with {wanted}, found {sorted(found)}; an older signer is updated first"
            raise SignerUnreachable(why) from error
        self._token = grant.token
        return grant


def _line(number: int, op: str, fields: dict[str, Any]) -> bytes:
    """Return a request's line. Raises SigningRefused."""
    line = wire.to_line({"id": number, "op": op, **fields})
    if len(line) > wire.MAX_LINE:
        raise SigningRefused(f"signer: expected {op} in at most {wire.MAX_LINE} bytes, found {len(line)}; ask for less")
    return line


def _room() -> int:
    return wire.MAX_LINE - ENVELOPE


def _size(request: SignRequest) -> int:
    """Return the bytes it takes of a line, with its comma."""
    return len(wire.to_line(wire.item(request)))


def _parts(requests: Sequence[SignRequest]) -> Iterator[list[SignRequest]]:
    """Yield what one line holds each, in order: at most CHUNK of them. One that no line holds is a part of its own."""
    part: list[SignRequest] = []
    held = 0
    for request in requests:
        size = _size(request)
        if part and (len(part) == CHUNK or held + size > _room()):
            yield part
            part, held = [], 0
        part.append(request)
        held += size
    if part:
        yield part


def _unsendable(request: SignRequest) -> Refusal:
    found = f"found {_size(request)} with {len(request.data)} bytes of calldata; let it carry less"
    return Refusal("message", f"expected a transaction in at most {_room()} bytes of a request, {found}")


def _given(request: SignRequest, found: dict[str, Any]) -> SignedBytes | Refusal:
    if not found["ok"]:
        return _refusal(found)
    signed = _true(wire.signed_in(found))
    if (signed.request_id, signed.nonce, signed.payload) != (request.request_id, request.nonce, request.payload):
        raise ValueError(f"bytes of request {signed.request_id} where {request.request_id} was asked")
    return signed


def _true(signed: SignedBytes) -> SignedBytes:
    if "0x" + keccak(signed.raw).hex() != signed.tx_hash:
        raise ValueError(f"bytes of nonce {signed.nonce} that do not have the hash {signed.tx_hash}")
    return signed


def _refusal(found: dict[str, Any]) -> Refusal:
    return Refusal(str(found.get("rule")), str(found.get("reason")))
