"""Tables of discounts: what is given, to whom, by which codes, and who has had it."""

from datetime import datetime

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKey,
    Identity,
    Index,
    Table,
    Text,
    UniqueConstraint,
    func,
)
from sqlalchemy.dialects.postgresql import ARRAY, CITEXT
from sqlalchemy.orm import Mapped, mapped_column, relationship

from shop.catalog.models import Category, Product
from shop.core.choices import choice, one_of
from shop.core.db import Base
from shop.customers.models import Customer
from shop.discounts.kinds import Audience, DiscountKind, Lane

discount_category = Table(
    "discount_category",
    Base.metadata,
    Column("discount_id", ForeignKey("discount.id", ondelete="CASCADE"), primary_key=True),
    Column(
        "category_id", ForeignKey("category.id", ondelete="CASCADE"), primary_key=True, index=True
    ),
)

discount_product = Table(
    "discount_product",
    Base.metadata,
    Column("discount_id", ForeignKey("discount.id", ondelete="CASCADE"), primary_key=True),
    Column(
        "product_id", ForeignKey("product.id", ondelete="CASCADE"), primary_key=True, index=True
    ),
)

discount_customer = Table(
    "discount_customer",
    Base.metadata,
    Column("discount_id", ForeignKey("discount.id", ondelete="CASCADE"), primary_key=True),
    Column(
        "customer_id", ForeignKey("customer.id", ondelete="CASCADE"), primary_key=True, index=True
    ),
)


class Discount(Base):
    """What is taken off, and when. ``value`` is in basis points for ``percentage`` and
    ``buy_x_get_y`` (10000 is free), in minor units for ``fixed``, and for ``free_shipping`` the
    most that is taken off shipping (0: all of it).

    ``is_targeted`` stays set when the last category or product is deleted: an offer on Kitchen must
    not become an offer on everything.
    """

    __tablename__ = "discount"
    __table_args__ = (
        one_of("kind", DiscountKind),
        one_of("lane", Lane),
        one_of("audience", Audience),
        CheckConstraint(
            "CASE kind WHEN 'percentage' THEN value BETWEEN 1 AND 10000"
            " WHEN 'buy_x_get_y' THEN value BETWEEN 1 AND 10000"
            " WHEN 'fixed' THEN value >= 1 ELSE value >= 0 END",
            name="value",
        ),
        CheckConstraint(
            # not BETWEEN: pg_dump would write two of them in other words
            "CASE kind WHEN 'buy_x_get_y' THEN buy_quantity >= 1 AND buy_quantity <= 99"
            " AND get_quantity >= 1 AND get_quantity <= 99"
            " ELSE buy_quantity = 0 AND get_quantity = 0 END",
            name="quantities",
        ),
        CheckConstraint("min_subtotal_minor >= 1", name="min_subtotal"),
        CheckConstraint("ends_at > starts_at", name="dates"),
        CheckConstraint(
            # a year more than can be typed at both ends: it is another one in other zones
            "extract(year FROM starts_at AT TIME ZONE 'UTC') >= 1999"
            " AND extract(year FROM starts_at AT TIME ZONE 'UTC') <= 3000"
            " AND extract(year FROM ends_at AT TIME ZONE 'UTC') >= 1999"
            " AND extract(year FROM ends_at AT TIME ZONE 'UTC') <= 3000",
            name="years",
        ),
        CheckConstraint("limit_total >= 1", name="limit_total"),
        CheckConstraint("limit_per_customer >= 1", name="limit_per_customer"),
        CheckConstraint("used >= 0 AND used <= limit_total", name="used"),
        CheckConstraint("currency ~ '^[A-Z]{3}$'", name="currency"),
        CheckConstraint("length(name) BETWEEN 1 AND 80", name="name"),
        Index("ix_discount_automatic", "id", postgresql_where="is_automatic AND is_active"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    name: Mapped[str]
    kind: Mapped[DiscountKind] = choice(DiscountKind)
    value: Mapped[int]
    buy_quantity: Mapped[int] = mapped_column(server_default="0", default=0)
    get_quantity: Mapped[int] = mapped_column(server_default="0", default=0)
    currency: Mapped[str]
    lane: Mapped[Lane] = choice(Lane, default=Lane.MAIN)
    is_automatic: Mapped[bool] = mapped_column(server_default="false", default=False)
    is_active: Mapped[bool] = mapped_column(server_default="true", default=True)
    is_targeted: Mapped[bool] = mapped_column(server_default="false", default=False)
    min_subtotal_minor: Mapped[int | None]
    audience: Mapped[Audience] = choice(Audience, default=Audience.EVERYONE)
    first_order: Mapped[bool] = mapped_column(server_default="false", default=False)
    countries: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default="{}", default=list)
    starts_at: Mapped[datetime | None]
    ends_at: Mapped[datetime | None]
    limit_total: Mapped[int | None]
    limit_per_customer: Mapped[int | None]
    used: Mapped[int] = mapped_column(server_default="0", default=0)
    version: Mapped[int] = mapped_column(server_default="1", default=1)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())

    categories: Mapped[list[Category]] = relationship(
        secondary=discount_category, order_by=Category.name
    )
    products: Mapped[list[Product]] = relationship(
        secondary=discount_product, order_by=Product.name
    )
    customers: Mapped[list[Customer]] = relationship(
        secondary=discount_customer, order_by=Customer.email
    )

    def __str__(self) -> str:
        return self.name


