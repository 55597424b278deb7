"""Accounts of a portfolio venue are named by owner and sub-account: longer than an address."""

from collections.abc import Callable

import sqlalchemy as sa
from alembic import op

from keeper.journal.types import ID

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

ADDRESS, NAME = sa.String(42), sa.String(80)


def upgrade() -> None:
    _retype(ADDRESS, NAME)


def downgrade() -> None:
    _retype(NAME, ADDRESS)


def _retype(old: sa.String, new: sa.String) -> None:
    if op.get_context().dialect.name == "sqlite":  # it can alter no column: the tables are made again
        _remade("accounts", lambda: _create_accounts(new))
        _remade("margins", lambda: _create_margins(new))
        return
    op.alter_column("accounts", "address", existing_type=old, type_=new, existing_nullable=False)
    op.alter_column("margins", "account", existing_type=old, type_=new, existing_nullable=False)


def _remade(table: str, create: Callable[[], None]) -> None:
    op.execute(f"CREATE TEMPORARY TABLE kept AS SELECT * FROM {table}")
    op.drop_table(table)
    create()
    op.execute(f"INSERT INTO {table} SELECT * FROM kept")
    op.execute("DROP TABLE kept")


def _create_accounts(name: sa.String) -> None:
    op.create_table(
        "accounts",
        sa.Column("address", name, nullable=False),
        sa.Column("first_block", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("address", name="pk_accounts"),
    )
    op.create_index("ix_accounts_first_block", "accounts", ["first_block"])


def _create_margins(name: sa.String) -> None:
    op.create_table(
        "margins",
        sa.Column("tick_id", ID, autoincrement=False, nullable=False),
        sa.Column("account", name, nullable=False),
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
