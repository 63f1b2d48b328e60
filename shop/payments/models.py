"""Tables of money: attempts, what happened to them, refunds, and Stripe's messages as they came."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Identity,
    Index,
    SmallInteger,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.hybrid import hybrid_property
from sqlalchemy.orm import Mapped, mapped_column, relationship

from shop.core.choices import choice, one_of, sql_list
from shop.core.db import Base
from shop.orders.models import Order, OrderLine
from shop.payments.states import (
    AttemptStatus,
    CaptureMode,
    MoneyEventKind,
    RefundSource,
    RefundStatus,
)


class Payment(Base):
    """One attempt to pay an order: one PaymentIntent.

    ``key`` names it at Stripe, kept in the row: starting again after a crash finds the same intent,
    and a database restored from a backup, which gives numbers out a second time, never finds
    somebody else's. With ``key_attempt`` it makes the idempotency key; that number grows when
    Stripe has saved a failure under the key before.

    ``captured_minor``, ``refunding_minor`` and ``withdrawn_minor`` (what disputes took, less what
    came back) are written by triggers only, from the insert-only events and the refunds, so that a
    CHECK can refuse to refund more than was taken.

    ``processing``: the customer has paid, and the money takes days to arrive or to fail. A voucher
    is there to be paid until ``voucher_expires_at``; Stripe shows it at ``voucher_url``.
    ``checked_at`` is when the newest of Stripe's answers that is applied here was asked for.
    """

    __tablename__ = "payment"
    __table_args__ = (
        UniqueConstraint("order_id", "attempt"),
        CheckConstraint("amount_minor > 0", name="amount"),
        one_of("status", AttemptStatus),
        one_of("capture", CaptureMode),
        CheckConstraint("capturable_minor >= 0", name="capturable"),
        CheckConstraint("key_attempt >= 1", name="key_attempt"),
        CheckConstraint("refunding_minor BETWEEN 0 AND captured_minor", name="refunded"),
        Index(
            "ix_payment_open",
            "created_at",
            postgresql_where=text(
                "status IN ("
                + sql_list(
                    AttemptStatus.CREATED,
                    AttemptStatus.STARTED,
                    AttemptStatus.PROCESSING,
                    AttemptStatus.AUTHORISED,
                )
                + ")"
            ),
        ),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    order_id: Mapped[int] = mapped_column(ForeignKey("order.id"))
    attempt: Mapped[int] = mapped_column(server_default="1", default=1)
    key: Mapped[str] = mapped_column(server_default=text("gen_random_uuid()::text"))
    key_attempt: Mapped[int] = mapped_column(server_default="1", default=1)
    capture: Mapped[CaptureMode] = choice(CaptureMode, default=CaptureMode.AUTOMATIC)
    status: Mapped[AttemptStatus] = choice(AttemptStatus, default=AttemptStatus.CREATED)
    intent_id: Mapped[str | None] = mapped_column(unique=True)
    client_secret: Mapped[str | None]
    amount_minor: Mapped[int]
    currency: Mapped[str]
    capturable_minor: Mapped[int] = mapped_column(server_default="0", default=0)
    capture_before: Mapped[datetime | None]
    captured_minor: Mapped[int] = mapped_column(server_default="0", default=0)
    refunding_minor: Mapped[int] = mapped_column(server_default="0", default=0)
    withdrawn_minor: Mapped[int] = mapped_column(server_default="0", default=0)
    method: Mapped[str] = mapped_column(server_default="", default="")
    voucher_url: Mapped[str] = mapped_column(server_default="", default="")
    voucher_reference: Mapped[str] = mapped_column(server_default="", default="")
    voucher_expires_at: Mapped[datetime | None]
    checked_at: Mapped[datetime | None]
    card_brand: Mapped[str] = mapped_column(server_default="", default="")
    card_last4: Mapped[str] = mapped_column(server_default="", default="")
    failure: Mapped[str] = mapped_column(server_default="", default="")
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())

    order: Mapped[Order] = relationship()
    events: Mapped[list["PaymentEvent"]] = relationship(
        back_populates="payment", order_by="PaymentEvent.id"
    )
    refunds: Mapped[list["Refund"]] = relationship(back_populates="payment", order_by="Refund.id")
    disputes: Mapped[list["Dispute"]] = relationship(
        back_populates="payment", order_by="Dispute.id"
    )

    @property
    def balance_minor(self) -> int:
        """Minor units captured and neither refunded, on their way back, nor taken by a dispute."""
        return max(0, self.captured_minor - self.refunding_minor - max(0, self.withdrawn_minor))

    @property
    def room_minor(self) -> int:
        """Minor units that refunds may still add up to, whatever disputes took."""
        return self.captured_minor - self.refunding_minor

    @property
    def has_money(self) -> bool:
        """Whether money is authorised for it or here, and not on its way back."""
        return self.status == AttemptStatus.AUTHORISED or self.balance_minor > 0

    @property
    def is_on_its_way(self) -> bool:
        """Whether the customer has done their part, or has a voucher to do it with."""
        return self.status == AttemptStatus.PROCESSING or bool(self.voucher_url)


class PaymentEvent(Base):
    """What happened to the money of a payment; insert-only, totals are sums over it.

    ``reference`` is Stripe's id of the thing (charge, refund, balance transaction of a dispute),
    unique per kind: a fact counts once. ``occurred_at`` is Stripe's time, ``at`` when we wrote it
    down: reports go by the latter, so that last month's figures never move.

    ``dispute_withdrawn``, ``dispute_reinstated``, ``fee`` and ``fee_returned`` belong to the
    dispute ``dispute_id`` and are in the payment's currency (fees: in that of Stripe's balance).
    Until November 2026 a dispute's money had other kinds, whose reference is the dispute's id:
    ``dispute_opened`` held it back, ``dispute_won`` gave it free, ``dispute_lost`` took it. Their
    rows keep that meaning; no new ones are written.
    """

    __tablename__ = "payment_event"
    __table_args__ = (
        UniqueConstraint("payment_id", "kind", "reference"),
        one_of("kind", MoneyEventKind),
        CheckConstraint("amount_minor >= 0", name="amount"),
        Index(
            "ix_payment_event_dispute_id",
            "dispute_id",
            postgresql_where=text("dispute_id IS NOT NULL"),
        ),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    payment_id: Mapped[int] = mapped_column(ForeignKey("payment.id"))
    kind: Mapped[MoneyEventKind] = choice(MoneyEventKind)
    amount_minor: Mapped[int]
    currency: Mapped[str]
    reference: Mapped[str]
    dispute_id: Mapped[int | None] = mapped_column(ForeignKey("dispute.id"))
    at: Mapped[datetime]
    occurred_at: Mapped[datetime]

    payment: Mapped[Payment] = relationship(back_populates="events")


# Whether a refund ``r`` counts, as SQL text: its money is back or on its way.
REFUND_COUNTS = f"r.status <> '{RefundStatus.FAILED}'"


class Refund(Base):
    """Money on its way back. The row exists before Stripe is asked; ``key``, ``attempt`` (how often
    somebody decided it) and ``key_attempt`` (how often Stripe had saved a failure under the key
    before) make the idempotency key. ``external``: somebody gave it back at Stripe, and we found it
    there."""

    __tablename__ = "refund"
    __table_args__ = (
        CheckConstraint("amount_minor > 0", name="amount"),
        CheckConstraint("shipping_minor BETWEEN 0 AND amount_minor", name="shipping"),
        CheckConstraint("key_attempt >= 1", name="key_attempt"),
        one_of("status", RefundStatus),
        one_of("source", RefundSource),
        Index(
            "ix_refund_open",
            "requested_at",
            postgresql_where=text(
                f"status IN ({sql_list(RefundStatus.REQUESTED, RefundStatus.SENT)})"
            ),
        ),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    payment_id: Mapped[int] = mapped_column(ForeignKey("payment.id"), index=True)
    status: Mapped[RefundStatus] = choice(RefundStatus, default=RefundStatus.REQUESTED)
    amount_minor: Mapped[int]
    shipping_minor: Mapped[int] = mapped_column(server_default="0", default=0)
    currency: Mapped[str]
    reason: Mapped[str]
    source: Mapped[RefundSource] = choice(RefundSource, default=RefundSource.SYSTEM)
    key: Mapped[str] = mapped_column(server_default=text("gen_random_uuid()::text"))
    attempt: Mapped[int] = mapped_column(server_default="1", default=1)
    key_attempt: Mapped[int] = mapped_column(server_default="1", default=1)
    stripe_id: Mapped[str | None] = mapped_column(unique=True)
    failure: Mapped[str] = mapped_column(server_default="", default="")
    requested_by: Mapped[str]
    requested_at: Mapped[datetime] = mapped_column(server_default=func.now())
    done_at: Mapped[datetime | None]

    payment: Mapped[Payment] = relationship(back_populates="refunds")
    lines: Mapped[list["RefundLine"]] = relationship(
        back_populates="refund", order_by="RefundLine.order_line_id", cascade="all, delete-orphan"
    )

    @hybrid_property
    def counts(self) -> bool:
        """Whether its money is back or on its way."""
        return self.status != RefundStatus.FAILED


class RefundLine(Base):
    """Which units of an order line a refund is for; ``amount_minor`` is what the customer gets for
    them, ``tax_minor`` the tax in it. ``restock``: they went back on the shelf."""

    __tablename__ = "refund_line"
    __table_args__ = (
        CheckConstraint("quantity >= 1", name="quantity"),
        CheckConstraint("amount_minor >= 0 AND tax_minor >= 0", name="amounts"),
    )

    refund_id: Mapped[int] = mapped_column(ForeignKey("refund.id"), primary_key=True)
    order_line_id: Mapped[int] = mapped_column(
        ForeignKey("order_line.id"), primary_key=True, index=True
    )
    quantity: Mapped[int]
    amount_minor: Mapped[int]
    tax_minor: Mapped[int]
    restock: Mapped[bool] = mapped_column(server_default="false", default=False)

    refund: Mapped[Refund] = relationship(back_populates="lines")
    order_line: Mapped[OrderLine] = relationship()


class OrderReturn(Base):
    """Units that came back without any money moving: they cost nothing, or their part of the price
    rounds to nothing. A refund, in contrast, always asks Stripe for money."""

    __tablename__ = "order_return"
    __table_args__ = (CheckConstraint("source IN ('staff','customer','system')", name="source"),)

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    order_id: Mapped[int] = mapped_column(ForeignKey("order.id"), index=True)
    reason: Mapped[str]
    source: Mapped[str] = mapped_column(server_default="staff", default="staff")
    requested_by: Mapped[str]
    returned_at: Mapped[datetime]

    lines: Mapped[list["OrderReturnLine"]] = relationship(
        order_by="OrderReturnLine.order_line_id", cascade="all, delete-orphan"
    )


class OrderReturnLine(Base):
    """Which units of an order line came back. ``restock``: they went back on the shelf, or were
    cancelled because they had not been sent."""

    __tablename__ = "order_return_line"
    __table_args__ = (CheckConstraint("quantity >= 1", name="quantity"),)

    return_id: Mapped[int] = mapped_column(ForeignKey("order_return.id"), primary_key=True)
    order_line_id: Mapped[int] = mapped_column(
        ForeignKey("order_line.id"), primary_key=True, index=True
    )
    quantity: Mapped[int]
    restock: Mapped[bool] = mapped_column(server_default="false", default=False)

    order_line: Mapped[OrderLine] = relationship()


class DisputeStatus(StrEnum):
    """Stripe's words for where a dispute stands, all of the pinned API version.

    https://docs.stripe.com/api/disputes/object#dispute_object-status
    """

    WARNING_NEEDS_RESPONSE = "warning_needs_response"
    WARNING_UNDER_REVIEW = "warning_under_review"
    WARNING_CLOSED = "warning_closed"
    NEEDS_RESPONSE = "needs_response"
    UNDER_REVIEW = "under_review"
    APPEAL_NEEDS_RESPONSE = "appeal_needs_response"
    APPEAL_UNDER_REVIEW = "appeal_under_review"
    WON = "won"
    LOST = "lost"
    PREVENTED = "prevented"


# Nothing is asked of anybody any more, unless the bank opens it again: each of them can be followed
# by any other status. A status that is not in the list counts as an open dispute.
CLOSED_DISPUTES = (
    DisputeStatus.WON,
    DisputeStatus.LOST,
    DisputeStatus.WARNING_CLOSED,
    DisputeStatus.PREVENTED,
)
INQUIRIES = (
    DisputeStatus.WARNING_NEEDS_RESPONSE,
    DisputeStatus.WARNING_UNDER_REVIEW,
    DisputeStatus.WARNING_CLOSED,
)


class Dispute(Base):
    """A cardholder's bank asks for money back. ``status`` is Stripe's word for it; those that begin
    with ``warning`` are inquiries, in which no money moves as a rule. What moved stands in the
    payment's events, by balance transaction. ``checked_at`` is when the newest of Stripe's answers
    that is applied here was asked for.

    https://docs.stripe.com/api/disputes/object
    """

    __tablename__ = "dispute"
    __table_args__ = (CheckConstraint("amount_minor >= 0", name="amount"),)

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    payment_id: Mapped[int] = mapped_column(ForeignKey("payment.id"), index=True)
    stripe_id: Mapped[str] = mapped_column(unique=True)
    status: Mapped[str]
    amount_minor: Mapped[int]
    currency: Mapped[str]
    reason: Mapped[str] = mapped_column(server_default="", default="")
    is_charge_refundable: Mapped[bool] = mapped_column(server_default="false", default=False)
    due_by: Mapped[datetime | None]
    opened_at: Mapped[datetime]
    checked_at: Mapped[datetime | None]
    closed_at: Mapped[datetime | None]

    payment: Mapped[Payment] = relationship(back_populates="disputes")

    @property
    def is_open(self) -> bool:
        """Whether the bank has not decided, or may be asking only: an inquiry."""
        return self.status not in CLOSED_DISPUTES

    @property
    def is_inquiry(self) -> bool:
        """Whether the bank only asks, and has not claimed the money."""
        return self.status in INQUIRIES

    @property
    def blocks_refunds(self) -> bool:
        """Whether nothing may be refunded meanwhile.

        An open dispute always blocks. An open inquiry blocks unless Stripe says that its charge can
        be refunded, which is a way to end it (https://docs.stripe.com/disputes/how-disputes-work).
        """
        return self.is_open and not (self.is_inquiry and self.is_charge_refundable)


class WebhookDelivery(Base):
    """One message of Stripe's, stored as it came; ``stripe_event_id`` makes a repeat a no-op.

    ``outcome`` says what it did. "refused: …" names why our books could not take its object; a task
    says it in words. "not ours": it is about another shop of the same account.
    """

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
    __table_args__ = (
        UniqueConstraint("kind", "reference"),
        Index("ix_task_open", "order_id", postgresql_where=text("closed_at IS NULL")),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    kind: Mapped[str]
    reference: Mapped[str]
    order_id: Mapped[int | None] = mapped_column(ForeignKey("order.id"), index=True)
    sentence: Mapped[str]
    opened_at: Mapped[datetime] = mapped_column(server_default=func.now())
    closed_at: Mapped[datetime | None]
    closed_by: Mapped[str] = mapped_column(server_default="", default="")


class ReconcileRun(Base):
    """One reconciliation of our payments, refunds and disputes with Stripe's. ``differences`` are
    those that were found, as sentences with what was done about each; ``refused`` counts those
    whose object could not be applied."""

    __tablename__ = "reconcile_run"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    since: Mapped[datetime]
    started_at: Mapped[datetime] = mapped_column(server_default=func.now())
    finished_at: Mapped[datetime | None]
    checked: Mapped[int] = mapped_column(server_default="0", default=0)
    refused: Mapped[int] = mapped_column(server_default="0", default=0)
    differences: Mapped[list[Any]] = mapped_column(JSONB, server_default=text("'[]'"), default=list)
    failure: Mapped[str] = mapped_column(server_default="", default="")


class ShopIdentity(Base):
    """The one row with this shop's id: it tells our objects at Stripe from those of other shops.

    Made by the migration, kept in every backup. Who copies the database to make a second shop gives
    that one a new id.
    """

    __tablename__ = "shop_identity"
    __table_args__ = (CheckConstraint("id = 1", name="one"),)

    id: Mapped[int] = mapped_column(SmallInteger, primary_key=True, server_default="1")
    shop_id: Mapped[str] = mapped_column(server_default=text("gen_random_uuid()::text"))
