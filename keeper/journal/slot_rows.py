"""Rows of the transaction ledger: reading them as records, and the one way in which a slot moves on."""

from collections.abc import Iterable, Mapping, Sequence

from sqlalchemy import ColumnElement, Connection, RowMapping, bindparam, insert, select, text, update

from keeper.errors import JournalError
from keeper.journal.lifecycle import Change, IllegalStep, Standing, after
from keeper.journal.schema import intents
from keeper.journal.slot_records import Moment, Offer, Outcome, Slot, SlotAttempt
from keeper.journal.slot_schema import adopted_effects, offers, outcomes, slot_attempts, slot_intents, slots, steps

_WRITER_LOCK = 0x6C656467  # any constant; PostgreSQL's advisory lock while one transaction writes the ledger


def lock_ledger(connection: Connection) -> None:
    """Let one transaction at a time change the ledger, so that sums and sets it checks are those it writes to."""
    if connection.dialect.name == "postgresql":  # SQLite's BEGIN IMMEDIATE has done so already
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _WRITER_LOCK})


# --- reading -----------------------------------------------------------------------------------------


def read_slots(connection: Connection, where: ColumnElement[bool]) -> tuple[Slot, ...]:
    """Return slots with their intents, by sender and nonce, the released ones of a nonce first."""
    order = (slots.c.sender, slots.c.nonce, slots.c.id)
    rows = connection.execute(select(slots).where(where).order_by(*order)).mappings().all()
    carried: dict[int, list[int]] = {}
    effects: dict[int, list[str]] = {}
    chosen = select(slots.c.id).where(where)
    query = select(slot_intents.c.slot_id, intents.c.id, intents.c.effect).where(slot_intents.c.slot_id.in_(chosen))
    mine = query.join(intents, intents.c.id == slot_intents.c.intent_id).order_by(intents.c.id)
    for slot_id, intent_id, effect in connection.execute(mine):
        carried.setdefault(slot_id, []).append(intent_id)
        effects.setdefault(slot_id, []).append(effect)
    adopted = select(adopted_effects).where(adopted_effects.c.slot_id.in_(chosen)).order_by(adopted_effects.c.effect)
    for slot_id, effect in connection.execute(adopted):
        effects.setdefault(slot_id, []).append(effect)
    return tuple(_slot_from(row, carried.get(row["id"], []), effects.get(row["id"], [])) for row in rows)


def slots_by_id(connection: Connection, ids: Iterable[int]) -> dict[int, Slot]:
    """Return the named slots. Raises JournalError if one is unknown."""
    wanted = set(ids)
    found = {slot.id: slot for slot in read_slots(connection, slots.c.id.in_(wanted))}
    if missing := wanted - found.keys():
        raise JournalError(f"slots {sorted(missing)}: expected them in the journal, found nothing")
    return found


def read_attempts_of(connection: Connection, where: ColumnElement[bool]) -> tuple[SlotAttempt, ...]:
    """Return attempts, siblings together in the order in which they were stored."""
    query = select(slot_attempts).where(where).order_by(slot_attempts.c.slot_id, slot_attempts.c.ordinal)
    return tuple(_attempt_from(row) for row in connection.execute(query).mappings())


def read_offers(connection: Connection, where: ColumnElement[bool]) -> tuple[Offer, ...]:
    """Return offers, oldest first."""
    query = select(offers).where(where).order_by(offers.c.id)
    return tuple(Offer(**row) for row in connection.execute(query).mappings())


def intent_rows(connection: Connection, ids: Iterable[int]) -> dict[int, tuple[str, str]]:
    """Return intent → (status, effect). Raises JournalError if one is unknown."""
    wanted = set(ids)
    query = select(intents.c.id, intents.c.status, intents.c.effect).where(intents.c.id.in_(wanted))
    found = {row.id: (row.status, row.effect) for row in connection.execute(query)}
    if missing := wanted - found.keys():
        raise JournalError(f"intents {sorted(missing)}: expected them in the journal, found nothing")
    return found


