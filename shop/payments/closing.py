"""Closed orders: nothing of theirs can be paid any more."""

import logging

from sqlalchemy import select
from sqlalchemy.exc import DBAPIError

from shop import orders
from shop.core import clock
from shop.core.db import end_read, session, transaction
from shop.core.errors import DomainError, Unavailable
from shop.orders import OrderStatus
from shop.payments import attempts, intents, stripe_client, stripe_objects
from shop.payments import stripe_gateway as gateway
from shop.payments.models import Payment
from shop.payments.states import AttemptStatus
from shop.payments.stripe_errors import Refused

log = logging.getLogger(__name__)
# Each failed call may take 16 seconds; nothing else of the timetable runs meanwhile.
MAX_FAILURES = 3


@stripe_client.bounded()
def close_intents(order_id: int) -> None:
    """Cancel what could still be paid for a closed order; money that came first is synced.

    Of an order that stands, authorised money stays: only further attempts are cancelled. What
    Stripe never heard of, or does not know under our key, nobody can pay: it is given up.
    """
    stands = orders.Order.status.in_([OrderStatus.CONFIRMED, OrderStatus.COMPLETED])
    rows = session.execute(
        select(Payment.id, Payment.intent_id)
        .join(orders.Order, orders.Order.id == Payment.order_id)
        .where(
            Payment.order_id == order_id,
            Payment.status.in_(attempts.OPEN),
            ~(stands & (Payment.status == AttemptStatus.AUTHORISED)),
        )
    ).all()
    end_read()
    for payment_id, intent_id in rows:
        intent = _cancelled(intent_id) if intent_id else None
        with transaction("close-attempt"):
            if intent is None:
                attempts.abandon(payment_id, intent_id)
            else:
                intents.apply_intent(payment_id, intent)


def _cancelled(intent_id: str) -> stripe_objects.Intent | None:
    try:
        return gateway.cancel_intent(intent_id)
    except Refused as error:
        log.error("unknown to stripe", extra={"intent_id": intent_id, "reason": str(error)})
        return None


def expire_unpaid() -> int:
    """Close orders whose time is up: cancel at Stripe first, then release. Returns how many.

    While Stripe does not answer, only orders that it never heard of are closed.
    """
    closed = failures = 0
    due = orders.due_to_expire()
    end_read()
    for order_id in due:
        if failures >= MAX_FAILURES and _is_known_to_stripe(order_id):
            continue
        try:
            close_intents(order_id)
            with transaction("expire-order"):
                order = orders.lock(order_id)
                if order.status == OrderStatus.PENDING and order.expires_at <= clock.now():
                    orders.expire(order)
                    closed += 1
        except Unavailable as error:
            failures += 1
            log.warning("order not expired", extra={"order_id": order_id, "reason": str(error)})
        except DomainError as error:
            log.info("order stays", extra={"order_id": order_id, "reason": str(error)})
        except Exception as error:  # one that cannot be closed must not hide those behind it
            if isinstance(error, DBAPIError) and error.connection_invalidated:
                raise
            session.rollback()
            log.exception("order not expired", extra={"order_id": order_id})
    return closed


def _is_known_to_stripe(order_id: int) -> bool:
    intent = session.scalar(
        select(Payment.intent_id).where(
            Payment.order_id == order_id,
            Payment.status == AttemptStatus.STARTED,
            Payment.intent_id.is_not(None),
        )
    )
    end_read()
    return intent is not None
