"""An order's events as sentences, with who did it: what the timeline on its page says."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from shop import orders, payments
from shop.core.money import Money

Payload = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Moment:
    """One line of the timeline; ``note`` is set for what a colleague wrote."""

    sentence: str
    who: str
    at: datetime
    tone: str = ""
    detail: str = ""
    note: str = ""


def story(entries: Iterable[orders.TimelineEntry], order: orders.Order) -> list[Moment]:
    """The timeline, newest first. Kinds that nobody put into words are shown by their name."""
    return [_moment(entry, order) for entry in reversed(list(entries))]


def _moment(entry: orders.TimelineEntry, order: orders.Order) -> Moment:
    said = _SENTENCES.get(entry.type)
    sentence, tone, detail = said(entry.payload, order) if said else (_name(entry.type), "", "")
    return Moment(
        sentence=sentence,
        who="" if entry.actor_kind == "system" else entry.actor_name,
        at=entry.at,
        tone=tone,
        detail=detail,
        note=entry.payload["text"] if entry.type == "OrderNoted" else "",
    )


def _parcel(payload: Payload, order: orders.Order) -> tuple[str, str]:
    """What was in a parcel, and who carries it."""
    for parcel in order.fulfilments:
        if parcel.id == payload["fulfilment_id"]:
            units = sum(line.quantity for line in parcel.lines)
            what = f"{units} of {order.item_count} items"
            by = " ".join(part for part in (parcel.carrier, parcel.tracking_number) if part)
            return what, by
    return "a parcel", ""


def _shipped(payload: Payload, order: orders.Order) -> tuple[str, str, str]:
    what, by = _parcel(payload, order)
    return f"Shipped: {what}", "good", by


def _delivered(payload: Payload, order: orders.Order) -> tuple[str, str, str]:
    what, _ = _parcel(payload, order)
    return f"Delivered: {what}", "good", ""


def _cancelled(payload: Payload, order: orders.Order) -> tuple[str, str, str]:
    reason = str(payload["reason"])
    freed = "what was promised is free again" if payload["was_paid"] else "its stock is free again"
    return f"Cancelled; {freed}", "bad", orders.CANCEL_REASONS.get(reason, reason)


def _lines_cancelled(payload: Payload, order: orders.Order) -> tuple[str, str, str]:
    units = ", ".join(f"{line['quantity']} × {line['name']}" for line in payload["lines"])
    reason = str(payload["reason"])
    return f"Cancelled: {units}", "bad", orders.CANCEL_REASONS.get(reason, reason)


def _returned(payload: Payload, order: orders.Order) -> tuple[str, str, str]:
    units = ", ".join(f"{line['quantity']} × {line['name']}" for line in payload["lines"])
    if payload["reason"] == "cancelled":
        return f"No refund due yet for {units}: this part of the price rounds to nothing", "", ""
    restocked = sum(line["quantity"] for line in payload["lines"] if line["restock"])
    reason = payments.REASONS.get(str(payload["reason"]), str(payload["reason"]))
    detail = f"{reason}; {restocked} restocked" if restocked else reason
    return f"Returned without a refund: {units}", "", detail


def _paid(payload: Payload, order: orders.Order) -> tuple[str, str, str]:
    if not order.total_minor:
        return "Confirmed: nothing to pay; the stock is committed", "good", ""
    return "Paid; the stock is promised", "good", ""


def _dispute(payload: Payload, order: orders.Order) -> tuple[str, str, str]:
    amount = Money(payload["amount_minor"], payload.get("currency") or order.currency).format()
    status = str(payload["status"])
    tone = {"won": "good", "warning_closed": "good"}.get(status, "bad")
    return f"Dispute of {amount}: {status.replace('_', ' ')}", tone, ""


def _amount(words: str, tone: str) -> Callable[[Payload, orders.Order], tuple[str, str, str]]:
    def say(payload: Payload, order: orders.Order) -> tuple[str, str, str]:
        return words.format(Money(payload["amount_minor"], order.currency).format()), tone, ""

    return say


def _because(words: str, key: str, tone: str) -> Callable[..., tuple[str, str, str]]:
    return lambda payload, order: (words, tone, payload[key])


def _plain(words: str, tone: str = "") -> Callable[..., tuple[str, str, str]]:
    return lambda payload, order: (words, tone, "")


def _name(kind: str) -> str:
    return "".join(f" {c.lower()}" if c.isupper() else c for c in kind).strip().capitalize()


def _late(payload: Payload, order: orders.Order) -> tuple[str, str, str]:
    causes = {
        "paid_twice": "Another order of the same cart was paid already",
        "cancelled": "The order was cancelled before the money came",
    }
    cause = causes.get(str(payload.get("cause")), "The items have sold out")
    return ("Payment refunded", "bad", cause)


_SENTENCES: dict[str, Callable[[Payload, orders.Order], tuple[str, str, str]]] = {
    "OrderPlaced": _plain("Order placed; its stock is held"),
    "OrderPaid": _paid,
    "PaymentFailed": _because("Payment failed", "reason", "bad"),
    "PaymentProcessing": _plain("Payment processing: the money takes days to arrive"),
    "VoucherCancelled": _plain("Voucher cancelled: the customer wants to pay another way"),
    "VoucherIssued": _plain("Voucher issued; waiting for the customer to pay it"),
    "OrderProcessing": _plain("Processing started"),
    "OrderShipped": _shipped,
    "OrderDelivered": _delivered,
    "OrderCancelled": _cancelled,
    "OrderExpired": _plain("Expired: nobody paid in time; its stock is free again", "bad"),
    "OrderReopened": _plain("Reopened: its payment is on the way after all"),
    "OrderNoted": _plain("Note"),
    "RefundRequested": _amount("Refund of {} requested", ""),
    "OrderRefunded": _amount("{} given back", "good"),
    "RefundFailed": _because("The refund failed", "reason", "bad"),
    "LatePaymentRefused": _late,
    "OrderAuthorised": _plain("Authorised; the stock is promised", "good"),
    "PaymentVoided": _amount("{} released: it was authorised and not captured", ""),
    "VoidRequested": _plain("The authorised money is to be released"),
    "LinesCancelled": _lines_cancelled,
    "UnitsReturned": _returned,
    "DisputeChanged": _dispute,
    "TaskOpened": _because("Needs a look", "sentence", "bad"),
    "TaskClosed": _plain("Looked at and closed"),
}
