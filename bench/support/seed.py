"""A shop of a given size in seconds: rows by SQL, past the operations, for measuring only."""

from sqlalchemy import text

from shop.core.db import engine, transaction

KINDS = ("Mug", "Bowl", "Lamp", "Vase", "Plate", "Candle", "Basket", "Blanket")
STYLES = ("Oak", "Ember", "Linen", "Ash", "Clay", "Moss", "Sand", "Slate", "Birch", "Amber")
COLOURS = {"Sand": "#d8c3a5", "Forest": "#3d5a45", "Ink": "#26313f"}
IMAGES = 4
REVIEWS = 6
STOCK = 1_000_000

# A key looks like those of media.storage: 26 letters and digits of base 32.
_KEY = "left(translate(md5('picture' || n) , '0189', 'abcd'), 26)"
_STATEMENTS = (
    """
    INSERT INTO category (parent_id, name, slug, path, position)
    SELECT NULL, name, lower(name), lower(name), n
    FROM unnest(cast(ARRAY['Table', 'Rooms', 'Textiles', 'Light'] AS text[]))
         WITH ORDINALITY AS top(name, n)
    """,
    """
    INSERT INTO category (parent_id, name, slug, path, position)
    SELECT top.id, kind || 's', lower(kind) || 's', top.path || '/' || lower(kind) || 's', n
    FROM unnest(cast(:kinds AS text[])) WITH ORDINALITY AS shelf(kind, n)
    JOIN category top ON top.position = (n + 1) / 2 AND top.parent_id IS NULL
    """,
    """
    INSERT INTO product (slug, name, tagline, description, attributes, status, published_at,
        featured_rank, primary_category_id, price_from_minor, price_to_minor, sold_count,
        rating_sum, rating_count, created_at, updated_at)
    SELECT 'product-' || n, style || ' ' || kind || ' ' || n, 'Made by hand, for every day',
        repeat('Turned and fired in a small workshop. Every piece is a little different. ', 8)
        || E'\n\n- Safe in the dishwasher\n- Ships in recycled paper\n\nNo. ' || n,
        '{"Material": "Stoneware", "Height": "9 cm", "Origin": "Portugal"}', 'active',
        now() - n * interval '8 hours', CASE WHEN n <= 12 THEN n END, shelf.id,
        1500 + n, 2500 + n, n * 7 % 997, 27, :reviews, now(), now()
    FROM generate_series(1, :products) AS n
    CROSS JOIN LATERAL (SELECT (cast(:kinds AS text[]))[n % 8 + 1] AS kind,
                               (cast(:styles AS text[]))[n % 10 + 1] AS style) AS word
    JOIN category shelf ON shelf.slug = lower(kind) || 's'
    """,
    """
    INSERT INTO product_category (product_id, category_id)
    SELECT id, primary_category_id FROM product
    """,
    """
    INSERT INTO "option" (product_id, name, position) SELECT id, 'Colour', 0 FROM product
    """,
    """
    INSERT INTO option_value (option_id, name, swatch, position)
    SELECT o.id, colour, swatch, n FROM "option" o
    CROSS JOIN unnest(cast(:colours AS text[]), cast(:swatches AS text[]))
        WITH ORDINALITY AS c(colour, swatch, n)
    """,
    """
    INSERT INTO variant (product_id, sku, combination, title, price_minor, weight_g, position)
    SELECT o.product_id, 'SKU-' || o.product_id || '-' || ov.position, ov.id::text, ov.name,
        1500 + o.product_id % 1000 + (ov.position - 1) * 500, 400, ov.position
    FROM option_value ov JOIN "option" o ON o.id = ov.option_id
    """,
    """
    INSERT INTO variant_value (variant_id, option_value_id)
    SELECT id, combination::bigint FROM variant
    """,
    """
    UPDATE product p SET price_from_minor = low, price_to_minor = high
    FROM (SELECT product_id, min(price_minor) AS low, max(price_minor) AS high FROM variant
          GROUP BY product_id) v WHERE v.product_id = p.id
    """,
    """
    INSERT INTO stock_level (variant_id, location_id, on_hand)
    SELECT v.id, l.id, :stock FROM variant v JOIN location l ON l.is_default
    """,
    """
    INSERT INTO stock_movement (variant_id, location_id, kind, on_hand_delta, on_hand_after,
        reserved_after, committed_after, reason, actor_kind, actor_name, at)
    SELECT variant_id, location_id, 'receive', on_hand, on_hand, 0, 0, 'opening stock', 'system',
        'Shop', now() FROM stock_level
    """,
    f"""
    INSERT INTO media_file (key, sha256, width, height, size_bytes, colour, state, widths,
        created_at)
    SELECT {_KEY}, md5(n::text), 1280, 1600, 90000, '#d9cfc2', 'ready', '320,480,640,960,1280',
        now() FROM generate_series(1, :products * :images) AS n
    """,
    """
    INSERT INTO image (product_id, media_id, alt, position)
    SELECT p.id, m.id, p.name || ', view ' || m.id % :images + 1, m.id % :images
    FROM (SELECT id, name, row_number() OVER (ORDER BY id) AS n FROM product) p
    JOIN (SELECT id, row_number() OVER (ORDER BY id) AS n FROM media_file) m
        ON (m.n - 1) / :images + 1 = p.n
    """,
    """
    INSERT INTO review (product_id, author, rating, title, text, created_at)
    SELECT p.id, 'Kim', 4 + n % 2, 'Lovely ' || n, 'A good piece, well packed, it arrived early.',
        now() - n * interval '1 day'
    FROM product p CROSS JOIN generate_series(1, :reviews) AS n
    """,
    """
    INSERT INTO "order" (token, email, customer_name, status, payment_status, fulfilment_status,
        currency, prices_include_tax, subtotal_minor, shipping_minor, tax_minor, total_minor,
        item_count, shipping_method, shipping_method_name, shipping_address, placed_at,
        expires_at, paid_at, processing_at, closed_at)
    SELECT 'seeded-order-token-' || n, 'buyer' || n % 3000 || '@example.com', 'Buyer ' || n % 3000,
        CASE WHEN n % 20 = 0 THEN 'expired' WHEN n % 20 = 1 THEN 'cancelled'
             WHEN n % 20 < 15 THEN 'completed' ELSE 'confirmed' END,
        CASE WHEN n % 20 = 0 THEN 'unpaid' WHEN n % 20 = 1 THEN 'refunded' ELSE 'paid' END,
        CASE WHEN n % 20 BETWEEN 2 AND 14 THEN 'delivered' WHEN n % 20 = 15 THEN 'shipped'
             WHEN n % 20 = 16 THEN 'partly_shipped' ELSE 'unfulfilled' END,
        'EUR', true, 4000 + n % 5000, 490, 717, 4490 + n % 5000, 2, 'standard',
        'Standard delivery', '{"name": "Buyer", "line1": "Unter den Linden 1", "line2": "",
        "city": "Berlin", "postal_code": "10117", "region": "", "country": "DE", "phone": ""}',
        placed, placed + interval '15 minutes', CASE WHEN n % 20 > 0 THEN placed END,
        CASE WHEN n % 20 = 17 THEN placed END, CASE WHEN n % 20 < 15 THEN placed END
    FROM generate_series(1, :orders) AS n
    CROSS JOIN LATERAL (SELECT now() - n * interval '8 minutes' AS placed) AS moment
    """,
    """
    INSERT INTO order_line (order_id, variant_id, product_id, name, variant_title, sku, slug,
        quantity, unit_price_minor, total_minor, tax_class, tax_rate, tax_minor)
    SELECT o.id, v.id, v.product_id, p.name, v.title, v.sku, p.slug, 1,
        o.subtotal_minor / 2 + half * (o.subtotal_minor % 2),
        o.subtotal_minor / 2 + half * (o.subtotal_minor % 2), 'standard', 0.19, 320
    FROM "order" o CROSS JOIN generate_series(0, 1) AS half
    JOIN (SELECT *, row_number() OVER (ORDER BY id) AS n FROM variant) v
        ON v.n = (o.id * 7 + half * 11) % (:products * 3) + 1
    JOIN product p ON p.id = v.product_id
    """,
)


def seed(*, products: int = 1_000, orders: int = 10_000) -> None:
    """Fill a migrated shop that ``flask shop init`` has set up."""
    values = {
        "products": products,
        "orders": orders,
        "kinds": list(KINDS),
        "styles": list(STYLES),
        "colours": list(COLOURS),
        "swatches": list(COLOURS.values()),
        "images": IMAGES,
        "reviews": REVIEWS,
        "stock": STOCK,
    }
    with transaction() as session:
        # Ten thousand orders in one statement take longer than a page may; a million more so, whose
        # foreign keys are right by themselves.
        session.execute(text("SET LOCAL statement_timeout = '480s'"))
        session.execute(text("SET LOCAL session_replication_role = replica"))
        for statement in _STATEMENTS:
            session.execute(text(statement), values)
    # As autovacuum leaves a table whose orders came one by one.
    with engine().connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("SET statement_timeout = '480s'")
        connection.exec_driver_sql("VACUUM ANALYZE")
        connection.exec_driver_sql("RESET statement_timeout")
