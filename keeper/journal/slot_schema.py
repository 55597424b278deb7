"""Tables of the transaction ledger: slots, their attempts, offers and steps. Registered in the journal's METADATA.

Attempts, steps and outcomes are append-only by trigger: whatever a later version does, the history stays as written.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ColumnElement,
    Connection,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Subquery,
    Table,
    Text,
    UniqueConstraint,
    event,
    select,
    text,
    union_all,
)

from keeper.journal.schema import METADATA, intents
from keeper.journal.types import ID, UInt256

ANSWER_LENGTH = 500
"""Characters of an endpoint's answer that are kept: a hostile one may send megabytes."""

NOT_RELEASED = text("state <> 'released'")

slots = Table(
    "slots",  # a cache of the fold of its steps
    METADATA,
    Column("id", ID, primary_key=True),
    Column("sender", String(42), nullable=False),
    Column("nonce", BigInteger, nullable=False),
    Column("purpose", String(8), nullable=False),
    Column("target", String(42), nullable=False),
    Column("data", LargeBinary, nullable=False),
    Column("gas", BigInteger, nullable=False),
    Column("request_id", String(32), nullable=False, unique=True),
    Column("opened_block", BigInteger, nullable=False),
    Column("deadline_block", BigInteger, nullable=False),
    Column("state", String(16), nullable=False, index=True),
    Column("winner_hash", String(66)),
    Column("mined_number", BigInteger),
    Column("mined_hash", String(66)),
    Column("gas_used", BigInteger),
    Column("gas_price", UInt256),  # wei per gas, as charged
    CheckConstraint("purpose IN ('call', 'filler')", name="purpose"),
    CheckConstraint(
        "state IN ('reserved', 'signed', 'offered', 'mined', 'orphaned', 'final', 'lost', 'released')", name="state"
    ),
    CheckConstraint("nonce >= 0 AND gas > 0", name="range"),
    CheckConstraint("(state IN ('mined', 'final')) = (mined_number IS NOT NULL)", name="mined"),
    CheckConstraint("(mined_number IS NULL) = (mined_hash IS NULL)", name="block"),
    CheckConstraint("mined_number IS NULL OR winner_hash IS NOT NULL", name="winner"),
    Index(
        "one_slot_per_nonce",
        "sender",
        "nonce",
        unique=True,
        sqlite_where=NOT_RELEASED,
        postgresql_where=NOT_RELEASED,
    ),
)

slot_intents = Table(
    "slot_intents",
    METADATA,
    Column("slot_id", ID, ForeignKey("slots.id"), primary_key=True, autoincrement=False),
    Column("intent_id", ID, ForeignKey("intents.id"), primary_key=True, autoincrement=False, index=True),
)

adopted_effects = Table(
    "adopted_effects",  # what an adopted slot's call does: its intents are forgotten, the signer kept their effects
    METADATA,
    Column("slot_id", ID, ForeignKey("slots.id"), primary_key=True, autoincrement=False),
    Column("effect", String(255), primary_key=True, index=True),
)

slot_attempts = Table(
    "slot_attempts",
    METADATA,
    Column("id", ID, primary_key=True),
    Column("slot_id", ID, ForeignKey("slots.id"), nullable=False),
    Column("ordinal", Integer, nullable=False),  # among its siblings, from 0
    Column("kind", String(16), nullable=False),
    Column("imported", Boolean, nullable=False),  # the signer had it, the ledger did not
    Column("tx_hash", String(66), nullable=False, unique=True),
    Column("raw", LargeBinary, nullable=False),  # the signed bytes
    Column("gas", BigInteger, nullable=False),
    Column("max_fee", UInt256, nullable=False),  # wei per gas
    Column("tip", UInt256, nullable=False),  # wei per gas
    CheckConstraint("kind IN ('original', 'replacement', 'cancel', 'filler')", name="kind"),
    CheckConstraint("length(raw) > 0 AND gas > 0 AND ordinal >= 0", name="range"),
    UniqueConstraint("slot_id", "ordinal"),
)

