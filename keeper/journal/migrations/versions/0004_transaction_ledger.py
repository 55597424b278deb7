"""The transaction ledger: slots with their attempts, offers and steps; a ledger id; intents may end cancelled."""

from uuid import uuid4

import sqlalchemy as sa
from alembic import op

from keeper.journal.migrations.made_again import create_attempts, create_intents
from keeper.journal.types import ID, UInt256

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

STATUSES = ["intended", "live", "achieved", "failed", "refused", "expired", "shadow", "lost"]
NOT_RELEASED = sa.text("state <> 'released'")
APPEND_ONLY = ("slot_attempts", "steps", "outcomes")
TABLES = ("outcomes", "steps", "offers", "slot_attempts", "slot_intents", "slots")


def upgrade() -> None:
    _add_ledger_id()
    _restate([*STATUSES, "cancelled"])
    _create_slots()
    _create_attempts()
    _create_history()
    _make_append_only()


def downgrade() -> None:
    _require_nothing_under_way()
    for table in TABLES:
        op.drop_table(table)
    if not _is_sqlite():
        op.execute("DROP FUNCTION refuse_change()")
    op.execute("UPDATE intents SET status = 'failed' WHERE status = 'cancelled'")
    _restate(STATUSES)
    _drop_ledger_id()


def _is_sqlite() -> bool:
    return op.get_context().dialect.name == "sqlite"


def _require_nothing_under_way() -> None:
    query = "SELECT count(*) FROM slots WHERE state NOT IN ('final', 'lost', 'released')"
    found = op.get_bind().execute(sa.text(query)).scalar_one()
    if found:
        raise RuntimeError(
            f"downgrade: expected no transaction under way, found {found} open slots, which an older keeper would "
            "forget and send again; let this one settle them first"
        )


# --- what was there before ---------------------------------------------------------------------------


def _add_ledger_id() -> None:
    ledger_id = sa.Column("ledger_id", sa.String(32), nullable=False)
    if not _is_sqlite():
        op.add_column("meta", sa.Column("ledger_id", sa.String(32)))
        op.get_bind().execute(sa.text("UPDATE meta SET ledger_id = :id"), {"id": uuid4().hex})
        op.alter_column("meta", "ledger_id", nullable=False)
        return
    op.execute("CREATE TEMPORARY TABLE kept AS SELECT * FROM meta")  # SQLite adds no column without a default
    op.drop_table("meta")
    _create_meta(ledger_id)
    op.get_bind().execute(sa.text("INSERT INTO meta SELECT *, :id FROM kept"), {"id": uuid4().hex})
    op.execute("DROP TABLE kept")


def _drop_ledger_id() -> None:
    if not _is_sqlite():
        op.drop_column("meta", "ledger_id")
        return
    op.execute("CREATE TEMPORARY TABLE kept AS SELECT chain_id, venue, created FROM meta")
    op.drop_table("meta")
    _create_meta()
    op.execute("INSERT INTO meta SELECT * FROM kept")
    op.execute("DROP TABLE kept")


def _create_meta(*more: sa.Column[str]) -> None:
    op.create_table(
        "meta",
        sa.Column("chain_id", sa.BigInteger, autoincrement=False, nullable=False),
        sa.Column("venue", sa.String(100), nullable=False),
        sa.Column("created", sa.String(32), nullable=False),
        *more,
        sa.PrimaryKeyConstraint("chain_id", name="pk_meta"),
    )


def _restate(statuses: list[str]) -> None:
    """Let intents have these statuses and no others."""
    allowed = f"status IN ({', '.join(repr(status) for status in statuses)})"
    if not _is_sqlite():
        op.drop_constraint(op.f("ck_intents_status"), "intents", type_="check")
        op.create_check_constraint(op.f("ck_intents_status"), "intents", allowed)
        return
    for table in ("attempts", "intents"):  # it can alter no table: both are made again, for one refers to the other
        op.execute(f"CREATE TEMPORARY TABLE kept_{table} AS SELECT * FROM {table}")
        op.drop_table(table)
    create_intents(allowed)
    create_attempts()
    for table in ("intents", "attempts"):
        op.execute(f"INSERT INTO {table} SELECT * FROM kept_{table}")
        op.execute(f"DROP TABLE kept_{table}")


# --- what is new -------------------------------------------------------------------------------------


