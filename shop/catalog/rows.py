"""Parts that every statement about products shares, and how their rows become frozen values.

Reviews are read from their table by name: that feature stands on a higher floor and may not be
imported here, yet a page has to say in one statement how a product is liked. What can be bought
stands in ``sale``.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from sqlalchemy import Row, TextClause, text

from shop.catalog.pages import ImageView, ProductCard
from shop.catalog.sale import AVAILABLE, ON_SALE
from shop.core import clock
from shop.core.db import session

NEW_FOR = timedelta(days=30)

IMAGE = "json_build_array(m.key, i.alt, m.width, m.height, m.colour, m.widths, i.option_value_id)"
IN_USE = (
    "EXISTS (SELECT FROM variant_value vv JOIN variant v ON v.id = vv.variant_id"
    " WHERE vv.option_value_id = ov.id AND v.archived_at IS NULL)"
)
# The columns of a card, for rows ``chosen(id, n)``; the second image stays with the colour.
CARD = f"""
SELECT p.id, p.slug, p.name, p.tagline, p.price_from_minor, p.price_to_minor, p.rating_sum,
       p.rating_count, p.published_at, goods.compare_at, goods.is_available,
       images.list AS images, swatches.list AS swatches
FROM chosen JOIN product p ON p.id = chosen.id
CROSS JOIN LATERAL (
    SELECT min(v.compare_at_minor) FILTER (WHERE v.price_minor = p.price_from_minor) AS compare_at,
           coalesce(bool_or(v.backorder_allowed OR {AVAILABLE} > 0), false) AS is_available
    FROM variant v WHERE v.product_id = p.id AND v.archived_at IS NULL
) goods
CROSS JOIN LATERAL (
    SELECT json_agg(image ORDER BY position, id) AS list FROM (
        SELECT {IMAGE} AS image, i.position, i.id
        FROM image i JOIN media_file m ON m.id = i.media_id
        WHERE i.product_id = p.id ORDER BY i.position, i.id LIMIT 6
    ) first_ones
) images
CROSS JOIN LATERAL (
    SELECT json_agg(json_build_array(ov.name, ov.swatch) ORDER BY o.position, ov.position, ov.id)
           AS list
    FROM "option" o JOIN option_value ov ON ov.option_id = o.id
    WHERE o.product_id = p.id AND ov.swatch IS NOT NULL AND {IN_USE}
) swatches
WHERE {ON_SALE}
ORDER BY chosen.n
"""


def cards_of(statement: str, values: dict[str, Any]) -> tuple[ProductCard, ...]:
    now = clock.now()
    rows = session.execute(statement_of(statement), {"now": now} | values)
    return tuple(card_of(row, now) for row in rows)


def card_of(row: Row[Any], now: datetime) -> ProductCard:
    images = [image_of(image) for image in row.images or ()]
    first = images[0] if images else None
    same_choice = [p for p in images[1:] if first and p.option_value_id == first.option_value_id]
    return ProductCard(
        id=row.id,
        slug=row.slug,
        name=row.name,
        tagline=row.tagline,
        price_from_minor=row.price_from_minor,
        price_to_minor=row.price_to_minor,
        compare_at_minor=row.compare_at,
        image=first,
        hover_image=next(iter(same_choice or images[1:]), None),
        swatches=tuple((name, colour) for name, colour in row.swatches or ()),
        is_available=row.is_available,
        rating=rating_of(row),
        rating_count=row.rating_count,
        is_new=now - row.published_at < NEW_FOR,
    )


def image_of(image: Sequence[Any]) -> ImageView:
    key, alt, width, height, colour, widths, option_value_id = image
    ready = tuple(int(number) for number in widths.split(",") if number)
    return ImageView(key, alt, width, height, colour, ready, option_value_id)


def rating_of(row: Row[Any]) -> float | None:
    return round(row.rating_sum / row.rating_count, 1) if row.rating_count else None


@lru_cache(maxsize=256)
def statement_of(statement: str) -> TextClause:
    """A statement as an object that SQLAlchemy has to read only once."""
    return text(statement)


def clean(value: str, length: int) -> str:
    """Postgres refuses NUL in text and an encoder refuses half a surrogate pair."""
    readable = value.replace("\x00", " ").encode("utf-8", "ignore").decode()
    return readable[:length].strip()
