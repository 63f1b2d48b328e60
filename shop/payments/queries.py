"""Reading money."""

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import selectinload

from shop.core.db import session
from shop.payments.models import Payment, Task, WebhookDelivery


def of_order(order_id: int) -> Sequence[Payment]:
    """All attempts to pay an order with their events and refunds. Three statements."""
    return session.scalars(
        select(Payment)
        .where(Payment.order_id == order_id)
        .options(selectinload(Payment.events), selectinload(Payment.refunds))
        .order_by(Payment.attempt)
    ).all()


def latest(order_id: int) -> Payment | None:
    """The newest attempt to pay an order. One statement."""
    return session.scalar(
        select(Payment)
        .where(Payment.order_id == order_id)
        .order_by(Payment.attempt.desc())
        .limit(1)
    )


def open_tasks() -> Sequence[Task]:
    """What people still have to look at, oldest first."""
    return session.scalars(
        select(Task).where(Task.closed_at.is_(None)).order_by(Task.id).limit(200)
    ).all()


def deliveries(*, limit: int = 100) -> Sequence[WebhookDelivery]:
    """Stripe's latest messages, newest first."""
    return session.scalars(
        select(WebhookDelivery).order_by(WebhookDelivery.id.desc()).limit(limit)
    ).all()
