"""Money of disputes is counted by Stripe's balance transactions, in both directions.

Rows of disputes that were decided before keep their kinds and what they mean; what was still held
back counts as withdrawn from today on, so that no figure of a past month moves.
"""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

OLD_KINDS = (
    "'authorised','captured','failed','cancelled','refunded','refund_failed',"
    "'dispute_opened','dispute_won','dispute_lost','fee'"
)
NEW_KINDS = f"{OLD_KINDS},'dispute_withdrawn','dispute_reinstated','fee_returned'"


def _allow(kinds: str) -> None:
    op.execute("ALTER TABLE payment_event DROP CONSTRAINT ck_payment_event_kind")
    op.execute(
        "ALTER TABLE payment_event ADD CONSTRAINT ck_payment_event_kind"
        f" CHECK (kind IN ({kinds}))"
    )


def _rewrite(*statements: str) -> None:
    op.execute("ALTER TABLE payment_event DISABLE TRIGGER payment_event_insert_only")
    for statement in statements:
        op.execute(statement)
    op.execute("ALTER TABLE payment_event ENABLE TRIGGER payment_event_insert_only")


def upgrade() -> None:
    _allow(NEW_KINDS)
    op.add_column("dispute", sa.Column("checked_at", sa.DateTime(timezone=True)))
    op.add_column(
        "dispute",
        sa.Column(
            "is_charge_refundable", sa.Boolean(), server_default=sa.text("false"), nullable=False
        ),
    )
    # Until now, inquiries never kept anybody from giving money back.
    op.execute("UPDATE dispute SET is_charge_refundable = status LIKE 'warning%'")
    op.add_column("payment_event", sa.Column("dispute_id", sa.BigInteger()))
    op.create_foreign_key(
        op.f("fk_payment_event_dispute_id"), "payment_event", "dispute", ["dispute_id"], ["id"]
    )
    op.create_index(
        "ix_payment_event_dispute_id",
        "payment_event",
        ["dispute_id"],
        postgresql_where=sa.text("dispute_id IS NOT NULL"),
    )
    _rewrite(
        "UPDATE payment_event e SET dispute_id = d.id FROM dispute d"
        " WHERE d.payment_id = e.payment_id AND d.stripe_id = e.reference"
        " AND e.kind IN ('dispute_opened','dispute_won','dispute_lost','fee')",
        "UPDATE payment_event e SET kind = 'dispute_withdrawn', at = now() FROM dispute d"
        " WHERE d.id = e.dispute_id AND e.kind = 'dispute_opened'"
        " AND d.status NOT IN ('won','lost')",
    )
    op.add_column(
        "payment", sa.Column("withdrawn_minor", sa.Integer(), server_default="0", nullable=False)
    )
    op.execute("""
        UPDATE payment p SET withdrawn_minor = s.withdrawn FROM (
            SELECT payment_id,
                coalesce(sum(amount_minor) FILTER (WHERE kind = 'dispute_withdrawn'), 0)
                + coalesce(sum(amount_minor) FILTER (WHERE kind = 'dispute_lost'), 0)
                + greatest(0, coalesce(sum(CASE kind WHEN 'dispute_opened' THEN amount_minor
                                                     ELSE -amount_minor END)
                    FILTER (WHERE kind IN ('dispute_opened','dispute_won','dispute_lost')), 0))
                AS withdrawn
            FROM payment_event GROUP BY payment_id
        ) s WHERE s.payment_id = p.id
    """)
    op.execute("""
        CREATE FUNCTION count_withdrawn() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            UPDATE payment SET withdrawn_minor = withdrawn_minor
                + CASE NEW.kind WHEN 'dispute_withdrawn' THEN NEW.amount_minor
                                ELSE -NEW.amount_minor END
            WHERE id = NEW.payment_id;
            RETURN NULL;
        END $$
    """)
    op.execute(
        "CREATE TRIGGER payment_event_withdrawn AFTER INSERT ON payment_event FOR EACH ROW"
        " WHEN (NEW.kind IN ('dispute_withdrawn', 'dispute_reinstated'))"
        " EXECUTE FUNCTION count_withdrawn()"
    )


def downgrade() -> None:
    op.execute("DROP TRIGGER payment_event_withdrawn ON payment_event")
    op.execute("DROP FUNCTION count_withdrawn()")
    op.drop_column("payment", "withdrawn_minor")
    _rewrite(
        # What the older version did not know: fees that came back.
        "DELETE FROM payment_event WHERE kind = 'fee_returned'",
        "INSERT INTO payment_event"
        " (payment_id, kind, amount_minor, currency, reference, at, occurred_at)"
        " SELECT e.payment_id, 'dispute_lost', greatest(0, sum(CASE e.kind"
        "   WHEN 'dispute_withdrawn' THEN e.amount_minor ELSE -e.amount_minor END)),"
        "   min(e.currency), d.stripe_id, now(), now()"
        " FROM payment_event e JOIN dispute d ON d.id = e.dispute_id AND d.status = 'lost'"
        " WHERE e.kind IN ('dispute_withdrawn', 'dispute_reinstated')"
        " GROUP BY e.payment_id, d.stripe_id ON CONFLICT DO NOTHING",
        "UPDATE payment_event SET kind = CASE kind WHEN 'dispute_withdrawn' THEN 'dispute_opened'"
        " ELSE 'dispute_won' END WHERE kind IN ('dispute_withdrawn', 'dispute_reinstated')",
    )
    op.drop_index("ix_payment_event_dispute_id", table_name="payment_event")
    op.drop_constraint(op.f("fk_payment_event_dispute_id"), "payment_event")
    op.drop_column("payment_event", "dispute_id")
    op.drop_column("dispute", "is_charge_refundable")
    op.drop_column("dispute", "checked_at")
    _allow(OLD_KINDS)