class DiscountCode(Base):
    """What a customer types to get a discount; with a limit of its own if it has one."""

    __tablename__ = "discount_code"
    __table_args__ = (
        UniqueConstraint("code"),
        CheckConstraint("code ~ '^[A-Z0-9][A-Z0-9_-]{2,39}$'", name="code"),
        CheckConstraint("limit_total >= 1", name="limit_total"),
        CheckConstraint("used >= 0 AND used <= limit_total", name="used"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    discount_id: Mapped[int] = mapped_column(
        ForeignKey("discount.id", ondelete="CASCADE"), index=True
    )
    code: Mapped[str] = mapped_column(CITEXT)
    limit_total: Mapped[int | None]
    used: Mapped[int] = mapped_column(server_default="0", default=0)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())

    def __str__(self) -> str:
        return self.code


class DiscountHolder(Base):
    """How often somebody has a discount: ``customer:7`` and ``email:ada@example.com``."""

    __tablename__ = "discount_holder"
    __table_args__ = (CheckConstraint("used >= 0", name="used"),)

    discount_id: Mapped[int] = mapped_column(
        ForeignKey("discount.id", ondelete="CASCADE"), primary_key=True
    )
    holder: Mapped[str] = mapped_column(primary_key=True, index=True)
    used: Mapped[int] = mapped_column(server_default="0", default=0)


class Redemption(Base):
    """What an order got: a snapshot, and the use that counts until it is released.

    ``amount_minor`` was taken off the goods and ``shipping_minor`` off shipping. ``honoured_at``:
    the order was paid late, when the limit was full again; its price holds, its use is not counted.
    """

    __tablename__ = "redemption"
    __table_args__ = (
        UniqueConstraint("order_id", "discount_id"),
        CheckConstraint("amount_minor >= 0 AND shipping_minor >= 0", name="amounts"),
        CheckConstraint("honoured_at IS NULL OR released_at IS NOT NULL", name="honoured"),
        Index("ix_redemption_discount_id", "discount_id", "redeemed_at"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    order_id: Mapped[int] = mapped_column(ForeignKey("order.id"))
    discount_id: Mapped[int] = mapped_column(ForeignKey("discount.id"))
    code_id: Mapped[int | None] = mapped_column(ForeignKey("discount_code.id"), index=True)
    name: Mapped[str]
    code: Mapped[str] = mapped_column(server_default="", default="")
    customer_id: Mapped[int | None] = mapped_column(BigInteger)
    email: Mapped[str] = mapped_column(CITEXT)
    holders: Mapped[list[str]] = mapped_column(ARRAY(Text))
    amount_minor: Mapped[int]
    shipping_minor: Mapped[int] = mapped_column(server_default="0", default=0)
    currency: Mapped[str]
    redeemed_at: Mapped[datetime]
    released_at: Mapped[datetime | None]
    honoured_at: Mapped[datetime | None]
