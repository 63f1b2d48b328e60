"""Orders of one cart form a chain with at most one live order; payments may take days.

Orders of before: those of one cart, up to and with the one that was paid, are a chain. Two live
ones, which the index below forbids from now on, stay apart, for `flask shop doctor` to name.
"""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

LIVE = "status IN ('pending','confirmed','completed')"
CHAINS = """
UPDATE "order" o SET chain_id = f.chain_id
FROM (SELECT id, first_value(id) OVER part AS first, last_value(id) OVER part AS last
      FROM (SELECT id, cart_id, sum((status IN ('confirmed', 'completed')
                                     OR paid_at IS NOT NULL)::int) OVER (
                PARTITION BY cart_id ORDER BY id ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
            ) AS paid_before FROM "order" WHERE cart_id IS NOT NULL) s
      WINDOW part AS (PARTITION BY cart_id, paid_before ORDER BY id
                      ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING)) c
JOIN "order" f ON f.id = c.first
WHERE o.id = c.id AND c.first <> c.id AND (o.id = c.last OR o.status IN ('cancelled', 'expired'))
  AND (f.status IN ('cancelled', 'expired') OR o.status IN ('cancelled', 'expired'))
"""
ORDER_STATUS = "'unpaid',{}'authorised','partly_paid','paid','overpaid','partly_refunded','refunded','disputed'"
STATUS = "'created','started',{}'authorised','succeeded','cancelled'"
OPEN = "status IN ('created','started',{}'authorised')"


def upgrade() -> None:
    op.add_column("order", sa.Column("chain_id", sa.Uuid()))
    op.alter_column("order", "chain_id", server_default=sa.text("gen_random_uuid()"))
    op.execute('UPDATE "order" SET chain_id = gen_random_uuid()')
    op.execute(CHAINS)
    op.alter_column("order", "chain_id", nullable=False)
    op.create_index("ix_order_chain_id", "order", ["chain_id"])
    op.create_index(
        "uq_order_live_in_chain", "order", ["chain_id"], unique=True, postgresql_where=sa.text(LIVE)
    )
    for column in ("method", "voucher_url", "voucher_reference"):
        op.add_column(
            "payment", sa.Column(column, sa.Text(), server_default="", nullable=False)
        )
    for column in ("voucher_expires_at", "checked_at"):
        op.add_column("payment", sa.Column(column, sa.DateTime(timezone=True)))
    op.execute("UPDATE payment SET method = 'card' WHERE card_brand <> ''")
    _states("'processing',")


def downgrade() -> None:
    op.execute("UPDATE payment SET status = 'started' WHERE status = 'processing'")
    op.execute("""UPDATE "order" SET payment_status = 'unpaid' WHERE payment_status = 'processing'""")
    _states("")
    for column in ("checked_at", "voucher_expires_at", "voucher_reference", "voucher_url", "method"):
        op.drop_column("payment", column)
    op.drop_index("uq_order_live_in_chain", "order")
    op.drop_index("ix_order_chain_id", "order")
    op.drop_column("order", "chain_id")


def _states(processing: str) -> None:
    op.drop_constraint(op.f("ck_order_payment_status"), "order")
    op.create_check_constraint(
        op.f("ck_order_payment_status"),
        "order",
        f"payment_status IN ({ORDER_STATUS.format(processing)})",
    )
    op.drop_constraint(op.f("ck_payment_status"), "payment")
    op.create_check_constraint(
        op.f("ck_payment_status"), "payment", f"status IN ({STATUS.format(processing)})"
    )
    op.drop_index("ix_payment_open", "payment")
    op.create_index(
        "ix_payment_open",
        "payment",
        ["created_at"],
        postgresql_where=sa.text(OPEN.format(processing)),
    )
