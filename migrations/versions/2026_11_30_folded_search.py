"""Searches fold case and accents, by an index where the table grows large."""

from alembic import op

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None

INDEXES = {
    "product": ("name",),
    "variant": ("sku",),
    "customer": ("name", "email::text"),
    "mail_message": ("recipient", "subject"),
}


def upgrade() -> None:
    op.execute(
        """
        CREATE FUNCTION shop_fold(text) RETURNS text
        LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
        RETURN lower(public.unaccent('public.unaccent'::regdictionary, $1))
        """
    )
    op.execute('ALTER TABLE "order" DROP COLUMN searched')  # takes its index along
    op.execute(
        """
        ALTER TABLE "order" ADD COLUMN searched text NOT NULL GENERATED ALWAYS AS
            (shop_fold(number || ' ' || email::text || ' ' || customer_name)) STORED
        """
    )
    op.execute('CREATE INDEX ix_order_search_trgm ON "order" USING gin (searched gin_trgm_ops)')
    for table, columns in INDEXES.items():
        for column in columns:
            name = f"ix_{table}_{column.partition('::')[0]}_folded"
            op.execute(
                f"CREATE INDEX {name} ON {table} USING gin (shop_fold({column}) gin_trgm_ops)"
            )


def downgrade() -> None:
    for table, columns in INDEXES.items():
        for column in columns:
            op.execute(f"DROP INDEX ix_{table}_{column.partition('::')[0]}_folded")
    op.execute('ALTER TABLE "order" DROP COLUMN searched')
    op.execute(
        """
        ALTER TABLE "order" ADD COLUMN searched text NOT NULL GENERATED ALWAYS AS
            (number || ' ' || email::text || ' ' || customer_name) STORED
        """
    )
    op.execute('CREATE INDEX ix_order_search_trgm ON "order" USING gin (searched gin_trgm_ops)')
    op.execute("DROP FUNCTION shop_fold(text)")
