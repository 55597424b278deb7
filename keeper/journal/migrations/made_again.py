"""Intents and attempts as revision 0004 finds them, for SQLite, which alters no constraint: the tables are made again.

Part of that revision, so never to be changed.
"""

import sqlalchemy as sa
from alembic import op

from keeper.journal.types import ID, UInt256

INTENT_IS_LIVE = sa.text("status IN ('intended', 'live')")


def create_intents(allowed: str) -> None:
    """Create `intents` with its indexes; `allowed` is the condition that its status keeps."""
    op.create_table(
        "intents",
        sa.Column("id", ID, nullable=False),
        sa.Column("tick_id", ID, nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("effect", sa.String(255), nullable=False),
        sa.Column("subject", sa.String(100), nullable=False),
        sa.Column("plan", sa.Text, nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("cause", sa.Text, nullable=False),
        sa.Column("closed_block", sa.BigInteger),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_intents"),
        sa.CheckConstraint(allowed, name=op.f("ck_intents_status")),
        sa.ForeignKeyConstraint(["tick_id"], ["ticks.id"], name="fk_intents_tick_id"),
    )
    for column in ("tick_id", "subject", "effect"):
        op.create_index(f"ix_intents_{column}", "intents", [column])
    op.create_index(
        "one_live_intent_per_effect",
        "intents",
        ["effect"],
        unique=True,
        sqlite_where=INTENT_IS_LIVE,
        postgresql_where=INTENT_IS_LIVE,
    )


def create_attempts() -> None:
    """Create `attempts` with its indexes."""
    op.create_table(
        "attempts",
        sa.Column("id", ID, nullable=False),
        sa.Column("intent_id", ID, nullable=False),
        sa.Column("sender", sa.String(42), nullable=False),
        sa.Column("nonce", sa.BigInteger, nullable=False),
        sa.Column("tx_hash", sa.String(66), nullable=False),
        sa.Column("raw", sa.LargeBinary, nullable=False),
        sa.Column("gas_limit", sa.BigInteger, nullable=False),
        sa.Column("max_fee", UInt256, nullable=False),
        sa.Column("tip", UInt256, nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("cause", sa.Text, nullable=False),
        sa.Column("block_number", sa.BigInteger),
        sa.Column("block_hash", sa.String(66)),
        sa.Column("gas_used", sa.BigInteger),
        sa.Column("gas_price", UInt256),
        sa.PrimaryKeyConstraint("id", name="pk_attempts"),
        sa.CheckConstraint(
            "status IN ('signed', 'broadcast', 'mined', 'reverted', 'lost')", name=op.f("ck_attempts_status")
        ),
        sa.UniqueConstraint("intent_id", "tx_hash", name="uq_attempts_intent_id_tx_hash"),
        sa.ForeignKeyConstraint(["intent_id"], ["intents.id"], name="fk_attempts_intent_id"),
    )
    op.create_index("ix_attempts_intent_id", "attempts", ["intent_id"])
    op.create_index("ix_attempts_status", "attempts", ["status"])
