"""Tables of what checkout may offer: ways to ship and rates of tax."""

from decimal import Decimal

from sqlalchemy import BigInteger, CheckConstraint, Identity, Numeric, Text, UniqueConstraint
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from shop.core.db import Base


class ShippingMethod(Base):
    """A way to send a shipment to some countries; free from ``free_over_minor`` on, if set."""

    __tablename__ = "shipping_method"
    __table_args__ = (
        CheckConstraint("price_minor >= 0", name="price"),
        CheckConstraint("min_days BETWEEN 0 AND max_days", name="days"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    code: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    price_minor: Mapped[int]
    free_over_minor: Mapped[int | None]
    countries: Mapped[list[str]] = mapped_column(ARRAY(Text))
    min_days: Mapped[int]
    max_days: Mapped[int]
    position: Mapped[int] = mapped_column(server_default="0", default=0)
    is_active: Mapped[bool] = mapped_column(server_default="true", default=True)

    def __str__(self) -> str:
        return self.name


class TaxRate(Base):
    """The rate of a tax class in a country; 0.1900 means 19 %."""

    __tablename__ = "tax_rate"
    __table_args__ = (
        UniqueConstraint("country", "tax_class"),
        CheckConstraint("rate >= 0 AND rate < 1", name="rate"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    country: Mapped[str]
    tax_class: Mapped[str]
    rate: Mapped[Decimal] = mapped_column(Numeric(6, 4))
