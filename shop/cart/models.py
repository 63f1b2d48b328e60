"""Tables of carts: what somebody means to buy, and the details given so far."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Identity, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from shop.core.choices import choice, one_of
from shop.core.db import Base


class CartStatus(StrEnum):
    """Whether a cart can still be filled; ``merged`` into another at sign-in."""

    OPEN = "open"
    CLOSED = "closed"
    MERGED = "merged"


class Cart(Base):
    """One open cart per browser token; a signed-in customer has one on all devices.

    ``version`` grows with every change, so that checkout can tell whether the customer saw it.
    """

    __tablename__ = "cart"
    __table_args__ = (
        one_of("status", CartStatus),
        Index(
            "uq_cart_customer_open",
            "customer_id",
            unique=True,
            postgresql_where="status = 'open' AND customer_id IS NOT NULL",
        ),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    token: Mapped[str] = mapped_column(unique=True)
    customer_id: Mapped[int | None] = mapped_column(ForeignKey("customer.id", ondelete="SET NULL"))
    status: Mapped[CartStatus] = choice(CartStatus, default=CartStatus.OPEN)
    version: Mapped[int] = mapped_column(server_default="1", default=1)
    email: Mapped[str] = mapped_column(server_default="", default="")
    shipping_address: Mapped[dict[str, Any] | None]
    shipping_method: Mapped[str] = mapped_column(server_default="", default="")
    order_id: Mapped[int | None] = mapped_column(BigInteger)
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]

    items: Mapped[list["CartItem"]] = relationship(
        back_populates="cart", order_by="CartItem.id", cascade="all, delete-orphan"
    )


class CartDiscount(Base):
    """A code that the customer typed; it stays until it is taken out, also while it is useless."""

    __tablename__ = "cart_discount"

    cart_id: Mapped[int] = mapped_column(
        ForeignKey("cart.id", ondelete="CASCADE"), primary_key=True
    )
    code_id: Mapped[int] = mapped_column(
        ForeignKey("discount_code.id", ondelete="CASCADE"), primary_key=True, index=True
    )


class CartItem(Base):
    """A variant and how many of it; ``seen_price_minor`` is the price last seen."""

    __tablename__ = "cart_item"
    __table_args__ = (
        UniqueConstraint("cart_id", "variant_id"),
        CheckConstraint("quantity BETWEEN 1 AND 999", name="quantity"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    cart_id: Mapped[int] = mapped_column(ForeignKey("cart.id", ondelete="CASCADE"))
    variant_id: Mapped[int] = mapped_column(ForeignKey("variant.id"), index=True)
    quantity: Mapped[int]
    seen_price_minor: Mapped[int]

    cart: Mapped[Cart] = relationship(back_populates="items")
