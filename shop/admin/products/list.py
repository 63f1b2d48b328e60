"""The list of products: what it shows of each besides its own columns, in SQL."""

from typing import Any

from sqlalchemy import ColumnElement, func, select

from shop import inventory
from shop.catalog.models import Image, Product, Variant
from shop.inventory.models import StockLevel
from shop.media import MediaFile

IMAGE_KEY: ColumnElement[str] = (
    select(MediaFile.key)
    .join(Image, Image.media_id == MediaFile.id)
    .where(Image.product_id == Product.id)
    .order_by(Image.position, Image.id)
    .limit(1)
    .correlate(Product)
    .scalar_subquery()
)
VARIANT_COUNT: ColumnElement[int] = (
    select(func.count())
    .where(Variant.product_id == Product.id, Variant.archived_at.is_(None))
    .correlate(Product)
    .scalar_subquery()
)
# Units of all variants on sale that nobody was promised.
AVAILABLE: ColumnElement[Any] = (
    select(inventory.UNITS_AVAILABLE)
    .select_from(StockLevel)
    .join(Variant, Variant.id == StockLevel.variant_id)
    .where(Variant.product_id == Product.id, Variant.archived_at.is_(None))
    .correlate(Product)
    .scalar_subquery()
)
