"""The money of an order: refunding it, capturing and releasing it, cancelling, and its story."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from flask import Response, flash, jsonify, redirect, request
from flask_appbuilder import expose
from flask_appbuilder.security.decorators import has_access, permission_name

from shop import checkout, orders, payments
from shop.admin.framework import Page, View, errors
from shop.admin.framework.errors import Stale
from shop.admin.framework.inputs import existing, seen_version, whole
from shop.core.db import session, transaction
from shop.core.errors import DomainError, Invalid, NotFound, WrongState
from shop.core.i18n import gettext as _
from shop.core.i18n import lazy_gettext
from shop.core.money import AmountError, Money, exponent, format_typed, parse_amount
from shop.orders import FulfilmentStatus, OrderStatus
from shop.payments import AttemptStatus, MoneyEventKind, Payment, RefundSource, RefundStatus, Wanted

Typed = Mapping[str, str]
QUANTITY, RESTOCK = "quantity-", "restock-"
# The most that anybody can type; what is really left is the core's to say.
DISPUTE_WORDS = {
    "needs_response": ("bad", lazy_gettext("Needs an answer")),
    "under_review": ("warn", lazy_gettext("Under review by the bank")),
    "appeal_needs_response": ("bad", lazy_gettext("Appeal needs an answer")),
    "appeal_under_review": ("warn", lazy_gettext("Appeal under review")),
    "won": ("good", lazy_gettext("Won")),
    "lost": ("bad", lazy_gettext("Lost")),
    "warning_needs_response": ("warn", lazy_gettext("Inquiry, needs an answer")),
    "warning_under_review": ("info", lazy_gettext("Inquiry, under review")),
    "warning_closed": ("mute", lazy_gettext("Inquiry closed")),
    "prevented": ("mute", lazy_gettext("Prevented")),
}
REFUND_WORDS = {
    RefundStatus.REQUESTED: ("info", lazy_gettext("Pending")),
    RefundStatus.SENT: ("info", lazy_gettext("Pending")),
    RefundStatus.DONE: ("good", lazy_gettext("Refunded")),
    RefundStatus.FAILED: ("bad", lazy_gettext("Failed")),
}


@dataclass(frozen=True, slots=True)
class Fact:
    """One line of a payment's ledger, with Stripe's time; ``sign`` stands before the amount."""

    words: str
    at: datetime
    amount_minor: int
    currency: str
    sign: str = ""
    tone: str = ""


class NotAgreed(Exception):
    """What the form comes to is not the amount that the person agreed to; nothing was done."""

    def __init__(self, amount: Money) -> None:
        super().__init__(amount)
        self.amount = amount


class OrderMoney(View):
    """What the orders desk does with money. Each form is a dialog on the order's page, and a page
    of its own that a refusal leads to, with everything still in it that was typed."""

    @expose("/<int:pk>/refund", methods=["GET", "POST"])
    @has_access
    @permission_name("refund")
    def refund(self, pk: int) -> Page:
        """Refund items and shipping, an amount, or all that is left."""

        def work(order: orders.Order) -> str | None:
            reason = request.form.get("reason", "")
            if reason not in payments.REASONS:
                raise Invalid(_("Choose a reason for the refund."), field="reason")
            made = payments.refund_or_return(
                order, wanted_of(order, request.form), reason=reason, source=RefundSource.STAFF
            )
            amount = (
                Money(0, order.currency)
                if isinstance(made, payments.OrderReturn)
                else Money(made.amount_minor, made.currency)
            )
            agreed = request.form.get("agreed", "")
            if agreed != str(amount.amount_minor) and not errors.wants_json():
                raise NotAgreed(amount)
            return None if amount else _("The return is recorded. No money moves.")

        return self._answer(
            pk, "refund", work, _("The refund is pending. %(email)s gets an email.")
        )

    @expose("/<int:pk>/refund/<int:refund_id>/retry", methods=["POST"])
    @has_access
    @permission_name("refund")
    def retry_refund(self, pk: int, refund_id: int) -> Page:
        """Ask Stripe once more for a refund that failed."""

        def work(order: orders.Order) -> None:
            known = (refund.id for one in payments.of_order(order.id) for refund in one.refunds)
            if existing(refund_id) not in known:
                raise NotFound(_("Refund not found."))
            payments.retry_refund(refund_id)

        return self._change(pk, work, _("The refund is being retried."))

    @expose("/<int:pk>/capture", methods=["GET", "POST"])
    @has_access
    @permission_name("capture")
    def capture(self, pk: int) -> Page:
        """Take authorised money, all of it or a part; the rest is released."""

        def work(payment: Payment) -> None:
            typed = request.form.get("amount", "").strip()
            amount = amount_of(typed, "amount", payment.currency) if typed else None
            payments.capture(payment.id, amount)

        return self._at_stripe(pk, "capture", work, _("The payment is captured."))

    @expose("/<int:pk>/void", methods=["GET", "POST"])
    @has_access
    @permission_name("capture")
    def void(self, pk: int) -> Page:
        """Release authorised money without taking it."""

        def work(payment: Payment) -> None:
            payments.release(payment.id)

        return self._at_stripe(pk, "void", work, _("The payment is released."))

    @expose("/<int:pk>/cancel", methods=["GET", "POST"])
    @has_access
    @permission_name("cancel")
    def cancel(self, pk: int) -> Page:
        """Call the order or some of it off; what was paid for it goes back in the same step.

        Keeping the money is a decision about money: whoever may not refund cannot untick it.
        """

        def work(order: orders.Order) -> None:
            reason = request.form.get("reason", "")
            if reason not in orders.CANCEL_REASONS:
                raise Invalid(_("Choose a reason for the cancellation."), field="reason")
            goes_back = not (request.form.get("may_keep") and self.may("can_refund"))
            goes_back = goes_back or bool(request.form.get("refund"))
            if request.form.get("what") == "lines":
                quantities = quantities_of(request.form)
                payments.cancel_lines(order, quantities, reason=reason, refund=goes_back)
            else:
                payments.cancel_order(order, reason=reason, refund=goes_back)

        some = request.form.get("what") == "lines"
        done = _("Cancelled. %(email)s gets an email.") if some else _("%(number)s is cancelled.")
        return self._answer(pk, "cancel", work, done)

    # -- inside ----------------------------------------------------------------------------------

    def _change(self, pk: int, work: Callable[[orders.Order], str | None], done: str) -> Page:
        """Lock the order, make sure it is what the person saw, do the work, say so: in the words
        that ``work`` returns, or in those of ``done``."""
        with transaction("change-order"):
            order = self._seen(pk)
            words = work(order)
        return self._done(order, words or done)

    def _answer(
        self, pk: int, kind: str, work: Callable[[orders.Order], str | None], done: str
    ) -> Page:
        """A form: shown, done, asked about, or refused with what was typed."""
        if request.method == "GET" or request.form.get("edit"):
            return self._ask(pk, kind, request.form)
        try:
            return self._change(pk, work, done)
        except NotAgreed as asked:
            return self._ask(pk, kind, request.form, agreed=asked.amount)
        except DomainError as refusal:
            return self._refused(pk, kind, refusal)

    def _at_stripe(self, pk: int, kind: str, work: Callable[[Payment], object], done: str) -> Page:
        """A form that asks Stripe at once; no transaction is open meanwhile."""
        if request.method == "GET":
            return self._ask(pk, kind, {})
        try:
            with transaction():
                order = self._seen(pk)
                payment = authorised(payments.of_order(order.id))
            if payment is None:
                raise WrongState(_("There is no authorised payment to capture."))
            work(payment)
        except DomainError as refusal:
            return self._refused(pk, kind, refusal)
        return self._done(orders.by_id(pk), done)

    def _seen(self, pk: int) -> orders.Order:
        seen = seen_version()
        order = orders.lock(existing(pk))
        if seen is not None and seen != order.version:
            raise Stale(_changed_by(order))
        return order

    def _done(self, order: orders.Order, words: str) -> Page:
        message = words % {"number": order.number, "email": order.email}
        if errors.wants_json():
            return jsonify(message=message, version=order.version)
        flash(message, "success")
        shown = self.address("show", pk=order.id)
        came_from = errors.back(shown)
        if not came_from.startswith(shown):  # from a page of a form, whose address has the list's
            came_from = self.record_address("show", order)
        return redirect(came_from, code=303)

    def _refused(self, pk: int, kind: str, refusal: DomainError) -> Page:
        if errors.wants_json() or isinstance(refusal, NotFound):
            raise refusal
        session.rollback()
        page = self._ask(pk, kind, request.form, fault=refusal)
        return Response(page, errors.status_of(refusal))

    def _ask(
        self,
        pk: int,
        kind: str,
        typed: Typed,
        *,
        fault: DomainError | None = None,
        agreed: Money | None = None,
    ) -> str:
        order = orders.by_id(existing(pk))
        money = payments.of_order(order.id)
        return self.page(
            "admin/orders/ask.html",
            title=_("Order %(number)s", number=order.number),
            order=order,
            kind=kind,
            typed=typed,
            fault=fault,
            agreed=agreed,
            **self._form_facts(order, money),
        )

    def _form_facts(self, order: orders.Order, money: Iterable[Payment]) -> dict[str, Any]:
        """What the forms show."""
        return money_facts(order, money, self.may)


def money_facts(
    order: orders.Order, money: Iterable[Payment], may: Callable[[str], bool]
) -> dict[str, Any]:
    """What the payment card and the forms about money show."""
    money = list(money)
    now = payments.preview(order)
    on_its_way = sum(
        refund.amount_minor
        for payment in money
        for refund in payment.refunds
        if refund.status in {RefundStatus.REQUESTED, RefundStatus.SENT}
        and refund.currency == order.currency
    )
    waiting = authorised(money)
    balance = payments.balance_of(order.id, order.currency)
    return {
        "payments": money,
        "ledger": {payment.id: ledger(payment) for payment in money},
        "balance": balance,
        "on_its_way_minor": on_its_way,
        "ours_minor": balance.kept_minor - on_its_way - balance.disputed_minor - balance.fees_minor,
        "refunds": [refund for payment in money for refund in payment.refunds],
        "disputes": [dispute for payment in money for dispute in payment.disputes],
        "now": now,
        "has_open_lines": any(one.line.open_quantity for one in now.lines),
        "has_partly_shipped": any(one.line.open_quantity and one.line.shipped for one in now.lines),
        "digits": exponent(now.currency),
        "major": major,
        "card": card(now.payment or waiting),
        "method_label": method_label,
        "waiting_words": waiting_words(order, money),
        "is_on_its_way": order.status == OrderStatus.PENDING
        and any(one.is_on_its_way for one in money),
        "authorised": waiting,
        "owed_minor": max(0, payments.owed(order, waiting)) if waiting else 0,
        "until": until(waiting.capture_before) if waiting and waiting.capture_before else "",
        "refund_words": REFUND_WORDS,
        "dispute_words": DISPUTE_WORDS,
        "refund_reasons": payments.REASONS,
        "cancel_reasons": orders.CANCEL_REASONS,
        "may_refund": may("can_refund") and (not now.refusal or now.can_return),
        "returns": payments.returns_of(order.id),
        "may_decide_refund": may("can_refund"),
        "may_capture": may("can_capture")
        and waiting is not None
        and order.status == OrderStatus.CONFIRMED,
        "may_void": may("can_capture") and waiting is not None,
        "may_cancel": may("can_cancel") and may_cancel(order),
        "may_cancel_all": order.fulfilment_status == FulfilmentStatus.UNFULFILLED,
        "day": day,
    }


def ledger(payment: Payment) -> list[Fact]:
    """What happened to the money of a payment, in Stripe's order of time."""
    refunds = {refund.stripe_id: refund for refund in payment.refunds if refund.stripe_id}
    facts = []
    for event in sorted(payment.events, key=lambda one: (one.occurred_at, one.id)):
        if event.kind in _MOVEMENTS and not event.amount_minor:
            continue  # counted before, when disputes had no balance transactions here
        words, sign, tone = _LEDGER[event.kind]
        if event.kind == MoneyEventKind.FAILED and payment.failure:
            words = f"{words}: {payment.failure}"
        if event.kind == MoneyEventKind.CANCELLED and not event.amount_minor:
            words = _("Cancelled")
        refund = refunds.get(event.reference)
        if (
            event.kind == MoneyEventKind.REFUNDED
            and refund is not None
            and refund.source == RefundSource.EXTERNAL
        ):
            words = _("%(event)s, created in Stripe", event=words)
        facts.append(Fact(words, event.occurred_at, event.amount_minor, event.currency, sign, tone))
    return facts


