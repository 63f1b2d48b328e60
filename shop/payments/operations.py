"""What we write down about money. Procedures talk to Stripe between two of these."""

from contextlib import nullcontext
from typing import Any

from sqlalchemy import ColumnElement, func, select, update
from sqlalchemy.dialects.postgresql import insert

from shop import cart, orders
from shop.core import actor, clock
from shop.core.db import session
from shop.core.errors import NotFound, WrongState
from shop.core.events import emit
from shop.inventory import OutOfStock
from shop.payments.events import (
    LatePaymentRefused,
    OrderRefunded,
    PaymentFailed,
    RefundFailed,
    RefundRequested,
    TaskClosed,
    TaskOpened,
    WebhookReceived,
)
from shop.payments.models import Payment, PaymentEvent, Refund, Task, WebhookDelivery
from shop.payments.stripe_gateway import Intent, SentRefund

PROCESSING_HOLD_MINUTES = 24 * 60
# https://docs.stripe.com/api/events/types: what can change a payment or a refund of ours.
TELLING = {
    "payment_intent.succeeded",
    "payment_intent.payment_failed",
    "payment_intent.processing",
    "payment_intent.canceled",
    "refund.created",
    "refund.updated",
    "refund.failed",
}


def open_payment(order: orders.Order) -> Payment:
    """The attempt by which this order is being paid, made if there is none.

    Raises ``WrongState`` when there is nothing to pay any more.
    """
    if order.payment_status != "unpaid":
        raise WrongState("This order is paid already.")
    if order.status != "pending" or order.expires_at <= clock.now():
        raise WrongState("The time to pay for this order is over. Please order again.")
    latest = session.scalar(
        select(Payment)
        .where(Payment.order_id == order.id)
        .order_by(Payment.attempt.desc())
        .limit(1)
        .with_for_update()
    )
    if latest is not None and latest.status in {"created", "started"}:
        return latest
    if latest is not None and latest.status == "succeeded":
        raise WrongState(
            "Money for this order has come, and we are looking at it. Do not pay twice."
        )
    payment = Payment(
        order_id=order.id,
        attempt=latest.attempt + 1 if latest else 1,
        amount_minor=order.total_minor,
        currency=order.currency,
    )
    session.add(payment)
    session.flush()
    return payment


def attach_intent(payment_id: int, intent: Intent) -> None:
    """Remember which PaymentIntent belongs to this attempt."""
    session.execute(
        update(Payment)
        .where(Payment.id == payment_id, Payment.intent_id.is_(None))
        .values(intent_id=intent.id, client_secret=intent.client_secret, status="started")
    )


def abandon(payment_id: int, intent_id: str | None) -> None:
    """Give up an attempt by which nobody can pay: Stripe does not know its intent, or none was made
    whose secret we gave away. Changes nothing if it has got another intent meanwhile."""
    orders.lock(_order_id(payment_id), whole=False)
    payment = _locked(payment_id)
    if payment.intent_id == intent_id and payment.status in {"created", "started"}:
        payment.status = "cancelled"


def record_delivery(event: dict[str, Any]) -> bool:
    """Store a verified message of Stripe's; False if it was stored before.

    Types that tell us nothing new are kept, marked as ignored, and wake nobody.
    """
    matters = event.get("type") in TELLING
    delivery_id = session.scalar(
        insert(WebhookDelivery)
        .values(
            stripe_event_id=str(event.get("id", "")),
            type=str(event.get("type", "")),
            object_id=str(((event.get("data") or {}).get("object") or {}).get("id", "")),
            payload=event,
            applied_at=None if matters else clock.now(),
            outcome="" if matters else "ignored",
        )
        .on_conflict_do_nothing(index_elements=["stripe_event_id"])
        .returning(WebhookDelivery.id)
    )
    if delivery_id is None:
        return False
    if matters:
        emit(WebhookReceived(delivery_id=delivery_id))
    return True


