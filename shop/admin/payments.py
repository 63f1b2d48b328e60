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
from shop.core.i18n import gettext as _
from shop.core.i18n import lazy_gettext
from shop.orders import Order
from shop.payments import AttemptStatus, Payment, Task, WebhookDelivery

# What a person does about a task whose sentence does not say it.
TO_DO = {
    "refund_failed": lazy_gettext("Press Retry in the order, or refund the customer another way."),
    "dispute": lazy_gettext("Respond in Stripe. This closes when the bank has decided."),
    "kept_after_dispute": lazy_gettext("Pay the customer what is due another way."),
    "money_left": lazy_gettext("Refund it in the order, or close this if it is meant to stay."),
    "refund_stuck": lazy_gettext(
        "See whether Stripe has it, and under Jobs why the shop could not send it."
    ),
    "capture_soon": lazy_gettext("Capture the payment in the order, or release it."),
    "refund_blocked": lazy_gettext("Refund in the order when the dispute is closed."),
    "stripe_refused": lazy_gettext(
        "Correct it in Stripe or in the order. The next reconciliation closes this."
    ),
    "review": lazy_gettext("Approve or refund it in Stripe. This closes with the review."),
    "fraud_warning": lazy_gettext(
        "This closes when Stripe says that nothing can be done any more."
    ),
    "payout_failed": lazy_gettext("This closes with the next payout that is paid."),
    "payment_not_started": lazy_gettext(
        "Check the Stripe account and the shop's settings for payments."
    ),
}
CLOSED_SHOWN = 20
ATTEMPT_WORDS = {
    AttemptStatus.CREATED: ("mute", lazy_gettext("Not started")),
    AttemptStatus.STARTED: ("warn", lazy_gettext("Started")),
    AttemptStatus.PROCESSING: ("info", lazy_gettext("Processing")),
    AttemptStatus.AUTHORISED: ("info", lazy_gettext("Authorised")),
    AttemptStatus.SUCCEEDED: ("good", lazy_gettext("Captured")),
    AttemptStatus.CANCELLED: ("mute", lazy_gettext("Cancelled")),
}
ON_ITS_WAY = (AttemptStatus.STARTED, AttemptStatus.PROCESSING)


def _method(value: str, row: Listed) -> str:
    payment = row.item
    if payment.card_last4:
        return f"{payment.card_brand.capitalize()} ···· {payment.card_last4}"
    return value.replace("_", " ").capitalize() or "—"


class PaymentsView(View):
    """Attempts to pay, and above them what needs a person: tasks, refunds, disputes and
    reconciliations with Stripe."""

    route_base = "/admin/payments"
    datamodel = Table(Payment)
    noun = lazy_gettext("payment")
    plural = lazy_gettext("Payments")
    intro = lazy_gettext(
        "Open tasks, pending refunds and disputes, and reconciliation with Stripe."
    )
    pages = ()
    columns = (
        LinkTo(
            "number",
            lazy_gettext("Order"),
            sql=Order.number,
            endpoint="OrdersView.show",
            key="order_id",
            card="title",
        ),
        Status("status", words=ATTEMPT_WORDS, card="end"),
        Amount("amount_minor", lazy_gettext("Amount")),
        Amount("captured_minor", lazy_gettext("Captured")),
        Amount("refunding_minor", lazy_gettext("Refunded")),
        Text("method", show=_method),
        Moment("created_at", lazy_gettext("Started")),
        Text("failure", shown=False),
        Code("intent_id", lazy_gettext("Stripe’s id"), shown=False),
        Amount("withdrawn_minor", lazy_gettext("Disputed"), shown=False),
        Text("email", sql=Order.email, shown=False),
    )  # fmt: skip
    more_filters = (Missing("failure", lazy_gettext("Failure"), sql=Payment.failure),)
    sort = "-created_at"
    search = (orders.matches, "intent_id")
    search_hint = lazy_gettext("Order, email or Stripe’s id")
    tabs = (
        Tab("all", lazy_gettext("All")),
        Tab("open", lazy_gettext("Pending"), Payment.status.in_(ON_ITS_WAY)),
        Tab("failed", lazy_gettext("Failed"), Payment.failure != ""),
        Tab("authorised", lazy_gettext("To capture"), Payment.status == AttemptStatus.AUTHORISED),
    )
    list_template = "admin/payments/list.html"
    empty_words = (lazy_gettext("No payments yet"), lazy_gettext("They appear when customers pay."))

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
            "is_reconciling": payments.is_reconciling(),
            "may_reconcile": self.may("can_compare"),
            "may_close": self.may("can_close"),
        }

    @expose("/compare", methods=["POST"])
    @has_access
    def compare(self) -> Page:
        """Have a worker reconcile our books with Stripe's."""
        days = whole("days", what=_("The number of days"))
        with transaction():
            if payments.is_reconciling():
                raise WrongState(_("Reconciliation is already running."))
            payments.request_reconciliation(days=days)
        if errors.wants_json():
            return jsonify(message=_("Reconciliation is running."))
        flash(_("Reconciliation is running. Its result will appear here."), "success")
        return redirect(self.address("list"), code=303)

    @expose("/tasks/<int:pk>/close", methods=["POST"])
    @has_access
    def close(self, pk: int) -> Page:
        """Somebody looked at it."""
        with transaction():
            payments.close_task(existing(pk))
        flash(_("Closed."), "success")
        return redirect(errors.back(self.address("list")), code=303)


def _outcome(value: str, row: Listed) -> Any:
    if row["applied_at"] is None:
        return badge(_("Waiting"), "info")
    is_bad = value.startswith(("unknown", "refused")) or value == "amount differs"
    is_nothing = value in {"ignored", "known", "waiting", "not ours"}
    words = (value or "done").replace("_", " ").capitalize()
    return badge(words, "bad" if is_bad else "mute" if is_nothing else "good")


class WebhooksView(View):
    """What Stripe has reported to the shop, and what became of it."""

    route_base = "/admin/webhooks"
    datamodel = Table(WebhookDelivery)
    noun = lazy_gettext("webhook")
    plural = lazy_gettext("Webhooks")
    intro = lazy_gettext(
        "Webhooks from Stripe. Each is stored before it is answered, and applied by a worker."
    )
    pages = ()
    columns = (
        Text("type", lazy_gettext("Webhook")),
        Code("object_id", lazy_gettext("About")),
        Text("outcome", show=_outcome, card="end"),
        Moment("received_at", lazy_gettext("Received")),
        Moment("applied_at", lazy_gettext("Applied"), shown=False),
        Code("stripe_event_id", lazy_gettext("Stripe’s id"), shown=False),
    )
    sort = "-received_at"
    search = ("type", "object_id", "outcome", "stripe_event_id")
    search_hint = lazy_gettext("Type or Stripe’s id")
    tabs = (
        Tab("all", lazy_gettext("All")),
        Tab("waiting", lazy_gettext("Waiting"), WebhookDelivery.applied_at.is_(None)),
        Tab(
            "refused",
            lazy_gettext("Refused"),
            or_(
                WebhookDelivery.outcome.startswith("refused"),
                WebhookDelivery.outcome.startswith("unknown"),
            ),
        ),
    )
    empty_words = (
        lazy_gettext("No webhooks yet"),
        lazy_gettext("Stripe sends webhooks when customers pay."),
    )