_LEDGER = {
    MoneyEventKind.AUTHORISED: (lazy_gettext("Authorised"), "", ""),
    MoneyEventKind.CAPTURED: (lazy_gettext("Captured"), "", ""),
    MoneyEventKind.FAILED: (lazy_gettext("Declined"), "", "bad"),
    MoneyEventKind.CANCELLED: (lazy_gettext("Released"), "", ""),
    MoneyEventKind.REFUNDED: (lazy_gettext("Refunded"), "−", ""),
    MoneyEventKind.REFUND_FAILED: (lazy_gettext("The refund failed and was returned"), "", "bad"),
    MoneyEventKind.DISPUTE_OPENED: (lazy_gettext("Withheld for a dispute"), "−", "bad"),
    MoneyEventKind.DISPUTE_WON: (lazy_gettext("Dispute won: amount returned"), "", ""),
    MoneyEventKind.DISPUTE_LOST: (lazy_gettext("Dispute lost"), "", "bad"),
    MoneyEventKind.DISPUTE_WITHDRAWN: (lazy_gettext("Withdrawn by a dispute"), "−", "bad"),
    MoneyEventKind.DISPUTE_REINSTATED: (lazy_gettext("Reinstated after a dispute"), "", ""),
    MoneyEventKind.FEE: (lazy_gettext("Dispute fee"), "−", ""),
    MoneyEventKind.FEE_RETURNED: (lazy_gettext("Dispute fee returned"), "", ""),
}


