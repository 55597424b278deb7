"""Intents that end without being sent, and what a keeper from before the slots had signed.

What holds here, whatever the callers do: one live intent per effect; an intent closes only when none of its bytes can
still land. What was given a nonce ends with its slot: keeper/journal/fates.py.
"""

from collections.abc import Mapping
from typing import get_args

from sqlalchemy import Connection, Select, select, update

from keeper.errors import JournalError
from keeper.journal import plan_text
from keeper.journal.database import Database
from keeper.journal.lifecycle import CLOSED
from keeper.journal.records import (
    Attempt,
    ClosedStatus,
    Intent,
)
from keeper.journal.rows import attempt_from, intent_from
from keeper.journal.schema import INTENT_IS_LIVE, attempts, intents
from keeper.journal.slot_schema import slot_intents, slots

_IS_OPEN = attempts.c.status.in_(("signed", "broadcast"))


class Ledger:
    """Intents, and the attempts of an older keeper."""

    _database: Database

    def live_intents(self) -> tuple[Intent, ...]:
        """Return the intents still to be seen through, oldest first."""
        with self._database.reading() as connection:
            query = select(intents).where(INTENT_IS_LIVE).order_by(intents.c.id)
            return tuple(intent_from(row) for row in connection.execute(query).mappings())

    def open_attempts(self) -> tuple[Attempt, ...]:
        """Return what an older keeper signed and never settled, oldest first: its bytes may still land."""
        with self._database.reading() as connection:
            return read_attempts(connection, attempts_with_plans().where(_IS_OPEN))

    def close_intent(
        self, intent_id: int, status: ClosedStatus, cause: str | None = None, block_number: int | None = None
    ) -> None:
        """Close a live intent for good; closing it again with the same status changes nothing.

        Raises JournalError if it was closed otherwise, is unknown, or has attempts that may still land: settle first.
        """
        self.close_intents({intent_id: cause or ""}, status, block_number)

    def close_intents(self, causes: Mapping[int, str], status: ClosedStatus, block_number: int | None = None) -> None:
        """Close live intents, each with its cause, as `close_intent` does, in one transaction: all or none."""
        if status not in get_args(ClosedStatus):
            raise ValueError(f"intents {list(causes)}: expected one of {get_args(ClosedStatus)}, found {status}")
        with self._database.writing() as connection:
            for intent_id, cause in causes.items():
                _close(connection, intent_id, status, cause, block_number)


def _close(connection: Connection, intent_id: int, status: str, cause: str, block_number: int | None) -> None:
    if _intent_status(connection, intent_id) == status:
        return
    _require_closable(connection, intent_id)
    row = update(intents).where(intents.c.id == intent_id)
    connection.execute(row.values(status=status, cause=cause, closed_block=block_number))


def attempts_with_plans() -> Select[*tuple[object, ...]]:
    """Return the query `read_attempts` understands, to be narrowed by the caller."""
    return select(attempts, intents.c.kind, intents.c.plan).join(intents, intents.c.id == attempts.c.intent_id)


def read_attempts(connection: Connection, query: Select[*tuple[object, ...]]) -> tuple[Attempt, ...]:
    rows = connection.execute(query.order_by(attempts.c.id)).mappings()
    return tuple(attempt_from(row, plan_text.decode(row["kind"], row["plan"])) for row in rows)


def _intent_status(connection: Connection, intent_id: int) -> str:
    """Return the intent's status, locking its row where the database can. Raises JournalError if there is none."""
    query = select(intents.c.status).where(intents.c.id == intent_id).with_for_update()
    status: str | None = connection.execute(query).scalar_one_or_none()
    if status is None:
        raise JournalError(f"intent {intent_id}: expected it in the journal, found nothing")
    return status


def _require_closable(connection: Connection, intent_id: int) -> None:
    status = _intent_status(connection, intent_id)
    if status not in ("intended", "live"):
        raise JournalError(f"intent {intent_id}: expected it to be live, found {status}; a closed intent stays closed")
    query = select(attempts.c.tx_hash).where(attempts.c.intent_id == intent_id, _IS_OPEN).limit(1)
    may_land = connection.execute(query).scalar_one_or_none()
    if may_land is not None:
        raise JournalError(
            f"intent {intent_id}: expected every attempt settled, found {may_land}, which may still land; settle that"
        )
    held = select(slots.c.id).join(slot_intents, slot_intents.c.slot_id == slots.c.id)
    mine = held.where(slot_intents.c.intent_id == intent_id, slots.c.state.not_in(CLOSED)).limit(1)
    slot_id = connection.execute(mine).scalar_one_or_none()
    if slot_id is not None:
        raise JournalError(
            f"intent {intent_id}: expected no open slot, found slot {slot_id}, which ends it; see that one through"
        )
