"""What a discount took off an order's delivery, kept beside what it took off the goods."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "order",
        sa.Column("shipping_discount_minor", sa.Integer(), server_default="0", nullable=False),
    )
    op.execute("""
        UPDATE "order" o SET shipping_discount_minor = r.saved
        FROM (SELECT order_id, sum(shipping_minor) AS saved FROM redemption GROUP BY order_id) r
        WHERE r.order_id = o.id AND r.saved > 0
    """)


def downgrade() -> None:
    op.drop_column("order", "shipping_discount_minor")
