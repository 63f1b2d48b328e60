"""Long unpaid holds, as of a voucher, count until they end and within the last 24 hours."""

from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None

# Of 0016 but for the three lines that are filled in.
_FUNCTION = r"""
    CREATE OR REPLACE FUNCTION unpaid_holds(
        p_email text, p_customer bigint, p_cart bigint, p_network text, p_variants bigint[],
        p_now timestamptz, p_since timestamptz, p_seconds integer, p_crowd integer
    ) RETURNS TABLE (waiting bigint, waiting_until timestamptz, variant_id bigint,
                     again_at timestamptz)
    LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM pg_advisory_xact_lock(hashtextextended(
            coalesce('account:' || p_customer, 'email:' || p_email), 7));
        SELECT count(*), min(o.expires_at) INTO waiting, waiting_until
        FROM "order" o
        WHERE o.status = 'pending' AND o.payment_status = 'unpaid' AND o.expires_at > p_now
            AND o.cart_id IS DISTINCT FROM p_cart
            AND CASE WHEN p_customer IS NULL THEN o.customer_id IS NULL
                ELSE o.customer_id = p_customer END
            AND (p_customer IS NOT NULL OR
                 regexp_replace(lower(o.email::text), '\+[^@]*@', '@') = p_email);
        IF cardinality(p_variants) = 0 THEN
            RETURN NEXT;
            RETURN;
        END IF;
        SELECT l.variant_id, min(%(again)s) INTO variant_id, again_at
        FROM "order" o
        JOIN order_line l ON l.order_id = o.id AND l.variant_id = ANY (p_variants)
        WHERE o.id IN (
                SELECT c.id FROM "order" c WHERE c.cart_id = p_cart
                UNION
                SELECT c.id FROM "order" c WHERE c.customer_id = p_customer
                UNION
                SELECT c.id FROM "order" c WHERE p_customer IS NULL AND c.customer_id IS NULL
                    AND regexp_replace(lower(c.email::text), '\+[^@]*@', '@') = p_email)
            AND %(recent)s AND o.paid_at IS NULL AND o.payment_status = 'unpaid'
            AND o.status IN ('pending', 'expired', 'cancelled')
        GROUP BY l.variant_id
        HAVING sum(extract(epoch FROM %(end)s - %(begin)s)) >= p_seconds
        ORDER BY l.variant_id LIMIT 1;
        IF variant_id IS NULL AND p_customer IS NULL AND p_network <> '' THEN
            SELECT l.variant_id, min(o.placed_at) INTO variant_id, again_at
            FROM "order" o
            JOIN order_line l ON l.order_id = o.id AND l.variant_id = ANY (p_variants)
            WHERE o.placed_from = p_network AND o.closed_at > p_since AND o.paid_at IS NULL
                AND (o.status = 'expired'
                     OR o.status = 'cancelled' AND o.close_reason = 'customer')
            GROUP BY l.variant_id
            HAVING count(*) >= p_crowd AND count(*) > (
                SELECT count(*) FROM "order" p JOIN order_line pl ON pl.order_id = p.id
                WHERE p.placed_from = p_network AND p.placed_from <> ''
                    AND p.paid_at > p_since AND pl.variant_id = l.variant_id)
            ORDER BY l.variant_id LIMIT 1;
        END IF;
        RETURN NEXT;
    END $$
"""
_END = "least(coalesce(o.closed_at, p_now), o.expires_at, p_now)"


def upgrade() -> None:
    longest = "make_interval(secs => p_seconds)"
    parts = {
        "end": _END,
        "begin": "greatest(o.placed_at, p_since)",
        "recent": f"{_END} > p_since",
        "again": f"greatest(o.placed_at, {_END} - {longest})",
    }
    op.execute(_FUNCTION % parts)


def downgrade() -> None:
    parts = {
        "end": _END,
        "begin": "o.placed_at",
        "recent": "o.placed_at > p_since",
        "again": "o.placed_at",
    }
    op.execute(_FUNCTION % parts)
