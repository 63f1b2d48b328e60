"""What must hold after every committed step, each as one set-based query for what breaks it.

Written apart from the shop's own doctor on purpose: the two must agree.
"""

from sqlalchemy import Connection

OPEN_UNITS = "l.quantity - l.shipped - l.cancelled"

QUERIES = {
    "the ledger of stock adds up to the levels": """
        SELECT s.variant_id FROM stock_level s
        LEFT JOIN (SELECT variant_id, location_id, sum(on_hand_delta) h, sum(reserved_delta) r,
                          sum(committed_delta) c FROM stock_movement GROUP BY 1, 2) m
          USING (variant_id, location_id)
        WHERE (s.on_hand, s.reserved, s.committed)
              IS DISTINCT FROM (coalesce(m.h, 0), coalesce(m.r, 0), coalesce(m.c, 0))""",
    "what is reserved and committed is what orders hold": f"""
        SELECT s.variant_id FROM stock_level s
        LEFT JOIN (SELECT l.variant_id,
                          sum({OPEN_UNITS}) FILTER (WHERE o.status = 'pending') r,
                          sum({OPEN_UNITS}) FILTER (WHERE o.status = 'confirmed') c
                   FROM order_line l JOIN "order" o ON o.id = l.order_id GROUP BY 1) h
          USING (variant_id)
        WHERE (s.reserved, s.committed) IS DISTINCT FROM (coalesce(h.r, 0), coalesce(h.c, 0))""",
    "nothing is promised twice": """
        SELECT variant_id FROM stock_level
        WHERE NOT may_go_below AND on_hand < reserved + committed""",
    "each order's movements leave exactly what it holds": f"""
        SELECT coalesce(m.order_id, h.order_id)
        FROM (SELECT order_id, variant_id, sum(reserved_delta) r, sum(committed_delta) c,
                     -sum(on_hand_delta) FILTER (WHERE kind = 'ship') sent
              FROM stock_movement WHERE order_id IS NOT NULL GROUP BY 1, 2) m
        FULL JOIN (SELECT l.order_id, l.variant_id,
                          sum(CASE o.status WHEN 'pending' THEN {OPEN_UNITS} ELSE 0 END) r,
                          sum(CASE o.status WHEN 'confirmed' THEN {OPEN_UNITS} ELSE 0 END) c,
                          sum(l.shipped) sent
                   FROM order_line l JOIN "order" o ON o.id = l.order_id GROUP BY 1, 2) h
          ON h.order_id = m.order_id AND h.variant_id = m.variant_id
        WHERE (coalesce(m.r, 0), coalesce(m.c, 0), coalesce(m.sent, 0))
              IS DISTINCT FROM (coalesce(h.r, 0), coalesce(h.c, 0), coalesce(h.sent, 0))""",
    "no more comes back than was sent": """
        SELECT m.order_id FROM (SELECT order_id, variant_id, sum(on_hand_delta) units
                                FROM stock_movement WHERE kind = 'restock' GROUP BY 1, 2) m
        JOIN order_line l ON l.order_id = m.order_id AND l.variant_id = m.variant_id
        GROUP BY m.order_id, m.variant_id, m.units HAVING m.units > sum(l.shipped)""",
    "of the orders of one chain at most one is live": """
        SELECT min(id) FROM "order" WHERE status IN ('pending', 'confirmed', 'completed')
        GROUP BY chain_id HAVING count(*) > 1""",
    "shipments hold what lines say was shipped": """
        SELECT l.id FROM order_line l
        LEFT JOIN (SELECT order_line_id, sum(quantity) q FROM fulfilment_line GROUP BY 1) f
          ON f.order_line_id = l.id
        WHERE l.shipped <> coalesce(f.q, 0)""",
    "guards of a payment are sums of its events and refunds": """
        SELECT p.id FROM payment p
        WHERE p.captured_minor <> (SELECT coalesce(sum(amount_minor), 0) FROM payment_event
                                   WHERE payment_id = p.id AND kind = 'captured')
           OR p.refunding_minor <> (SELECT coalesce(sum(amount_minor), 0) FROM refund
                                    WHERE payment_id = p.id AND status <> 'failed')""",
    "what disputes took of a payment is the sum of its movements": """
        SELECT p.id FROM payment p
        WHERE p.withdrawn_minor <> (
            SELECT coalesce(sum(CASE kind WHEN 'dispute_withdrawn' THEN amount_minor
                                          WHEN 'dispute_reinstated' THEN -amount_minor END), 0)
            FROM payment_event WHERE payment_id = p.id)""",
    "an open dispute is somebody's task, and a closed one nobody's": """
        SELECT d.id FROM dispute d
        LEFT JOIN task t ON t.kind = 'dispute' AND t.reference = d.stripe_id
        WHERE (d.closed_at IS NULL AND t.id IS NULL)
           OR (d.closed_at IS NOT NULL AND t.id IS NOT NULL AND t.closed_at IS NULL)
           OR (d.closed_at IS NULL) <> (d.status NOT IN
                                        ('won', 'lost', 'warning_closed', 'prevented'))""",
    "refunds never exceed captures": """
        SELECT payment_id FROM payment_event GROUP BY payment_id
        HAVING coalesce(sum(amount_minor) FILTER (WHERE kind = 'refunded'), 0)
             - coalesce(sum(amount_minor) FILTER (WHERE kind = 'refund_failed'), 0)
             > coalesce(sum(amount_minor) FILTER (WHERE kind = 'captured'), 0)""",
    "a payment is taken once": """
        SELECT payment_id FROM payment_event WHERE kind = 'captured'
        GROUP BY payment_id HAVING count(*) > 1""",
    "refunds that are done are noted, and only they": """
        SELECT r.id FROM refund r
        LEFT JOIN (SELECT payment_id, reference,
                          sum(CASE kind WHEN 'refunded' THEN amount_minor
                                        ELSE -amount_minor END) given
                   FROM payment_event WHERE kind IN ('refunded', 'refund_failed') GROUP BY 1, 2) e
          ON e.payment_id = r.payment_id AND e.reference = r.stripe_id
        WHERE coalesce(e.given, 0) <> CASE r.status WHEN 'done' THEN r.amount_minor ELSE 0 END""",
    "an order says of its money what its events say": """
        SELECT o.id FROM "order" o
        LEFT JOIN LATERAL (
            SELECT coalesce(sum(e.a) FILTER (WHERE kind = 'captured'), 0) taken,
                   coalesce(sum(e.a) FILTER (WHERE kind = 'refunded'), 0)
                   - coalesce(sum(e.a) FILTER (WHERE kind = 'refund_failed'), 0) given,
                   coalesce(sum(CASE kind WHEN 'dispute_withdrawn' THEN e.a
                                          WHEN 'dispute_reinstated' THEN -e.a END)
                            FILTER (WHERE NOT is_open), 0) lost
            FROM (SELECT e.kind, e.amount_minor a, coalesce(d.closed_at IS NULL, false) is_open
                  FROM payment_event e JOIN payment p ON p.id = e.payment_id
                  LEFT JOIN dispute d ON d.id = e.dispute_id WHERE p.order_id = o.id) e) m ON true
        LEFT JOIN LATERAL (SELECT count(*) disputed FROM dispute d
                           JOIN payment p ON p.id = d.payment_id
                           WHERE p.order_id = o.id AND d.closed_at IS NULL
                             AND left(d.status, 7) <> 'warning') c ON true
        LEFT JOIN LATERAL (SELECT coalesce(sum(capturable_minor), 0) held FROM payment
                           WHERE order_id = o.id AND status = 'authorised') h ON true
        LEFT JOIN LATERAL (
            -- units cancelled before the money was taken: nobody owes them
            SELECT o.total_minor - coalesce(sum(div(u.units * (l.total_minor + CASE
                WHEN o.prices_include_tax THEN 0 ELSE l.tax_minor END), l.quantity)), 0) owed
            FROM (SELECT (x->>'line_id')::bigint line, sum((x->>'quantity')::int) units
                  FROM event off CROSS JOIN jsonb_array_elements(off.payload->'lines') x
                  WHERE off.order_id = o.id AND off.type = 'LinesCancelled'
                    AND EXISTS (SELECT FROM event paid WHERE paid.order_id = o.id
                                AND paid.type = 'OrderPaid' AND paid.id > off.id)
                    AND NOT EXISTS (SELECT FROM event paid WHERE paid.order_id = o.id
                                AND paid.type = 'OrderPaid' AND paid.id < off.id)
                  GROUP BY 1) u JOIN order_line l ON l.id = u.line) n ON true
        WHERE o.payment_status <> CASE
            WHEN disputed > 0 THEN 'disputed'
            WHEN taken = 0 AND owed = 0 AND o.status <> 'pending' THEN 'paid'
            WHEN taken = 0 AND held > 0 THEN 'authorised'
            WHEN taken = 0 AND EXISTS (SELECT FROM payment p WHERE p.order_id = o.id
                                       AND p.status = 'processing') THEN 'processing'
            WHEN taken = 0 THEN 'unpaid'
            WHEN taken - given - lost <= 0 THEN 'refunded'
            WHEN taken - given - lost > owed THEN 'overpaid'
            WHEN taken - given - lost = owed THEN 'paid'
            WHEN given + lost > 0 THEN 'partly_refunded'
            ELSE 'partly_paid' END""",
    "goods are only promised for money that came or is held": """
        SELECT o.id FROM "order" o
        WHERE o.status IN ('confirmed', 'completed') AND o.total_minor > 0
          AND NOT EXISTS (SELECT FROM payment_event e JOIN payment p ON p.id = e.payment_id
                          WHERE p.order_id = o.id AND e.kind IN ('captured', 'authorised'))""",
    "nothing is sent before its money is here": """
        SELECT o.id FROM "order" o
        WHERE o.fulfilment_status <> 'unfulfilled' AND o.total_minor > 0
          AND EXISTS (SELECT FROM order_line l
                      WHERE l.order_id = o.id AND l.shipped > 0 AND l.total_minor > 0)
          AND NOT EXISTS (SELECT FROM payment p
                          WHERE p.order_id = o.id AND p.captured_minor > 0)""",
    "money of an order that is off is back, on its way, disputed or a person's task": """
        SELECT p.id FROM payment p JOIN "order" o ON o.id = p.order_id
        WHERE o.status IN ('cancelled', 'expired', 'pending')
          AND p.captured_minor > p.refunding_minor
          AND o.close_reason NOT IN ('given back', 'money kept')  -- staff said how much
          AND NOT EXISTS (SELECT FROM dispute d WHERE d.payment_id = p.id)
          AND NOT EXISTS (SELECT FROM task t WHERE t.order_id = o.id)""",
    "lines add up to their order": """
        SELECT o.id FROM "order" o
        LEFT JOIN (SELECT order_id, sum(unit_price_minor * quantity) gross, sum(discount_minor) d,
                          sum(quantity) units FROM order_line GROUP BY 1) l ON l.order_id = o.id
        WHERE (o.subtotal_minor, o.discount_minor, o.item_count)
              IS DISTINCT FROM (l.gross, l.d, l.units)""",
    "a line never refunds more units or money than it had": """
        SELECT l.id FROM order_line l
        LEFT JOIN (SELECT order_line_id, sum(q) q, sum(a) a, sum(t) t FROM (
                       SELECT x.order_line_id, x.quantity q, x.amount_minor a, x.tax_minor t
                       FROM refund_line x JOIN refund r ON r.id = x.refund_id
                       WHERE r.status <> 'failed'
                       UNION ALL SELECT order_line_id, quantity, 0, 0 FROM order_return_line) y
                   GROUP BY 1) b ON b.order_line_id = l.id
        JOIN "order" o ON o.id = l.order_id
        WHERE l.refunded <> coalesce(b.q, 0) OR coalesce(b.t, 0) > l.tax_minor
           OR coalesce(b.a, 0) > l.total_minor
                                 + CASE WHEN o.prices_include_tax THEN 0 ELSE l.tax_minor END""",
    "shipping never goes back twice": """
        SELECT o.id FROM "order" o JOIN payment p ON p.order_id = o.id
        JOIN refund r ON r.payment_id = p.id AND r.status <> 'failed'
        GROUP BY o.id HAVING sum(r.shipping_minor) > o.shipping_minor
            + CASE WHEN o.prices_include_tax THEN 0 ELSE o.shipping_tax_minor END""",
    "uses of a discount are counted exactly and stay within limits": """
        SELECT d.id FROM discount d
        LEFT JOIN (SELECT discount_id, count(*) n FROM redemption
                   WHERE released_at IS NULL GROUP BY 1) r ON r.discount_id = d.id
        WHERE d.used <> coalesce(r.n, 0) OR d.used > d.limit_total""",
    "uses of a code are counted exactly and stay within limits": """
        SELECT c.id FROM discount_code c
        LEFT JOIN (SELECT code_id, count(*) n FROM redemption
                   WHERE released_at IS NULL GROUP BY 1) r ON r.code_id = c.id
        WHERE c.used <> coalesce(r.n, 0) OR c.used > c.limit_total""",
    "uses by a customer are counted exactly and stay within limits": """
        SELECT d.id FROM discount d JOIN (
            SELECT discount_id, holder, count(*) n
            FROM redemption CROSS JOIN unnest(holders) AS u (holder)
            WHERE released_at IS NULL GROUP BY 1, 2) r ON r.discount_id = d.id
        LEFT JOIN discount_holder h ON h.discount_id = d.id AND h.holder = r.holder
        WHERE coalesce(h.used, 0) <> r.n OR r.n > d.limit_per_customer""",
    "an order that is off has given its discounts back, and no other has": """
        SELECT r.id FROM redemption r JOIN "order" o ON o.id = r.order_id
        WHERE (o.status IN ('cancelled', 'expired')) <> (r.released_at IS NOT NULL)
          AND r.honoured_at IS NULL""",
    "what an order took off is what its discounts gave": """
        SELECT o.id FROM "order" o
        LEFT JOIN (SELECT order_id, sum(amount_minor) a FROM redemption GROUP BY 1) r
          ON r.order_id = o.id
        WHERE o.discount_minor <> coalesce(r.a, 0)""",
    "one receipt for each reported paid order": """
        SELECT e.order_id FROM event e WHERE e.type = 'OrderPaid'
          AND EXISTS (SELECT FROM delivery d WHERE d.event_id = e.id AND d.reaction = 'send_receipt'
                      AND d.state = 'done')
          AND (SELECT count(*) FROM mail_message m
               WHERE m.key = 'receipt:' || e.order_id) <> 1""",
    "no reaction is given up": "SELECT id FROM delivery WHERE state = 'dead'",
}


def _quoted(name: str) -> str:
    return name.replace("'", "''")


_ALL = "\nUNION ALL\n".join(
    f"SELECT '{_quoted(name)}' AS rule, CAST(b AS text) AS row FROM ({query}) AS b"
    for name, query in QUERIES.items()
)


def prepare(connection: Connection) -> None:
    """Plan the statement once for this connection: planning takes ten times as long as asking."""
    connection.exec_driver_sql(f"PREPARE broken AS {_ALL}")


def broken(connection: Connection) -> list[tuple[str, str]]:
    """Every rule that does not hold, with the row that breaks it. One statement."""
    return [(rule, row) for rule, row in connection.exec_driver_sql("EXECUTE broken")]
