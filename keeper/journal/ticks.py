"""Writing what a tick saw and means to do, in one transaction, and trimming what no answer needs any more."""

from collections.abc import Iterable, Mapping, Sequence

from sqlalchemy import Connection, delete, exists, insert, select, update

from keeper.errors import JournalError
from keeper.journal import plan_text
from keeper.journal.database import Database, insert_new
from keeper.journal.lifecycle import OPEN
from keeper.journal.records import Intent, TickRecord, Volatility
from keeper.journal.rows import crosscheck_text, latency_from, latency_text, margin_cells
from keeper.journal.schema import (
    INTENT_IS_LIVE,
    holds,
    intents,
    margins,
    quotes,
    rounds,
    ticks,
    volatility,
)
from keeper.journal.slot_schema import carried, slots
from keeper.plans import Held, Plan

ROUNDS_KEPT_SECONDS = 90 * 86_400
"""How long price rounds and volatilities outlive their tick, in block time."""

_TICKS_PER_TRIM = 50  # a transaction this size does not keep the next tick waiting


class Ticks:
    """Ticks as they happen."""

    _database: Database

    def intend(self, tick: TickRecord, plans: Sequence[Plan]) -> tuple[Intent, ...]:
        """Store a tick with an intent for every plan whose effect has no live intent; return the new intents.

        All or nothing. A plan whose effect is already live, or that of an open slot, becomes a hold instead. A second
        tick at the same block hash writes nothing and returns ().
        """
        with self._database.writing() as connection:
            tick_id = _insert_tick(connection, tick)
            if tick_id is None:
                return ()
            _insert_quotes(connection, tick_id, tick)
            if tick.margins:
                rows = [{"tick_id": tick_id, **margin_cells(margin)} for margin in tick.margins]
                connection.execute(insert(margins), rows)
            taken = _in_open_slots(connection)
            outcomes = [_insert_intent(connection, tick_id, plan, taken) for plan in plans]
            _insert_holds(connection, tick_id, (*tick.holds, *(it for it in outcomes if isinstance(it, Held))))
            return tuple(it for it in outcomes if isinstance(it, Intent))

    def add_latency(self, block_hash: str, latency_ms: Mapping[str, float]) -> None:
        """Merge later stages (stage -> milliseconds) into a tick's. Raises JournalError for an unknown block hash."""
        with self._database.writing() as connection:
            query = select(ticks.c.latency_ms).where(ticks.c.block_hash == block_hash).with_for_update()
            stored = connection.execute(query).scalar_one_or_none()
            if stored is None:
                raise JournalError(
                    f"latency: expected a stored tick at block {block_hash}, found none; intend it first"
                )
            merged = latency_text({**latency_from(stored), **latency_ms})
            connection.execute(update(ticks).where(ticks.c.block_hash == block_hash).values(latency_ms=merged))

    def put_volatility(self, measured: Volatility) -> None:
        """Store a volatility, replacing one of the same feed and time."""
        same = (volatility.c.feed == measured.feed) & (volatility.c.computed_at == measured.computed_at)
        with self._database.writing() as connection:
            connection.execute(delete(volatility).where(same))
            connection.execute(
                insert(volatility).values(
                    feed=measured.feed,
                    computed_at=measured.computed_at,
                    annualised=measured.annualised,
                    observations=measured.observations,
                )
            )

    def prune(self, keep_ticks: int) -> int:
        """Forget all but the newest `keep_ticks` ticks; return how many rows went.

        Intents and attempts always stay, and with an intent its tick, the tick's quotes and its subject's margin
        and holds: what explains it. Works in small transactions, so a tick never waits long for it.
        Raises ValueError for `keep_ticks` < 1.
        """
        if keep_ticks < 1:
            raise ValueError(f"keep_ticks: expected at least 1, found {keep_ticks}")
        with self._database.reading() as connection:
            newest_first = select(ticks.c.id).order_by(ticks.c.id.desc())
            oldest_kept = connection.execute(newest_first.offset(keep_ticks - 1).limit(1)).scalar_one_or_none()
        if oldest_kept is None:
            return 0
        forgotten = 0
        while batch := self._untrimmed_before(oldest_kept):
            with self._database.writing() as connection:
                forgotten += _trim(connection, batch)
        return forgotten + self._forget_old_prices()

    def _untrimmed_before(self, oldest_kept: int) -> list[int]:
        query = select(ticks.c.id).where(ticks.c.id < oldest_kept, ticks.c.trimmed.is_(False))
        with self._database.reading() as connection:
            return list(connection.execute(query.order_by(ticks.c.id).limit(_TICKS_PER_TRIM)).scalars())

    def _forget_old_prices(self) -> int:
        with self._database.writing() as connection:
            newest = connection.execute(select(ticks.c.timestamp).order_by(ticks.c.id.desc()).limit(1)).scalar_one()
            before = newest - ROUNDS_KEPT_SECONDS
            gone = connection.execute(delete(rounds).where(rounds.c.updated_at < before)).rowcount
            return gone + connection.execute(delete(volatility).where(volatility.c.computed_at < before)).rowcount


