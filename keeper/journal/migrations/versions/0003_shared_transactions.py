"""One transaction may carry out several intents: it is then an attempt of each, with the same hash."""

import sqlalchemy as sa
from alembic import op

from keeper.journal.types import ID, UInt256

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

SHARED = {"uq_attempts_intent_id_tx_hash": ["intent_id", "tx_hash"]}
OWN = {
    "uq_attempts_sender_nonce_tx_hash": ["sender", "nonce", "tx_hash"],
    "uq_attempts_tx_hash": ["tx_hash"],
}


def upgrade() -> None:
    _change(OWN, SHARED)


def downgrade() -> None:
    _change(SHARED, OWN)


def _change(old: dict[str, list[str]], new: dict[str, list[str]]) -> None:
    if op.get_context().dialect.name == "sqlite":  # it can alter no table: this one is made again
        op.execute("CREATE TEMPORARY TABLE kept AS SELECT * FROM attempts")
        op.drop_table("attempts")
        _create_attempts(new)
        op.execute("INSERT INTO attempts SELECT * FROM kept")
        op.execute("DROP TABLE kept")
        return
    for name in old:
        op.drop_constraint(name, "attempts", type_="unique")
    for name, columns in new.items():
        op.create_unique_constraint(name, "attempts", columns)


def _create_attempts(unique: dict[str, list[str]]) -> None:
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
        *(sa.UniqueConstraint(*columns, name=name) for name, columns in unique.items()),
        sa.ForeignKeyConstraint(["intent_id"], ["intents.id"], name="fk_attempts_intent_id"),
    )
    op.create_index("ix_attempts_intent_id", "attempts", ["intent_id"])
    op.create_index("ix_attempts_status", "attempts", ["status"])
