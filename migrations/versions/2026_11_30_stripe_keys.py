"""Payments and refunds count their idempotency keys at Stripe.

Stripe saves a failure of its own under a key for a day: the next try needs a new one, and must know
it before it asks.
"""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

TABLES = ("payment", "refund")


def upgrade() -> None:
    for table in TABLES:
        op.add_column(
            table, sa.Column("key_attempt", sa.Integer(), server_default="1", nullable=False)
        )
        op.create_check_constraint(op.f(f"ck_{table}_key_attempt"), table, "key_attempt >= 1")


def downgrade() -> None:
    for table in TABLES:
        op.drop_constraint(op.f(f"ck_{table}_key_attempt"), table)
        op.drop_column(table, "key_attempt")