def _insert_tick(connection: Connection, tick: TickRecord) -> int | None:
    statement = insert_new(connection, ticks).values(
        block_number=tick.block.number,
        block_hash=tick.block.hash,
        parent_hash=tick.block.parent_hash,
        timestamp=tick.block.timestamp,
        base_fee=tick.block.base_fee,
        accounts=len(tick.margins),
        healthy=tick.count("healthy"),
        endangered=tick.count("endangered"),
        unknown=tick.count("unknown"),
        skipped_heads=tick.skipped_heads,
        latency_ms=latency_text(tick.latency_ms),
        trimmed=False,
        crosscheck=crosscheck_text(tick.crosscheck),
    )
    return connection.execute(statement.returning(ticks.c.id)).scalar_one_or_none()


def _insert_quotes(connection: Connection, tick_id: int, tick: TickRecord) -> None:
    if not tick.quotes:
        return
    rows: list[dict[str, object]] = [
        {
            "tick_id": tick_id,
            "feed": quote.feed,
            "symbol": quote.symbol,
            "answer": quote.answer,
            "decimals": quote.decimals,
            "updated_at": quote.updated_at,
            "age_s": quote.age_s,
            "status": quote.status,
            "reason": quote.reason,
        }
        for quote in tick.quotes
    ]
    connection.execute(insert(quotes), rows)
    read = [
        {name: row[name] for name in ("feed", "updated_at", "answer", "decimals", "status")}
        for row, quote in zip(rows, tick.quotes, strict=True)
        if quote.updated_at is not None and quote.answer is not None and quote.answer > 0
    ]
    if read:
        connection.execute(insert_new(connection, rounds), read)


def _in_open_slots(connection: Connection) -> dict[str, int]:
    """Return effect → nonce of every open slot: bytes may have it although no intent of this journal is live."""
    has = carried(slots.c.state.in_(OPEN))
    query = select(has.c.effect, slots.c.nonce).join(slots, slots.c.id == has.c.slot_id)
    return {row.effect: row.nonce for row in connection.execute(query)}


def _insert_intent(connection: Connection, tick_id: int, plan: Plan, taken: Mapping[str, int]) -> Intent | Held:
    """Return the new intent, or a hold if the plan's effect already has a live one (of this or any process), or is in
    `taken` (effect → nonce)."""
    if plan.effect in taken:
        return Held(plan_text.subject(plan), f"already under way at nonce {taken[plan.effect]}")
    statement = insert_new(connection, intents).values(
        tick_id=tick_id,
        kind=plan.kind,
        effect=plan.effect,
        subject=plan_text.subject(plan),
        plan=plan_text.encode(plan),
        status="intended",
        cause="",
        expires_at=plan.expires_at,
    )
    intent_id = connection.execute(statement.returning(intents.c.id)).scalar_one_or_none()
    if intent_id is not None:
        return Intent(intent_id, tick_id, plan, "intended", "", None)
    query = select(intents.c.id).where(intents.c.effect == plan.effect, INTENT_IS_LIVE)
    other = connection.execute(query).scalar_one_or_none()
    return Held(plan_text.subject(plan), f"already live: intent {other}")


def _insert_holds(connection: Connection, tick_id: int, held: Iterable[Held]) -> None:
    rows = [{"tick_id": tick_id, "subject": hold.subject, "reason": hold.reason} for hold in held]
    if rows:
        connection.execute(insert(holds), rows)


def _trim(connection: Connection, tick_ids: list[int]) -> int:
    intended = select(intents.c.id).where(intents.c.tick_id == ticks.c.id)
    explains_margin = exists().where(intents.c.tick_id == margins.c.tick_id, intents.c.subject == margins.c.account)
    explains_hold = exists().where(intents.c.tick_id == holds.c.tick_id, intents.c.subject == holds.c.subject)
    explains_quote = exists().where(intents.c.tick_id == quotes.c.tick_id)
    gone = 0
    for statement in (
        delete(margins).where(margins.c.tick_id.in_(tick_ids), ~explains_margin),
        delete(holds).where(holds.c.tick_id.in_(tick_ids), ~explains_hold),
        delete(quotes).where(quotes.c.tick_id.in_(tick_ids), ~explains_quote),
        delete(ticks).where(ticks.c.id.in_(tick_ids), ~intended.exists()),
    ):
        gone += connection.execute(statement).rowcount
    connection.execute(update(ticks).where(ticks.c.id.in_(tick_ids)).values(trimmed=True))
    return gone
