"""An order's own page, for who has its secret link or owns it: what, where, and how far it is."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from flask import flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from shop import checkout, orders, payments
from shop.core import clock
from shop.core.db import end_read, transaction
from shop.core.errors import DomainError, Invalid, NotFound, WrongState
from shop.core.i18n import gettext as _
from shop.core.i18n import lazy_gettext
from shop.core.money import Money
from shop.orders import FulfilmentStatus, OrderStatus, PaymentStatus
from shop.payments import Payment, RefundSource, RefundStatus
from shop.store import inputs, visitors
from shop.store.blueprint import bp
from shop.store.cart import status_of
from shop.store.order_links import order_by_link
from shop.store.order_parts import failure_words, order_lines, order_rows

STEPS = (
    lazy_gettext("Placed"),
    lazy_gettext("Paid"),
    lazy_gettext("Processing"),
    lazy_gettext("Shipped"),
    lazy_gettext("Delivered"),
)
JUST_PAID = timedelta(hours=1)  # who keeps the address that paying led to is not thanked for ever
TONES = {"good": "good", "warn": "busy", "info": "busy", "bad": "bad", "mute": "calm"}


@dataclass(frozen=True, slots=True)
class Happening:
    """One entry of the timeline in the customer's words."""

    at: datetime
    words: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class MoneyBack:
    """A refund in the customer's words."""

    amount: str
    words: str
    tone: str
    at: datetime
    pieces: str


@dataclass(frozen=True, slots=True)
class PaymentNews:
    """What the customer has to know of a payment that is not here yet. At most one of ``voucher``,
    ``is_processing`` and ``failure`` says something. ``can_pay_another_way``: the voucher can be
    swapped, because there is another method for this order."""

    label: str = ""
    wait: str = ""
    is_processing: bool = False
    voucher: Payment | None = None
    failure: str = ""
    was_on_its_way: bool = False
    has_money: bool = False
    can_pay_another_way: bool = False

    @property
    def is_on_its_way(self) -> bool:
        """Whether the order counts as ordered: the customer has paid, or has a voucher."""
        return self.is_processing or self.voucher is not None


@bp.get("/orders/<number>", endpoint="order")
def show(number: str) -> ResponseReturnValue:
    """The order of the secret link ``?token=``, or of the customer who is signed in.

    A wrong link and an unknown number look the same. ``thanks=1`` is where paying leads to.
    """
    order = _found(number)
    return page_of(order, is_thanks=request.args.get("thanks") == "1")


@bp.post("/orders/<number>/cancel", endpoint="order_cancel")
def cancel(number: str) -> ResponseReturnValue:
    """Cancel an order that nobody has begun to pack, or some items of it; what was paid for them is
    refunded. A refusal shows the order as it is now, with the reason."""
    order = _found(number)
    address = url_for("store.order", number=order.number, token=request.form.get("token") or None)
    end_read()
    try:
        said = _cancel(order.id)
    except NotFound:
        raise
    except DomainError as error:
        return page_of(_found(number), refused=error.sentence), status_of(error)
    flash(said, "success")
    return redirect(address, code=303)


def _cancel(order_id: int) -> str:
    """Do what the form asks for. Returns what to say about it."""
    with transaction("change-order"):
        locked = orders.lock(order_id)
        if not orders.customer_may_cancel(locked):
            raise WrongState(_("This order can no longer be cancelled here. Please write to us."))
        seen = request.form.get("version")
        if seen is not None and seen != str(locked.version):
            raise WrongState(_("Your order has changed since you looked. Nothing was cancelled."))
        before, news = payments.preview(locked), payment_news(locked)
        was_authorised = locked.payment_status == PaymentStatus.AUTHORISED
        if request.form.get("what") == "lines":
            payments.cancel_lines(locked, _quantities(), reason="customer")
        else:
            payments.cancel_order(locked, reason="customer")
        is_whole = locked.status == OrderStatus.CANCELLED
    what = _("Your order is cancelled.") if is_whole else _("These items are cancelled.")
    money = _("Nothing was charged.")
    if news.voucher:
        money = f"{_('Please do not pay the voucher any more.')} {IF_IT_ARRIVES}"
    elif news.is_processing:
        money = str(IF_IT_ARRIVES)
    elif before.balance_minor > 0:
        money = _("We are refunding what you paid, the way you paid.")
    elif before.payment is not None:
        money = _("See below what is refunded or on its way; write to us if anything is missing.")
    elif was_authorised:
        money = (
            _("The amount authorised on your card is released.")
            if is_whole
            else _("We charge only for what we send.")
        )
    return f"{what} {money}"


IF_IT_ARRIVES = lazy_gettext("If the money still arrives, we refund it automatically.")


def _taken_place_by(order: orders.Order) -> orders.Order | None:
    """The live order of the same cart, if this one was closed in favour of it."""
    was_replaced = (
        order.status == OrderStatus.CANCELLED and order.close_reason in orders.REPLACEMENTS
    )
    return orders.live_of(order) if was_replaced else None


