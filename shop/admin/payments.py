"""Money that needs a person, what is on its way, and whether our books agree with Stripe's."""

from typing import Any

from flask import flash, jsonify, redirect
from flask_appbuilder import expose
from flask_appbuilder.security.decorators import has_access
from sqlalchemy import Select, or_, select

from shop import orders, payments
from shop.admin.framework import (
    Amount,
    Code,
    LinkTo,
    Listed,
    Missing,
    Moment,
    Page,
    Status,
    Tab,
    Table,
    Text,
    View,
    errors,
)
from shop.admin.framework.formatters import badge
from shop.admin.framework.inputs import existing, whole
from shop.admin.orders.money import DISPUTE_WORDS, REFUND_WORDS, day
from shop.core.db import session, transaction
from shop.core.errors import WrongState
from shop.orders import Order
from shop.payments import AttemptStatus, Payment, Task, WebhookDelivery

# What a person does about a task whose sentence does not say it.
TO_DO = {
    "refund_failed": "Press Retry in the order, or pay the customer back another way.",
    "dispute": "Answer at Stripe; this closes when the bank has decided.",
    "kept_after_dispute": "Pay the customer what is due another way.",
    "money_left": "Refund it in the order, or close this if it is meant to stay.",
    "refund_stuck": "See whether Stripe has it, and under Jobs why the shop could not send it.",
    "capture_soon": "Capture the money in the order, or release it.",
    "refund_blocked": "Refund in the order when the dispute is closed.",
    "stripe_refused": "Correct it at Stripe or in the order; a comparison then closes this.",
    "review": "Approve or refund it at Stripe; this closes with the review.",
    "fraud_warning": "This closes when Stripe says that nothing can be done any more.",
    "payout_failed": "This closes with the next payout that is paid.",
    "payment_not_started": "Check the Stripe account and the shop's settings for payments.",
}
CLOSED_SHOWN = 20
ATTEMPT_WORDS = {
    AttemptStatus.CREATED: ("mute", "Not started"),
    AttemptStatus.STARTED: ("warn", "Started"),
    AttemptStatus.PROCESSING: ("info", "Processing"),
    AttemptStatus.AUTHORISED: ("info", "Authorised"),
    AttemptStatus.SUCCEEDED: ("good", "Captured"),
    AttemptStatus.CANCELLED: ("mute", "Cancelled"),
}
ON_ITS_WAY = (AttemptStatus.STARTED, AttemptStatus.PROCESSING)


def _method(value: str, row: Listed) -> str:
    payment = row.item
    if payment.card_last4:
        return f"{payment.card_brand.capitalize()} ···· {payment.card_last4}"
    return value.replace("_", " ").capitalize() or "—"


