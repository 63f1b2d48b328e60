"""An order's own page, for who has its secret link or owns it: what, where, and how far it is."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from flask import flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from shop import checkout, orders, payments
from shop.core import clock
from shop.core.db import end_read, transaction
from shop.core.errors import NotFound, WrongState
from shop.core.money import Money
from shop.store import visitors
from shop.store.blueprint import bp
from shop.store.checkout import (
    SHOP_ZONE,
    failure_words,
    order_by_link,
    order_lines,
    order_rows,
    with_country,
)

STEPS = ("Placed", "Paid", "Processing", "Shipped", "Delivered")
TONES = {"good": "good", "warn": "busy", "info": "busy", "bad": "bad", "mute": "calm"}


@dataclass(frozen=True, slots=True)
class Happening:
    """One entry of the timeline in the customer's words."""

    at: datetime
    words: str
    detail: str = ""


@bp.get("/orders/<number>", endpoint="order")
def show(number: str) -> ResponseReturnValue:
    """The order of the secret link ``?token=``, or of the customer who is signed in.

    A wrong link and an unknown number look the same. ``thanks=1`` is where paying leads to.
    """
    order = _found(number)
    return page_of(order, is_thanks=request.args.get("thanks") == "1")


@bp.post("/orders/<number>/cancel", endpoint="order_cancel")
def cancel(number: str) -> ResponseReturnValue:
    """Call an order off that nobody has begun to pack; what was paid goes back."""
    order = _found(number)
    address = url_for("store.order", number=order.number, token=request.form.get("token") or None)
    end_read()
    with transaction():
        locked = orders.lock(order.id)
        if not can_cancel(locked):
            raise WrongState("This order can no longer be cancelled here. Please write to us.")
        was_paid = locked.payment_status == "paid"
        payments.cancel_order(locked, reason="customer")
    flash(
        "Your order is cancelled. The money goes back the way it came."
        if was_paid
        else "Your order is cancelled. Nothing was charged.",
        "success",
    )
    return redirect(address, code=303)


def page_of(order: orders.Order, *, is_thanks: bool = False) -> str:
    """The page of an order that this visitor may see."""
    words = orders.words(order)
    token = request.args.get("token", "")
    return render_template(
        "store/orders/order.html",
        order=order,
        to=with_country(order.shipping_address),
        bill_to=with_country(order.billing_address) if order.billing_address else None,
        token=visitors.secret(token),
        lines=order_lines(order),
        rows=order_rows(order),
        label=words.label,
        tone=TONES.get(words.tone, ""),
        steps=[(name, "") for name in STEPS],
        step=_step(order),
        timeline=_told(order, orders.timeline(order.id)),
        can_cancel=can_cancel(order),
        can_pay=order.status == "pending" and order.expires_at > clock.now(),
        is_thanks=is_thanks and order.payment_status == "paid",
        is_guest=order.customer_id is None and visitors.customer() is None,
        arrives=_arrives(order),
    )


def can_cancel(order: orders.Order) -> bool:
    """Whether the customer may still call it off: nobody has begun to pack."""
    if order.status == "pending":
        return True
    untouched = order.fulfilment_status == "unfulfilled" and order.processing_at is None
    return order.status == "confirmed" and order.payment_status == "paid" and untouched


def _found(number: str) -> orders.Order:
    token = request.values.get("token")
    if token is not None:
        return order_by_link(number, token)
    who = visitors.customer()
    if who is None:
        raise NotFound("There is no such order.")
    return own_order(number, who.id)


def own_order(number: str, customer_id: int) -> orders.Order:
    """A customer's own order. Raises ``NotFound``, also for somebody else's."""
    if not (number.isascii() and number.replace("-", "").isalnum() and len(number) <= 32):
        raise NotFound("There is no such order.")
    order = orders.by_number(number)
    if order.customer_id != customer_id:
        raise NotFound("There is no such order.")
    return order


def _step(order: orders.Order) -> int:
    """How far along the step bar it is; 0 for an order that will not go on."""
    if order.status in {"cancelled", "expired"} or order.payment_status == "refunded":
        return 0
    by_fulfilment = {"delivered": 5, "shipped": 4, "partly_shipped": 4}
    if order.fulfilment_status in by_fulfilment:
        return by_fulfilment[order.fulfilment_status]
    if order.processing_at is not None:
        return 3
    return 2 if order.payment_status == "paid" else 1


def _arrives(order: orders.Order) -> tuple[date, date] | None:
    """When a paid order that is not there yet should arrive, by its delivery method."""
    if order.paid_at is None or order.fulfilment_status == "delivered" or not _step(order):
        return None
    options = checkout.shipping_options(order.shipping_address["country"], order.subtotal_minor)
    way = next((option for option in options if option.code == order.shipping_method), None)
    if way is None:
        return None
    return way.arrives(order.paid_at)


def _told(order: orders.Order, entries: Sequence[orders.TimelineEntry]) -> list[Happening]:
    """What the customer should read of everything that happened, newest first."""
    parcels = {parcel.id: parcel for parcel in order.fulfilments}
    told = []
    for entry in reversed(entries):
        payload, at = entry.payload, entry.at.astimezone(SHOP_ZONE)
        if entry.type in _TOLD:
            told.append(Happening(at, _TOLD[entry.type]))
        elif entry.type == "PaymentFailed":
            reason = failure_words(str(payload.get("reason", "")))
            told.append(Happening(at, "A payment did not work", reason))
        elif entry.type in {"OrderShipped", "OrderDelivered"}:
            parcel = parcels.get(payload.get("fulfilment_id", 0))
            by = f"{parcel.carrier} {parcel.tracking_number}".strip() if parcel else ""
            left = entry.type == "OrderShipped"
            told.append(
                Happening(at, "A parcel is on its way" if left else "A parcel has arrived", by)
            )
        elif entry.type == "OrderCancelled":
            told.append(Happening(at, "The order was cancelled"))
        elif entry.type == "OrderRefunded":
            amount = Money(int(payload.get("amount_minor", 0)), order.currency).format()
            told.append(Happening(at, f"We sent {amount} back", "Banks take up to ten days."))
    return told


_TOLD = {
    "OrderPlaced": "We have your order",
    "OrderPaid": "Your payment is here",
    "OrderProcessing": "We are packing it",
    "OrderExpired": "It was not paid in time, so its pieces were set free",
    "LatePaymentRefused": "Your payment came when the pieces were gone. We are sending it back",
}