def _create_slots() -> None:
    op.create_table(
        "slots",
        sa.Column("id", ID, nullable=False),
        sa.Column("sender", sa.String(42), nullable=False),
        sa.Column("nonce", sa.BigInteger, nullable=False),
        sa.Column("purpose", sa.String(8), nullable=False),
        sa.Column("target", sa.String(42), nullable=False),
        sa.Column("data", sa.LargeBinary, nullable=False),
        sa.Column("gas", sa.BigInteger, nullable=False),
        sa.Column("request_id", sa.String(32), nullable=False),
        sa.Column("opened_block", sa.BigInteger, nullable=False),
        sa.Column("deadline_block", sa.BigInteger, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("winner_hash", sa.String(66)),
        sa.Column("mined_number", sa.BigInteger),
        sa.Column("mined_hash", sa.String(66)),
        sa.PrimaryKeyConstraint("id", name="pk_slots"),
        sa.CheckConstraint("purpose IN ('call', 'filler')", name=op.f("ck_slots_purpose")),
        sa.CheckConstraint(
            "state IN ('reserved', 'signed', 'offered', 'mined', 'orphaned', 'final', 'lost', 'released')",
            name=op.f("ck_slots_state"),
        ),
        sa.CheckConstraint("nonce >= 0 AND gas > 0", name=op.f("ck_slots_range")),
        sa.CheckConstraint("(state IN ('mined', 'final')) = (mined_number IS NOT NULL)", name=op.f("ck_slots_mined")),
        sa.CheckConstraint("(mined_number IS NULL) = (mined_hash IS NULL)", name=op.f("ck_slots_block")),
        sa.CheckConstraint("mined_number IS NULL OR winner_hash IS NOT NULL", name=op.f("ck_slots_winner")),
        sa.UniqueConstraint("request_id", name="uq_slots_request_id"),
    )
    op.create_index("ix_slots_state", "slots", ["state"])
    op.create_index(
        "one_slot_per_nonce",
        "slots",
        ["sender", "nonce"],
        unique=True,
        sqlite_where=NOT_RELEASED,
        postgresql_where=NOT_RELEASED,
    )
    op.create_table(
        "slot_intents",
        sa.Column("slot_id", ID, autoincrement=False, nullable=False),
        sa.Column("intent_id", ID, autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("slot_id", "intent_id", name="pk_slot_intents"),
        sa.ForeignKeyConstraint(["slot_id"], ["slots.id"], name="fk_slot_intents_slot_id"),
        sa.ForeignKeyConstraint(["intent_id"], ["intents.id"], name="fk_slot_intents_intent_id"),
    )
    op.create_index("ix_slot_intents_intent_id", "slot_intents", ["intent_id"])


def _create_attempts() -> None:
    op.create_table(
        "slot_attempts",
        sa.Column("id", ID, nullable=False),
        sa.Column("slot_id", ID, nullable=False),
        sa.Column("ordinal", sa.Integer, nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("imported", sa.Boolean, nullable=False),
        sa.Column("tx_hash", sa.String(66), nullable=False),
        sa.Column("raw", sa.LargeBinary, nullable=False),
        sa.Column("gas", sa.BigInteger, nullable=False),
        sa.Column("max_fee", UInt256, nullable=False),
        sa.Column("tip", UInt256, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_slot_attempts"),
        sa.CheckConstraint(
            "kind IN ('original', 'replacement', 'cancel', 'filler')", name=op.f("ck_slot_attempts_kind")
        ),
        sa.CheckConstraint("length(raw) > 0 AND gas > 0 AND ordinal >= 0", name=op.f("ck_slot_attempts_range")),
        sa.UniqueConstraint("slot_id", "ordinal", name="uq_slot_attempts_slot_id_ordinal"),
        sa.UniqueConstraint("tx_hash", name="uq_slot_attempts_tx_hash"),
        sa.ForeignKeyConstraint(["slot_id"], ["slots.id"], name="fk_slot_attempts_slot_id"),
    )
    op.create_table(
        "offers",
        sa.Column("id", ID, nullable=False),
        sa.Column("attempt_id", ID, nullable=False),
        sa.Column("endpoint", sa.String(100), nullable=False),
        sa.Column("block_number", sa.BigInteger, nullable=False),
        sa.Column("wall_ms", sa.BigInteger, nullable=False),
        sa.Column("answer_class", sa.String(32)),
        sa.Column("answer_text", sa.String(500)),
        sa.Column("answered_ms", sa.BigInteger),
        sa.PrimaryKeyConstraint("id", name="pk_offers"),
        sa.CheckConstraint(
            "(answer_class IS NULL) = (answered_ms IS NULL) AND (answer_class IS NULL) = (answer_text IS NULL)",
            name=op.f("ck_offers_answer"),
        ),
        sa.ForeignKeyConstraint(["attempt_id"], ["slot_attempts.id"], name="fk_offers_attempt_id"),
    )
    op.create_index("ix_offers_attempt_id", "offers", ["attempt_id"])


def _create_history() -> None:
    op.create_table(
        "steps",
        sa.Column("id", ID, nullable=False),
        sa.Column("slot_id", ID, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("block_number", sa.BigInteger, nullable=False),
        sa.Column("block_hash", sa.String(66), nullable=False),
        sa.Column("wall_ms", sa.BigInteger, nullable=False),
        sa.Column("tx_hash", sa.String(66)),
        sa.Column("mined_number", sa.BigInteger),
        sa.Column("mined_hash", sa.String(66)),
        sa.Column("cause", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_steps"),
        sa.ForeignKeyConstraint(["slot_id"], ["slots.id"], name="fk_steps_slot_id"),
    )
    op.create_index("ix_steps_slot_id", "steps", ["slot_id"])
    op.create_table(
        "outcomes",
        sa.Column("id", ID, nullable=False),
        sa.Column("step_id", ID, nullable=False),
        sa.Column("intent_id", ID, nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("cause", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_outcomes"),
        sa.ForeignKeyConstraint(["step_id"], ["steps.id"], name="fk_outcomes_step_id"),
        sa.ForeignKeyConstraint(["intent_id"], ["intents.id"], name="fk_outcomes_intent_id"),
    )
    for column in ("step_id", "intent_id"):
        op.create_index(f"ix_outcomes_{column}", "outcomes", [column])


def _make_append_only() -> None:
    if not _is_sqlite():
        op.execute(
            "CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION "
            "'% is append-only', TG_TABLE_NAME USING ERRCODE = 'integrity_constraint_violation'; END $$"
        )
    for table in APPEND_ONLY:
        if not _is_sqlite():
            op.execute(
                f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE ON {table} "
                "FOR EACH ROW EXECUTE FUNCTION refuse_change()"
            )
            continue
        for verb in ("update", "delete"):
            op.execute(
                f"CREATE TRIGGER {table}_no_{verb} BEFORE {verb.upper()} ON {table} "
                f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
            )
