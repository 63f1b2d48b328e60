"""What must hold of money: payments, refunds, disputes, and what a person must be asked about.

What follows from the money events is asked of ``payments.books``, which applies the rules of the
code to the rows. Sums that triggers keep, and states that the code sets step by step, are added up
here in SQL of their own: that is the proof of them.
"""

from collections.abc import Iterator
from datetime import timedelta

from sqlalchemy import Connection

from shop.core.choices import sql_list
from shop.core.i18n import lazy_gettext
from shop.doctor.checks import Check, Fault, Scope, first, rows
from shop.orders import Order, OrderStatus
from shop.orders.sales import UNITS_STILL_SOLD
from shop.payments import books
from shop.payments.balance import gross_of
from shop.payments.models import CLOSED_DISPUTES, REFUND_COUNTS
from shop.payments.refund_news import CONFIRMED_WITHIN, ENDED_WITHIN

_CONFIRMED_WITHIN, _ENDED_WITHIN = (
    f"interval '{limit // timedelta(seconds=1)} seconds'"
    for limit in (CONFIRMED_WITHIN, ENDED_WITHIN)
)
_CLOSED_DISPUTES = sql_list(*CLOSED_DISPUTES)
_STANDS = (OrderStatus.CONFIRMED, OrderStatus.COMPLETED)


def _withdrawn(connection: Connection, scope: Scope) -> tuple[int, list[Fault]]:
    """Payments that keep another sum than their disputes took."""
    taken = books.withdrawn(connection)
    kept = rows(
        connection,
        """
        SELECT o.id AS order_id, o.number, p.id, p.withdrawn_minor
        FROM payment p JOIN "order" o ON o.id = p.order_id
        WHERE o.placed_at >= :since AND (p.withdrawn_minor <> 0
            OR EXISTS (SELECT FROM payment_event e
                       WHERE e.payment_id = p.id AND e.kind LIKE 'dispute_%'))
        ORDER BY o.id, p.id
        """,
        scope,
    )
    return first(
        (
            Fault(
                p.order_id,
                p.number,
                f"payment {p.id} says {p.withdrawn_minor}, its events say {taken.get(p.id, 0)}",
            )
            for p in kept
            if p.withdrawn_minor != taken.get(p.id, 0)
        ),
        scope,
    )


def _payment_status(connection: Connection, scope: Scope) -> tuple[int, list[Fault]]:
    """Orders that keep another payment status than follows from their money events."""
    return first(
        (
            Fault(
                one.order.id,
                one.order.number,
                f"says {one.order.payment_status}, the events say {one.payment_status}",
            )
            for one in books.of_orders(connection, Order.placed_at >= scope.since)
            if one.order.payment_status != one.payment_status
        ),
        scope,
    )


def _orphan_money(connection: Connection, scope: Scope) -> tuple[int, list[Fault]]:
    """Orders of which more money stays with us than they cost, and nobody was asked."""
    # Orders that stand, and of which no more came than they cost, keep what is theirs unless a
    # dispute moved money or units were cancelled: only the others are added up.
    moved = rows(
        connection,
        f"""
        SELECT p.order_id
        FROM payment_event e JOIN payment p ON p.id = e.payment_id
        JOIN "order" o ON o.id = p.order_id AND o.placed_at >= :since
        GROUP BY p.order_id, o.id
        HAVING o.status NOT IN ({sql_list(*_STANDS)}) OR bool_or(e.kind LIKE 'dispute_%')
            OR sum(e.amount_minor) FILTER (WHERE e.kind = 'captured') > o.total_minor
        """,
        scope,
    )
    others = {row.order_id for row in moved} | books.never_owed(connection).keys()
    which = books.is_one_of(Order.id, others) & (Order.placed_at >= scope.since)
    refunding = {
        row.order_id: row.amount
        for row in rows(
            connection,
            "SELECT order_id, sum(refunding_minor) AS amount FROM payment"
            " WHERE refunding_minor <> 0 GROUP BY order_id",
            scope,
        )
    }
    asked = {
        row.order_id
        for row in rows(
            connection,
            "SELECT order_id FROM task WHERE kind IN ('amount_differs', 'refund_failed')",
            scope,
        )
    }

    def faults() -> Iterator[Fault]:
        for one in books.of_orders(connection, which):
            order, balance = one.order, one.balance
            withdrawn = balance.disputed_minor + balance.lost_minor
            stays = balance.captured_minor - withdrawn - refunding.get(order.id, 0)
            # Staff cancelled a paid order and kept the money: they were asked.
            was_kept = (
                order.status == OrderStatus.CANCELLED
                and order.paid_at is not None
                and order.paid_at <= order.closed_at
            )
            owed = one.owed_minor if order.status in _STANDS or was_kept else 0
            if balance.captured_minor and stays > owed and order.id not in asked:
                fact = (
                    f"{stays} {order.currency} stay with us; the order costs {order.total_minor}"
                    f" and is {order.status}"
                )
                yield Fault(order.id, order.number, fact)

    return first(faults(), scope)


