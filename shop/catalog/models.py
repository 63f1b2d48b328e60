"""Tables of the catalogue: category tree, products, options, variants and their images."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Computed,
    ForeignKey,
    Identity,
    Index,
    Table,
    UniqueConstraint,
)
from sqlalchemy.dialects.postgresql import TSVECTOR
from sqlalchemy.orm import Mapped, mapped_column, relationship

from shop.core import search
from shop.core.choices import choice, one_of
from shop.core.db import Base
from shop.media.models import MediaFile

SEARCH_TEXT = (
    "setweight(to_tsvector('shop_en', name), 'A') || "
    "setweight(to_tsvector('shop_en', tagline), 'B') || "
    "setweight(to_tsvector('shop_en', keywords), 'B') || "
    "setweight(to_tsvector('shop_en', description), 'C')"
)

product_category = Table(
    "product_category",
    Base.metadata,
    Column("product_id", ForeignKey("product.id", ondelete="CASCADE"), primary_key=True),
    Column("category_id", ForeignKey("category.id"), primary_key=True, index=True),
)

variant_value = Table(
    "variant_value",
    Base.metadata,
    Column("variant_id", ForeignKey("variant.id", ondelete="CASCADE"), primary_key=True),
    Column("option_value_id", ForeignKey("option_value.id"), primary_key=True, index=True),
)


class ProductStatus(StrEnum):
    """Whether a product is written, on sale or put away."""

    DRAFT = "draft"
    ACTIVE = "active"
    ARCHIVED = "archived"


class Category(Base):
    """A node of the category tree; ``path`` is the slugs from the root, joined by ``/``."""

    __tablename__ = "category"
    __table_args__ = (
        CheckConstraint("slug ~ '^[a-z0-9]+(-[a-z0-9]+)*$'", name="slug"),
        CheckConstraint("parent_id <> id", name="not_own_parent"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    parent_id: Mapped[int | None] = mapped_column(ForeignKey("category.id"), index=True)
    name: Mapped[str]
    slug: Mapped[str]
    path: Mapped[str] = mapped_column(unique=True)
    description: Mapped[str] = mapped_column(server_default="", default="")
    position: Mapped[int] = mapped_column(server_default="0", default=0)

    parent: Mapped["Category | None"] = relationship(remote_side=[id], back_populates="children")
    children: Mapped[list["Category"]] = relationship(
        back_populates="parent", order_by="Category.position, Category.id"
    )

    def __str__(self) -> str:
        return self.name


class OldPath(Base):
    """An address that moved: a request for it is answered with 301 to where the thing is now."""

    __tablename__ = "old_path"
    __table_args__ = (CheckConstraint("(category_id IS NULL) <> (product_id IS NULL)", name="one"),)

    path: Mapped[str] = mapped_column(primary_key=True)
    category_id: Mapped[int | None] = mapped_column(ForeignKey("category.id", ondelete="CASCADE"))
    product_id: Mapped[int | None] = mapped_column(ForeignKey("product.id", ondelete="CASCADE"))


class Product(Base):
    """What is shown on one page. ``price_from_minor`` and ``sold_count`` are kept for lists."""

    __tablename__ = "product"
    __table_args__ = (
        CheckConstraint("slug ~ '^[a-z0-9]+(-[a-z0-9]+)*$'", name="slug"),
        one_of("status", ProductStatus),
        CheckConstraint(
            "price_from_minor >= 0 AND price_to_minor >= price_from_minor", name="price"
        ),
        CheckConstraint(
            # a year more than can be typed at both ends: it is another one in other zones
            "extract(year FROM published_at AT TIME ZONE 'UTC') >= 1999"
            " AND extract(year FROM published_at AT TIME ZONE 'UTC') <= 3000"
            " AND extract(year FROM unpublish_at AT TIME ZONE 'UTC') >= 1999"
            " AND extract(year FROM unpublish_at AT TIME ZONE 'UTC') <= 3000",
            name="years",
        ),
        Index("ix_product_search", "search", postgresql_using="gin"),
        Index(
            "ix_product_name_trgm",
            "name",
            postgresql_using="gin",
            postgresql_ops={"name": "gin_trgm_ops"},
        ),
        search.folded_index("product", "name"),
        Index("ix_product_newest", "status", "published_at", "id"),
        # Also serves the foreign key; a category's best sellers come first in it.
        Index("ix_product_primary_category_id", "primary_category_id", "sold_count", "id"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    slug: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    tagline: Mapped[str] = mapped_column(server_default="", default="")
    description: Mapped[str] = mapped_column(server_default="", default="")
    keywords: Mapped[str] = mapped_column(server_default="", default="")
    attributes: Mapped[dict[str, str]] = mapped_column(server_default="{}", default=dict)
    status: Mapped[ProductStatus] = choice(ProductStatus, default=ProductStatus.DRAFT)
    published_at: Mapped[datetime | None]
    unpublish_at: Mapped[datetime | None]
    tax_class: Mapped[str] = mapped_column(server_default="standard", default="standard")
    seo_title: Mapped[str] = mapped_column(server_default="", default="")
    seo_description: Mapped[str] = mapped_column(server_default="", default="")
    featured_rank: Mapped[int | None] = mapped_column(index=True)
    primary_category_id: Mapped[int | None] = mapped_column(ForeignKey("category.id"))
    price_from_minor: Mapped[int] = mapped_column(server_default="0", default=0)
    price_to_minor: Mapped[int] = mapped_column(server_default="0", default=0)
    sold_count: Mapped[int] = mapped_column(server_default="0", default=0)
    rating_sum: Mapped[int] = mapped_column(server_default="0", default=0)
    rating_count: Mapped[int] = mapped_column(server_default="0", default=0)
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    search: Mapped[Any] = mapped_column(
        TSVECTOR, Computed(SEARCH_TEXT, persisted=True), deferred=True, deferred_raiseload=True
    )

    primary_category: Mapped[Category | None] = relationship()
    categories: Mapped[list[Category]] = relationship(secondary=product_category)
    options: Mapped[list["Option"]] = relationship(
        back_populates="product", order_by="Option.position", cascade="all, delete-orphan"
    )
    variants: Mapped[list["Variant"]] = relationship(
        back_populates="product", order_by="Variant.position", cascade="all, delete-orphan"
    )
    images: Mapped[list["Image"]] = relationship(
        back_populates="product", order_by="Image.position", cascade="all, delete-orphan"
    )

    def __str__(self) -> str:
        return self.name

    @property
    def average_rating(self) -> float | None:
        """The mean of its reviews' stars; none without reviews."""
        return self.rating_sum / self.rating_count if self.rating_count else None