def _quantities() -> dict[int, int]:
    """Quantities by order line from the form. Raises ``Invalid``."""
    wanted = {}
    for name, typed in request.form.items():
        line_id = name.removeprefix("quantity-")
        if line_id == name or not (line_id.isascii() and line_id.isdecimal() and len(line_id) < 19):
            continue
        if not (typed.isascii() and typed.isdecimal() and len(typed) < 10):
            raise Invalid(_("A quantity must be a whole number."), field=name)
        wanted[int(line_id)] = int(typed)
    return wanted


def page_of(order: orders.Order, *, is_thanks: bool = False, refused: str = "") -> str:
    """The page of an order that this visitor may see; ``refused``: why nothing was cancelled."""
    words, who = orders.words(order), visitors.customer()
    token = request.values.get("token", "")
    authorised = None
    if order.payment_status == PaymentStatus.AUTHORISED:
        authorised = payments.authorised_payment(order.id)
    off, tax_off = payments.cancelled_unpaid(order)
    news, entries = payment_news(order), orders.timeline(order.id)
    return render_template(
        "store/orders/order.html",
        order=order,
        taken_place_by=_taken_place_by(order),
        to=order.shipping_address,
        bill_to=order.billing_address,
        token=inputs.secret(token),
        refused=refused,
        lines=order_lines(order),
        rows=order_rows(order) + ([(_("Cancelled before you paid"), -off)] if off else []),
        owed_minor=order.total_minor - off,
        owed_tax_minor=order.tax_minor - tax_off,
        label=words.label,
        tone=TONES.get(words.tone, ""),
        steps=[(name, "") for name in STEPS],
        step=_step(order),
        timeline=_history(order, entries),
        money_back=_money_back(payments.refunds_of(order.id)),
        authorised=authorised
        and Money(payments.owed(order, authorised), authorised.currency).format(),
        can_cancel=orders.customer_may_cancel(order),
        can_pay=order.status == OrderStatus.PENDING and order.expires_at > clock.now(),
        is_in_question=news.has_money,
        news=news,
        pay_until=order.expires_at.astimezone(checkout.terms().zone),
        if_it_arrives=IF_IT_ARRIVES,
        is_thanks=is_thanks and (_is_just_paid(order) or _is_just_ordered(order, news)),
        is_guest=order.customer_id is None and who is None,
        is_own=who is not None and order.customer_id == who.id,
        arrives=_arrives(order),
    )


def payment_news(order: orders.Order) -> PaymentNews:
    """How the payment of an order stands that is not paid. One statement, or none if it is."""
    if order.status not in {OrderStatus.PENDING, OrderStatus.EXPIRED}:
        return PaymentNews()
    attempt = payments.latest(order.id)
    if attempt is None:
        return PaymentNews()
    facts = payments.facts_of(attempt.method)
    is_pending = order.status == OrderStatus.PENDING
    has_voucher = is_pending and bool(attempt.voucher_url)
    ways = payments.ways_to_pay(order, capture=attempt.capture) if has_voucher else ()
    return PaymentNews(
        label=facts.label,
        wait=facts.wait,
        is_processing=is_pending and order.payment_status == PaymentStatus.PROCESSING,
        voucher=attempt if has_voucher else None,
        failure=failure_words(attempt.failure) if not attempt.is_on_its_way else "",
        was_on_its_way=payments.takes_days(attempt.method),
        # Money that does not count as paid, so that a person looks at it.
        has_money=attempt.has_money,
        can_pay_another_way=order.expires_at > clock.now() and bool({*ways} - {attempt.method}),
    )


def _money_back(refunds: Sequence[payments.Refund]) -> list[MoneyBack]:
    """What went back to the customer or is on its way, newest first."""
    shown = []
    for refund in refunds:
        if refund.status == RefundStatus.FAILED and refund.source == RefundSource.EXTERNAL:
            continue
        words, tone = _REFUND_WORDS[refund.status]
        names = [
            _units(part.quantity, part.order_line.name, part.order_line.variant_title)
            for part in refund.lines
        ]
        shown.append(
            MoneyBack(
                amount=Money(refund.amount_minor, refund.currency).format(),
                words=str(words),
                tone=tone,
                at=(refund.done_at or refund.requested_at).astimezone(checkout.terms().zone),
                pieces=", ".join([*names, _("shipping")] if refund.shipping_minor else names),
            )
        )
    return shown[::-1]


def _units(quantity: int, name: str, title: str) -> str:
    return f"{quantity} × {name} ({title})" if title else f"{quantity} × {name}"


_REFUND_WORDS = {
    RefundStatus.REQUESTED: (lazy_gettext("Refund pending"), "busy"),
    RefundStatus.SENT: (lazy_gettext("Refund pending"), "busy"),
    RefundStatus.DONE: (lazy_gettext("Refunded"), "good"),
    RefundStatus.FAILED: (lazy_gettext("Delayed: we are looking into it"), "bad"),
}


def _found(number: str) -> orders.Order:
    token = request.values.get("token")
    if token is not None:
        return order_by_link(number, token)
    who = visitors.customer()
    if who is None:
        raise NotFound(_("Order not found."))
    return own_order(number, who.id)


