"""First schema: accounts, ticks with what they saw, and the transaction ledger."""

import sqlalchemy as sa
from alembic import op

from keeper.journal.types import ID, Int256, UInt256

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

INTENT_IS_LIVE = sa.text("status IN ('intended', 'live')")


def upgrade() -> None:
    _create_identity_and_accounts()
    _create_ticks()
    _create_observations()
    _create_intents()
    _create_attempts()


def downgrade() -> None:
    for table in (
        "attempts",
        "intents",
        "volatility",
        "holds",
        "margins",
        "rounds",
        "quotes",
        "ticks",
        "accounts",
        "scanned_heads",
        "meta",
    ):
        op.drop_table(table)


def _create_identity_and_accounts() -> None:
    op.create_table(
        "meta",
        sa.Column("chain_id", sa.BigInteger, autoincrement=False, nullable=False),
        sa.Column("venue", sa.String(100), nullable=False),
        sa.Column("created", sa.String(32), nullable=False),
        sa.PrimaryKeyConstraint("chain_id", name="pk_meta"),
    )
    op.create_table(
        "scanned_heads",
        sa.Column("block_number", sa.BigInteger, autoincrement=False, nullable=False),
        sa.Column("block_hash", sa.String(66), nullable=False),
        sa.PrimaryKeyConstraint("block_number", name="pk_scanned_heads"),
    )
    op.create_table(
        "accounts",
        sa.Column("address", sa.String(42), nullable=False),
        sa.Column("first_block", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("address", name="pk_accounts"),
    )
    op.create_index("ix_accounts_first_block", "accounts", ["first_block"])


def _create_ticks() -> None:
    op.create_table(
        "ticks",
        sa.Column("id", ID, nullable=False),
        sa.Column("block_number", sa.BigInteger, nullable=False),
        sa.Column("block_hash", sa.String(66), nullable=False),
        sa.Column("parent_hash", sa.String(66), nullable=False),
        sa.Column("timestamp", sa.BigInteger, nullable=False),
        sa.Column("base_fee", UInt256, nullable=False),
        sa.Column("accounts", sa.Integer, nullable=False),
        sa.Column("healthy", sa.Integer, nullable=False),
        sa.Column("endangered", sa.Integer, nullable=False),
        sa.Column("unknown", sa.Integer, nullable=False),
        sa.Column("skipped_heads", sa.Integer, nullable=False),
        sa.Column("latency_ms", sa.Text, nullable=False),
        sa.Column("trimmed", sa.Boolean, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_ticks"),
        sa.UniqueConstraint("block_hash", name="uq_ticks_block_hash"),
    )
    op.create_index("ix_ticks_block_number", "ticks", ["block_number"])
    op.create_index("ix_ticks_timestamp", "ticks", ["timestamp"])


def _create_observations() -> None:
    _create_prices()
    op.create_table(
        "margins",
        sa.Column("tick_id", ID, autoincrement=False, nullable=False),
        sa.Column("account", sa.String(42), nullable=False),
        sa.Column("equity", sa.Float(53)),
        sa.Column("im", sa.Float(53)),
        sa.Column("mm", sa.Float(53)),
        sa.Column("health", sa.Float(53)),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("exact", sa.Boolean, nullable=False),
        sa.PrimaryKeyConstraint("tick_id", "account", name="pk_margins"),
        sa.CheckConstraint("status IN ('healthy', 'endangered', 'unknown')", name=op.f("ck_margins_status")),
        sa.ForeignKeyConstraint(["tick_id"], ["ticks.id"], name="fk_margins_tick_id"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_margins_account_tick_id", "margins", ["account", "tick_id"])
    op.create_table(
        "holds",
        sa.Column("id", ID, nullable=False),
        sa.Column("tick_id", ID, nullable=False),
        sa.Column("subject", sa.String(100), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_holds"),
        sa.ForeignKeyConstraint(["tick_id"], ["ticks.id"], name="fk_holds_tick_id"),
    )
    op.create_index("ix_holds_tick_id", "holds", ["tick_id"])
    op.create_index("ix_holds_subject_tick_id", "holds", ["subject", "tick_id"])


def _create_prices() -> None:
    op.create_table(
        "quotes",
        sa.Column("tick_id", ID, autoincrement=False, nullable=False),
        sa.Column("feed", sa.String(100), nullable=False),
        sa.Column("symbol", sa.String(100), nullable=False),
        sa.Column("answer", Int256),
        sa.Column("decimals", sa.Integer, nullable=False),
        sa.Column("updated_at", sa.BigInteger),
        sa.Column("age_s", sa.BigInteger),
        sa.Column("status", sa.String(32), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("tick_id", "feed", "symbol", name="pk_quotes"),
        sa.ForeignKeyConstraint(["tick_id"], ["ticks.id"], name="fk_quotes_tick_id"),
    )
    op.create_index("ix_quotes_feed", "quotes", ["feed"])
    op.create_table(
        "rounds",
        sa.Column("feed", sa.String(100), nullable=False),
        sa.Column("updated_at", sa.BigInteger, autoincrement=False, nullable=False),
        sa.Column("answer", Int256, nullable=False),
        sa.Column("decimals", sa.Integer, nullable=False),
        sa.Column("status", sa.String(32), nullable=False),
        sa.PrimaryKeyConstraint("feed", "updated_at", name="pk_rounds"),
    )
    op.create_table(
        "volatility",
        sa.Column("feed", sa.String(100), nullable=False),
        sa.Column("computed_at", sa.BigInteger, autoincrement=False, nullable=False),
        sa.Column("annualised", sa.Float(53), nullable=False),
        sa.Column("observations", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("feed", "computed_at", name="pk_volatility"),
    )


def _create_intents() -> None:
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
        sa.CheckConstraint(
            "status IN ('intended', 'live', 'achieved', 'failed', 'refused', 'expired', 'shadow', 'lost')",
            name=op.f("ck_intents_status"),
        ),
        sa.ForeignKeyConstraint(["tick_id"], ["ticks.id"], name="fk_intents_tick_id"),
    )
    op.create_index("ix_intents_tick_id", "intents", ["tick_id"])
    op.create_index("ix_intents_subject", "intents", ["subject"])
    op.create_index("ix_intents_effect", "intents", ["effect"])
    op.create_index(
        "one_live_intent_per_effect",
        "intents",
        ["effect"],
        unique=True,
        sqlite_where=INTENT_IS_LIVE,
        postgresql_where=INTENT_IS_LIVE,
    )


def _create_attempts() -> None:
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
        sa.UniqueConstraint("sender", "nonce", "tx_hash", name="uq_attempts_sender_nonce_tx_hash"),
        sa.UniqueConstraint("tx_hash", name="uq_attempts_tx_hash"),
        sa.ForeignKeyConstraint(["intent_id"], ["intents.id"], name="fk_attempts_intent_id"),
    )
    op.create_index("ix_attempts_intent_id", "attempts", ["intent_id"])
    op.create_index("ix_attempts_status", "attempts", ["status"])
