"""How far two computations of a tick's margins were apart; older ticks have none."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("ticks", sa.Column("crosscheck", sa.Text))


def downgrade() -> None:
    op.drop_column("ticks", "crosscheck")