def apply_intent(payment_id: int, intent: Intent) -> str:
    """Bring payment and order in step with what Stripe says *now*; gives what was done.

    The only way to paid. Safe to call any number of times, in any order, by anybody. An order that
    somebody called off stays so: money that comes after that goes back.
    """
    order_id = _order_id(payment_id)
    basket = _cart_of(order_id) if intent.status == "succeeded" else None
    order = orders.lock(order_id, whole=False)
    payment = _locked(payment_id)
    payment.card_brand = intent.card_brand or payment.card_brand
    payment.card_last4 = intent.card_last4 or payment.card_last4
    if intent.status == "succeeded":
        return _captured(order, basket, payment, intent)
    if intent.status == "processing":
        orders.extend_hold(order, minutes=PROCESSING_HOLD_MINUTES)
        return "processing"
    if intent.status == "canceled":
        if payment.status in {"created", "started"}:
            payment.status = "cancelled"
            _note(payment, "cancelled", 0, intent.id)
        return "cancelled"
    if intent.failure and _note(payment, "failed", 0, intent.failure_reference or intent.id):
        payment.failure = intent.failure
        emit(PaymentFailed(order_id=order.id, payment_id=payment.id, reason=intent.failure))
        return "failed"
    return "waiting"


def request_refund(
    order: orders.Order, payment: Payment, amount_minor: int, *, reason: str
) -> Refund:
    """Decide that money goes back; a worker asks Stripe. ``amount_minor`` ≤ what is left of it.

    Raises ``WrongState`` for more than was captured and not yet given back.
    """
    left = balance(payment.id)
    if not 0 < amount_minor <= left:
        raise WrongState(f"Only {left} minor units of this payment can still be given back.")
    refund = Refund(
        payment_id=payment.id,
        amount_minor=amount_minor,
        currency=payment.currency,
        reason=reason,
        requested_by=actor.current().name,
    )
    session.add(refund)
    session.flush()
    emit(RefundRequested(order_id=order.id, refund_id=refund.id, amount_minor=amount_minor))
    return refund


def apply_refund(refund_id: int, sent: SentRefund) -> None:
    """Write down what Stripe said about a refund; safe to repeat."""
    refund = session.get_one(Refund, refund_id)
    order = orders.lock(_order_id(refund.payment_id))
    refund = session.get_one(Refund, refund_id, with_for_update=True, populate_existing=True)
    refund.stripe_id = sent.id
    if sent.status == "succeeded" and refund.status != "done":
        refund.status, refund.done_at = "done", clock.now()
        payment = _locked(refund.payment_id)
        if _note(payment, "refunded", refund.amount_minor, sent.id):
            captured, refunded = _sums(order.id)
            if order.payment_status != "unpaid":
                orders.mark_refunded(order, captured_minor=captured, refunded_minor=refunded)
            emit(
                OrderRefunded(
                    order_id=order.id, refund_id=refund.id, amount_minor=refund.amount_minor
                )
            )
    elif sent.status in {"failed", "canceled"} and refund.status != "failed":
        fail_refund(order, refund, sent.failure or "Stripe did not send it.")
    elif refund.status == "requested":
        refund.status = "sent"


def fail_refund(order: orders.Order, refund: Refund, reason: str) -> None:
    """Stripe did not give the money back: say so, and ask a person."""
    refund.status, refund.failure = "failed", reason
    emit(RefundFailed(order_id=order.id, refund_id=refund.id, reason=reason))
    open_task(
        "refund_failed",
        str(refund.id),
        f"The refund for order {order.number} failed: {reason}",
        order_id=order.id,
    )


def cancel_order(order: orders.Order, *, reason: str) -> None:
    """Cancel the order and, in the same step, give back what was paid for it."""
    orders.cancel(order, reason=reason)
    for payment in session.scalars(
        select(Payment).where(Payment.order_id == order.id).with_for_update()
    ):
        left = balance(payment.id)
        if left:
            request_refund(order, payment, left, reason=f"order cancelled: {reason}")


def open_task(kind: str, reference: str, sentence: str, *, order_id: int | None) -> None:
    """Ask a person to look at something; once per kind and reference."""
    task_id = session.scalar(
        insert(Task)
        .values(kind=kind, reference=reference, sentence=sentence, order_id=order_id)
        .on_conflict_do_nothing()
        .returning(Task.id)
    )
    if task_id is not None:
        emit(TaskOpened(task_id=task_id, order_id=order_id, sentence=sentence))


def close_task(task_id: int) -> None:
    """Somebody looked at it. Raises ``NotFound``."""
    task = session.get(Task, task_id, with_for_update=True)
    if task is None:
        raise NotFound("There is no such task.")
    if task.closed_at is None:
        task.closed_at, task.closed_by = clock.now(), actor.current().name
        emit(TaskClosed(task_id=task.id, order_id=task.order_id))


