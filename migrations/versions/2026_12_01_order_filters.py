"""Each filter and tab of the orders desk has an index, and orders are found by postal code, too."""

from alembic import op

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None

NEWEST = "placed_at DESC, id DESC"
INDEXES = {
    "ix_order_status": f'"order" (status, {NEWEST})',
    "ix_order_payment_status": f'"order" (payment_status, {NEWEST})',
    "ix_order_fulfilment_status": f'"order" (fulfilment_status, {NEWEST})',
    "ix_order_shipping_method": f'"order" (shipping_method, {NEWEST})',
    "ix_order_country": f"\"order\" ((shipping_address ->> 'country'), {NEWEST})",
    "ix_order_total_minor": '"order" (total_minor, id)',
    "ix_order_to_pack": f'''"order" ({NEWEST}) WHERE status IN ('confirmed')
        AND fulfilment_status IN ('unfulfilled') AND processing_at IS NULL''',
    "ix_order_processing": f'''"order" ({NEWEST}) WHERE status IN ('confirmed')
        AND fulfilment_status IN ('unfulfilled') AND processing_at IS NOT NULL''',
    "ix_order_closed": f'''"order" ({NEWEST}) WHERE status IN ('cancelled', 'expired')''',
    "ix_order_line_product_id": "order_line (product_id)",
    "ix_order_line_sku_folded": "order_line (shop_fold(sku))",
    "ix_fulfilment_tracking_number_folded":
        "fulfilment USING gin (shop_fold(tracking_number) gin_trgm_ops)",
    "ix_task_open": "task (order_id) WHERE closed_at IS NULL",
}  # fmt: skip
SEARCHED = "number || ' ' || email::text || ' ' || customer_name"
POSTAL_CODE = " || ' ' || COALESCE(shipping_address ->> 'postal_code', '')"


def upgrade() -> None:
    _search(SEARCHED + POSTAL_CODE)
    for name, what in INDEXES.items():
        op.execute(f"CREATE INDEX {name} ON {what}")
    op.execute("DROP INDEX ix_order_open")


def downgrade() -> None:
    op.execute(
        'CREATE INDEX ix_order_open ON "order" (status, payment_status, fulfilment_status)'
    )
    for name in INDEXES:
        op.execute(f"DROP INDEX {name}")
    _search(SEARCHED)


def _search(text: str) -> None:
    op.execute('ALTER TABLE "order" DROP COLUMN searched')  # takes its index along
    op.execute(
        f"""
        ALTER TABLE "order" ADD COLUMN searched text NOT NULL
            GENERATED ALWAYS AS (shop_fold({text})) STORED
        """
    )
    op.execute('CREATE INDEX ix_order_search_trgm ON "order" USING gin (searched gin_trgm_ops)')
