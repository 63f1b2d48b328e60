"""A comparison with Stripe counts the objects that our books could not take."""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "reconcile_run", sa.Column("refused", sa.Integer(), server_default="0", nullable=False)
    )


def downgrade() -> None:
    op.drop_column("reconcile_run", "refused")
