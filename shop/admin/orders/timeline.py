"""An order's events as sentences, with who did it: what the timeline on its page says."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from shop import orders, payments
from shop.core.i18n import gettext as _
from shop.core.i18n import lazy_gettext
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


def _units_and_carrier(payload: Payload, order: orders.Order) -> tuple[str, str]:
    """What was in a shipment, and who carries it."""
    for fulfilment in order.fulfilments:
        if fulfilment.id == payload["fulfilment_id"]:
            units = sum(line.quantity for line in fulfilment.lines)
            what = _("%(units)s of %(count)s items", units=units, count=order.item_count)
            by = " ".join(part for part in (fulfilment.carrier, fulfilment.tracking_number) if part)
            return what, by
    return _("a shipment"), ""


def _shipped(payload: Payload, order: orders.Order) -> tuple[str, str, str]:
    what, by = _units_and_carrier(payload, order)
    return _("Shipped: %(items)s", items=what), "good", by


def _corrected(payload: Payload, order: orders.Order) -> tuple[str, str, str]:
    what = _units_and_carrier(payload, order)[0]
    before, after = (
        " ".join(filter(None, (payload[side]["carrier"], payload[side]["tracking_number"])))
        for side in ("before", "after")
    )
    none = _("none")
    return (
        _("Tracking corrected: %(items)s", items=what),
        "",
        _("%(before)s → %(after)s", before=before or none, after=after or none),
    )


def _delivered(payload: Payload, order: orders.Order) -> tuple[str, str, str]:
    what = _units_and_carrier(payload, order)[0]
    return _("Delivered: %(items)s", items=what), "good", ""


def _cancelled(payload: Payload, order: orders.Order) -> tuple[str, str, str]:
    reason = str(payload["reason"])
    freed = (
        _("its committed stock is released")
        if payload["was_paid"]
        else _("its reserved stock is released")
    )
    return _("Cancelled; %(stock)s", stock=freed), "bad", orders.CANCEL_REASONS.get(reason, reason)


def _lines_cancelled(payload: Payload, order: orders.Order) -> tuple[str, str, str]:
    units = ", ".join(f"{line['quantity']} × {line['name']}" for line in payload["lines"])
    reason = str(payload["reason"])
    return _("Cancelled: %(items)s", items=units), "bad", orders.CANCEL_REASONS.get(reason, reason)


def _returned(payload: Payload, order: orders.Order) -> tuple[str, str, str]:
    units = ", ".join(f"{line['quantity']} × {line['name']}" for line in payload["lines"])
    if payload["reason"] == "cancelled":
        return (
            _(
                "No refund due yet for %(items)s: this part of the price rounds to nothing",
                items=units,
            ),
            "",
            "",
        )
    restocked = sum(line["quantity"] for line in payload["lines"] if line["restock"])
    reason = payments.REASONS.get(str(payload["reason"]), str(payload["reason"]))
    detail = (
        _("%(reason)s; %(units)s restocked", reason=reason, units=restocked)
        if restocked
        else reason
    )
    return _("Returned without a refund: %(items)s", items=units), "", detail


def _paid(payload: Payload, order: orders.Order) -> tuple[str, str, str]:
    if not order.total_minor:
        return _("Confirmed: nothing to pay, stock committed"), "good", ""
    return _("Paid, stock committed"), "good", ""


def _dispute(payload: Payload, order: orders.Order) -> tuple[str, str, str]:
    amount = Money(payload["amount_minor"], payload.get("currency") or order.currency).format()
    status = str(payload["status"])
    tone = {"won": "good", "warning_closed": "good"}.get(status, "bad")
    return (
        _("Dispute of %(amount)s: %(status)s", amount=amount, status=status.replace("_", " ")),
        tone,
        "",
    )


def _amount(words: str, tone: str) -> Callable[[Payload, orders.Order], tuple[str, str, str]]:
    def say(payload: Payload, order: orders.Order) -> tuple[str, str, str]:
        return (
            words.format(amount=Money(payload["amount_minor"], order.currency).format()),
            tone,
            "",
        )

    return say


def _because(words: str, key: str, tone: str) -> Callable[..., tuple[str, str, str]]:
    return lambda payload, order: (words, tone, payload[key])


def _plain(words: str, tone: str = "") -> Callable[..., tuple[str, str, str]]:
    return lambda payload, order: (words, tone, "")


def _name(kind: str) -> str:
    return "".join(f" {c.lower()}" if c.isupper() else c for c in kind).strip().capitalize()


def _late(payload: Payload, order: orders.Order) -> tuple[str, str, str]:
    causes = {
        "paid_twice": _("Another order for the same cart was already paid"),
        "cancelled": _("The order was cancelled before the payment arrived"),
    }
    cause = causes.get(str(payload.get("cause")), _("The items have sold out"))
    return (_("Payment refunded"), "bad", cause)


_SENTENCES: dict[str, Callable[[Payload, orders.Order], tuple[str, str, str]]] = {
    "OrderPlaced": _plain(lazy_gettext("Order placed, stock reserved")),
    "OrderPaid": _paid,
    "PaymentFailed": _because(lazy_gettext("Payment failed"), "reason", "bad"),
    "PaymentProcessing": _plain(lazy_gettext("Payment processing: the money takes days to arrive")),
    "VoucherCancelled": _plain(
        lazy_gettext("Voucher cancelled: the customer wants to pay another way")
    ),
    "VoucherIssued": _plain(lazy_gettext("Voucher issued; waiting for the customer to pay it")),
    "OrderProcessing": _plain(lazy_gettext("Processing started")),
    "OrderShipped": _shipped,
    "TrackingCorrected": _corrected,
    "AddressChanged": lambda payload, order: (
        _("Shipping address changed"),
        "",
        _("Both addresses are in the order's history."),
    ),
    "OrderDelivered": _delivered,
    "OrderCancelled": _cancelled,
    "OrderExpired": _plain(lazy_gettext("Expired: not paid in time, stock released"), "bad"),
    "OrderReopened": _plain(lazy_gettext("Reopened: its payment is processing")),
    "OrderNoted": _plain(lazy_gettext("Note")),
    "RefundRequested": _amount(lazy_gettext("Refund of {amount} requested"), ""),
    "OrderRefunded": _amount(lazy_gettext("{amount} refunded"), "good"),
    "RefundFailed": _because(lazy_gettext("The refund failed"), "reason", "bad"),
    "LatePaymentRefused": _late,
    "OrderAuthorised": _plain(lazy_gettext("Authorised, stock committed"), "good"),
    "PaymentVoided": _amount(
        lazy_gettext("{amount} released: it was authorised and not captured"), ""
    ),
    "VoidRequested": _plain(lazy_gettext("Release of the authorised payment requested")),
    "LinesCancelled": _lines_cancelled,
    "UnitsReturned": _returned,
    "DisputeChanged": _dispute,
    "TaskOpened": _because(lazy_gettext("Task opened"), "sentence", "bad"),
    "TaskClosed": _plain(lazy_gettext("Task closed")),
}