_MOVEMENTS = {
    MoneyEventKind.DISPUTE_WITHDRAWN,
    MoneyEventKind.DISPUTE_REINSTATED,
    MoneyEventKind.FEE,
    MoneyEventKind.FEE_RETURNED,
}


def may_cancel(order: orders.Order) -> bool:
    """Whether the order, or what of it was not sent yet, can still be cancelled."""
    if order.status == OrderStatus.PENDING:
        return True
    return order.status == OrderStatus.CONFIRMED and any(line.open_quantity for line in order.lines)


def authorised(money: Iterable[Payment]) -> Payment | None:
    """The payment whose money waits to be captured."""
    return next((payment for payment in money if payment.status == AttemptStatus.AUTHORISED), None)


def card(payment: Payment | None) -> str:
    """The card, or another way to pay, as people say it."""
    if payment is None or (not payment.card_last4 and payment.method in {"", "card"}):
        return _("the card used to pay")
    if not payment.card_last4:
        return method_label(payment)
    return _(
        "%(brand)s ending %(digits)s",
        brand=payment.card_brand.replace("_", " ").capitalize(),
        digits=payment.card_last4,
    )


def method_label(payment: Payment) -> str:
    """How a payment was made, or is to be made: "SEPA Direct Debit"."""
    return payments.facts_of(payment.method).label


