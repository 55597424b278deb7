"""The protocol: one JSON object a line, bounded in size, every field checked, nothing guessed.

A request carries `id` and `op`; its answer the same `id` and `ok`. A refusal has `ok` false, `rule` and `reason`.
Amounts of wei in answers are text, for JSON readers differ on integers beyond 53 bits.
"""

from typing import Annotated, Any, Final, Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from keeper.signer.records import Grant, LedgerState, Refusal, SignedBytes, SignRequest

MAX_LINE: Final = 4 * 1024 * 1024
"""Bytes of a request or an answer, line break included."""
MAX_ITEMS: Final = 256
"""Transactions in one sign request."""
PAGE: Final = 256
"""Signatures in one answer to `signed`, fewer where their bytes are long."""
PAGE_BYTES: Final = 1024 * 1024

Label = Annotated[str, Field(pattern=r"^[\x20-\x7e]{1,200}$")]
LongLabel = Annotated[str, Field(pattern=r"^[\x20-\x7e]{1,500}$")]
AddressText = Annotated[str, Field(pattern=r"^0x[0-9a-fA-F]{40}$")]
HashText = Annotated[str, Field(pattern=r"^0x[0-9a-f]{64}$")]
HexText = Annotated[str, Field(pattern=r"^0x([0-9a-f]{2})*$")]
Count = Annotated[int, Field(ge=0, lt=2**63)]
Nonce = Annotated[int, Field(ge=0, le=2**53)]
MaybeNonce = Annotated[int, Field(ge=-1, le=2**53)]


class _Message(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)


class _Request(_Message):
    id: Count


class Hello(_Request):
    op: Literal["hello"]
    address: AddressText
    holder: Label
    ledger: Label
    chain_nonce: Nonce
    next_nonce: Nonce
    final: MaybeNonce
    open: list[Label]
    attempts: list[Annotated[tuple[Nonce, HashText], Field(strict=False)]]

    def state(self) -> LedgerState:
        attempts = frozenset(self.attempts)
        return LedgerState(self.ledger, self.chain_nonce, self.next_nonce, self.final, frozenset(self.open), attempts)


class Renew(_Request):
    op: Literal["renew"]
    address: AddressText
    token: Count


class Item(_Message):
    request: Label
    nonce: Nonce
    kind: Literal["call", "cancel", "filler"]
    intent: LongLabel
    effects: Annotated[list[LongLabel], Field(max_length=MAX_ITEMS)]
    chain_id: Count
    to: AddressText
    data: HexText
    gas: Count
    max_fee: Count
    tip: Count
    value: Count = 0

    def asked(self) -> SignRequest:
        return SignRequest(
            request_id=self.request,
            nonce=self.nonce,
            kind=self.kind,
            intent=self.intent,
            effects=tuple(self.effects),
            chain_id=self.chain_id,
            to=self.to,
            data=bytes.fromhex(self.data[2:]),
            gas=self.gas,
            max_fee=self.max_fee,
            tip=self.tip,
            value=self.value,
        )


class Sign(_Request):
    op: Literal["sign"]
    address: AddressText
    token: Count
    items: Annotated[list[Item], Field(min_length=1, max_length=MAX_ITEMS)]


class Signed(_Request):
    op: Literal["signed"]
    address: AddressText
    from_nonce: Nonce
    after: Count = 0


class Final_(_Request):
    op: Literal["final"]
    address: AddressText
    token: Count
    nonce: MaybeNonce


class Status(_Request):
    op: Literal["status"]


class Command(_Request):
    op: Literal["kill", "drain", "resume", "reload"]


class Reconcile(_Request):
    op: Literal["reconcile", "enrol"]
    address: AddressText
    ledger: Label
    next_nonce: Nonce


KeeperRequest = Hello | Renew | Sign | Signed | Final_ | Status
AdminRequest = Status | Command | Reconcile
_KEEPER: TypeAdapter[KeeperRequest] = TypeAdapter(Annotated[KeeperRequest, Field(discriminator="op")])
_ADMIN: TypeAdapter[AdminRequest] = TypeAdapter(Annotated[AdminRequest, Field(discriminator="op")])


def read_request(line: bytes, *, admin: bool) -> KeeperRequest | AdminRequest | Refusal:
    """Return the request of one line, or why it is none. What it holds is never quoted."""
    try:
        return (_ADMIN if admin else _KEEPER).validate_python(orjson.loads(line))
    except orjson.JSONDecodeError as error:
        return Refusal("message", f"expected one JSON object a line, found {error.msg}")
    except ValidationError as error:
        faults = error.errors(include_url=False, include_context=False, include_input=False)
        said = "; ".join(f"{'.'.join(map(str, fault['loc']))[:100]}: {fault['msg'][:200]}" for fault in faults[:3])
        return Refusal("message", f"expected a request of docs/signer.md, found {len(faults)} fault(s): {said}")


def request_id(line: bytes) -> int | None:
    """Return the `id` of a line that is otherwise no request, so that its sender can tell which one was refused."""
    try:
        found = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    number = found.get("id") if isinstance(found, dict) else None
    return number if isinstance(number, int) and not isinstance(number, bool) else None


def to_line(message: dict[str, Any]) -> bytes:
    return orjson.dumps(message) + b"\n"


def refused(refusal: Refusal) -> dict[str, Any]:
    return {"ok": False, "rule": refusal.rule, "reason": refusal.reason}


def item(request: SignRequest) -> dict[str, Any]:
    """Return a request as `Item` reads it."""
    return {
        "request": request.request_id,
        "nonce": request.nonce,
        "kind": request.kind,
        "intent": request.intent,
        "effects": list(request.effects),
        "chain_id": request.chain_id,
        "to": request.to,
        "data": "0x" + request.data.hex(),
        "gas": request.gas,
        "max_fee": request.max_fee,
        "tip": request.tip,
        "value": request.value,
    }


def signed_out(signed: SignedBytes) -> dict[str, Any]:
    return {
        "ok": True,
        "sequence": signed.sequence,
        "request": signed.request_id,
        "nonce": signed.nonce,
        "kind": signed.kind,
        "intent": signed.intent,
        "effects": list(signed.effects),
        "payload": signed.payload,
        "hash": signed.tx_hash,
        "raw": "0x" + signed.raw.hex(),
        "worst_cost": str(signed.worst_cost),
        "time_ms": signed.time_ms,
    }


def signed_in(found: dict[str, Any]) -> SignedBytes:
    """Return what `signed_out` wrote. Raises KeyError, ValueError or TypeError for anything else."""
    return SignedBytes(
        sequence=int(found["sequence"]),
        request_id=str(found["request"]),
        nonce=int(found["nonce"]),
        kind=found["kind"],
        intent=str(found["intent"]),
        effects=tuple(found["effects"]),
        payload=str(found["payload"]),
        tx_hash=str(found["hash"]),
        raw=bytes.fromhex(found["raw"][2:]),
        worst_cost=int(found["worst_cost"]),
        time_ms=int(found["time_ms"]),
    )


def grant_out(grant: Grant) -> dict[str, Any]:
    return {
        "ok": True,
        "token": grant.token,
        "ttl_ms": grant.ttl_ms,
        "watermark": grant.watermark,
        "final": grant.final,
        "forgiven_to": grant.forgiven_to,
        "state": grant.state,
    }
