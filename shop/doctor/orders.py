"""What must hold of orders, their parcels and their discounts.

Totals, tax, transitions and the fulfilment status go by the rules of ``orders`` and ``core.money``.
What is counted step by step (units in shipments, uses of discounts) is added up here from its rows:
that is the proof of the steps.
"""

from itertools import chain
from typing import Any

from sqlalchemy import Connection, Row

from shop.core.choices import sql_list
from shop.core.events import Event
from shop.core.i18n import lazy_gettext
from shop.core.money import tax_of
from shop.doctor.checks import Check, Fault, Scope, first, judged, rows
from shop.orders.events import (
    OrderAuthorised,
    OrderCancelled,
    OrderExpired,
    OrderPaid,
    OrderPlaced,
    OrderReopened,
)
from shop.orders.models import LINE_TOTAL, OPEN_UNITS, ORDER_TOTAL
from shop.orders.states import LIVE, ORDER, OrderStatus, how_far, is_complete

# The status to which each event brings an order; a completed one was confirmed before.
LEADS_TO: dict[type[Event], OrderStatus] = {
    OrderPlaced: OrderStatus.PENDING,
    OrderReopened: OrderStatus.PENDING,
    OrderAuthorised: OrderStatus.CONFIRMED,
    OrderPaid: OrderStatus.CONFIRMED,
    OrderCancelled: OrderStatus.CANCELLED,
    OrderExpired: OrderStatus.EXPIRED,
}
_LIVE = sql_list(*LIVE)
# What a use of a discount is that counts; shared with repairs.
USE_COUNTS = "r.released_at IS NULL"


def _may_follow(before: type[Event], event: type[Event]) -> bool:
    """Whether an order may come from the one to the other, by its table of states. Money that was
    held and is taken leaves it where it is."""
    if (before, event) == (OrderAuthorised, OrderPaid):
        return True
    return event is not OrderPlaced and ORDER.may(LEADS_TO[before], LEADS_TO[event])


_STEPS = f"('', '{OrderPlaced.__name__}'), " + ", ".join(
    f"('{before.__name__}', '{event.__name__}')"
    for before in LEADS_TO
    for event in LEADS_TO
    if _may_follow(before, event)
)
_PATH = ", ".join(f"'{event.__name__}'" for event in LEADS_TO)
_IS_AT_ITS_END = " ".join(
    f"WHEN '{event.__name__}' THEN o.status IN ("
    + sql_list(status, *({OrderStatus.COMPLETED} if status == OrderStatus.CONFIRMED else ()))
    + ")"
    for event, status in LEADS_TO.items()
)


def _lines(connection: Connection, scope: Scope) -> tuple[int, list[Fault]]:
    """Orders without lines or with other units than they count, and lines that do not add up."""
    counted = rows(
        connection,
        """
        SELECT o.id, o.number, CASE WHEN l.units IS NULL THEN 'it has no lines'
            ELSE format('it counts %s units, its lines have %s', o.item_count, l.units) END AS fact
        FROM "order" o
        LEFT JOIN (SELECT order_id, sum(quantity) AS units FROM order_line GROUP BY order_id) l
            ON l.order_id = o.id
        WHERE o.item_count IS DISTINCT FROM l.units AND o.placed_at >= :since ORDER BY o.id
        """,
        scope,
    )
    lines = judged(
        connection,
        f"""
        SELECT o.id, o.number AS name, format('%s: %s × %s − %s is not %s with %s tax', l.sku,
                l.quantity, l.unit_price_minor, l.discount_minor, l.total_minor, l.tax_minor)
                AS fact,
            l.quantity >= 1 AND l.discount_minor >= 0 AND l.total_minor >= 0
                AND l.total_minor = l.due AS adds_up,
            l.total_minor, l.tax_rate, l.tax_minor, o.prices_include_tax
        FROM (SELECT *, {LINE_TOTAL} AS due FROM order_line) l JOIN "order" o ON o.id = l.order_id
        WHERE o.placed_at >= :since
        """,
        "adds_up, total_minor, tax_rate, tax_minor, prices_include_tax",
        _judge_line,
        scope,
    )
    return first(
        chain((Fault(row.id, row.number, row.fact) for row in counted), lines),
        scope,
    )


