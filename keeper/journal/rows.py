"""Rows of SQL to records and back; nothing here talks to a database."""

import json
import math
from collections.abc import Mapping

from sqlalchemy import RowMapping

from keeper.chain import Block
from keeper.journal import plan_text
from keeper.journal.records import Attempt, Intent, MarginRow, QuoteRow, StoredTick
from keeper.plans import Plan


def latency_text(latency_ms: Mapping[str, float]) -> str:
    return json.dumps(dict(latency_ms), allow_nan=False, sort_keys=True)


def latency_from(text: str) -> dict[str, float]:
    return {stage: float(milliseconds) for stage, milliseconds in json.loads(text).items()}


def crosscheck_text(crosscheck: Mapping[str, object]) -> str | None:
    return json.dumps(dict(crosscheck), allow_nan=False, sort_keys=True) if crosscheck else None


def margin_cells(margin: MarginRow) -> dict[str, object]:
    """Return the row to insert: what SQL cannot hold (NaN, infinities) becomes NULL, read back by `margin_from`."""
    return {
        "account": margin.account,
        "equity": _finite(margin.equity),
        "im": _finite(margin.im),
        "mm": _finite(margin.mm),
        "health": _finite(margin.health),
        "status": margin.status,
        "reason": margin.reason,
        "exact": margin.exact,
    }


def margin_from(row: RowMapping) -> MarginRow:
    infinite = row["health"] is None and row["status"] != "unknown"
    without_requirement = math.inf if infinite and row["equity"] >= 0.0 else -math.inf
    return MarginRow(
        account=row["account"],
        equity=row["equity"],
        im=row["im"],
        mm=row["mm"],
        health=without_requirement if infinite else row["health"],
        status=row["status"],
        reason=row["reason"],
        exact=row["exact"],
    )


def quote_from(row: RowMapping) -> QuoteRow:
    return QuoteRow(
        feed=row["feed"],
        symbol=row["symbol"],
        answer=row["answer"],
        decimals=row["decimals"],
        updated_at=row["updated_at"],
        age_s=row["age_s"],
        status=row["status"],
        reason=row["reason"],
    )


def tick_from(row: RowMapping) -> StoredTick:
    block = Block(row["block_number"], row["block_hash"], row["parent_hash"], row["timestamp"], row["base_fee"])
    return StoredTick(
        id=row["id"],
        block=block,
        accounts=row["accounts"],
        healthy=row["healthy"],
        endangered=row["endangered"],
        unknown=row["unknown"],
        skipped_heads=row["skipped_heads"],
        latency_ms=latency_from(row["latency_ms"]),
        crosscheck=json.loads(row["crosscheck"] or "{}"),
    )


def intent_from(row: RowMapping) -> Intent:
    return Intent(
        id=row["id"],
        tick_id=row["tick_id"],
        plan=plan_text.decode(row["kind"], row["plan"]),
        status=row["status"],
        cause=row["cause"],
        closed_block=row["closed_block"],
    )


def attempt_from(row: RowMapping, plan: Plan) -> Attempt:
    return Attempt(
        id=row["id"],
        intent_id=row["intent_id"],
        plan=plan,
        sender=row["sender"],
        nonce=row["nonce"],
        tx_hash=row["tx_hash"],
        raw=bytes(row["raw"]),
        gas_limit=row["gas_limit"],
        max_fee=row["max_fee"],
        tip=row["tip"],
        status=row["status"],
        cause=row["cause"],
        block_number=row["block_number"],
        block_hash=row["block_hash"],
        gas_used=row["gas_used"],
        gas_price=row["gas_price"],
    )


def _finite(amount: float | None) -> float | None:
    return amount if amount is not None and math.isfinite(amount) else None
