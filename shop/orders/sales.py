"""Units sold and taken back, written down on the day it happens: what reports are sums over.

The entries of a line add up to the units of it that were paid for and neither cancelled nor
refunded. Rows are never changed, so a figure of a past day never moves.
"""

from collections.abc import Mapping

from sqlalchemy import text

from shop.core import clock
from shop.core.db import session
from shop.orders.models import Order, OrderLine

# How many units of a line (l) of a paid order (o) are sold now; ``s.sold`` were when it was paid.
# Units that were cancelled before that were never sold. A unit that was cancelled and refunded is
# gone once.
UNITS_STILL_SOLD = """
    CASE WHEN o.status = 'cancelled' THEN 0 ELSE greatest(0, l.quantity - greatest(
        l.cancelled, l.refunded + l.quantity - coalesce(s.sold, l.quantity - l.cancelled))) END
"""
# Amounts are the line's price after discounts, rounded down as refunds are.
_RECORD = f"""
INSERT INTO sale_entry
    (order_id, order_line_id, product_id, kind, units, amount_minor, currency, at)
SELECT l.order_id, l.id, l.product_id,
    CASE WHEN s.units IS NULL THEN 'sold' WHEN u.units < s.units THEN 'reversed'
         ELSE 'restored' END,
    u.units - coalesce(s.units, 0),
    l.total_minor::bigint * u.units / l.quantity - coalesce(s.amount, 0), o.currency, :at
FROM "order" o
JOIN order_line l ON l.order_id = o.id
LEFT JOIN (
    SELECT order_line_id, sum(units) AS units, sum(amount_minor) AS amount,
        sum(units) FILTER (WHERE kind = 'sold') AS sold
    FROM sale_entry WHERE order_id = :order_id GROUP BY order_line_id
) s ON s.order_line_id = l.id
CROSS JOIN LATERAL (SELECT {UNITS_STILL_SOLD} AS units) u
WHERE o.id = :order_id AND o.paid_at IS NOT NULL AND u.units <> coalesce(s.units, 0)
ORDER BY l.id
"""
_RECORD_ONLY = text(_RECORD)
# What "most popular" sorts by is counted in the same statement.
_COUNT_TOO = text(f"""
WITH counted AS (
    UPDATE product p SET sold_count = greatest(0, p.sold_count + c.units)
    FROM (SELECT product_id, sum(units) AS units
          FROM unnest(CAST(:products AS bigint[]), CAST(:units AS integer[]))
              AS u (product_id, units)
          GROUP BY product_id ORDER BY product_id) c
    WHERE p.id = c.product_id
)
{_RECORD}
""")


def record_sales(order: Order) -> None:
    """Write down what changed of the units sold, now. Whoever calls this has locked the order.

    Nothing for an order that was never paid; safe to repeat. One statement.
    """
    session.flush()
    session.execute(_RECORD_ONLY, {"order_id": order.id, "at": clock.now()})


def count_sales(order: Order, units: Mapping[OrderLine, int]) -> None:
    """As ``record_sales``, and add ``units`` to what the products count as sold, for sorting by
    popularity: that counts from when the stock is committed. One statement."""
    session.flush()
    session.execute(
        _COUNT_TOO,
        {
            "order_id": order.id,
            "at": clock.now(),
            "products": [line.product_id for line in units],
            "units": list(units.values()),
        },
    )