def _judge_line(line: Row[Any]) -> str | None:
    tax = tax_of(line.total_minor, line.tax_rate, is_included=line.prices_include_tax)
    return None if line.adds_up and line.tax_minor == tax else ""


def _fulfilment_status(connection: Connection, scope: Scope) -> tuple[int, list[Fault]]:
    """Orders that keep another fulfilment status than their items and shipments have."""
    return first(
        judged(
            connection,
            f"""
            SELECT o.id, o.number AS name,
                format('says %s and %s, the parcels say ', o.status, o.fulfilment_status) AS fact,
                o.status, o.fulfilment_status, f.order_id IS NOT NULL AS has_shipments,
                coalesce(l.is_open, false) AS is_open, coalesce(f.arrived, false) AS arrived
            FROM "order" o
            LEFT JOIN (
                SELECT l.order_id, bool_or({OPEN_UNITS} > 0) AS is_open
                FROM order_line l GROUP BY l.order_id
            ) l ON l.order_id = o.id
            LEFT JOIN (
                SELECT order_id,
                    bool_and(status = 'delivered' AND delivered_at IS NOT NULL) AS arrived
                FROM fulfilment GROUP BY order_id
            ) f ON f.order_id = o.id
            WHERE o.placed_at >= :since
            """,
            "status, fulfilment_status, has_shipments, is_open, arrived",
            _judge_fulfilment,
            scope,
        ),
        scope,
    )


def _judge_fulfilment(order: Row[Any]) -> str | None:
    far = how_far(
        has_shipments=order.has_shipments,
        has_open_units=order.is_open,
        has_all_arrived=order.arrived,
    )
    is_completed = order.status == OrderStatus.COMPLETED
    return None if order.fulfilment_status == far and is_completed == is_complete(far) else far


