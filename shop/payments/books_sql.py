"""The rules of ``balance`` and ``refundable`` in SQL, for whoever checks all orders at once.

``shop/doctor`` compares with them what the code has written, order by order; its tests do so for an
order in each situation, so that neither side changes alone.
"""

from shop.core.choices import sql_list
from shop.payments.models import CLOSED_DISPUTES, INQUIRIES

CLOSED = sql_list(*CLOSED_DISPUTES)
# A status that is in neither list counts as an open dispute, as in ``Dispute``.
DECIDED = sql_list(*CLOSED_DISPUTES, *INQUIRIES)
# What disputes took of a payment and did not bring back; the kinds dispute_opened, dispute_won and
# dispute_lost are those of disputes before November 2026.
WITHDRAWN = """
    coalesce(sum(CASE e.kind WHEN 'dispute_withdrawn' THEN e.amount_minor
                             WHEN 'dispute_reinstated' THEN -e.amount_minor
                             WHEN 'dispute_lost' THEN e.amount_minor END), 0)
    + greatest(0, coalesce(sum(CASE e.kind WHEN 'dispute_opened' THEN e.amount_minor
                                           WHEN 'dispute_won' THEN -e.amount_minor
                                           WHEN 'dispute_lost' THEN -e.amount_minor END), 0))
"""
# What the money events of an order's own currency add up to, of orders placed ``:since``.
BALANCE = f"""
    SELECT order_id, sum(captured) AS captured, sum(refunded) AS refunded,
        sum(withdrawn) AS withdrawn, sum(withdrawn - disputed) AS lost,
        sum(CASE WHEN authorised > 0 THEN greatest(0, authorised - captured - cancelled) ELSE 0
            END) AS authorised
    FROM (
        SELECT p.order_id, e.payment_id,
            coalesce(sum(e.amount_minor) FILTER (WHERE e.kind = 'captured'), 0) AS captured,
            coalesce(sum(e.amount_minor) FILTER (WHERE e.kind = 'authorised'), 0) AS authorised,
            coalesce(sum(e.amount_minor) FILTER (WHERE e.kind = 'cancelled'), 0) AS cancelled,
            coalesce(sum(e.amount_minor) FILTER (WHERE e.kind = 'refunded'), 0)
                - coalesce(sum(e.amount_minor) FILTER (WHERE e.kind = 'refund_failed'), 0)
                AS refunded,
            {WITHDRAWN} AS withdrawn,
            coalesce(sum(CASE WHEN e.kind IN ('dispute_withdrawn', 'dispute_opened')
                              THEN e.amount_minor
                              WHEN e.kind IN ('dispute_reinstated', 'dispute_won')
                              THEN -e.amount_minor END)
                FILTER (WHERE d.status NOT IN ({CLOSED})), 0)
                AS disputed
        FROM payment_event e JOIN payment p ON p.id = e.payment_id
        JOIN "order" o ON o.id = p.order_id AND o.currency = e.currency
        LEFT JOIN dispute d ON d.id = e.dispute_id
        WHERE o.placed_at >= :since
        GROUP BY p.order_id, e.payment_id
    ) one GROUP BY order_id
"""

# What a line (l), and the delivery, of an order (o) cost the customer, tax included.
GROSS = "(l.total_minor + CASE WHEN o.prices_include_tax THEN 0 ELSE l.tax_minor END)"
SHIPPING = (
    "(o.shipping_minor + CASE WHEN o.prices_include_tax THEN 0 ELSE o.shipping_tax_minor END)"
)
# What units cost that were called off while the money of their order was only held: not owed.
NEVER_OWED = f"""
    SELECT l.order_id, sum({GROSS} * u.units / l.quantity) AS amount
    FROM (
        SELECT (part->>'line_id')::bigint AS line_id, sum((part->>'quantity')::int) AS units
        FROM event e, jsonb_array_elements(e.payload->'lines') AS part
        WHERE e.type = 'LinesCancelled'
            AND e.order_id IN (SELECT order_id FROM payment WHERE capture = 'manual')
            AND e.id < (SELECT min(p.id) FROM event p
                        WHERE p.order_id = e.order_id AND p.type = 'OrderPaid')
        GROUP BY 1
    ) u
    JOIN order_line l ON l.id = u.line_id JOIN "order" o ON o.id = l.order_id
    GROUP BY l.order_id
"""
# The payment status of an order (o) with its balance (b), by what was kept and what is owed (k).
STATUS = f"""
    CASE
    WHEN EXISTS (SELECT FROM dispute d JOIN payment p ON p.id = d.payment_id
                 WHERE p.order_id = o.id AND b.order_id = o.id
                     AND d.status NOT IN ({DECIDED}))
        THEN 'disputed'
    WHEN coalesce(b.captured, 0) = 0 AND k.owed = 0 THEN 'paid'
    WHEN coalesce(b.captured, 0) = 0 AND b.authorised > 0 THEN 'authorised'
    WHEN coalesce(b.captured, 0) = 0 AND EXISTS (
        SELECT FROM payment p WHERE p.order_id = o.id AND p.status = 'processing')
        THEN 'processing'
    WHEN coalesce(b.captured, 0) = 0 THEN 'unpaid'
    WHEN kept <= 0 THEN 'refunded'
    WHEN kept > owed THEN 'overpaid'
    WHEN kept = owed THEN 'paid'
    WHEN kept < b.captured THEN 'partly_refunded'
    ELSE 'partly_paid' END
"""