def waiting_words(order: orders.Order, money: Iterable[Payment]) -> str:
    """What an unpaid order waits for, in a sentence; nothing for one that waits for nothing."""
    if order.status != OrderStatus.PENDING:
        return ""
    on_its_way = next((one for one in money if one.is_on_its_way), None)
    until_then = _("The stock is reserved until %(time)s.", time=until(order.expires_at))
    if on_its_way is None:
        failed = next((one for one in money if one.failure), None)
        if failed is not None and payments.takes_days(failed.method):
            return _("The payment did not arrive. The customer can pay again.") + f" {until_then}"
        return _("Waiting for payment.") + f" {until_then}"
    label, wait = method_label(on_its_way), payments.facts_of(on_its_way.method).wait
    if on_its_way.voucher_expires_at is not None:
        return _(
            "Waiting for a voucher to be paid: %(method)s, by %(time)s.",
            method=label,
            time=until(on_its_way.voucher_expires_at),
        )
    # What is true for the customer is true for staff, said of somebody else.
    wait = wait.replace(_("your bank"), _("the customer's bank"))
    return _(
        "Payment processing by %(method)s; %(wait)s. The stock is reserved; nothing to do yet.",
        method=label,
        wait=wait,
    )


def wanted_of(order: orders.Order, typed: Typed) -> Wanted:
    """What the form of a refund asks for. Raises ``Invalid``, which names the field."""
    now = payments.preview(order)
    restock = frozenset(_numbers(typed, RESTOCK))
    if typed.get("what") == "amount":
        return Wanted(amount_minor=amount_of(typed.get("amount", ""), "amount", now.currency))
    if typed.get("what") == "all":
        everything = payments.everything(order)
        return Wanted(
            everything.lines,
            everything.shipping_minor,
            everything.amount_minor,
            restock & frozenset(everything.lines),
        )
    shipping = typed.get("shipping", "").strip()
    lines = quantities_of(typed)
    return Wanted(
        lines=lines,
        shipping_minor=amount_of(shipping, "shipping", now.currency) if shipping else 0,
        restock=frozenset(pk for pk in restock if lines.get(pk, 0) > 0),
    )


