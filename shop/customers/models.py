"""Tables of people who buy. They share nothing with staff accounts."""

from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Identity, func
from sqlalchemy.dialects.postgresql import CITEXT
from sqlalchemy.orm import Mapped, mapped_column, relationship

from shop.core import search
from shop.core.db import Base


class Customer(Base):
    """Somebody with an account."""

    __tablename__ = "customer"
    __table_args__ = (
        CheckConstraint("position('@' in email) > 1", name="email"),
        search.folded_index("customer", "name"),
        search.folded_index("customer", "email::text"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    email: Mapped[str] = mapped_column(CITEXT, unique=True)
    name: Mapped[str] = mapped_column(server_default="", default="")
    password_hash: Mapped[str]
    confirmed_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())

    addresses: Mapped[list["Address"]] = relationship(
        back_populates="customer", order_by="Address.id", cascade="all, delete-orphan"
    )

    def __str__(self) -> str:
        return self.name or self.email


class Address(Base):
    """A saved address. ``country`` is an ISO 3166 code of two letters."""

    __tablename__ = "address"
    __table_args__ = (CheckConstraint("country ~ '^[A-Z]{2}$'", name="country"),)

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    customer_id: Mapped[int] = mapped_column(
        ForeignKey("customer.id", ondelete="CASCADE"), index=True
    )
    name: Mapped[str]
    line1: Mapped[str]
    line2: Mapped[str] = mapped_column(server_default="", default="")
    city: Mapped[str]
    postal_code: Mapped[str]
    region: Mapped[str] = mapped_column(server_default="", default="")
    country: Mapped[str]
    phone: Mapped[str] = mapped_column(server_default="", default="")
    is_default: Mapped[bool] = mapped_column(server_default="false", default=False)

    customer: Mapped[Customer] = relationship(back_populates="addresses")
