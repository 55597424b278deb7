"""What the signer remembers, row by row. Every function works inside the caller's transaction."""

from typing import Any

import orjson
from sqlalchemy import ColumnElement, Connection, RowMapping, and_, func, insert, select
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from keeper.signer.records import NONE_FINAL, Lane, Refusal, SignedBytes, SignRequest
from keeper.signer.schema import clock, decisions, lanes, signatures

_COLUMNS = (
    signatures.c.sequence,
    signatures.c.request_id,
    signatures.c.nonce,
    signatures.c.kind,
    signatures.c.intent,
    signatures.c.effects,
    signatures.c.payload,
    signatures.c.tx_hash,
    signatures.c.raw,
    signatures.c.worst_cost,
    signatures.c.time_ms,
)


def seen_ms(connection: Connection) -> int:
    """Return the highest time ever recorded, 0 in a new store."""
    return connection.execute(select(func.max(clock.c.seen_ms))).scalar_one() or 0


def see(connection: Connection, now_ms: int) -> None:
    """Record the time; an earlier one than recorded changes nothing."""
    row = sqlite_insert(clock).values(id=1, seen_ms=now_ms)
    later = func.max(clock.c.seen_ms, row.excluded.seen_ms)
    connection.execute(row.on_conflict_do_update(index_elements=["id"], set_={"seen_ms": later}))


def lane(connection: Connection, chain_id: int, address: str) -> Lane:
    """Return what is known of a key, a new lane if nothing is."""
    of_key = and_(lanes.c.chain_id == chain_id, lanes.c.address == address)
    row = connection.execute(select(lanes).where(of_key)).one_or_none()
    if row is None:
        return Lane(chain_id, address, None, NONE_FINAL, NONE_FINAL, NONE_FINAL, 0, None, 0, "running")
    return Lane(**row._mapping)


def keep(connection: Connection, changed: Lane) -> None:
    fields = {name: getattr(changed, name) for name in lanes.c.keys()}  # noqa: SIM118 — a column collection, not a dict
    row = sqlite_insert(lanes).values(**fields)
    connection.execute(row.on_conflict_do_update(index_elements=["chain_id", "address"], set_=fields))


def asked_before(connection: Connection, of: Lane, request_id: str) -> tuple[str, SignedBytes] | None:
    """Return fingerprint and bytes of a request that was signed, None if it never was."""
    query = select(signatures.c.fingerprint, *_COLUMNS).where(_of(of), signatures.c.request_id == request_id)
    row = connection.execute(query).one_or_none()
    return None if row is None else (row.fingerprint, _signed(row._mapping))


def siblings(connection: Connection, of: Lane, nonce: int) -> list[SignedBytes]:
    query = select(*_COLUMNS).where(_of(of), signatures.c.nonce == nonce).order_by(signatures.c.sequence)
    return [_signed(row) for row in connection.execute(query).mappings()]


def signed_from(
    connection: Connection, of: Lane, nonce: int, *, after: int = 0, limit: int | None = None
) -> list[SignedBytes]:
    """Return everything signed for nonces from `nonce` on, in the order of signing, past sequence number `after`."""
    query = select(*_COLUMNS).where(_of(of), signatures.c.nonce >= nonce, signatures.c.sequence > after)
    return [_signed(row) for row in connection.execute(query.order_by(signatures.c.sequence).limit(limit)).mappings()]


def spent_since(connection: Connection, of: Lane, time_ms: int) -> list[tuple[int, int, int]]:
    """Return (nonce, worst cost in wei, time in ms) of every signature after `time_ms`."""
    columns = (signatures.c.nonce, signatures.c.worst_cost, signatures.c.time_ms)
    rows = connection.execute(select(*columns).where(_of(of), signatures.c.time_ms > time_ms))
    return [(row.nonce, int(row.worst_cost), row.time_ms) for row in rows]


def record(
    connection: Connection, of: Lane, request: SignRequest, tx_hash: str, raw: bytes, time_ms: int
) -> SignedBytes:
    """Add signed bytes and return them with their sequence number."""
    fields: dict[str, Any] = {
        "request_id": request.request_id,
        "nonce": request.nonce,
        "kind": request.kind,
        "intent": request.intent,
        "payload": request.payload,
        "tx_hash": tx_hash,
        "raw": raw,
        "time_ms": time_ms,
    }
    texts = {"effects": orjson.dumps(request.effects).decode(), "worst_cost": str(request.worst_cost)}
    key = {"chain_id": of.chain_id, "address": of.address, "fingerprint": request.fingerprint}
    added = connection.execute(insert(signatures).values(**fields, **texts, **key).returning(signatures.c.sequence))
    return SignedBytes(sequence=added.scalar_one(), effects=request.effects, worst_cost=request.worst_cost, **fields)


def decide(connection: Connection, of: Lane, time_ms: int, subject: str, refused: Refusal | None, why: str) -> None:
    """Add a decision: refused by a rule, or allowed with `why`."""
    rule, reason = (refused.rule, refused.reason) if refused else ("allowed", why)
    fields = {"time_ms": time_ms, "chain_id": of.chain_id, "address": of.address, "subject": subject[:200]}
    connection.execute(insert(decisions).values(**fields, allowed=refused is None, rule=rule, reason=reason))


def _of(of: Lane) -> ColumnElement[bool]:
    return and_(signatures.c.chain_id == of.chain_id, signatures.c.address == of.address)


def _signed(row: RowMapping) -> SignedBytes:
    fields: dict[str, Any] = {str(name): value for name, value in row.items()}
    fields.pop("fingerprint", None)
    effects, cost = tuple(orjson.loads(fields.pop("effects"))), int(fields.pop("worst_cost"))
    return SignedBytes(effects=effects, worst_cost=cost, **fields)