def _paid_in_full(connection: Connection, scope: Scope) -> tuple[int, list[Fault]]:
    """Orders that stand although their money neither came nor is held."""
    never_owed = books.never_owed(connection)
    unpaid = rows(
        connection,
        f"""
        SELECT o.id, o.number, o.total_minor, o.currency, o.status,
            coalesce(m.captured, 0) AS captured
        FROM "order" o
        LEFT JOIN (
            SELECT p.order_id,
                sum(e.amount_minor) FILTER (WHERE e.kind = 'captured') AS captured,
                bool_or(p.capture = 'manual' AND p.status IN ('authorised', 'succeeded')) AS held
            FROM payment p JOIN payment_event e ON e.payment_id = p.id
            WHERE e.currency = p.currency GROUP BY p.order_id
        ) m ON m.order_id = o.id
        WHERE o.status IN ({sql_list(*_STANDS)}) AND o.placed_at >= :since
            AND coalesce(m.captured, 0) < o.total_minor AND NOT coalesce(m.held, false)
            AND NOT EXISTS (SELECT FROM task t
                            WHERE t.order_id = o.id AND t.kind = 'authorisation_ended')
        ORDER BY o.id
        """,
        scope,
    )
    return first(
        (
            Fault(
                o.id,
                o.number,
                f"{o.captured} of {o.total_minor} {o.currency} came, and the order is {o.status}",
            )
            for o in unpaid
            if never_owed.get(o.id, 0) < o.total_minor
        ),
        scope,
    )


def _refund_parts(connection: Connection, scope: Scope) -> tuple[int, list[Fault]]:
    """Items and deliveries of which more is on its way back than they cost."""
    lines = rows(
        connection,
        f"""
        SELECT o.id, o.number, o.prices_include_tax, l.sku, l.total_minor, l.tax_minor,
            g.amount, g.tax
        FROM (
            SELECT rl.order_line_id, sum(rl.amount_minor) AS amount, sum(rl.tax_minor) AS tax
            FROM refund_line rl JOIN refund r ON r.id = rl.refund_id
            WHERE {REFUND_COUNTS} GROUP BY rl.order_line_id
        ) g
        JOIN order_line l ON l.id = g.order_line_id JOIN "order" o ON o.id = l.order_id
        WHERE o.placed_at >= :since ORDER BY o.id, l.id
        """,
        scope,
    )
    deliveries = rows(
        connection,
        f"""
        SELECT o.id, o.number, o.prices_include_tax, o.shipping_minor, o.shipping_tax_minor,
            g.amount
        FROM (
            SELECT p.order_id, sum(r.shipping_minor) AS amount
            FROM refund r JOIN payment p ON p.id = r.payment_id
            WHERE {REFUND_COUNTS} AND r.shipping_minor > 0 GROUP BY p.order_id
        ) g JOIN "order" o ON o.id = g.order_id
        WHERE o.placed_at >= :since ORDER BY o.id
        """,
        scope,
    )

    def faults() -> Iterator[Fault]:
        for line in lines:
            gross = gross_of(
                line.total_minor, line.tax_minor, prices_include_tax=line.prices_include_tax
            )
            if line.tax > line.tax_minor or line.amount > gross:
                fact = f"{line.sku}: {line.amount} of {gross} refunded"
                yield Fault(line.id, line.number, fact)
        for one in deliveries:
            gross = gross_of(
                one.shipping_minor,
                one.shipping_tax_minor,
                prices_include_tax=one.prices_include_tax,
            )
            if one.amount > gross:
                yield Fault(one.id, one.number, f"shipping: {one.amount} of {gross} refunded")

    return first(faults(), scope)


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
        sql=f"""
        SELECT o.id, o.number AS name, format('payment %s says %s, its refunds say %s',
            p.id, p.refunding_minor, coalesce(r.amount, 0)) AS fact
        FROM payment p JOIN "order" o ON o.id = p.order_id
        LEFT JOIN (SELECT payment_id, sum(amount_minor) AS amount FROM refund r
                   WHERE {REFUND_COUNTS} GROUP BY payment_id) r ON r.payment_id = p.id
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
        find=_withdrawn,
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
        sql=f"""
        SELECT o.id, o.number AS name, format('payment %s took %s and gives back %s %s',
            p.id, coalesce(e.amount, 0), r.amount, r.currency) AS fact
        FROM (SELECT payment_id, currency, sum(amount_minor) AS amount FROM refund r
              WHERE {REFUND_COUNTS} GROUP BY payment_id, currency) r
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
        find=_paid_in_full,
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
        find=_orphan_money,
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
            AND d.status NOT IN ({_CLOSED_DISPUTES})
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
        find=_payment_status,
    ),
    Check(
        id="line-refunded",
        invariant="I9",
        title=lazy_gettext("The refunded units of an item are those of its refunds and returns"),
        why=lazy_gettext("Units could be refunded twice, or not at all."),
        todo=lazy_gettext("Compare the order's refunds with its lines."),
        about="order",
        sql=f"""
        SELECT o.id, o.number AS name, format('%s: the line says %s, its refunds say %s',
            l.sku, l.refunded, coalesce(r.units, 0)) AS fact
        FROM order_line l JOIN "order" o ON o.id = l.order_id
        LEFT JOIN (
            SELECT order_line_id, sum(quantity) AS units FROM (
                SELECT rl.order_line_id, rl.quantity
                FROM refund_line rl JOIN refund r ON r.id = rl.refund_id
                WHERE {REFUND_COUNTS}
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
        find=_refund_parts,
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