class Option(Base):
    """What a customer chooses between, such as Colour or Size."""

    __tablename__ = "option"
    __table_args__ = (UniqueConstraint("product_id", "name"),)

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    product_id: Mapped[int] = mapped_column(ForeignKey("product.id", ondelete="CASCADE"))
    name: Mapped[str]
    position: Mapped[int] = mapped_column(server_default="0", default=0)

    product: Mapped[Product] = relationship(back_populates="options")
    values: Mapped[list["OptionValue"]] = relationship(
        back_populates="option", order_by="OptionValue.position", cascade="all, delete-orphan"
    )

    def __str__(self) -> str:
        return self.name


class OptionValue(Base):
    """One choice of an option; ``swatch`` is a colour such as ``#b4623e``."""

    __tablename__ = "option_value"
    __table_args__ = (
        UniqueConstraint("option_id", "name"),
        CheckConstraint("swatch ~ '^#[0-9a-f]{6}$'", name="swatch"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    option_id: Mapped[int] = mapped_column(ForeignKey("option.id", ondelete="CASCADE"))
    name: Mapped[str]
    swatch: Mapped[str | None]
    position: Mapped[int] = mapped_column(server_default="0", default=0)

    option: Mapped[Option] = relationship(back_populates="values")

    def __str__(self) -> str:
        return self.name


class Variant(Base):
    """What is sold, priced and counted. ``combination`` is its value ids, sorted, e.g. ``4.9``."""

    __tablename__ = "variant"
    __table_args__ = (
        UniqueConstraint("product_id", "combination"),
        CheckConstraint("price_minor >= 0", name="price"),
        CheckConstraint("compare_at_minor > price_minor", name="compare_at"),
        CheckConstraint("weight_g >= 0", name="weight"),
        CheckConstraint("low_stock_level >= 0", name="low_stock_level"),
        search.folded_index("variant", "sku"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    product_id: Mapped[int] = mapped_column(ForeignKey("product.id", ondelete="CASCADE"))
    sku: Mapped[str] = mapped_column(unique=True)
    combination: Mapped[str] = mapped_column(server_default="", default="")
    title: Mapped[str] = mapped_column(server_default="", default="")
    price_minor: Mapped[int]
    compare_at_minor: Mapped[int | None]
    barcode: Mapped[str] = mapped_column(server_default="", default="")
    weight_g: Mapped[int] = mapped_column(server_default="0", default=0)
    position: Mapped[int] = mapped_column(server_default="0", default=0)
    low_stock_level: Mapped[int] = mapped_column(server_default="3", default=3)
    backorder_allowed: Mapped[bool] = mapped_column(server_default="false", default=False)
    archived_at: Mapped[datetime | None]

    product: Mapped[Product] = relationship(back_populates="variants")
    values: Mapped[list[OptionValue]] = relationship(
        secondary=variant_value, order_by="OptionValue.option_id"
    )

    def __str__(self) -> str:
        return self.sku


class Image(Base):
    """An image of a product, in order; of one option value (such as a colour) if it names one."""

    __tablename__ = "image"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    product_id: Mapped[int] = mapped_column(
        ForeignKey("product.id", ondelete="CASCADE"), index=True
    )
    media_id: Mapped[int] = mapped_column(ForeignKey("media_file.id"))
    option_value_id: Mapped[int | None] = mapped_column(
        ForeignKey("option_value.id", ondelete="SET NULL")
    )
    alt: Mapped[str] = mapped_column(server_default="", default="")
    position: Mapped[int] = mapped_column(server_default="0", default=0)

    product: Mapped[Product] = relationship(back_populates="images")
    media: Mapped[MediaFile] = relationship(lazy="joined", innerjoin=True)