offers = Table(
    "offers",  # written before the socket is; the answer after, once
    METADATA,
    Column("id", ID, primary_key=True),
    Column("attempt_id", ID, ForeignKey("slot_attempts.id"), nullable=False, index=True),
    Column("endpoint", String(100), nullable=False),
    Column("block_number", BigInteger, nullable=False),
    Column("wall_ms", BigInteger, nullable=False),
    Column("answer_class", String(32)),
    Column("answer_text", String(ANSWER_LENGTH)),
    Column("answered_ms", BigInteger),
    CheckConstraint(
        "(answer_class IS NULL) = (answered_ms IS NULL) AND (answer_class IS NULL) = (answer_text IS NULL)",
        name="answer",
    ),
)

steps = Table(
    "steps",
    METADATA,
    Column("id", ID, primary_key=True),
    Column("slot_id", ID, ForeignKey("slots.id"), nullable=False, index=True),
    Column("state", String(16), nullable=False),
    Column("block_number", BigInteger, nullable=False),  # head when it was written
    Column("block_hash", String(66), nullable=False),
    Column("wall_ms", BigInteger, nullable=False),
    Column("tx_hash", String(66)),
    Column("mined_number", BigInteger),  # the block that holds tx_hash
    Column("mined_hash", String(66)),
    Column("cause", Text, nullable=False),
    Column("gas_used", BigInteger),  # by tx_hash in that block
    Column("gas_price", UInt256),
)

outcomes = Table(
    "outcomes",  # how a step ended an intent, or opened it again
    METADATA,
    Column("id", ID, primary_key=True),
    Column("step_id", ID, ForeignKey("steps.id"), nullable=False, index=True),
    Column("intent_id", ID, ForeignKey("intents.id"), nullable=False, index=True),
    Column("status", String(16), nullable=False),
    Column("cause", Text, nullable=False),
)


def carried(of: ColumnElement[bool]) -> Subquery:
    """Return what the calls of some slots are to do, as (slot_id, effect): by their intents, or as adopted without.

    `of` is asked of each row's slot, so that a long history is not read for the few that are meant.
    """
    meant = select(slot_intents.c.slot_id, intents.c.effect).join(slots, slots.c.id == slot_intents.c.slot_id).where(of)
    adopted = select(adopted_effects).join(slots, slots.c.id == adopted_effects.c.slot_id).where(of)
    return union_all(meant.join(intents, intents.c.id == slot_intents.c.intent_id), adopted).subquery()


APPEND_ONLY = ("slot_attempts", "steps", "outcomes")


def sqlite_triggers(table: str) -> tuple[str, ...]:
    """Return the statements that make a table append-only on SQLite."""
    return tuple(
        f"CREATE TRIGGER {table}_no_{verb} BEFORE {verb.upper()} ON {table} "
        f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
        for verb in ("update", "delete")
    )


POSTGRESQL_FUNCTION = (
    "CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION "
    "'% is append-only', TG_TABLE_NAME USING ERRCODE = 'integrity_constraint_violation'; END $$"
)


def postgresql_triggers(table: str) -> tuple[str, ...]:
    """Return the statements that make a table append-only on PostgreSQL; they need POSTGRESQL_FUNCTION first."""
    return (
        f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE ON {table} "
        "FOR EACH ROW EXECUTE FUNCTION refuse_change()",
    )


def _make_append_only(_metadata: object, connection: Connection, **_options: object) -> None:
    sqlite = connection.dialect.name == "sqlite"
    if not sqlite:
        connection.exec_driver_sql(POSTGRESQL_FUNCTION)
    for table in APPEND_ONLY:
        for statement in (sqlite_triggers if sqlite else postgresql_triggers)(table):
            connection.exec_driver_sql(statement)


event.listen(METADATA, "after_create", _make_append_only)
