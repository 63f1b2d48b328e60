"""Tables of orders: what was agreed, kept as it was at that moment, and what was sent."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Computed,
    ForeignKey,
    Identity,
    Index,
    Numeric,
    Sequence,
    UniqueConstraint,
    Uuid,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import CITEXT
from sqlalchemy.orm import Mapped, mapped_column, relationship

from shop.core.choices import choice, one_of, sql_list
from shop.core.db import Base
from shop.core.search import folded_index
from shop.orders.carriers import tracking_page
from shop.orders.states import (
    LIVE,
    FulfilmentStatus,
    OrderStatus,
    PaymentStatus,
    SaleKind,
    ShipmentStatus,
)

# What an order and a line come to, as SQL text over their own columns.
ORDER_TOTAL = (
    "subtotal_minor - discount_minor + shipping_minor"
    " + CASE WHEN prices_include_tax THEN 0 ELSE tax_minor END"
)
LINE_TOTAL = "unit_price_minor * quantity - discount_minor"
# Units of a line (l) that are still to be sent: ``OrderLine.open_quantity`` as SQL text.
OPEN_UNITS = "l.quantity - l.shipped - l.cancelled"
# The order of lists, newest first.
NEWEST = (text("placed_at DESC"), text("id DESC"))

order_number = Sequence("order_number", start=10001, metadata=Base.metadata)


class Order(Base):
    """One order. ``payment_status`` and ``fulfilment_status`` are kept for lists.

    Orders that were placed from one cart, each in place of the one before, share a ``chain_id``: at
    most one of them is live. An order of the items that stay in a cart after another order was paid
    begins a chain of its own.

    ``placed_from`` is a digest of the buyer's network, deleted after two days.
    ``shipping_minor`` is after ``shipping_discount_minor``; ``discount_minor`` is off the goods.
    """

    __tablename__ = "order"
    __table_args__ = (
        one_of("status", OrderStatus),
        one_of("payment_status", PaymentStatus),
        one_of("fulfilment_status", FulfilmentStatus),
        CheckConstraint(
            "subtotal_minor >= 0 AND discount_minor >= 0 AND shipping_minor >= 0 "
            "AND tax_minor >= 0 AND total_minor >= 0",
            name="amounts",
        ),
        CheckConstraint(f"total_minor = {ORDER_TOTAL}", name="total"),
        Index("ix_order_placed_at", *NEWEST),
        # One for each filter of the orders desk: its rows as the list sorts them. The indexes of
        # its tabs stand beside ``TABS``, whose conditions they hold.
        Index("ix_order_status", "status", *NEWEST),
        Index("ix_order_payment_status", "payment_status", *NEWEST),
        Index("ix_order_fulfilment_status", "fulfilment_status", *NEWEST),
        Index("ix_order_shipping_method", "shipping_method", *NEWEST),
        Index("ix_order_country", text("(shipping_address ->> 'country')"), *NEWEST),
        Index("ix_order_total_minor", "total_minor", "id"),
        Index(
            "uq_order_live_in_chain",
            "chain_id",
            unique=True,
            postgresql_where=text(f"status IN ({sql_list(*LIVE)})"),
        ),
        Index("ix_order_chain_id", "chain_id"),
        Index(
            "ix_order_expiry",
            "expires_at",
            postgresql_where=text(f"status = '{OrderStatus.PENDING}'"),
        ),
        Index("ix_order_paid_at", "paid_at", postgresql_where=text("paid_at IS NOT NULL")),
        Index(
            "ix_order_placed_from",
            "placed_from",
            "closed_at",
            postgresql_where=text("placed_from <> ''"),
        ),
        Index(
            "ix_order_search_trgm",
            "searched",
            postgresql_using="gin",
            postgresql_ops={"searched": "gin_trgm_ops"},
        ),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    number: Mapped[str] = mapped_column(
        unique=True, server_default=text("'EO-' || nextval('order_number')")
    )
    token: Mapped[str] = mapped_column(unique=True)
    cart_id: Mapped[int | None] = mapped_column(ForeignKey("cart.id"), index=True)
    cart_version: Mapped[int | None]
    chain_id: Mapped[UUID] = mapped_column(Uuid, server_default=text("gen_random_uuid()"))
    customer_id: Mapped[int | None] = mapped_column(ForeignKey("customer.id"), index=True)
    email: Mapped[str] = mapped_column(CITEXT, index=True)
    customer_name: Mapped[str] = mapped_column(server_default="", default="")
    status: Mapped[OrderStatus] = choice(OrderStatus, default=OrderStatus.PENDING)
    payment_status: Mapped[PaymentStatus] = choice(PaymentStatus, default=PaymentStatus.UNPAID)
    fulfilment_status: Mapped[FulfilmentStatus] = choice(
        FulfilmentStatus, default=FulfilmentStatus.UNFULFILLED
    )
    version: Mapped[int] = mapped_column(server_default="1", default=1)
    currency: Mapped[str]
    prices_include_tax: Mapped[bool]
    subtotal_minor: Mapped[int]
    discount_minor: Mapped[int] = mapped_column(server_default="0", default=0)
    shipping_minor: Mapped[int]
    shipping_discount_minor: Mapped[int] = mapped_column(server_default="0", default=0)
    shipping_tax_minor: Mapped[int] = mapped_column(server_default="0", default=0)
    tax_minor: Mapped[int]
    total_minor: Mapped[int]
    item_count: Mapped[int]
    shipping_method: Mapped[str]
    shipping_method_name: Mapped[str]
    shipping_address: Mapped[dict[str, Any]]
    billing_address: Mapped[dict[str, Any] | None]
    placed_from: Mapped[str] = mapped_column(server_default="", default="")
    placed_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    paid_at: Mapped[datetime | None]
    processing_at: Mapped[datetime | None]
    closed_at: Mapped[datetime | None]
    close_reason: Mapped[str] = mapped_column(server_default="", default="")
    searched: Mapped[str] = mapped_column(
        Computed(
            "shop_fold(number || ' ' || email::text || ' ' || customer_name || ' '"
            " || COALESCE(shipping_address ->> 'postal_code', ''))",
            persisted=True,
        ),
        deferred=True,
    )

    lines: Mapped[list["OrderLine"]] = relationship(
        back_populates="order", order_by="OrderLine.id", cascade="all, delete-orphan"
    )
    fulfilments: Mapped[list["Fulfilment"]] = relationship(
        back_populates="order", order_by="Fulfilment.id", cascade="all, delete-orphan"
    )

    def __str__(self) -> str:
        return self.number

    @property
    def is_pending(self) -> bool:
        """Whether it waits for its payment."""
        return self.status == OrderStatus.PENDING

    @property
    def is_expired(self) -> bool:
        """Whether its payment did not come in time."""
        return self.status == OrderStatus.EXPIRED

    @property
    def open_units(self) -> int:
        """How many units are still to be sent."""
        return sum(line.open_quantity for line in self.lines)


class OrderLine(Base):
    """A line as it was agreed: names, SKU and prices are snapshots. Amounts in minor units.

    ``tax_rate`` 0.19 means 19 %; ``total_minor`` is what the line costs after its discount, in the
    order's price terms (with tax if ``prices_include_tax``).
    """

    __tablename__ = "order_line"
    __table_args__ = (
        CheckConstraint("quantity >= 1", name="quantity"),
        CheckConstraint(
            "shipped >= 0 AND cancelled >= 0 AND shipped + cancelled <= quantity", name="shipped"
        ),
        CheckConstraint("refunded BETWEEN 0 AND quantity", name="refunded"),
        CheckConstraint(f"total_minor = {LINE_TOTAL}", name="total"),
        CheckConstraint("discount_minor >= 0 AND total_minor >= 0", name="amounts"),
        Index("ix_order_line_variant_id", "variant_id"),
        Index("ix_order_line_product_id", "product_id"),
        Index("ix_order_line_sku_folded", text("shop_fold(sku)")),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    order_id: Mapped[int] = mapped_column(ForeignKey("order.id"), index=True)
    variant_id: Mapped[int] = mapped_column(ForeignKey("variant.id"))
    product_id: Mapped[int] = mapped_column(ForeignKey("product.id"))
    name: Mapped[str]
    variant_title: Mapped[str] = mapped_column(server_default="", default="")
    sku: Mapped[str]
    slug: Mapped[str]
    image_key: Mapped[str] = mapped_column(server_default="", default="")
    quantity: Mapped[int]
    unit_price_minor: Mapped[int]
    discount_minor: Mapped[int] = mapped_column(server_default="0", default=0)
    total_minor: Mapped[int]
    tax_class: Mapped[str]
    tax_rate: Mapped[Any] = mapped_column(Numeric(6, 4))
    tax_minor: Mapped[int]
    shipped: Mapped[int] = mapped_column(server_default="0", default=0)
    cancelled: Mapped[int] = mapped_column(server_default="0", default=0)
    refunded: Mapped[int] = mapped_column(server_default="0", default=0)

    order: Mapped[Order] = relationship(back_populates="lines")

    @property
    def full_name(self) -> str:
        """What was bought, with its variant if there are several: ``Mug, Blue``."""
        return ", ".join(filter(None, (self.name, self.variant_title)))

    @property
    def undiscounted_minor(self) -> int:
        """What the line costs before its discount."""
        return self.total_minor + self.discount_minor

    @property
    def open_quantity(self) -> int:
        """Units that are still to be sent."""
        return self.quantity - self.shipped - self.cancelled


class Fulfilment(Base):
    """One shipment: what is in it, who carries it, and when it left and arrived."""

    __tablename__ = "fulfilment"
    __table_args__ = (
        one_of("status", ShipmentStatus),
        folded_index("fulfilment", "tracking_number"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    order_id: Mapped[int] = mapped_column(ForeignKey("order.id"), index=True)
    status: Mapped[ShipmentStatus] = choice(ShipmentStatus, default=ShipmentStatus.SHIPPED)
    carrier: Mapped[str] = mapped_column(server_default="", default="")
    tracking_number: Mapped[str] = mapped_column(server_default="", default="")
    shipped_at: Mapped[datetime] = mapped_column(server_default=func.now())
    delivered_at: Mapped[datetime | None]

    order: Mapped[Order] = relationship(back_populates="fulfilments")
    lines: Mapped[list["FulfilmentLine"]] = relationship(
        back_populates="fulfilment", cascade="all, delete-orphan"
    )

    @property
    def tracking_page(self) -> str:
        """Where its carrier shows how far it is; empty where we do not know that."""
        return tracking_page(self.carrier, self.tracking_number)


class FulfilmentLine(Base):
    """How many of an order line are in a shipment."""

    __tablename__ = "fulfilment_line"
    __table_args__ = (
        UniqueConstraint("fulfilment_id", "order_line_id"),
        CheckConstraint("quantity >= 1", name="quantity"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    fulfilment_id: Mapped[int] = mapped_column(ForeignKey("fulfilment.id"), index=True)
    order_line_id: Mapped[int] = mapped_column(ForeignKey("order_line.id"))
    quantity: Mapped[int]

    fulfilment: Mapped[Fulfilment] = relationship(back_populates="lines")
    order_line: Mapped[OrderLine] = relationship()


class SaleEntry(Base):
    """Units of a line that were sold, or taken back, at this moment; insert-only.

    Written by ``orders.record_sales``. ``amount_minor`` is their price after discounts, in the
    order's price terms.
    """

    __tablename__ = "sale_entry"
    __table_args__ = (
        one_of("kind", SaleKind),
        CheckConstraint(
            f"CASE kind WHEN '{SaleKind.REVERSED}' THEN units < 0 AND amount_minor <= 0"
            " ELSE units > 0 AND amount_minor >= 0 END",
            name="units",
        ),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    order_id: Mapped[int] = mapped_column(ForeignKey("order.id"), index=True)
    order_line_id: Mapped[int] = mapped_column(ForeignKey("order_line.id"))
    product_id: Mapped[int] = mapped_column(ForeignKey("product.id"))
    kind: Mapped[SaleKind] = choice(SaleKind)
    units: Mapped[int]
    amount_minor: Mapped[int]
    currency: Mapped[str]
    at: Mapped[datetime] = mapped_column(index=True)
