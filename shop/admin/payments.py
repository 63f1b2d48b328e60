"""Money that needs a person, and what Stripe told us."""

from flask import flash, redirect
from flask_appbuilder import expose
from flask_appbuilder.security.decorators import has_access
from sqlalchemy import select

from shop import payments
from shop.admin import errors
from shop.admin.base import Page
from shop.admin.desk import Desk, existing
from shop.core.db import session, transaction
from shop.orders import Order
from shop.payments import Task

CLOSED_SHOWN = 20
MESSAGES_SHOWN = 50


class PaymentsView(Desk):
    """Tasks about money and Stripe's messages."""

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
            messages=payments.deliveries(limit=MESSAGES_SHOWN),
            may_close=self.may("can_close"),
        )

    @expose("/tasks/<int:pk>/close", methods=["POST"])
    @has_access
    def close(self, pk: int) -> Page:
        """Somebody looked at it."""
        with transaction():
            payments.close_task(existing(pk))
        flash("Closed.", "success")
        return redirect(errors.back(self.address("list")), code=303)