def own_order(number: str, customer_id: int) -> orders.Order:
    """A customer's own order. Raises ``NotFound``, also for somebody else's."""
    if not (number.isascii() and number.replace("-", "").isalnum() and len(number) <= 32):
        raise NotFound(_("Order not found."))
    order = orders.by_number(number)
    if order.customer_id != customer_id:
        raise NotFound(_("Order not found."))
    return order


def _is_just_paid(order: orders.Order) -> bool:
    if order.payment_status != PaymentStatus.PAID or order.paid_at is None:
        return False
    return order.paid_at > clock.now() - JUST_PAID


def _is_just_ordered(order: orders.Order, news: PaymentNews) -> bool:
    """Whether the customer has just done their part of a payment that takes days."""
    return news.is_on_its_way and order.placed_at > clock.now() - JUST_PAID


def _step(order: orders.Order) -> int:
    """How far along the step bar it is; 0 for an order that will not go on."""
    if (
        order.status in {OrderStatus.CANCELLED, OrderStatus.EXPIRED}
        or order.payment_status == PaymentStatus.REFUNDED
    ):
        return 0
    by_fulfilment = {
        FulfilmentStatus.DELIVERED: 5,
        FulfilmentStatus.SHIPPED: 4,
        FulfilmentStatus.PARTLY_SHIPPED: 4,
    }
    if order.fulfilment_status in by_fulfilment:
        return by_fulfilment[order.fulfilment_status]
    if order.processing_at is not None:
        return 3
    return 2 if order.status == OrderStatus.CONFIRMED else 1


def _arrives(order: orders.Order) -> tuple[date, date] | None:
    """When a paid order that is not there yet should arrive, by its shipping method."""
    if (
        order.paid_at is None
        or order.fulfilment_status == FulfilmentStatus.DELIVERED
        or not _step(order)
    ):
        return None
    options = checkout.shipping_options(order.shipping_address["country"], order.subtotal_minor)
    way = next((option for option in options if option.code == order.shipping_method), None)
    if way is None:
        return None
    return way.arrives(order.paid_at)


def _history(order: orders.Order, entries: Sequence[orders.TimelineEntry]) -> list[Happening]:
    """What the customer should read of everything that happened, newest first."""
    fulfilments = {fulfilment.id: fulfilment for fulfilment in order.fulfilments}
    happenings = []
    for entry in reversed(entries):
        payload, at = entry.payload, entry.at.astimezone(checkout.terms().zone)
        if entry.type == "OrderPaid" and not order.total_minor:
            happenings.append(Happening(at, _("Your order is confirmed; there is nothing to pay")))
        elif entry.type in _HISTORY_WORDS:
            happenings.append(Happening(at, str(_HISTORY_WORDS[entry.type])))
        elif entry.type == "PaymentFailed":
            reason = failure_words(str(payload.get("reason", "")))
            happenings.append(Happening(at, _("A payment failed"), reason))
        elif entry.type in {"OrderShipped", "OrderDelivered"}:
            fulfilment = fulfilments.get(payload.get("fulfilment_id", 0))
            by = f"{fulfilment.carrier} {fulfilment.tracking_number}".strip() if fulfilment else ""
            is_sent = entry.type == "OrderShipped"
            words = _("A shipment is on its way") if is_sent else _("A shipment was delivered")
            happenings.append(Happening(at, words, by))
        elif entry.type == "OrderCancelled":
            happenings.append(Happening(at, _("The order was cancelled")))
        elif entry.type == "UnitsReturned" and payload["reason"] != "cancelled":
            happenings.append(Happening(at, _("We received your return"), _named(payload["lines"])))
        elif entry.type == "LinesCancelled":
            happenings.append(
                Happening(at, _("Some items were cancelled"), _named(payload["lines"]))
            )
        elif entry.type == "OrderRefunded":
            amount = Money(int(payload.get("amount_minor", 0)), order.currency).format()
            words = _("We refunded %(amount)s", amount=amount)
            happenings.append(Happening(at, words, _("Banks can take up to ten days to show it.")))
    return happenings


def _named(lines: Sequence[dict[str, Any]]) -> str:
    return ", ".join(_units(one["quantity"], one["name"], one.get("title", "")) for one in lines)


_HISTORY_WORDS = {
    "OrderPlaced": lazy_gettext("Order placed"),
    "OrderPaid": lazy_gettext("Payment received"),
    "OrderAuthorised": lazy_gettext("Your order is confirmed; we charge your card when we send it"),
    "OrderProcessing": lazy_gettext("We are packing it"),
    "OrderExpired": lazy_gettext("It was not paid in time, so its items are no longer reserved"),
    "OrderReopened": lazy_gettext("Your payment is on its way after all"),
    "LatePaymentRefused": lazy_gettext("We could not use your payment, so we are refunding it"),
    "PaymentProcessing": lazy_gettext("Your payment is on its way"),
    "VoucherIssued": lazy_gettext("You have a voucher to pay with"),
    "VoucherCancelled": lazy_gettext("The voucher was cancelled, so that you can pay another way"),
}
