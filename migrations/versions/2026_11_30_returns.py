"""Returns of units for which no money moves: free items, and parts that round to nothing."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "order_return",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("order_id", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), server_default="staff", nullable=False),
        sa.Column("requested_by", sa.Text(), nullable=False),
        sa.Column("returned_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "source IN ('staff','customer','system')", name=op.f("ck_order_return_source")
        ),
        sa.ForeignKeyConstraint(
            ["order_id"], ["order.id"], name=op.f("fk_order_return_order_id_order")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_order_return")),
    )
    op.create_index(op.f("ix_order_return_order_id"), "order_return", ["order_id"])
    op.create_table(
        "order_return_line",
        sa.Column("return_id", sa.BigInteger(), nullable=False),
        sa.Column("order_line_id", sa.BigInteger(), nullable=False),
        sa.Column("quantity", sa.Integer(), nullable=False),
        sa.Column("restock", sa.Boolean(), server_default="false", nullable=False),
        sa.CheckConstraint("quantity >= 1", name=op.f("ck_order_return_line_quantity")),
        sa.ForeignKeyConstraint(
            ["return_id"],
            ["order_return.id"],
            name=op.f("fk_order_return_line_return_id_order_return"),
        ),
        sa.ForeignKeyConstraint(
            ["order_line_id"],
            ["order_line.id"],
            name=op.f("fk_order_return_line_order_line_id_order_line"),
        ),
        sa.PrimaryKeyConstraint("return_id", "order_line_id", name=op.f("pk_order_return_line")),
    )
    op.create_index(
        op.f("ix_order_return_line_order_line_id"), "order_return_line", ["order_line_id"]
    )


def downgrade() -> None:
    op.drop_table("order_return_line")
    op.drop_table("order_return")
