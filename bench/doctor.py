"""How long a shop's integrity checks take: ``python -m bench.doctor --orders 100000``.

The orders are whole: paid, sent and reported, with their stock ledger, events, emails and messages,
so that every check passes and every table has its size. Written by SQL, for measuring only.
"""

import argparse
import tempfile
import time
from pathlib import Path

from sqlalchemy import text

from bench.support.seed import seed
from bench.support.stack import scratch_shop, table
from shop import checkout, doctor
from shop.core import db
from shop.core.db import transaction
from shop.media import storage

_TAX = """(SELECT CASE WHEN x - floor(x) = 0.5 THEN 2 * floor((x + 1) / 2) ELSE round(x) END
    FROM (SELECT l.total_minor * l.tax_rate / (1 + l.tax_rate) AS x) t)"""
_SENT = "o.fulfilment_status IN ('shipped', 'delivered', 'partly_shipped')"
_STATEMENTS = (
    f"UPDATE order_line l SET tax_minor = {_TAX}",
    """
    UPDATE "order" o SET tax_minor = l.tax FROM (
        SELECT order_id, sum(tax_minor) AS tax FROM order_line GROUP BY order_id) l
    WHERE l.order_id = o.id
    """,
    f"""
    INSERT INTO fulfilment (order_id, status, carrier, shipped_at, delivered_at)
    SELECT o.id, CASE o.fulfilment_status WHEN 'delivered' THEN 'delivered' ELSE 'shipped' END,
        'DHL', o.placed_at, CASE o.fulfilment_status WHEN 'delivered' THEN o.placed_at END
    FROM "order" o WHERE {_SENT}
    """,
    """
    INSERT INTO fulfilment_line (fulfilment_id, order_line_id, quantity)
    SELECT f.id, l.id, 1 FROM fulfilment f JOIN "order" o ON o.id = f.order_id
    JOIN (SELECT *, row_number() OVER (PARTITION BY order_id ORDER BY id) AS n FROM order_line) l
        ON l.order_id = o.id
    WHERE o.fulfilment_status <> 'partly_shipped' OR l.n = 1
    """,
    """
    UPDATE order_line SET shipped = 1 WHERE id IN (SELECT order_line_id FROM fulfilment_line)
    """,
    """
    INSERT INTO payment (order_id, status, intent_id, amount_minor, currency, created_at)
    SELECT id, CASE status WHEN 'expired' THEN 'cancelled' ELSE 'succeeded' END, 'pi_' || id,
        total_minor, currency, placed_at FROM "order"
    """,
    """
    INSERT INTO payment_event (payment_id, kind, amount_minor, currency, reference, at, occurred_at)
    SELECT id, 'captured', amount_minor, currency, 'ch_' || id, created_at, created_at
    FROM payment WHERE status = 'succeeded'
    """,
    """
    INSERT INTO refund (payment_id, status, amount_minor, currency, reason, stripe_id,
        requested_by, requested_at, done_at)
    SELECT p.id, 'done', p.amount_minor, p.currency, 'cancelled', 're_' || p.id, 'Shop',
        p.created_at, p.created_at
    FROM payment p JOIN "order" o ON o.id = p.order_id WHERE o.status = 'cancelled'
    """,
    """
    INSERT INTO payment_event (payment_id, kind, amount_minor, currency, reference, at, occurred_at)
    SELECT payment_id, 'refunded', amount_minor, currency, stripe_id, done_at, done_at FROM refund
    """,
    """
    INSERT INTO webhook_delivery (stripe_event_id, type, object_id, payload, received_at,
        applied_at, outcome)
    SELECT 'evt_' || id, 'payment_intent.succeeded', intent_id, '{}', created_at, created_at,
        'paid' FROM payment
    """,
    """
    INSERT INTO event (type, payload, order_id, occurred_at, actor_kind, actor_name, request_id)
    SELECT type, payload, id, placed_at, 'guest', 'Guest', '' FROM (
        SELECT o.id, o.placed_at, 1 AS n, 'OrderPlaced' AS type,
            jsonb_build_object('order_id', o.id) AS payload FROM "order" o
        UNION ALL
        SELECT id, placed_at, 2, 'StockChanged', '{"changes": []}' FROM "order"
        UNION ALL
        SELECT id, placed_at, 3, 'OrderPaid', jsonb_build_object('order_id', id) FROM "order"
        WHERE paid_at IS NOT NULL
        UNION ALL
        SELECT o.id, f.shipped_at, 4, 'OrderShipped', jsonb_build_object(
            'order_id', o.id, 'fulfilment_id', f.id, 'notify', true)
        FROM fulfilment f JOIN "order" o ON o.id = f.order_id
        UNION ALL
        SELECT id, placed_at, 5, CASE status WHEN 'expired' THEN 'OrderExpired'
            ELSE 'OrderCancelled' END, jsonb_build_object('order_id', id)
        FROM "order" WHERE status IN ('cancelled', 'expired')
    ) story ORDER BY placed_at, id, n
    """,
    """
    INSERT INTO delivery (event_id, reaction, state, attempts, done_at)
    SELECT id, 'send_receipt', 'done', 1, occurred_at FROM event
    WHERE type IN ('OrderPaid', 'OrderShipped')
    """,
    "DELETE FROM event_pending",
    """
    INSERT INTO mail_message (key, kind, recipient, subject, text, html, state, order_id,
        created_at, sent_at)
    SELECT 'receipt:' || id, 'receipt', email, 'Your order', repeat('Thank you. ', 60),
        repeat('<p>Thank you.</p>', 200), 'sent', id, placed_at, placed_at
    FROM "order" WHERE paid_at IS NOT NULL
    UNION ALL
    SELECT 'shipped:' || f.id, 'shipped', o.email, 'On its way', repeat('It left. ', 60),
        repeat('<p>It left.</p>', 200), 'sent', o.id, f.shipped_at, f.shipped_at
    FROM fulfilment f JOIN "order" o ON o.id = f.order_id
    """,
    """
    INSERT INTO stock_movement (variant_id, location_id, kind, on_hand_delta, reserved_delta,
        committed_delta, on_hand_after, reserved_after, committed_after, order_id, actor_kind,
        actor_name, at)
    SELECT variant_id, s.location_id, kind, m.on_hand, reserved, committed,
        s.on_hand + sum(m.on_hand) OVER w, sum(reserved) OVER w, sum(committed) OVER w,
        order_id, 'guest', 'Guest', placed_at
    FROM (
        SELECT l.id AS line, l.order_id, l.variant_id, o.placed_at, step.*
        FROM order_line l JOIN "order" o ON o.id = l.order_id
        CROSS JOIN LATERAL (VALUES
            (1, 'reserve', 0, 1, 0, true),
            (2, 'release', 0, -1, 0, o.status = 'expired'),
            (2, 'commit', 0, -1, 1, o.status <> 'expired'),
            (3, 'release', 0, 0, -1, o.status = 'cancelled'),
            (3, 'ship', -1, 0, -1, l.shipped = 1)
        ) AS step (n, kind, on_hand, reserved, committed, happens) WHERE step.happens
    ) m JOIN (SELECT variant_id, location_id, on_hand FROM stock_level) s USING (variant_id)
    WINDOW w AS (PARTITION BY variant_id ORDER BY placed_at, line, n)
    ORDER BY placed_at, line, n
    """,
    """
    UPDATE stock_level s SET on_hand = m.on_hand, reserved = m.reserved, committed = m.committed
    FROM (SELECT variant_id, sum(on_hand_delta) AS on_hand, sum(reserved_delta) AS reserved,
              sum(committed_delta) AS committed FROM stock_movement GROUP BY variant_id) m
    WHERE m.variant_id = s.variant_id
    """,
    """
    UPDATE product p SET sold_count = coalesce((
        SELECT sum(l.quantity) FROM order_line l JOIN "order" o ON o.id = l.order_id
        WHERE l.product_id = p.id AND o.status IN ('confirmed', 'completed')), 0)
    """,
    """
    INSERT INTO sale_entry (order_id, order_line_id, product_id, kind, units, amount_minor,
        currency, at)
    SELECT l.order_id, l.id, l.product_id, step.kind, step.sign * l.quantity,
        step.sign * l.total_minor, o.currency, o.paid_at
    FROM order_line l JOIN "order" o ON o.id = l.order_id
    CROSS JOIN (VALUES ('sold', 1), ('reversed', -1)) AS step (kind, sign)
    WHERE o.paid_at IS NOT NULL AND (step.kind = 'sold' OR o.status = 'cancelled')
    """,
    """
    INSERT INTO discount (name, kind, value, currency) VALUES ('Welcome', 'percentage', 1, 'EUR')
    """,
    """
    INSERT INTO redemption (order_id, discount_id, name, email, holders, amount_minor, currency,
        redeemed_at, released_at)
    SELECT o.id, d.id, d.name, o.email, ARRAY['email:' || o.email], 0, 'EUR', o.placed_at,
        CASE WHEN o.status IN ('cancelled', 'expired') THEN o.placed_at END
    FROM "order" o CROSS JOIN discount d WHERE o.id % 5 = 0
    """,
    """
    INSERT INTO discount_holder (discount_id, holder, used)
    SELECT discount_id, holder, count(*) FROM redemption CROSS JOIN unnest(holders) AS holder
    WHERE released_at IS NULL GROUP BY discount_id, holder
    """,
    "UPDATE discount SET used = (SELECT count(*) FROM redemption WHERE released_at IS NULL)",
)


