"""What must hold of stock.

The ledger, its levels and the lines of orders are written by one statement or transaction of the
code; here each is added up by itself, so that one is the proof of the other.
"""

from shop.core.i18n import lazy_gettext
from shop.doctor.checks import Check
from shop.orders.models import OPEN_UNITS

_TALLY = "on hand %s, held %s, promised %s"

CHECKS = (
    Check(
        id="stock-ledger",
        invariant="I1",
        title=lazy_gettext("Stock levels are the sum of their ledger"),
        why=lazy_gettext(
            "A level that the ledger does not explain was changed past the shop's operations."
        ),
        todo=lazy_gettext(
            "Count the variant and book the count; then ask who wrote to stock_level "
            "directly."
        ),
        about="variant",
        sql=f"""
        SELECT v.id, v.sku AS name, format('the level says {_TALLY}; the ledger says {_TALLY}',
            coalesce(l.on_hand, 0), coalesce(l.reserved, 0), coalesce(l.committed, 0),
            coalesce(m.on_hand, 0), coalesce(m.reserved, 0), coalesce(m.committed, 0)) AS fact
        FROM stock_level l
        FULL JOIN (
            SELECT variant_id, location_id, sum(on_hand_delta) AS on_hand,
                   sum(reserved_delta) AS reserved, sum(committed_delta) AS committed
            FROM stock_movement GROUP BY variant_id, location_id
        ) m USING (variant_id, location_id)
        JOIN variant v ON v.id = variant_id
        WHERE (coalesce(l.on_hand, 0), coalesce(l.reserved, 0), coalesce(l.committed, 0))
            <> (coalesce(m.on_hand, 0), coalesce(m.reserved, 0), coalesce(m.committed, 0))
        """,
    ),
    Check(
        id="stock-chain",
        invariant="I1",
        title=lazy_gettext("Each entry of the stock ledger goes on where the one before it ended"),
        why=lazy_gettext("A gap means that an entry is missing or was changed afterwards."),
        todo=lazy_gettext(
            "Compare the variant's movements with the last backup in which they add up."
        ),
        about="variant",
        sql="""
        SELECT v.id, v.sku AS name,
            format('entry %s: %s', c.id, 'its totals do not follow from the entry before') AS fact
        FROM (
            SELECT id, variant_id,
                on_hand_after - on_hand_delta - lag(on_hand_after, 1, 0) OVER w AS on_hand,
                reserved_after - reserved_delta - lag(reserved_after, 1, 0) OVER w AS reserved,
                committed_after - committed_delta - lag(committed_after, 1, 0) OVER w AS committed
            FROM stock_movement WINDOW w AS (PARTITION BY variant_id, location_id ORDER BY id)
        ) c JOIN variant v ON v.id = c.variant_id
        WHERE c.on_hand <> 0 OR c.reserved <> 0 OR c.committed <> 0
        """,
    ),
    Check(
        id="stock-bounds",
        invariant="I2",
        title=lazy_gettext(
            "No stock is below zero, and no more is reserved or committed than is on hand"
        ),
        why=lazy_gettext("Whoever bought the last unit twice waits for it twice."),
        todo=lazy_gettext("Receive goods, or cancel the newest orders of the variant."),
        about="variant",
        sql=f"""
        SELECT v.id, v.sku AS name,
            format('{_TALLY}', l.on_hand, l.reserved, l.committed) AS fact
        FROM stock_level l JOIN variant v ON v.id = l.variant_id
        WHERE l.on_hand < 0 OR l.reserved < 0 OR l.committed < 0
            OR NOT l.may_go_below AND l.on_hand < l.reserved + l.committed
        """,
    ),
    Check(
        id="stock-holds",
        invariant="I3",
        title=lazy_gettext("What is reserved and committed is what open orders are waiting for"),
        why=lazy_gettext(
            "A reservation without an order keeps goods from being sold; an order without one "
            "may find no stock."
        ),
        todo=lazy_gettext(
            "Look at the variant's movements and its open orders; book the difference."
        ),
        about="variant",
        sql=f"""
        SELECT v.id, v.sku AS name, format(
            'held %s, unpaid orders wait for %s; promised %s, paid orders wait for %s',
            coalesce(s.reserved, 0), coalesce(w.reserved, 0),
            coalesce(s.committed, 0), coalesce(w.committed, 0)) AS fact
        FROM (
            SELECT variant_id, sum(reserved) AS reserved, sum(committed) AS committed
            FROM stock_level GROUP BY variant_id
        ) s
        FULL JOIN (
            SELECT l.variant_id,
                sum({OPEN_UNITS}) FILTER (WHERE o.status = 'pending') AS reserved,
                sum({OPEN_UNITS}) FILTER (WHERE o.status = 'confirmed') AS committed
            FROM order_line l JOIN "order" o ON o.id = l.order_id
            WHERE o.status IN ('pending', 'confirmed') GROUP BY l.variant_id
        ) w USING (variant_id)
        JOIN variant v ON v.id = variant_id
        WHERE (coalesce(s.reserved, 0), coalesce(s.committed, 0))
            <> (coalesce(w.reserved, 0), coalesce(w.committed, 0))
        """,
    ),
    Check(
        id="hold-overdue",
        invariant="I4",
        title=lazy_gettext("No unpaid order keeps its stock reserved for longer than it may"),
        why=lazy_gettext("Goods that nobody will pay for cannot be bought by anybody else."),
        todo=lazy_gettext(
            "See whether the relay runs and whether Stripe answers; the order then expires."
        ),
        about="order",
        sql="""
        SELECT id, number AS name,
            format('its hold ended %s minutes ago',
                   floor(extract(epoch FROM :now - expires_at) / 60)) AS fact
        FROM "order" WHERE status = 'pending' AND expires_at < :now - interval '10 minutes'
        """,
    ),
    Check(
        id="stock-ends",
        invariant="I5",
        title=lazy_gettext("Each unit of an order was reserved once and came to one end"),
        why=lazy_gettext(
            "A reservation that ended twice, or never, makes stock that is not there or hides "
            "what is."
        ),
        todo=lazy_gettext("Compare the order's entries in the stock ledger with its lines."),
        about="order",
        sql=f"""
        SELECT o.id, o.number AS name, format(
            '%s: the ledger has %s held, %s promised, %s sent; the lines say %s, %s, %s', v.sku,
            coalesce(m.held, 0), coalesce(m.promised, 0), coalesce(m.sent, 0),
            coalesce(w.held, 0), coalesce(w.promised, 0), coalesce(w.sent, 0)) AS fact
        FROM (
            SELECT order_id, variant_id, sum(reserved_delta) AS held,
                sum(committed_delta) AS promised,
                -coalesce(sum(on_hand_delta) FILTER (WHERE kind = 'ship'), 0) AS sent
            FROM stock_movement WHERE order_id IS NOT NULL GROUP BY order_id, variant_id
        ) m
        FULL JOIN (
            SELECT l.order_id, l.variant_id,
                sum({OPEN_UNITS}) FILTER (WHERE o.status = 'pending') AS held,
                sum({OPEN_UNITS}) FILTER (WHERE o.status = 'confirmed') AS promised,
                sum(l.shipped) AS sent
            FROM order_line l JOIN "order" o ON o.id = l.order_id GROUP BY l.order_id, l.variant_id
        ) w USING (order_id, variant_id)
        JOIN "order" o ON o.id = order_id JOIN variant v ON v.id = variant_id
        WHERE o.placed_at >= :since
            AND (coalesce(m.held, 0), coalesce(m.promised, 0), coalesce(m.sent, 0))
                <> (coalesce(w.held, 0), coalesce(w.promised, 0), coalesce(w.sent, 0))
        """,
    ),
    Check(
        id="restocked",
        invariant="I5",
        title=lazy_gettext("No more units of an order came back than were shipped"),
        why=lazy_gettext(
            "What never left the house cannot come back: the shelf has less than the level "
            "says."
        ),
        todo=lazy_gettext("Count the variant and book the count."),
        about="order",
        sql="""
        SELECT o.id, o.number AS name,
            format('%s: %s came back, %s were sent', v.sku, m.units, coalesce(l.units, 0)) AS fact
        FROM (
            SELECT order_id, variant_id, sum(on_hand_delta) AS units
            FROM stock_movement WHERE kind = 'restock' GROUP BY order_id, variant_id
        ) m
        JOIN "order" o ON o.id = m.order_id JOIN variant v ON v.id = m.variant_id
        LEFT JOIN (
            SELECT order_id, variant_id, sum(shipped) AS units
            FROM order_line GROUP BY order_id, variant_id
        ) l ON l.order_id = m.order_id AND l.variant_id = m.variant_id
        WHERE m.units > coalesce(l.units, 0) AND o.placed_at >= :since
        """,
    ),
    Check(
        id="oversold",
        invariant="I6",
        title=lazy_gettext("Nothing is sold that was never received"),
        why=lazy_gettext("Those orders cannot be shipped."),
        todo=lazy_gettext("Receive goods, or cancel and refund the newest orders of the variant."),
        about="variant",
        sql="""
        SELECT v.id, v.sku AS name,
            format('%s sold and waiting, %s ever there to sell', s.units, coalesce(m.units, 0))
                AS fact
        FROM (
            SELECT l.variant_id, sum(CASE WHEN o.status IN ('pending', 'confirmed')
                THEN l.quantity - l.cancelled ELSE l.shipped END) AS units
            FROM order_line l JOIN "order" o ON o.id = l.order_id GROUP BY l.variant_id
        ) s
        JOIN variant v ON v.id = s.variant_id
        LEFT JOIN (
            SELECT variant_id, sum(on_hand_delta) AS units FROM stock_movement
            WHERE kind <> 'ship' GROUP BY variant_id
        ) m ON m.variant_id = v.id
        WHERE s.units > coalesce(m.units, 0)
            AND NOT EXISTS (SELECT FROM stock_level WHERE variant_id = v.id AND may_go_below)
        """,
    ),
    Check(
        id="backorder-switch",
        invariant="I26",
        title=lazy_gettext("Stock levels know whether their variant may be sold below zero"),
        why=lazy_gettext("The database enforces it by the level's copy of the switch."),
        todo=lazy_gettext("`flask shop doctor --fix` copies the variant's switch again."),
        about="variant",
        sql="""
        SELECT v.id, v.sku AS name, format('the variant says %s, the level says %s',
            v.backorder_allowed, l.may_go_below) AS fact
        FROM stock_level l JOIN variant v ON v.id = l.variant_id
        WHERE l.may_go_below <> v.backorder_allowed
        """,
    ),
)  # fmt: skip
