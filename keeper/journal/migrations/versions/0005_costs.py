"""What a mined transaction was charged: gas used and its price, with the step and the slot; older ones have none."""

import sqlalchemy as sa
from alembic import op

from keeper.journal.types import UInt256

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

TABLES = ("slots", "steps")


def upgrade() -> None:
    for table in TABLES:
        op.add_column(table, sa.Column("gas_used", sa.BigInteger))
        op.add_column(table, sa.Column("gas_price", UInt256))


def downgrade() -> None:
    for table in TABLES:
        op.drop_column(table, "gas_price")
        op.drop_column(table, "gas_used")