def balance(payment_id: int) -> int:
    """Minor units captured by a payment and neither given back nor on their way back."""
    captured = session.scalar(
        select(func.coalesce(func.sum(PaymentEvent.amount_minor), 0)).where(
            PaymentEvent.payment_id == payment_id, PaymentEvent.kind == "captured"
        )
    )
    going = session.scalar(
        select(func.coalesce(func.sum(Refund.amount_minor), 0)).where(
            Refund.payment_id == payment_id, Refund.status != "failed"
        )
    )
    return int(captured or 0) - int(going or 0)


def _captured(
    order: orders.Order, basket: cart.Cart | None, payment: Payment, intent: Intent
) -> str:
    payment.status = "succeeded"
    if not _note(payment, "captured", intent.received_minor, intent.charge_id or intent.id):
        return "known"
    if (intent.received_minor, intent.currency) != (order.total_minor, order.currency):
        open_task(
            "amount_differs",
            str(payment.id),
            f"Stripe received {intent.received_minor} {intent.currency} (minor units) for order"
            f" {order.number}, which costs {order.total_minor} {order.currency}.",
            order_id=order.id,
        )
        return "amount differs"
    if order.payment_status != "unpaid":
        request_refund(order, payment, intent.received_minor, reason="paid twice")
        return "paid twice"
    if order.status == "cancelled" and order.close_reason != orders.REPLACED:
        request_refund(order, payment, intent.received_minor, reason="order cancelled before")
        return "late"
    # An order that waits for its money holds its stock: only a closed one can come too late.
    may_be_late = order.status != "pending"
    try:
        with session.begin_nested() if may_be_late else nullcontext():
            orders.mark_paid(order)
    except OutOfStock:
        if not may_be_late:
            raise
        session.refresh(order)
        request_refund(order, payment, intent.received_minor, reason="sold out meanwhile")
        emit(LatePaymentRefused(order_id=order.id, payment_id=payment.id))
        return "late"
    if basket is not None and order.cart_version is not None:
        bought: dict[int, int] = {}
        for line in order.lines:
            bought[line.variant_id] = bought.get(line.variant_id, 0) + line.quantity
        cart.settle(basket, order.cart_version if basket.id == order.cart_id else None, bought)
    return "paid"


def _note(payment: Payment, kind: str, amount_minor: int, reference: str) -> bool:
    """Write a money event down once; False if it is known."""
    session.flush()
    return (
        session.scalar(
            insert(PaymentEvent)
            .values(
                payment_id=payment.id,
                kind=kind,
                amount_minor=amount_minor,
                reference=reference,
                at=clock.now(),
            )
            .on_conflict_do_nothing()
            .returning(PaymentEvent.id)
        )
        is not None
    )


def _sums(order_id: int) -> tuple[int, int]:
    """What all attempts to pay an order captured and gave back."""
    rows = session.execute(
        select(PaymentEvent.kind, func.sum(PaymentEvent.amount_minor))
        .join(Payment, Payment.id == PaymentEvent.payment_id)
        .where(Payment.order_id == order_id)
        .group_by(PaymentEvent.kind)
    )
    sums = {kind: int(amount) for kind, amount in rows}
    return sums.get("captured", 0), sums.get("refunded", 0)


def _order_id(payment_id: int) -> int:
    order_id = session.scalar(select(Payment.order_id).where(Payment.id == payment_id))
    if order_id is None:
        raise NotFound("There is no such payment.")
    return order_id


def _cart_of(order_id: int) -> cart.Cart | None:
    """The cart that was ordered, locked: placing locks cart, then order, and so does paying."""
    cart_id = select(orders.Order.cart_id).where(orders.Order.id == order_id).scalar_subquery()
    basket = _locked_cart(cart.Cart.id == cart_id)
    if basket is not None and basket.status == "merged":  # its buyer has signed in since
        return _locked_cart((cart.Cart.order_id == order_id) & (cart.Cart.status == "open"))
    return basket


def _locked_cart(which: ColumnElement[bool]) -> cart.Cart | None:
    return session.scalar(
        select(cart.Cart)
        .where(which)
        .order_by(cart.Cart.id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )


def _locked(payment_id: int) -> Payment:
    payment = session.get(Payment, payment_id, with_for_update=True, populate_existing=True)
    if payment is None:
        raise NotFound("There is no such payment.")
    return payment