CHECKS = (
    Check(
        id="order-lines",
        invariant="I10",
        title=lazy_gettext("Every order has lines, and each line adds up"),
        why=lazy_gettext("The customer agreed to exactly these amounts, and tax is paid by them."),
        todo=lazy_gettext("Compare the order with its receipt; correct the books by hand."),
        about="order",
        find=_lines,
    ),
    Check(
        id="order-total",
        invariant="I11",
        title=lazy_gettext(
            "The total of an order is its items, less discounts, plus shipping and tax"
        ),
        why=lazy_gettext("The customer agreed to exactly this amount."),
        todo=lazy_gettext("Compare the order with its receipt; correct the books by hand."),
        about="order",
        sql=f"""
        SELECT o.id, o.number AS name, format(
            'the order says %s − %s + %s = %s with %s tax; its lines say %s − %s with %s tax',
            o.subtotal_minor, o.discount_minor, o.shipping_minor, o.total_minor, o.tax_minor,
            l.subtotal, l.discount, l.tax + o.shipping_tax_minor) AS fact
        FROM (SELECT *, {ORDER_TOTAL} AS due FROM "order") o
        JOIN (
            SELECT order_id, sum(unit_price_minor * quantity) AS subtotal,
                sum(discount_minor) AS discount, sum(tax_minor) AS tax
            FROM order_line GROUP BY order_id
        ) l ON l.order_id = o.id
        WHERE o.placed_at >= :since AND (
            (o.subtotal_minor, o.discount_minor, o.tax_minor)
                <> (l.subtotal, l.discount, l.tax + o.shipping_tax_minor)
            OR o.total_minor < 0 OR o.total_minor <> o.due)
        """,
    ),
    Check(
        id="order-path",
        invariant="I13",
        title=lazy_gettext(
            "Each order came to its status by steps that are allowed, one after another in "
            "time"
        ),
        why=lazy_gettext(
            "An order in a status that nothing led to was changed past the shop's operations."
        ),
        todo=lazy_gettext("Read the order's timeline, and ask who wrote to the database directly."),
        about="order",
        sql=f"""
        SELECT o.id, o.number AS name, CASE
            WHEN t.id IS NULL THEN format('it is %s, and nothing ever happened to it', o.status)
            WHEN t.occurred_at < t.earlier THEN
                format('event %s (%s) is older than the one before it', t.id, t.type)
            WHEN t.allowed THEN format('it is %s, but the last step was %s', o.status, t.type)
            ELSE format('event %s: %s cannot follow %s', t.id, t.type,
                        coalesce(t.before, 'nothing')) END AS fact
        FROM "order" o
        LEFT JOIN (
            SELECT *, (coalesce(before, ''), type) IN ({_STEPS})
                AS allowed
            FROM (
                SELECT id, order_id, type, occurred_at, lag(type) OVER w AS before,
                    -- Clocks of two servers may differ.
                    lag(occurred_at) OVER w - interval '15 minutes' AS earlier,
                    lead(id) OVER w IS NULL AS is_last
                FROM event WHERE type IN ({_PATH})
                WINDOW w AS (PARTITION BY order_id ORDER BY id)
            ) step
        ) t ON t.order_id = o.id
        WHERE o.placed_at >= :since AND (t.id IS NULL OR NOT t.allowed
            OR t.occurred_at < t.earlier
            OR t.is_last AND NOT CASE t.type {_IS_AT_ITS_END} END)
        """,
    ),
    Check(
        id="order-numbers",
        invariant="I21",
        title=lazy_gettext("Order numbers are unique, and the next one is free"),
        why=lazy_gettext("Two orders with one number cannot be told apart by anybody."),
        todo=lazy_gettext(
            "Raise the sequence above the highest number; give one of two orders a new "
            "number."
        ),
        about="order",
        sql="""
        SELECT max(id) AS id, number AS name, format('%s orders have it', count(*)) AS fact
        FROM "order" GROUP BY number HAVING count(*) > 1
        UNION ALL
        SELECT o.id, o.number, format('the sequence stands at %s', s.last_value)
        FROM "order" o CROSS JOIN order_number s
        WHERE o.number ~ '^EO-[0-9]{1,15}$'
            AND substr(o.number, 4)::bigint > CASE WHEN s.is_called THEN s.last_value
                                                   ELSE s.last_value - 1 END
        """,
    ),
    Check(
        id="one-open-order",
        invariant="I18",
        title=lazy_gettext(
            "Of the orders placed from one cart, one after the other, at most one is live"
        ),
        why=lazy_gettext(
            "The customer could pay twice, and two shipments would be packed for one order."
        ),
        todo=lazy_gettext(
            "Ask the customer which order is meant; cancel and refund the other one."
        ),
        about="order",
        sql=f"""
        SELECT max(id) AS id, string_agg(number, ', ' ORDER BY id) AS name,
            format('%s of them are live', count(*)) AS fact
        FROM "order" WHERE status IN ({_LIVE})
        GROUP BY chain_id HAVING count(*) > 1
        UNION ALL
        -- A second order of one cart has other items only if the first one was ordered for good.
        SELECT o.id, earlier.number || ', ' || o.number, 'both are live'
        FROM "order" o JOIN "order" earlier ON earlier.cart_id = o.cart_id AND earlier.id < o.id
        WHERE o.status IN ({_LIVE}) AND o.chain_id <> earlier.chain_id
            AND earlier.status IN ({_LIVE})
            AND NOT EXISTS (
                SELECT FROM event e WHERE e.order_id = earlier.id AND e.occurred_at <= o.placed_at
                    AND e.type IN ('OrderPaid', 'OrderAuthorised', 'PaymentProcessing',
                                   'VoucherIssued'))
        """,
    ),
    Check(
        id="parcels",
        invariant="I13",
        title=lazy_gettext("The shipped units of an order are what is in its shipments"),
        why=lazy_gettext("Units could be shipped twice, or never."),
        todo=lazy_gettext("Compare the order's shipments with what was handed over."),
        about="order",
        sql="""
        SELECT o.id, o.number AS name, format('%s: the line says %s were sent, the parcels say %s',
            l.sku, l.shipped, coalesce(f.units, 0)) AS fact
        FROM order_line l JOIN "order" o ON o.id = l.order_id
        LEFT JOIN (
            SELECT fl.order_line_id, f.order_id, sum(fl.quantity) AS units
            FROM fulfilment_line fl JOIN fulfilment f ON f.id = fl.fulfilment_id
            GROUP BY fl.order_line_id, f.order_id
        ) f ON f.order_line_id = l.id
        WHERE o.placed_at >= :since
            AND (l.shipped <> coalesce(f.units, 0) OR f.order_id <> l.order_id
                 OR l.shipped + l.cancelled > l.quantity)
        """,
    ),
    Check(
        id="fulfilment-status",
        invariant="I26",
        title=lazy_gettext("The fulfilment status of an order is what its items and shipments say"),
        why=lazy_gettext("Staff pack by it and customers read it."),
        todo=lazy_gettext("Compare the order's shipments with what was handed over."),
        about="order",
        find=_fulfilment_status,
    ),
    Check(
        id="discount-uses",
        invariant="I12",
        title=lazy_gettext(
            "Usages of discounts are those of orders that have them, and within their limits"
        ),
        why=lazy_gettext(
            "Too few counted: given more often than meant. Too many: refused too early."
        ),
        todo=lazy_gettext("`flask shop doctor --fix` counts them again."),
        about="discount",
        sql=f"""
        WITH taken AS (
            SELECT discount_id, code_id, holders FROM redemption r WHERE {USE_COUNTS}
        )
        SELECT d.id, d.name, format('says %s of %s uses, orders have %s', d.used,
            coalesce(d.limit_total::text, 'any number of'), coalesce(t.n, 0)) AS fact
        FROM discount d
        LEFT JOIN (SELECT discount_id, count(*) AS n FROM taken GROUP BY discount_id) t
            ON t.discount_id = d.id
        WHERE d.used <> coalesce(t.n, 0) OR t.n > d.limit_total
        UNION ALL
        SELECT d.id, d.name, format('code %s says %s of %s uses, orders have %s', c.code, c.used,
            coalesce(c.limit_total::text, 'any number of'), coalesce(t.n, 0))
        FROM discount_code c JOIN discount d ON d.id = c.discount_id
        LEFT JOIN (SELECT code_id, count(*) AS n FROM taken GROUP BY code_id) t
            ON t.code_id = c.id
        WHERE c.used <> coalesce(t.n, 0) OR t.n > c.limit_total
        UNION ALL
        SELECT d.id, d.name, format('one customer: says %s uses, orders have %s; %s allowed',
            coalesce(h.used, 0), coalesce(t.n, 0),
            coalesce(d.limit_per_customer::text, 'any number'))
        FROM discount_holder h
        FULL JOIN (
            SELECT discount_id, holder, count(*) AS n
            FROM taken CROSS JOIN unnest(holders) AS holder GROUP BY discount_id, holder
        ) t USING (discount_id, holder)
        JOIN discount d ON d.id = discount_id
        WHERE coalesce(h.used, 0) <> coalesce(t.n, 0)
            -- A discount that was changed may have had a wider limit before.
            OR t.n > d.limit_per_customer AND d.version = 1
        """,
    ),
    Check(
        id="discount-held",
        invariant="I12",
        title=lazy_gettext(
            "Orders that stand have their discounts' usages, and closed ones released them"
        ),
        why=lazy_gettext("Limits count what orders have."),
        todo=lazy_gettext("Compare the order with the discount's statistics."),
        about="order",
        sql=f"""
        SELECT o.id, o.number AS name, format('it is %s, but its use of “%s” %s', o.status, r.name,
            CASE WHEN r.released_at IS NULL THEN 'still counts' ELSE 'was released' END) AS fact
        FROM redemption r JOIN "order" o ON o.id = r.order_id
        WHERE o.placed_at >= :since AND CASE WHEN o.status NOT IN ({_LIVE})
            THEN {USE_COUNTS} ELSE NOT {USE_COUNTS} AND r.honoured_at IS NULL END
        """,
    ),
    Check(
        id="discount-amounts",
        invariant="I12",
        title=lazy_gettext("What an order saved is what its discounts took off"),
        why=lazy_gettext("The receipt names each discount with its amount."),
        todo=lazy_gettext("Compare the order with its receipt; correct the books by hand."),
        about="order",
        sql="""
        SELECT o.id, o.number AS name, format(
            'the order saved %s and %s of delivery, its discounts took off %s and %s',
            o.discount_minor, o.shipping_discount_minor, coalesce(r.amount, 0),
            coalesce(r.shipping, 0)) AS fact
        FROM "order" o
        LEFT JOIN (
            SELECT order_id, sum(amount_minor) AS amount, sum(shipping_minor) AS shipping
            FROM redemption GROUP BY order_id
        ) r ON r.order_id = o.id
        WHERE (o.discount_minor, o.shipping_discount_minor)
                <> (coalesce(r.amount, 0), coalesce(r.shipping, 0))
            AND o.placed_at >= :since
        """,
    ),
)  # fmt: skip
