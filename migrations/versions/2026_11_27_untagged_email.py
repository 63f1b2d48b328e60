"""Whether somebody has ordered before, by their e-mail address without its tag, is found at once."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index(
        "ix_order_untagged_email",
        "order",
        [sa.text(r"regexp_replace(lower(CAST(email AS text)), '\+[^@]*@', '@')")],
    )


def downgrade() -> None:
    op.drop_index("ix_order_untagged_email", "order")
