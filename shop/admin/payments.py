"""Money that needs a person, what is on its way, and whether our books agree with Stripe's."""

from flask import flash, jsonify, redirect
from flask_appbuilder import expose
from flask_appbuilder.security.decorators import has_access
from sqlalchemy import select

from shop import payments
from shop.admin import errors
from shop.admin.base import Page
from shop.admin.desk import Desk, existing, whole
from shop.admin.order_money import DISPUTE_WORDS, REFUND_WORDS, day
from shop.core.db import session, transaction
from shop.core.errors import WrongState
from shop.orders import Order
from shop.payments import Task

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
MESSAGES_SHOWN = 50


class PaymentsView(Desk):
    """Tasks about money, refunds and disputes, comparisons with Stripe, and its messages."""

    route_base = "/admin/payments"
    default_view = "list"

    @expose("/")
    @expose("/list/")
    @has_access
    def list(self) -> Page:
        """Open tasks first, then what was closed lately, then Stripe's latest messages."""
        tasks = payments.open_tasks()
        closed = session.scalars(
            select(Task)
            .where(Task.closed_at.is_not(None))
            .order_by(Task.closed_at.desc())
            .limit(CLOSED_SHOWN)
        ).all()
        ids = {task.order_id for task in (*tasks, *closed) if task.order_id}
        named = select(Order.id, Order.number).where(Order.id.in_(ids))
        numbers = {row.id: row.number for row in session.execute(named)} if ids else {}
        return self.page(
            "admin/payments/list.html",
            title="Payments",
            tasks=tasks,
            closed=closed,
            numbers=numbers,
            to_do=TO_DO,
            refunds=payments.open_refunds(),
            refund_words=REFUND_WORDS,
            disputes=payments.open_disputes(),
            dispute_words=DISPUTE_WORDS,
            day=day,
            runs=payments.runs(),
            is_comparing=payments.is_comparing(),
            may_compare=self.may("can_compare"),
            messages=payments.deliveries(limit=MESSAGES_SHOWN),
            may_close=self.may("can_close"),
        )

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
