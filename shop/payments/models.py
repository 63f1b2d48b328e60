"""Tables of money: attempts, what happened to them, refunds, and Stripe's messages as they came."""

from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Identity,
    Index,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column, relationship

from shop.core.db import Base
from shop.orders.models import Order


class Payment(Base):
    """One attempt to pay an order: one PaymentIntent. Its Stripe idempotency key is derived from
    the order and ``attempt``, so that starting again after a crash finds the same intent."""

    __tablename__ = "payment"
    __table_args__ = (
        UniqueConstraint("order_id", "attempt"),
        CheckConstraint("amount_minor > 0", name="amount"),
        CheckConstraint("status IN ('created','started','succeeded','cancelled')", name="status"),
        Index(
            "ix_payment_open",
            "created_at",
            postgresql_where=text("status IN ('created','started')"),
        ),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    order_id: Mapped[int] = mapped_column(ForeignKey("order.id"))
    attempt: Mapped[int] = mapped_column(server_default="1", default=1)
    status: Mapped[str] = mapped_column(server_default="created", default="created")
    intent_id: Mapped[str | None] = mapped_column(unique=True)
    client_secret: Mapped[str | None]
    amount_minor: Mapped[int]
    currency: Mapped[str]
    card_brand: Mapped[str] = mapped_column(server_default="", default="")
    card_last4: Mapped[str] = mapped_column(server_default="", default="")
    failure: Mapped[str] = mapped_column(server_default="", default="")
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())

    order: Mapped[Order] = relationship()
    events: Mapped[list["PaymentEvent"]] = relationship(
        back_populates="payment", order_by="PaymentEvent.id"
    )
    refunds: Mapped[list["Refund"]] = relationship(back_populates="payment", order_by="Refund.id")


class PaymentEvent(Base):
    """What happened to the money of a payment; insert-only, totals are sums over it.

    ``reference`` is Stripe's id of the thing (charge, refund), unique per kind: a fact counts once.
    """

    __tablename__ = "payment_event"
    __table_args__ = (
        UniqueConstraint("payment_id", "kind", "reference"),
        CheckConstraint("kind IN ('captured','failed','cancelled','refunded')", name="kind"),
        CheckConstraint("amount_minor >= 0", name="amount"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    payment_id: Mapped[int] = mapped_column(ForeignKey("payment.id"))
    kind: Mapped[str]
    amount_minor: Mapped[int]
    reference: Mapped[str]
    at: Mapped[datetime]

    payment: Mapped[Payment] = relationship(back_populates="events")


class Refund(Base):
    """Money on its way back. The row exists before Stripe is asked, and its id is in the key."""

    __tablename__ = "refund"
    __table_args__ = (
        CheckConstraint("amount_minor > 0", name="amount"),
        CheckConstraint("status IN ('requested','sent','done','failed')", name="status"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    payment_id: Mapped[int] = mapped_column(ForeignKey("payment.id"), index=True)
    status: Mapped[str] = mapped_column(server_default="requested", default="requested")
    amount_minor: Mapped[int]
    currency: Mapped[str]
    reason: Mapped[str]
    stripe_id: Mapped[str | None] = mapped_column(unique=True)
    failure: Mapped[str] = mapped_column(server_default="", default="")
    requested_by: Mapped[str]
    requested_at: Mapped[datetime] = mapped_column(server_default=func.now())
    done_at: Mapped[datetime | None]

    payment: Mapped[Payment] = relationship(back_populates="refunds")


class WebhookDelivery(Base):
    """One message of Stripe's, stored as it came; ``stripe_event_id`` makes a repeat a no-op."""

    __tablename__ = "webhook_delivery"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    stripe_event_id: Mapped[str] = mapped_column(unique=True)
    type: Mapped[str]
    object_id: Mapped[str]
    payload: Mapped[dict[str, Any]]
    received_at: Mapped[datetime] = mapped_column(server_default=func.now())
    applied_at: Mapped[datetime | None]
    outcome: Mapped[str] = mapped_column(server_default="", default="")


class Task(Base):
    """Something about money that a person has to look at. Open until somebody closes it."""

    __tablename__ = "task"
    __table_args__ = (UniqueConstraint("kind", "reference"),)

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    kind: Mapped[str]
    reference: Mapped[str]
    order_id: Mapped[int | None] = mapped_column(ForeignKey("order.id"), index=True)
    sentence: Mapped[str]
    opened_at: Mapped[datetime] = mapped_column(server_default=func.now())
    closed_at: Mapped[datetime | None]
    closed_by: Mapped[str] = mapped_column(server_default="", default="")
