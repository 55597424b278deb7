"""Effects of slots whose intents are forgotten, as the signer remembers them."""

import sqlalchemy as sa
from alembic import op

from keeper.journal.types import ID

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "adopted_effects",
        sa.Column("slot_id", ID, autoincrement=False, nullable=False),
        sa.Column("effect", sa.String(255), nullable=False),
        sa.ForeignKeyConstraint(["slot_id"], ["slots.id"], name=op.f("fk_adopted_effects_slot_id")),
        sa.PrimaryKeyConstraint("slot_id", "effect", name=op.f("pk_adopted_effects")),
    )
    op.create_index(op.f("ix_adopted_effects_effect"), "adopted_effects", ["effect"])


def downgrade() -> None:
    op.drop_table("adopted_effects")