class PaymentsView(View):
    """Attempts to pay, and above them what needs a person: tasks, refunds, disputes, comparisons
    with Stripe."""

    route_base = "/admin/payments"
    datamodel = Table(Payment)
    noun = "payment"
    intro = "What needs a person, what is on its way, and whether the books agree with Stripe’s."
    pages = ()
    columns = (
        LinkTo(
            "number", "Order", sql=Order.number, endpoint="OrdersView.show", key="order_id",
            card="title",
        ),
        Status("status", words=ATTEMPT_WORDS, card="end"),
        Amount("amount_minor", "Amount"),
        Amount("captured_minor", "Captured"),
        Amount("refunding_minor", "Refunded"),
        Text("method", show=_method),
        Moment("created_at", "Started"),
        Text("failure", shown=False),
        Code("intent_id", "Stripe’s id", shown=False),
        Amount("withdrawn_minor", "Disputed", shown=False),
        Text("email", sql=Order.email, shown=False),
    )  # fmt: skip
    more_filters = (Missing("failure", "Failure", sql=Payment.failure),)
    sort = "-created_at"
    search = (orders.matches, "intent_id")
    search_hint = "Order, email or Stripe’s id"
    tabs = (
        Tab("all", "All"),
        Tab("open", "On its way", Payment.status.in_(ON_ITS_WAY)),
        Tab("failed", "Failed", Payment.failure != ""),
        Tab("authorised", "To capture", Payment.status == AttemptStatus.AUTHORISED),
    )
    list_template = "admin/payments/list.html"
    empty_words = ("No payments yet", "They appear when customers pay.")

    def query(self) -> Select[Any]:
        return select(Payment).join(Order, Order.id == Payment.order_id)

    def extra(self, kind: str, item: Any = None) -> dict[str, Any]:
        if kind != "list":
            return {}
        tasks = payments.open_tasks()
        closed = session.scalars(
            select(Task)
            .where(Task.closed_at.is_not(None))
            .order_by(Task.closed_at.desc())
            .limit(CLOSED_SHOWN)
        ).all()
        ids = {task.order_id for task in (*tasks, *closed) if task.order_id}
        named = select(Order.id, Order.number).where(Order.id.in_(ids))
        return {
            "tasks": tasks,
            "closed": closed,
            "numbers": {row.id: row.number for row in session.execute(named)} if ids else {},
            "to_do": TO_DO,
            "refunds": payments.open_refunds(),
            "refund_words": REFUND_WORDS,
            "disputes": payments.open_disputes(),
            "dispute_words": DISPUTE_WORDS,
            "day": day,
            "runs": payments.runs(),
            "is_comparing": payments.is_comparing(),
            "may_compare": self.may("can_compare"),
            "may_close": self.may("can_close"),
        }

    @expose("/compare", methods=["POST"])
    @has_access
    def compare(self) -> Page:
        """Have a worker compare our books with Stripe's."""
        days = whole("days", what="The number of days")
        with transaction():
            if payments.is_comparing():
                raise WrongState("A comparison is running already.")
            payments.request_comparison(days=days)
        if errors.wants_json():
            return jsonify(message="The comparison is running.")
        flash("The comparison is running; its result appears here.", "success")
        return redirect(self.address("list"), code=303)

    @expose("/tasks/<int:pk>/close", methods=["POST"])
    @has_access
    def close(self, pk: int) -> Page:
        """Somebody looked at it."""
        with transaction():
            payments.close_task(existing(pk))
        flash("Closed.", "success")
        return redirect(errors.back(self.address("list")), code=303)


def _outcome(value: str, row: Listed) -> Any:
    if row["applied_at"] is None:
        return badge("Waiting", "info")
    is_bad = value.startswith(("unknown", "refused")) or value == "amount differs"
    is_nothing = value in {"ignored", "known", "waiting", "not ours"}
    words = (value or "done").replace("_", " ").capitalize()
    return badge(words, "bad" if is_bad else "mute" if is_nothing else "good")


class WebhooksView(View):
    """What Stripe has told the shop, and what became of it."""

    route_base = "/admin/webhooks"
    datamodel = Table(WebhookDelivery)
    noun = "webhook"
    intro = "Messages from Stripe. Each is stored before it is answered, and applied by a worker."
    pages = ()
    columns = (
        Text("type", "Message"),
        Code("object_id", "About"),
        Text("outcome", show=_outcome, card="end"),
        Moment("received_at", "Received"),
        Moment("applied_at", "Applied", shown=False),
        Code("stripe_event_id", "Stripe’s id", shown=False),
    )
    sort = "-received_at"
    search = ("type", "object_id", "outcome", "stripe_event_id")
    search_hint = "Type or Stripe’s id"
    tabs = (
        Tab("all", "All"),
        Tab("waiting", "Waiting", WebhookDelivery.applied_at.is_(None)),
        Tab(
            "refused",
            "Refused",
            or_(
                WebhookDelivery.outcome.startswith("refused"),
                WebhookDelivery.outcome.startswith("unknown"),
            ),
        ),
    )
    empty_words = ("No messages yet", "Stripe reports here when somebody pays.")
