"""The transaction ledger: intents and the signed bytes meant to fulfil them. Written first, then sent.

What holds here, whatever the callers do: one live intent per effect; attempts that share a nonce share an intent or
a transaction, which then carries several intents out;
an intent closes only when none of its bytes can still land; a closed intent stays closed.
"""

from collections.abc import Sequence
from typing import get_args

from sqlalchemy import Connection, Select, and_, func, insert, select, update

from keeper.chain import Receipt
from keeper.errors import JournalError
from keeper.journal import plan_text
from keeper.journal.database import Database
from keeper.journal.lifecycle import CLOSED
from keeper.journal.records import (
    Attempt,
    ClosedStatus,
    Intent,
    NewAttempt,
    SettledStatus,
    require_checksum,
)
from keeper.journal.rows import attempt_from, intent_from
from keeper.journal.schema import INTENT_IS_LIVE, attempts, intents
from keeper.journal.slot_schema import slot_intents, slots

_IS_OPEN = attempts.c.status.in_(("signed", "broadcast"))


class Ledger:
    """Intents and attempts."""

    _database: Database

    def live_intents(self) -> tuple[Intent, ...]:
        """Return the intents still to be seen through, oldest first: with `open_attempts`, where recovery starts."""
        with self._database.reading() as connection:
            query = select(intents).where(INTENT_IS_LIVE).order_by(intents.c.id)
            return tuple(intent_from(row) for row in connection.execute(query).mappings())

    def open_attempts(self) -> tuple[Attempt, ...]:
        """Return the attempts whose bytes may still land (signed or broadcast), oldest first."""
        with self._database.reading() as connection:
            return read_attempts(connection, attempts_with_plans().where(_IS_OPEN))

    def attempts_of(self, intent_id: int) -> tuple[Attempt, ...]:
        """Return every attempt of an intent, oldest first."""
        with self._database.reading() as connection:
            return read_attempts(connection, attempts_with_plans().where(attempts.c.intent_id == intent_id))

    def settled_from(self, sender: str, nonce: int) -> tuple[Attempt, ...]:
        """Return the attempts of `sender` settled from a receipt at `nonce` or above, lowest nonce first."""
        settled = attempts.c.status.in_(("mined", "reverted"))
        query = attempts_with_plans().where(attempts.c.sender == sender, attempts.c.nonce >= nonce, settled)
        with self._database.reading() as connection:
            return tuple(sorted(read_attempts(connection, query), key=lambda a: a.nonce))

    def next_nonce(self, sender: str, chain_nonce: int) -> int:
        """Return the lowest nonce `sender` may sign next: beyond the chain's count and every attempt not lost."""
        require_checksum(sender)
        with self._database.reading() as connection:
            query = select(func.max(attempts.c.nonce)).where(attempts.c.sender == sender, attempts.c.status != "lost")
            highest = connection.execute(query).scalar_one_or_none()
            return chain_nonce if highest is None else max(chain_nonce, highest + 1)

    def store_signed(self, signed: Sequence[NewAttempt]) -> tuple[Attempt, ...]:
        """Store signed bytes and mark their intents live; once this returns they survive a crash and may be sent.

        All or nothing. Raises JournalError if an intent is closed, its nonce is in use by another transaction of
        another intent, or the same transaction is already stored for it.
        """
        with self._database.writing() as connection:
            return tuple(_store(connection, attempt) for attempt in signed)

    def mark_broadcast(self, attempt_id: int, cause: str | None = None) -> None:
        """Note that the bytes were offered to a node; `cause` is what it answered if not a plain yes.

        An attempt that is already settled keeps its status. Raises JournalError for an unknown attempt.
        """
        with self._database.writing() as connection:
            _stored_attempt(connection, attempt_id)
            connection.execute(
                update(attempts)
                .where(attempts.c.id == attempt_id, _IS_OPEN)
                .values(status="broadcast", cause=cause or "")
            )

    def settle(
        self, attempt_id: int, *, status: SettledStatus, receipt: Receipt | None = None, cause: str | None = None
    ) -> None:
        """Write what became of an attempt: its receipt if mined or reverted, none if lost to another at its nonce.

        May be repeated after a reorg; the last call counts. Raises ValueError if receipt and status contradict,
        JournalError if the receipt is another transaction's or the attempt is unknown.
        """
        _require_matching(status, receipt)
        with self._database.writing() as connection:
            tx_hash = _stored_attempt(connection, attempt_id).tx_hash
            if receipt is not None and receipt.tx_hash != tx_hash:
                raise JournalError(f"attempt {attempt_id}: expected the receipt of {tx_hash}, found {receipt.tx_hash}")
            connection.execute(
                update(attempts)
                .where(attempts.c.id == attempt_id)
                .values(
                    status=status,
                    cause=cause or "",
                    block_number=receipt and receipt.block_number,
                    block_hash=receipt and receipt.block_hash,
                    gas_used=receipt and receipt.gas_used,
                    gas_price=receipt and receipt.effective_gas_price,
                )
            )

    def close_intent(
        self, intent_id: int, status: ClosedStatus, cause: str | None = None, block_number: int | None = None
    ) -> None:
        """Close a live intent for good; closing it again with the same status changes nothing.

        Raises JournalError if it was closed otherwise, is unknown, or has attempts that may still land: settle first.
        """
        if status not in get_args(ClosedStatus):
            raise ValueError(f"intent {intent_id}: expected one of {get_args(ClosedStatus)}, found {status}")
        with self._database.writing() as connection:
            if _intent_status(connection, intent_id) == status:
                return
            _require_closable(connection, intent_id)
            connection.execute(
                update(intents)
                .where(intents.c.id == intent_id)
                .values(status=status, cause=cause or "", closed_block=block_number)
            )