def quantities_of(typed: Typed) -> dict[int, int]:
    """Units by order line, as typed; nothing typed is none. Raises ``Invalid``."""
    return {
        pk: whole(f"{QUANTITY}{pk}", what=_("A quantity"), of=typed.get)
        for pk in _numbers(typed, QUANTITY)
        if typed[f"{QUANTITY}{pk}"].strip()
    }


def amount_of(typed: str, name: str, currency: str) -> int:
    """A typed amount of money in minor units. Raises ``Invalid``."""
    try:
        return parse_amount(typed, currency)
    except AmountError as error:
        raise Invalid(str(error), field=name) from None


def major(amount_minor: int, currency: str) -> str:
    """An amount as somebody would type it."""
    return format_typed(amount_minor, currency)


def until(moment: datetime) -> str:
    """By when authorised money must be captured, in the shop's own time."""
    return f"{moment.astimezone(checkout.terms().zone):%-d %B, %H:%M}"


def day(moment: datetime) -> str:
    """A day of the shop's own time."""
    return f"{moment.astimezone(checkout.terms().zone):%-d %B %Y}"


def _numbers(typed: Typed, prefix: str) -> list[int]:
    ends = (name.removeprefix(prefix) for name in typed if name.startswith(prefix))
    return [int(end) for end in ends if end.isascii() and end.isdecimal() and len(end) < 19]


def _changed_by(order: orders.Order) -> str:
    entries = [entry for entry in orders.timeline(order.id) if entry.type != "OrderNoted"]
    who = entries[-1].actor_name if entries else _("Someone")
    return _(
        "%(name)s changed this order just now: it is %(status)s. Your change was not made."
        " Check the order again.",
        name=who,
        status=orders.words(order).label,
    )
