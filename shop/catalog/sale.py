"""What is on sale, and how much of it is left: the one way in which every statement asks.

In SQL text, ``p`` is the product, ``v`` the variant, and ``:now`` the moment by ``core.clock``.
Stock is read from its table by name, since ``inventory`` stands on a higher floor; it offers the
same sum to the floors above (``inventory.UNITS_AVAILABLE``).
"""

from datetime import datetime

from sqlalchemy import ColumnElement, and_

from shop.catalog.models import Product, ProductStatus

ON_SALE = (
    "p.status = 'active' AND p.published_at <= :now"
    " AND (p.unpublish_at IS NULL OR p.unpublish_at > :now)"
)
VARIANT_ON_SALE = f"v.archived_at IS NULL AND {ON_SALE}"
AVAILABLE = (
    "coalesce((SELECT sum(l.on_hand - l.reserved - l.committed) FROM stock_level l"
    " WHERE l.variant_id = v.id), 0)"
)


def is_on_sale(now: datetime) -> ColumnElement[bool]:
    """``ON_SALE`` for a statement that has ``Product``."""
    return and_(
        Product.status == ProductStatus.ACTIVE,
        Product.published_at <= now,
        Product.unpublish_at.is_(None) | (Product.unpublish_at > now),
    )