def attempts_with_plans() -> Select[*tuple[object, ...]]:
    """Return the query `read_attempts` understands, to be narrowed by the caller."""
    return select(attempts, intents.c.kind, intents.c.plan).join(intents, intents.c.id == attempts.c.intent_id)


def read_attempts(connection: Connection, query: Select[*tuple[object, ...]]) -> tuple[Attempt, ...]:
    rows = connection.execute(query.order_by(attempts.c.id)).mappings()
    return tuple(attempt_from(row, plan_text.decode(row["kind"], row["plan"])) for row in rows)


def _store(connection: Connection, signed: NewAttempt) -> Attempt:
    status = _intent_status(connection, signed.intent_id)
    if status not in ("intended", "live"):
        raise JournalError(
            f"intent {signed.intent_id}: expected it to be live, found {status}; never send for a closed intent"
        )
    _require_own_nonce(connection, signed)
    statement = insert(attempts).values(
        intent_id=signed.intent_id,
        sender=signed.sender,
        nonce=signed.nonce,
        tx_hash=signed.tx_hash,
        raw=signed.raw,
        gas_limit=signed.gas_limit,
        max_fee=signed.max_fee,
        tip=signed.tip,
        status="signed",
        cause="",
    )
    attempt_id = connection.execute(statement.returning(attempts.c.id)).scalar_one()
    connection.execute(update(intents).where(intents.c.id == signed.intent_id).values(status="live"))
    (stored,) = read_attempts(connection, attempts_with_plans().where(attempts.c.id == attempt_id))
    return stored


def _require_own_nonce(connection: Connection, signed: NewAttempt) -> None:
    taken = and_(attempts.c.sender == signed.sender, attempts.c.nonce == signed.nonce, attempts.c.status != "lost")
    another = and_(attempts.c.intent_id != signed.intent_id, attempts.c.tx_hash != signed.tx_hash)
    query = select(attempts.c.intent_id).where(taken, another).limit(1)
    other = connection.execute(query).scalar_one_or_none()
    if other is not None:
        raise JournalError(
            f"nonce {signed.nonce} of {signed.sender}: expected it free for intent {signed.intent_id}, found it in use "
            f"by intent {other}; ask next_nonce"
        )


def _stored_attempt(connection: Connection, attempt_id: int) -> Attempt:
    """Return the stored attempt. Raises JournalError if there is none."""
    query = attempts_with_plans().where(attempts.c.id == attempt_id)
    found = read_attempts(connection, query)
    if not found:
        raise JournalError(f"attempt {attempt_id}: expected it in the journal, found nothing")
    return found[0]


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


def _require_matching(status: SettledStatus, receipt: Receipt | None) -> None:
    expected = {"mined": True, "reverted": False, "lost": None}
    if status not in expected:
        raise ValueError(f"expected mined, reverted or lost, found {status}")
    found = receipt.succeeded if receipt is not None else None
    if found is not expected[status]:
        raise ValueError(f"status {status}: expected receipt.succeeded {expected[status]}, found {found}")