# --- writing -----------------------------------------------------------------------------------------


def advance(
    connection: Connection, changes: Sequence[tuple[int, Standing | None, Change]], at: Moment
) -> tuple[int, ...]:
    """Append a step to each (slot, standing before) and bring the slots' rows up to it; return the steps' ids.

    Raises JournalError for a step the slot cannot take. A slot may appear once only.
    """
    if not changes:
        return ()
    moved = [(slot_id, before, _after(slot_id, before, change)) for slot_id, before, change in changes]
    rows = [_step_cells(slot_id, change, at) for slot_id, _, change in changes]
    ids = connection.execute(insert(steps).returning(steps.c.id, sort_by_parameter_order=True), rows).scalars().all()
    if stale := [_standing_cells(slot_id, now) for slot_id, before, now in moved if now != before]:
        names = ("state", "winner_hash", "mined_number", "mined_hash", "gas_used", "gas_price")
        cells: dict[str, object] = {name: bindparam(f"b_{name}") for name in names}
        connection.execute(update(slots).where(slots.c.id == bindparam("b_id")).values(cells), stale)
    return tuple(ids)


def end_intents(connection: Connection, ended: Sequence[tuple[int, int, Outcome]], *, block_number: int | None) -> None:
    """Write (step, intent, outcome): the intent's row, and beside the step why it has that status.

    `block_number` is where they closed; None opens them (again).
    """
    if not ended:
        return
    written = [
        {"step_id": step, "intent_id": intent, "status": outcome.status, "cause": outcome.cause}
        for step, intent, outcome in ended
    ]
    connection.execute(insert(outcomes), written)
    cells: dict[str, object] = {"status": bindparam("b_status"), "cause": bindparam("b_cause")}
    statement = update(intents).where(intents.c.id == bindparam("b_id")).values(**cells, closed_block=block_number)
    rows = [
        {"b_id": intent, "b_status": outcome.status, "b_cause": "" if block_number is None else outcome.cause}
        for _, intent, outcome in ended
    ]
    connection.execute(statement, rows)


def _after(slot_id: int, before: Standing | None, change: Change) -> Standing:
    try:
        return after(before, change)
    except IllegalStep as error:
        raise JournalError(f"slot {slot_id}: {error}; read the slot again before acting on it") from error


def _step_cells(slot_id: int, change: Change, at: Moment) -> dict[str, object]:
    return {
        "slot_id": slot_id,
        "state": change.state,
        "block_number": at.block_number,
        "block_hash": at.block_hash,
        "wall_ms": at.wall_ms,
        "tx_hash": change.tx_hash,
        "mined_number": change.mined_number,
        "mined_hash": change.mined_hash,
        "cause": change.cause,
        "gas_used": change.gas_used,
        "gas_price": change.gas_price,
    }


def _standing_cells(slot_id: int, standing: Standing) -> Mapping[str, object]:
    return {
        "b_id": slot_id,
        "b_state": standing.state,
        "b_winner_hash": standing.winner_hash,
        "b_mined_number": standing.mined_number,
        "b_mined_hash": standing.mined_hash,
        "b_gas_used": standing.gas_used,
        "b_gas_price": standing.gas_price,
    }


def _slot_from(row: RowMapping, carried: Sequence[int], effects: Sequence[str]) -> Slot:
    return Slot(
        id=row["id"],
        sender=row["sender"],
        nonce=row["nonce"],
        purpose=row["purpose"],
        to=row["target"],
        data=bytes(row["data"]),
        gas=row["gas"],
        request_id=row["request_id"],
        standing=Standing(
            row["state"],
            row["winner_hash"],
            row["mined_number"],
            row["mined_hash"],
            row["gas_used"],
            row["gas_price"],
        ),
        opened_block=row["opened_block"],
        deadline_block=row["deadline_block"],
        intents=tuple(carried),
        effects=tuple(effects),
    )


def _attempt_from(row: RowMapping) -> SlotAttempt:
    return SlotAttempt(**{**row, "raw": bytes(row["raw"])})
