"""Units sold, and taken back, on the day it happened: what reports of products are sums over.

Orders that were paid before get one entry per line at the moment of their payment, and one for what
was cancelled or refunded since, at the last moment that is known of it.
"""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "sale_entry",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("order_id", sa.BigInteger(), nullable=False),
        sa.Column("order_line_id", sa.BigInteger(), nullable=False),
        sa.Column("product_id", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("units", sa.Integer(), nullable=False),
        sa.Column("amount_minor", sa.Integer(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "kind IN ('sold', 'reversed', 'restored')", name=op.f("ck_sale_entry_kind")
        ),
        sa.CheckConstraint(
            "CASE kind WHEN 'reversed' THEN units < 0 AND amount_minor <= 0"
            " ELSE units > 0 AND amount_minor >= 0 END",
            name=op.f("ck_sale_entry_units"),
        ),
        sa.ForeignKeyConstraint(
            ["order_id"], ["order.id"], name=op.f("fk_sale_entry_order_id_order")
        ),
        sa.ForeignKeyConstraint(
            ["order_line_id"],
            ["order_line.id"],
            name=op.f("fk_sale_entry_order_line_id_order_line"),
        ),
        sa.ForeignKeyConstraint(
            ["product_id"], ["product.id"], name=op.f("fk_sale_entry_product_id_product")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sale_entry")),
    )
    op.execute("""
        INSERT INTO sale_entry
            (order_id, order_line_id, product_id, kind, units, amount_minor, currency, at)
        SELECT l.order_id, l.id, l.product_id, 'sold', l.quantity, l.total_minor, o.currency,
            o.paid_at
        FROM order_line l JOIN "order" o ON o.id = l.order_id
        WHERE o.paid_at IS NOT NULL ORDER BY o.paid_at, l.id
    """)
    op.execute("""
        INSERT INTO sale_entry
            (order_id, order_line_id, product_id, kind, units, amount_minor, currency, at)
        SELECT l.order_id, l.id, l.product_id, 'reversed', -g.units,
            l.total_minor::bigint * (l.quantity - g.units) / l.quantity - l.total_minor,
            o.currency, coalesce(r.at, o.closed_at, o.paid_at)
        FROM order_line l JOIN "order" o ON o.id = l.order_id
        CROSS JOIN LATERAL (SELECT CASE WHEN o.status = 'cancelled' THEN l.quantity
            ELSE greatest(l.cancelled, l.refunded) END AS units) g
        LEFT JOIN LATERAL (SELECT max(f.requested_at) AS at
            FROM refund_line rl JOIN refund f ON f.id = rl.refund_id
            WHERE rl.order_line_id = l.id AND f.status <> 'failed') r ON true
        WHERE o.paid_at IS NOT NULL AND g.units > 0
    """)
    op.create_index(op.f("ix_sale_entry_order_id"), "sale_entry", ["order_id"])
    op.create_index(op.f("ix_sale_entry_at"), "sale_entry", ["at"])
    op.create_index(
        "ix_order_paid_at", "order", ["paid_at"], postgresql_where=sa.text("paid_at IS NOT NULL")
    )
    op.execute(
        "CREATE TRIGGER sale_entry_insert_only BEFORE UPDATE OR DELETE ON sale_entry"
        " FOR EACH ROW EXECUTE FUNCTION refuse_change()"
    )
    op.execute(
        "CREATE TRIGGER sale_entry_no_truncate BEFORE TRUNCATE ON sale_entry"
        " FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
    )


def downgrade() -> None:
    op.drop_index("ix_order_paid_at", "order")
    op.drop_table("sale_entry")
