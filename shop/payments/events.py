"""What happens to money."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from shop.core.events import Event


class LateCause(StrEnum):
    """Why money that came is refunded at once."""

    SOLD_OUT = "sold_out"
    PAID_TWICE = "paid_twice"
    CANCELLED = "cancelled"


@dataclass(frozen=True, kw_only=True)
class WebhookReceived(Event):
    """A message of Stripe's was stored and waits to be applied."""

    delivery_id: int


@dataclass(frozen=True, kw_only=True)
class PaymentProcessing(Event):
    """The customer has paid by a method whose money takes days to arrive."""

    order_id: int
    payment_id: int


@dataclass(frozen=True, kw_only=True)
class VoucherIssued(Event):
    """The customer has a voucher, to be paid in a shop or at a bank until it ends."""

    order_id: int
    payment_id: int


@dataclass(frozen=True, kw_only=True)
class VoucherCancelled(Event):
    """The customer wants to pay in another way than by the voucher; the order can be paid again."""

    order_id: int
    payment_id: int


@dataclass(frozen=True, kw_only=True)
class PaymentFailed(Event):
    """A payment failed; the order can still be paid until it expires. ``later``: it failed after
    it was on its way, seen by us or not, or its voucher has ended unpaid, so its customer is not at
    the page."""

    order_id: int
    payment_id: int
    reason: str
    later: bool = False


@dataclass(frozen=True, kw_only=True)
class RefundRequested(Event):
    """Money has to go back; Stripe was not asked yet."""

    order_id: int
    refund_id: int
    amount_minor: int


@dataclass(frozen=True, kw_only=True)
class OrderRefunded(Event):
    """Money went back."""

    order_id: int
    refund_id: int
    amount_minor: int


@dataclass(frozen=True, kw_only=True)
class RefundFailed(Event):
    """Stripe did not send money back; a task says so."""

    order_id: int
    refund_id: int
    reason: str


@dataclass(frozen=True, kw_only=True)
class UnitsReturned(Event):
    """Units came back and no money moved; ``lines`` have line_id, name, title, quantity and
    restock."""

    order_id: int
    return_id: int
    reason: str
    lines: list[dict[str, Any]]


@dataclass(frozen=True, kw_only=True)
class LatePaymentRefused(Event):
    """Money came that cannot be used; it is refunded in the same step."""

    order_id: int
    payment_id: int
    cause: str = LateCause.SOLD_OUT


@dataclass(frozen=True, kw_only=True)
class TaskOpened(Event):
    """A person has to look at something."""

    task_id: int
    order_id: int | None
    sentence: str


@dataclass(frozen=True, kw_only=True)
class TaskClosed(Event):
    """Somebody looked."""

    task_id: int
    order_id: int | None


@dataclass(frozen=True, kw_only=True)
class VoidRequested(Event):
    """Money that was only authorised is not wanted; Stripe was not asked yet."""

    order_id: int
    payment_id: int


@dataclass(frozen=True, kw_only=True)
class PaymentVoided(Event):
    """An authorisation ended without (all of) its money being captured."""

    order_id: int
    payment_id: int
    amount_minor: int


@dataclass(frozen=True, kw_only=True)
class DisputeChanged(Event):
    """A dispute was opened, or there is news of it; ``status`` is Stripe's word. The amount is in
    ``currency``, or in the order's if that is empty."""

    order_id: int
    dispute_id: int
    status: str
    amount_minor: int
    currency: str = ""


@dataclass(frozen=True, kw_only=True)
class ComparisonRequested(Event):
    """A reconciliation with Stripe was asked for; its row waits to be filled."""

    run_id: int