def fill(orders: int) -> None:
    """Write so many whole orders, with everything that belongs to them."""
    with transaction():
        checkout.install_defaults()
    seed(orders=orders)
    with transaction() as session:
        session.execute(text("SET LOCAL statement_timeout = '300s'"))
        session.execute(text("SET LOCAL work_mem = '256MB'"))
        for statement in _STATEMENTS:
            session.execute(text(statement))
    with transaction() as session:
        session.execute(text("SET LOCAL statement_timeout = '300s'"))
        session.connection().exec_driver_sql("ANALYZE")


def store_images(root: Path) -> None:
    """The files that the images' rows name, empty."""
    with transaction() as session:
        rows = session.execute(text("SELECT key, widths FROM media_file")).all()
    for key, widths in rows:
        folder = root / key[:2] / key
        folder.mkdir(parents=True)
        (folder / "original.webp").touch()
        for width in widths.split(","):
            (folder / f"{width}.webp").touch()
            (folder / f"{width}.avif").touch()


def main() -> None:
    """Fill a shop, run its integrity checks some times, and print what took how long."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--orders", type=int, default=10_000)
    parser.add_argument("--runs", type=int, default=3)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="shop-bench-") as folder, scratch_shop():
        storage.configure(f"file:{folder}")
        began = time.perf_counter()
        fill(chosen.orders)
        store_images(Path(folder))
        print(f"{chosen.orders:,} orders written in {time.perf_counter() - began:.0f} s")
        results = [doctor.run_all() for _ in range(chosen.runs)]
        db.session.remove()
        counted = text("SELECT count(*) FROM stock_movement"), text("SELECT count(*) FROM event")
        movements, events = (db.session.scalar(one) for one in counted)
        db.session.remove()
        db.engine().dispose()
    for result in results[-1].faults:
        print(result.check.id, result.count, result.faults[:3])
    for result in results[-1].failures:
        print(result.check.id, result.failure)
    print(f"{movements:,} stock movements, {events:,} events")
    print(f"{len(doctor.CHECKS)} checks: " + ", ".join(f"{r.seconds:.2f} s" for r in results))
    slowest = sorted(results[-1].results, key=lambda result: -result.seconds)[:8]
    print(table(["check", "seconds"], [[one.check.id, f"{one.seconds:.2f}"] for one in slowest]))


if __name__ == "__main__":
    main()
