"""Reading products for staff: all of them, whatever their state, with stock and picture."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, func, or_, select

from shop import inventory
from shop.catalog.models import Image, Product, ProductStatus, Variant
from shop.core.db import session
from shop.inventory.models import StockLevel
from shop.media import MediaFile

TABS = {
    "": "All",
    "active": "Active",
    "draft": "Drafts",
    "out": "Sold out",
    "archived": "Archived",
}


@dataclass(frozen=True, slots=True)
class ProductRow:
    """One line of the list; prices in minor units of the shop's currency."""

    id: int
    name: str
    slug: str
    status: str
    published_at: datetime | None
    price_from_minor: int
    price_to_minor: int
    variants: int
    available: int
    image_key: str


@dataclass(frozen=True, slots=True)
class ProductList:
    """One page of products and how many there are in all."""

    rows: Sequence[ProductRow]
    total: int
    page: int
    per_page: int

    @property
    def pages(self) -> int:
        return max(1, -(-self.total // self.per_page))


def products(*, q: str, tab: str, page: int, per_page: int) -> ProductList:
    """Products by name, with ``q`` in name, slug or a SKU. Two statements."""
    conditions = [_tab(tab)] if tab else []
    if q:
        has_sku = Variant.sku.icontains(q, autoescape=True)
        conditions.append(
            or_(
                Product.name.icontains(q, autoescape=True),
                Product.slug.icontains(q, autoescape=True),
                Product.id.in_(select(Variant.product_id).where(has_sku)),
            )
        )
    picture = (
        select(MediaFile.key)
        .join(Image, Image.media_id == MediaFile.id)
        .where(Image.product_id == Product.id)
        .order_by(Image.position, Image.id)
        .limit(1)
        .scalar_subquery()
    )
    on_sale = (
        select(func.count())
        .where(Variant.product_id == Product.id, Variant.archived_at.is_(None))
        .scalar_subquery()
    )
    rows = session.execute(
        select(
            Product.id,
            Product.name,
            Product.slug,
            Product.status,
            Product.published_at,
            Product.price_from_minor,
            Product.price_to_minor,
            on_sale,
            _available(),
            func.coalesce(picture, ""),
        )
        .where(*conditions)
        .order_by(func.lower(Product.name), Product.id)
        .limit(per_page)
        .offset((page - 1) * per_page)
    ).all()
    total = session.scalar(select(func.count()).select_from(Product).where(*conditions)) or 0
    return ProductList([ProductRow(*row) for row in rows], total, page, per_page)


def tab_counts() -> dict[str, int]:
    """How many products each tab holds. One statement."""
    counts = [func.count() if key == "" else func.count().filter(_tab(key)) for key in TABS]
    numbers = session.execute(select(*counts).select_from(Product)).one()
    return dict(zip(TABS, numbers, strict=True))


def _tab(key: str) -> ColumnElement[bool]:
    if key == "out":
        return (Product.status == ProductStatus.ACTIVE) & (_available() <= 0)
    return Product.status == key


def _available() -> ColumnElement[Any]:
    """Units of all variants on sale that nobody was promised."""
    return (
        select(inventory.UNITS_AVAILABLE)
        .select_from(StockLevel)
        .join(Variant, Variant.id == StockLevel.variant_id)
        .where(Variant.product_id == Product.id, Variant.archived_at.is_(None))
        .correlate(Product)
        .scalar_subquery()
    )
