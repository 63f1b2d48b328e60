"""What must hold of money: payments, refunds, disputes, and what a person must be asked about."""

from datetime import timedelta

from shop.core.i18n import lazy_gettext
from shop.doctor.checks import Check
from shop.orders.sales import UNITS_STILL_SOLD
from shop.payments.books_sql import BALANCE, CLOSED, GROSS, NEVER_OWED, SHIPPING, STATUS, WITHDRAWN
from shop.payments.refund_news import CONFIRMED_WITHIN, ENDED_WITHIN

_CONFIRMED_WITHIN, _ENDED_WITHIN = (
    f"interval '{limit // timedelta(seconds=1)} seconds'"
    for limit in (CONFIRMED_WITHIN, ENDED_WITHIN)
)

CHECKS = (
    Check(
        id="captured",
        invariant="I9",
        title=lazy_gettext("What a payment took is the sum of its money events"),
        why=lazy_gettext("The limit for refunds is counted from it."),
        todo=lazy_gettext(
            "Compare it with Stripe (`flask shop doctor --stripe`), then correct the guard."
        ),
        about="order",
        sql="""
        SELECT o.id, o.number AS name, format('payment %s says %s, its events say %s',
            p.id, p.captured_minor, coalesce(e.amount, 0)) AS fact
        FROM payment p JOIN "order" o ON o.id = p.order_id
        LEFT JOIN (SELECT payment_id, sum(amount_minor) AS amount FROM payment_event
                   WHERE kind = 'captured' GROUP BY payment_id) e ON e.payment_id = p.id
        WHERE p.captured_minor <> coalesce(e.amount, 0) AND o.placed_at >= :since
        """,
    ),
    Check(
        id="refunding",
        invariant="I9",
        title=lazy_gettext("The refunded amount of a payment is the sum of its refunds"),
        why=lazy_gettext("Without this guard a refund may exceed what was taken."),
        todo=lazy_gettext(
            "Compare it with Stripe (`flask shop doctor --stripe`), then correct the guard."
        ),
        about="order",
        sql="""
        SELECT o.id, o.number AS name, format('payment %s says %s, its refunds say %s',
            p.id, p.refunding_minor, coalesce(r.amount, 0)) AS fact
        FROM payment p JOIN "order" o ON o.id = p.order_id
        LEFT JOIN (SELECT payment_id, sum(amount_minor) AS amount FROM refund
                   WHERE status <> 'failed' GROUP BY payment_id) r ON r.payment_id = p.id
        WHERE p.refunding_minor <> coalesce(r.amount, 0) AND o.placed_at >= :since
        """,
    ),
    Check(
        id="withdrawn",
        invariant="I9",
        title=lazy_gettext("What disputes took of a payment is the sum of its money events"),
        why=lazy_gettext("What can be refunded is counted from it."),
        todo=lazy_gettext(
            "Compare it with Stripe (`flask shop doctor --stripe`), then correct the guard."
        ),
        about="order",
        sql=f"""
        SELECT o.id, o.number AS name, format('payment %s says %s, its events say %s',
            p.id, p.withdrawn_minor, e.amount) AS fact
        FROM payment p JOIN "order" o ON o.id = p.order_id
        JOIN (SELECT e.payment_id, {WITHDRAWN} AS amount FROM payment_event e
              GROUP BY e.payment_id) e ON e.payment_id = p.id
        WHERE p.withdrawn_minor <> e.amount AND o.placed_at >= :since
        """,
    ),
    Check(
        id="refunds-within",
        invariant="I9",
        title=lazy_gettext("No payment refunds more than it captured, or in another currency"),
        why=lazy_gettext("That is the shop's own money."),
        todo=lazy_gettext(
            "Stop the refunds that were not sent yet, and look the payment up at Stripe."
        ),
        about="order",
        sql="""
        SELECT o.id, o.number AS name, format('payment %s took %s and gives back %s %s',
            p.id, coalesce(e.amount, 0), r.amount, r.currency) AS fact
        FROM (SELECT payment_id, currency, sum(amount_minor) AS amount FROM refund
              WHERE status <> 'failed' GROUP BY payment_id, currency) r
        JOIN payment p ON p.id = r.payment_id JOIN "order" o ON o.id = p.order_id
        LEFT JOIN (SELECT payment_id, currency, sum(amount_minor) AS amount FROM payment_event
                   WHERE kind = 'captured' GROUP BY payment_id, currency) e
            ON e.payment_id = r.payment_id AND e.currency = r.currency
        WHERE r.amount > coalesce(e.amount, 0) AND o.placed_at >= :since
        """,
    ),
    Check(
        id="payment-amount",
        invariant="I7",
        title=lazy_gettext("Every attempt asks for exactly what its order costs"),
        why=lazy_gettext("The customer would be charged something else than was agreed."),
        todo=lazy_gettext(
            "Cancel the attempt at Stripe if it is open; otherwise refund the difference."
        ),
        about="order",
        sql="""
        SELECT o.id, o.number AS name, format('payment %s asks for %s %s, the order costs %s %s',
            p.id, p.amount_minor, p.currency, o.total_minor, o.currency) AS fact
        FROM payment p JOIN "order" o ON o.id = p.order_id
        WHERE (p.amount_minor, p.currency) IS DISTINCT FROM (o.total_minor, o.currency)
            AND o.placed_at >= :since
        """,
    ),
    Check(
        id="payment-state",
        invariant="I7",
        title=lazy_gettext("The status of a payment is what its money events say"),
        why=lazy_gettext("The status decides whether money is waited for, captured or released."),
        todo=lazy_gettext("`flask shop reconcile` asks Stripe how it stands."),
        about="order",
        sql="""
        SELECT o.id, o.number AS name, format('payment %s is %s, but its events say otherwise',
            p.id, p.status) AS fact
        FROM payment p JOIN "order" o ON o.id = p.order_id
        LEFT JOIN (
            SELECT payment_id, bool_or(kind = 'captured') AS captured,
                bool_or(kind = 'authorised') AND NOT bool_or(kind <> 'authorised') AS held
            FROM payment_event WHERE kind IN ('captured', 'authorised', 'cancelled')
            GROUP BY payment_id
        ) e ON e.payment_id = p.id
        WHERE o.placed_at >= :since AND (
            (p.status = 'succeeded') <> coalesce(e.captured, false)
            OR (p.status = 'authorised') <> coalesce(e.held, false)
            OR p.status <> 'authorised' AND p.capturable_minor > 0)
        """,
    ),
    Check(
        id="paid-in-full",
        invariant="I7",
        title=lazy_gettext("Stock is committed only for orders that are paid or authorised"),
        why=lazy_gettext("The shop would ship goods that nobody paid for."),
        todo=lazy_gettext("Do not ship it. Look the order up at Stripe, then sync or cancel it."),
        about="order",
        sql=f"""
        SELECT o.id, o.number AS name, format('%s of %s %s came, and the order is %s',
            coalesce(m.captured, 0), o.total_minor, o.currency, o.status) AS fact
        FROM "order" o
        LEFT JOIN (
            SELECT p.order_id,
                sum(e.amount_minor) FILTER (WHERE e.kind = 'captured') AS captured,
                bool_or(p.capture = 'manual' AND p.status IN ('authorised', 'succeeded')) AS held
            FROM payment p JOIN payment_event e ON e.payment_id = p.id
            WHERE e.currency = p.currency GROUP BY p.order_id
        ) m ON m.order_id = o.id
        LEFT JOIN ({NEVER_OWED}) n ON n.order_id = o.id
        WHERE o.status IN ('confirmed', 'completed') AND o.placed_at >= :since
            AND coalesce(m.captured, 0) < o.total_minor AND NOT coalesce(m.held, false)
            AND coalesce(n.amount, 0) < o.total_minor
            AND NOT EXISTS (SELECT FROM task t
                            WHERE t.order_id = o.id AND t.kind = 'authorisation_ended')
        """,
    ),
    Check(
        id="orphan-money",
        invariant="I8",
        title=lazy_gettext(
            "All money that came belongs to an order, is being refunded, or has a task"
        ),
        why=lazy_gettext("A customer paid and gets neither goods nor money."),
        todo=lazy_gettext("Refund it in the order, or settle it with the customer."),
        about="order",
        sql=f"""
        SELECT o.id, o.number AS name, format(
            '%s %s stay with us; the order costs %s and is %s', b.captured - b.withdrawn - r.amount,
            o.currency, o.total_minor, o.status) AS fact
        FROM ({BALANCE}) b JOIN "order" o ON o.id = b.order_id
        JOIN (SELECT order_id, sum(refunding_minor) AS amount FROM payment GROUP BY order_id) r
            ON r.order_id = o.id
        LEFT JOIN ({NEVER_OWED}) n ON n.order_id = o.id
        WHERE b.captured - b.withdrawn - r.amount > CASE
                WHEN o.status IN ('confirmed', 'completed')
                    THEN o.total_minor - coalesce(n.amount, 0)
                -- Staff cancelled a paid order and kept the money: they were asked.
                WHEN o.status = 'cancelled' AND o.paid_at <= o.closed_at
                    THEN o.total_minor - coalesce(n.amount, 0)
                ELSE 0 END
            AND NOT EXISTS (SELECT FROM task t WHERE t.order_id = o.id
                            AND t.kind IN ('amount_differs', 'refund_failed'))
        """,
    ),
    Check(
        id="amount-differs-task",
        invariant="I8",
        title=lazy_gettext("Every amount that differs from its order has a task"),
        why=lazy_gettext(
            "It does not count as paid, and nothing happens unless somebody decides."
        ),
        todo=lazy_gettext("Refund it in the order, or settle it with the customer."),
        about="order",
        sql="""
        SELECT o.id, o.number AS name, format('Stripe has %s %s, the order costs %s %s',
            e.amount_minor, e.currency, o.total_minor, o.currency) AS fact
        FROM payment_event e JOIN payment p ON p.id = e.payment_id
        JOIN "order" o ON o.id = p.order_id
        WHERE e.kind = CASE p.capture WHEN 'manual' THEN 'authorised' ELSE 'captured' END
            AND (e.amount_minor, e.currency) <> (o.total_minor, o.currency)
            AND o.placed_at >= :since
            AND NOT EXISTS (SELECT FROM task t WHERE t.kind = 'amount_differs'
                            AND t.reference = p.id::text)
        """,
    ),
    Check(
        id="refund-failed-task",
        invariant="I8",
        title=lazy_gettext("Every refund that failed has a task"),
        why=lazy_gettext("The customer was promised the money."),
        todo=lazy_gettext("Retry it in the order, or pay it in another way."),
        about="order",
        sql="""
        SELECT o.id, o.number AS name, format('refund %s failed: %s', r.id, r.failure) AS fact
        FROM refund r JOIN payment p ON p.id = r.payment_id JOIN "order" o ON o.id = p.order_id
        WHERE r.status = 'failed' AND r.source <> 'external' AND o.placed_at >= :since
            AND NOT EXISTS (SELECT FROM task t WHERE t.kind = 'refund_failed'
                            AND t.reference = r.id || ':' || r.attempt)
        """,
    ),
    Check(
        id="dispute-task",
        invariant="I8",
        title=lazy_gettext("Every open dispute has a task, and its money belongs to it"),
        why=lazy_gettext("A dispute that nobody answers in time is lost."),
        todo=lazy_gettext("Answer it in Stripe's dashboard."),
        about="order",
        sql=f"""
        SELECT o.id, o.number AS name, format('dispute %s is %s', d.stripe_id, d.status) AS fact
        FROM dispute d JOIN payment p ON p.id = d.payment_id JOIN "order" o ON o.id = p.order_id
        WHERE o.placed_at >= :since
            AND d.status NOT IN ({CLOSED})
            AND NOT EXISTS (SELECT FROM task t WHERE t.kind = 'dispute'
                            AND t.reference = d.stripe_id)
        UNION ALL
        SELECT o.id, o.number, format('%s of payment %s belongs to no dispute of it', e.kind, p.id)
        FROM payment_event e JOIN payment p ON p.id = e.payment_id
        JOIN "order" o ON o.id = p.order_id LEFT JOIN dispute d ON d.id = e.dispute_id
        WHERE o.placed_at >= :since AND d.payment_id IS DISTINCT FROM p.id
            AND e.kind IN ('dispute_withdrawn', 'dispute_reinstated', 'fee_returned')
        """,
    ),
    Check(
        id="payment-status",
        invariant="I26",
        title=lazy_gettext("The payment status of an order is what its money events add up to"),
        why=lazy_gettext("Lists, emails and staff go by it."),
        todo=lazy_gettext("`flask shop doctor --fix` counts it again."),
        about="order",
        sql=f"""
        SELECT id, number AS name, format('says %s, the events say %s', status, counted) AS fact
        FROM (
            SELECT o.id, o.number, o.payment_status AS status, {STATUS} AS counted
            FROM "order" o LEFT JOIN ({BALANCE}) b ON b.order_id = o.id
            LEFT JOIN ({NEVER_OWED}) n ON n.order_id = o.id
            CROSS JOIN LATERAL (SELECT b.captured - b.refunded - b.lost AS kept,
                                       o.total_minor - coalesce(n.amount, 0) AS owed) k
            WHERE o.placed_at >= :since
        ) s WHERE status <> counted
        """,
    ),
    Check(
        id="line-refunded",
        invariant="I9",
        title=lazy_gettext("The refunded units of an item are those of its refunds and returns"),
        why=lazy_gettext("Units could be refunded twice, or not at all."),
        todo=lazy_gettext("Compare the order's refunds with its lines."),
        about="order",
        sql="""
        SELECT o.id, o.number AS name, format('%s: the line says %s, its refunds say %s',
            l.sku, l.refunded, coalesce(r.units, 0)) AS fact
        FROM order_line l JOIN "order" o ON o.id = l.order_id
        LEFT JOIN (
            SELECT order_line_id, sum(quantity) AS units FROM (
                SELECT rl.order_line_id, rl.quantity
                FROM refund_line rl JOIN refund r ON r.id = rl.refund_id
                WHERE r.status <> 'failed'
                UNION ALL SELECT order_line_id, quantity FROM order_return_line
            ) back GROUP BY order_line_id
        ) r ON r.order_line_id = l.id
        WHERE l.refunded <> coalesce(r.units, 0) AND o.placed_at >= :since
        """,
    ),
    Check(
        id="sale-entries",
        invariant="I9",
        title=lazy_gettext(
            "The recorded sales of an item are its units that are paid for and still sold"
        ),
        why=lazy_gettext("Reports of products are sums over these entries."),
        todo=lazy_gettext(
            "Compare the order's lines with its timeline, and ask who wrote to the database."
        ),
        about="order",
        sql=f"""
        SELECT o.id, o.number AS name, format('%s: %s written down as sold, %s are', l.sku,
            coalesce(s.units, 0), u.units) AS fact
        FROM order_line l JOIN "order" o ON o.id = l.order_id
        LEFT JOIN (
            SELECT order_line_id, sum(units) AS units,
                sum(units) FILTER (WHERE kind = 'sold') AS sold
            FROM sale_entry GROUP BY order_line_id
        ) s ON s.order_line_id = l.id
        CROSS JOIN LATERAL (
            SELECT CASE WHEN o.paid_at IS NULL THEN 0 ELSE {UNITS_STILL_SOLD} END AS units
        ) u
        WHERE coalesce(s.units, 0) <> u.units AND o.placed_at >= :since
        """,
    ),
    Check(
        id="refund-parts",
        invariant="I9",
        title=lazy_gettext("No item and no shipping is refunded for more than it cost"),
        why=lazy_gettext(
            "The parts of a refund are what the books and the customer's email go by."
        ),
        todo=lazy_gettext(
            "Look at the order's refunds; correct the books for the one that exceeds."
        ),
        about="order",
        sql=f"""
        SELECT o.id, o.number AS name,
            format('%s: %s of %s given back', l.sku, g.amount, {GROSS}) AS fact
        FROM (
            SELECT rl.order_line_id, sum(rl.amount_minor) AS amount, sum(rl.tax_minor) AS tax
            FROM refund_line rl JOIN refund r ON r.id = rl.refund_id
            WHERE r.status <> 'failed' GROUP BY rl.order_line_id
        ) g
        JOIN order_line l ON l.id = g.order_line_id JOIN "order" o ON o.id = l.order_id
        WHERE o.placed_at >= :since AND (g.tax > l.tax_minor OR g.amount > {GROSS})
        UNION ALL
        SELECT o.id, o.number, format('delivery: %s of %s given back', g.amount, o.shipping_minor)
        FROM (
            SELECT p.order_id, sum(r.shipping_minor) AS amount
            FROM refund r JOIN payment p ON p.id = r.payment_id
            WHERE r.status <> 'failed' AND r.shipping_minor > 0 GROUP BY p.order_id
        ) g JOIN "order" o ON o.id = g.order_id
        WHERE o.placed_at >= :since AND g.amount > {SHIPPING}
        """,
    ),
    Check(
        id="refund-events",
        invariant="I9",
        title=lazy_gettext("Every refund that is done is among the money events, and the reverse"),
        why=lazy_gettext(
            "Totals are sums over the events: what is missing there was never refunded."
        ),
        todo=lazy_gettext("`flask shop reconcile --days 30` asks Stripe about it."),
        about="order",
        sql="""
        SELECT o.id, o.number AS name, format('payment %s: refunds say %s, events say %s',
            p.id, coalesce(r.amount, 0), coalesce(e.amount, 0)) AS fact
        FROM (SELECT payment_id, sum(amount_minor) AS amount FROM refund
              WHERE status = 'done' GROUP BY payment_id) r
        FULL JOIN (
            SELECT payment_id, sum(CASE kind WHEN 'refunded' THEN amount_minor
                                   ELSE -amount_minor END) AS amount
            FROM payment_event WHERE kind IN ('refunded', 'refund_failed') GROUP BY payment_id
        ) e USING (payment_id)
        JOIN payment p ON p.id = payment_id JOIN "order" o ON o.id = p.order_id
        WHERE coalesce(r.amount, 0) <> coalesce(e.amount, 0) AND o.placed_at >= :since
        """,
    ),
    Check(
        id="refund-stuck",
        invariant="I9",
        title=lazy_gettext("Every refund that was requested was sent, and came to an end"),
        why=lazy_gettext("The customer waits for money that nobody asked Stripe to refund."),
        todo=lazy_gettext(
            "See under Jobs whether “send refund” failed; look the refund up at Stripe."
        ),
        about="order",
        sql=f"""
        SELECT o.id, o.number AS name,
            format('refund %s is “%s” since %s', r.id, r.status,
                   to_char(r.requested_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI')) AS fact
        FROM refund r JOIN payment p ON p.id = r.payment_id JOIN "order" o ON o.id = p.order_id
        WHERE o.placed_at >= :since
            AND (r.status = 'requested' AND r.requested_at < :now - {_CONFIRMED_WITHIN}
                 OR r.status = 'sent' AND r.requested_at < :now - {_ENDED_WITHIN})
        """,
    ),
    Check(
        id="open-at-stripe",
        invariant="I8",
        title=lazy_gettext("Nothing can be paid any more for an order that is paid or closed"),
        why=lazy_gettext("The customer could pay twice, or for nothing."),
        todo=lazy_gettext(
            "See whether Stripe answers; `flask shop reconcile` closes the attempt there."
        ),
        about="order",
        sql="""
        SELECT o.id, o.number AS name,
            format('payment %s is %s, the order is %s', p.id, p.status, o.status) AS fact
        FROM payment p JOIN "order" o ON o.id = p.order_id
        WHERE o.placed_at >= :since
            AND coalesce(o.closed_at, o.paid_at) < :now - interval '10 minutes'
            AND (o.status IN ('cancelled', 'expired')
                 AND p.status IN ('created', 'started', 'authorised')
                 OR o.status IN ('confirmed', 'completed') AND p.status IN ('created', 'started'))
        """,
    ),
    Check(
        id="capture-before",
        invariant="I7",
        title=lazy_gettext("No authorised money is past the moment until which it can be captured"),
        why=lazy_gettext("The authorisation is gone, and with it the money for these goods."),
        todo=lazy_gettext(
            "`flask shop reconcile` asks Stripe; then ask the customer to pay in another way."
        ),
        about="order",
        sql="""
        SELECT o.id, o.number AS name,
            format('payment %s could be captured until %s', p.id,
                   to_char(p.capture_before AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI')) AS fact
        FROM payment p JOIN "order" o ON o.id = p.order_id
        WHERE p.status = 'authorised' AND p.capture_before < :now - interval '1 hour'
            AND o.placed_at >= :since
        """,
    ),
)  # fmt: skip
