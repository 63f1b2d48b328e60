"""Authorise and capture, refunds by line, disputes, comparisons with Stripe; the database itself
refuses to give back more than was captured."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)
UNTIL_NOW = {
    "payment_status": "'unpaid','paid','partly_refunded','refunded','disputed'",
    "status": "'created','started','succeeded','cancelled'",
    "kind": "'captured','failed','cancelled','refunded'",
}
FROM_NOW_ON = {
    "payment_status": "'unpaid','authorised','partly_paid','paid','overpaid',"
    "'partly_refunded','refunded','disputed'",
    "status": "'created','started','authorised','succeeded','cancelled'",
    "kind": "'authorised','captured','failed','cancelled','refunded','refund_failed',"
    "'dispute_opened','dispute_won','dispute_lost','fee'",
}


def _allow(words: dict[str, str]) -> None:
    for table, column in (
        ("order", "payment_status"),
        ("payment", "status"),
        ("payment_event", "kind"),
    ):
        name = f"ck_{table}_{column}"
        op.execute(f'ALTER TABLE "{table}" DROP CONSTRAINT {name}')
        op.execute(
            f'ALTER TABLE "{table}" ADD CONSTRAINT {name} CHECK ({column} IN ({words[column]}))'
        )


def _open_payments(words: str) -> None:
    op.execute("DROP INDEX ix_payment_open")
    op.execute(f"CREATE INDEX ix_payment_open ON payment (created_at) WHERE status IN ({words})")


def upgrade() -> None:
    _allow(FROM_NOW_ON)
    _open_payments("'created','started','authorised'")

    op.add_column(
        "payment",
        sa.Column(
            "key", sa.Text(), server_default=sa.text("gen_random_uuid()::text"), nullable=False
        ),
    )
    op.add_column(
        "payment", sa.Column("capture", sa.Text(), server_default="automatic", nullable=False)
    )
    op.add_column(
        "payment", sa.Column("capturable_minor", sa.Integer(), server_default="0", nullable=False)
    )
    op.add_column("payment", sa.Column("capture_before", TIME))
    op.add_column(
        "payment", sa.Column("captured_minor", sa.Integer(), server_default="0", nullable=False)
    )
    op.add_column(
        "payment", sa.Column("refunding_minor", sa.Integer(), server_default="0", nullable=False)
    )
    # Intents that were made before are still known to Stripe by the key of that time.
    op.execute("UPDATE payment SET key = 'order:' || order_id || ':pay:' || attempt")
    op.execute("""
        UPDATE payment p SET
            captured_minor = (SELECT coalesce(sum(amount_minor), 0) FROM payment_event
                              WHERE payment_id = p.id AND kind = 'captured'),
            refunding_minor = (SELECT coalesce(sum(amount_minor), 0) FROM refund
                               WHERE payment_id = p.id AND status <> 'failed')
    """)
    op.create_check_constraint(
        op.f("ck_payment_capture"), "payment", "capture IN ('automatic','manual')")
    op.create_check_constraint(
        op.f("ck_payment_capturable"), "payment", "capturable_minor >= 0")
    op.create_check_constraint(
        op.f("ck_payment_refunded"), "payment", "refunding_minor BETWEEN 0 AND captured_minor"
    )

    op.add_column("payment_event", sa.Column("currency", sa.Text()))
    op.add_column("payment_event", sa.Column("occurred_at", TIME))
    op.execute("ALTER TABLE payment_event DISABLE TRIGGER payment_event_insert_only")
    op.execute("""
        UPDATE payment_event e SET currency = p.currency, occurred_at = e.at
        FROM payment p WHERE p.id = e.payment_id
    """)
    op.execute("ALTER TABLE payment_event ENABLE TRIGGER payment_event_insert_only")
    op.alter_column("payment_event", "currency", nullable=False)
    op.alter_column("payment_event", "occurred_at", nullable=False)

    op.add_column(
        "refund", sa.Column("shipping_minor", sa.Integer(), server_default="0", nullable=False)
    )
    op.add_column("refund", sa.Column("source", sa.Text(), server_default="system", nullable=False))
    op.add_column(
        "refund",
        sa.Column(
            "key", sa.Text(), server_default=sa.text("gen_random_uuid()::text"), nullable=False
        ),
    )
    op.add_column("refund", sa.Column("attempt", sa.Integer(), server_default="1", nullable=False))
    op.execute("UPDATE refund SET key = 'refund:' || id")
    op.create_check_constraint(
        op.f("ck_refund_shipping"), "refund", "shipping_minor BETWEEN 0 AND amount_minor")
    op.create_check_constraint(
        op.f("ck_refund_source"), "refund", "source IN ('staff','customer','system','external')"
    )
    op.create_index(
        "ix_refund_open",
        "refund",
        ["requested_at"],
        postgresql_where=sa.text("status IN ('requested','sent')"),
    )

    op.add_column(
        "order_line", sa.Column("cancelled", sa.Integer(), server_default="0", nullable=False)
    )
    op.add_column(
        "order_line", sa.Column("refunded", sa.Integer(), server_default="0", nullable=False)
    )
    op.execute("ALTER TABLE order_line DROP CONSTRAINT ck_order_line_shipped")
    op.create_check_constraint(
        op.f("ck_order_line_shipped"), "order_line",
        "shipped >= 0 AND cancelled >= 0 AND shipped + cancelled <= quantity",
    )
    op.create_check_constraint(
        op.f("ck_order_line_refunded"), "order_line", "refunded BETWEEN 0 AND quantity")

    op.create_table(
        "refund_line",
        sa.Column("refund_id", sa.BigInteger(), nullable=False),
        sa.Column("order_line_id", sa.BigInteger(), nullable=False),
        sa.Column("quantity", sa.Integer(), nullable=False),
        sa.Column("amount_minor", sa.Integer(), nullable=False),
        sa.Column("tax_minor", sa.Integer(), nullable=False),
        sa.Column("restock", sa.Boolean(), server_default="false", nullable=False),
        sa.CheckConstraint("quantity >= 1", name=op.f("ck_refund_line_quantity")),
        sa.CheckConstraint(
            "amount_minor >= 0 AND tax_minor >= 0", name=op.f("ck_refund_line_amounts")
        ),
        sa.ForeignKeyConstraint(
            ["refund_id"], ["refund.id"], name=op.f("fk_refund_line_refund_id_refund")
        ),
        sa.ForeignKeyConstraint(
            ["order_line_id"],
            ["order_line.id"],
            name=op.f("fk_refund_line_order_line_id_order_line"),
        ),
        sa.PrimaryKeyConstraint("refund_id", "order_line_id", name=op.f("pk_refund_line")),
    )
    op.create_index(op.f("ix_refund_line_order_line_id"), "refund_line", ["order_line_id"])
    op.create_table(
        "dispute",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("payment_id", sa.BigInteger(), nullable=False),
        sa.Column("stripe_id", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("amount_minor", sa.Integer(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.Column("due_by", TIME),
        sa.Column("opened_at", TIME, nullable=False),
        sa.Column("closed_at", TIME),
        sa.CheckConstraint("amount_minor >= 0", name=op.f("ck_dispute_amount")),
        sa.ForeignKeyConstraint(
            ["payment_id"], ["payment.id"], name=op.f("fk_dispute_payment_id_payment")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_dispute")),
        sa.UniqueConstraint("stripe_id", name=op.f("uq_dispute_stripe_id")),
    )
    op.create_index(op.f("ix_dispute_payment_id"), "dispute", ["payment_id"])
    op.create_table(
        "reconcile_run",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("since", TIME, nullable=False),
        sa.Column("started_at", TIME, server_default=sa.text("now()"), nullable=False),
        sa.Column("finished_at", TIME),
        sa.Column("checked", sa.Integer(), server_default="0", nullable=False),
        sa.Column(
            "differences", postgresql.JSONB(), server_default=sa.text("'[]'"), nullable=False
        ),
        sa.Column("failure", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reconcile_run")),
    )

    op.execute("""
        CREATE FUNCTION count_captured() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            UPDATE payment SET captured_minor = captured_minor + NEW.amount_minor
            WHERE id = NEW.payment_id;
            RETURN NULL;
        END $$
    """)
    op.execute(
        "CREATE TRIGGER payment_event_captured AFTER INSERT ON payment_event"
        " FOR EACH ROW WHEN (NEW.kind = 'captured') EXECUTE FUNCTION count_captured()"
    )
    op.execute("""
        CREATE FUNCTION count_refunding() RETURNS trigger LANGUAGE plpgsql AS $$
        DECLARE
            was integer := 0;
            now_is integer := 0;
        BEGIN
            IF TG_OP <> 'INSERT' AND OLD.status <> 'failed' THEN was := OLD.amount_minor; END IF;
            IF TG_OP <> 'DELETE' AND NEW.status <> 'failed' THEN now_is := NEW.amount_minor; END IF;
            IF now_is <> was THEN
                UPDATE payment SET refunding_minor = refunding_minor + now_is - was
                WHERE id = coalesce(NEW.payment_id, OLD.payment_id);
            END IF;
            RETURN NULL;
        END $$
    """)
    op.execute(
        "CREATE TRIGGER refund_counted AFTER INSERT OR UPDATE OF status, amount_minor OR DELETE"
        " ON refund FOR EACH ROW EXECUTE FUNCTION count_refunding()"
    )


def downgrade() -> None:
    op.execute("DROP TRIGGER refund_counted ON refund")
    op.execute("DROP FUNCTION count_refunding()")
    op.execute("DROP TRIGGER payment_event_captured ON payment_event")
    op.execute("DROP FUNCTION count_captured()")
    for table in ("reconcile_run", "dispute", "refund_line"):
        op.drop_table(table)
    op.execute("ALTER TABLE order_line DROP CONSTRAINT ck_order_line_shipped")
    op.drop_column("order_line", "refunded")
    op.drop_column("order_line", "cancelled")
    op.create_check_constraint(
        op.f("ck_order_line_shipped"), "order_line", "shipped BETWEEN 0 AND quantity")
    op.drop_index("ix_refund_open", table_name="refund")
    for column in ("shipping_minor", "source", "key", "attempt"):
        op.drop_column("refund", column)
    for column in ("currency", "occurred_at"):
        op.drop_column("payment_event", column)
    for column in (
        "key", "capture", "capturable_minor", "capture_before", "captured_minor", "refunding_minor",
    ):  # fmt: skip
        op.drop_column("payment", column)
    _open_payments("'created','started'")
    _allow(UNTIL_NOW)
