"""What we write down about attempts to pay. Procedures talk to Stripe between two of these."""

import hashlib
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import BigInteger, column, func, select, text, update
from sqlalchemy.dialects.postgresql import insert

from shop import cart, orders
from shop.core import actor, clock
from shop.core.db import session, table
from shop.core.errors import Invalid, WrongState
from shop.core.events import emit
from shop.core.money import Money
from shop.inventory import OutOfStock
from shop.orders import OrderStatus, PaymentStatus
from shop.payments import methods, refundable, refunds, returns
from shop.payments.events import (
    LateCause,
    LatePaymentRefused,
    PaymentFailed,
    PaymentProcessing,
    PaymentVoided,
    VoidRequested,
    VoucherCancelled,
    VoucherIssued,
    WebhookReceived,
)
from shop.payments.models import Payment, PaymentEvent, Refund, Task, WebhookDelivery
from shop.payments.ownership import NOT_OURS, is_elsewhere
from shop.payments.records import balance_of, locked, note, order_of, recount
from shop.payments.states import AttemptStatus, MoneyEventKind, RefundSource, SyncOutcome
from shop.payments.stripe_objects import MAX_ID_LENGTH, Intent
from shop.payments.tasks import close_about, open_task
from shop.payments.unapplied import CannotApply, RefusalName

CAPTURE_FAILED = "capture_failed"
# Renewed each time that Stripe says so; until then nothing expires.
PROCESSING_HOLD = timedelta(hours=24)
# Payments of the last day may be confirmed on the next one (https://docs.stripe.com/payments/oxxo).
VOUCHER_GRACE = timedelta(hours=24)
# How long an order can be paid again when its payment failed after days.
RETRY_WINDOW = timedelta(hours=72)
OPEN = (
    AttemptStatus.CREATED,
    AttemptStatus.STARTED,
    AttemptStatus.PROCESSING,
    AttemptStatus.AUTHORISED,
)
# What Stripe may say of an intent again and again, in any order.
PASSING = {"requires_payment_method", "requires_confirmation", "requires_action", "processing"}
OUTCOMES = {
    LateCause.SOLD_OUT: SyncOutcome.LATE,
    LateCause.PAID_TWICE: SyncOutcome.PAID_TWICE,
    LateCause.CANCELLED: SyncOutcome.LATE,
}
REFUND_REASONS = {
    LateCause.SOLD_OUT: "sold out meanwhile",
    LateCause.PAID_TWICE: "paid twice",
    LateCause.CANCELLED: "order cancelled before",
}
# https://docs.stripe.com/api/events/types: what can change money of ours.
TELLING = {
    "payment_intent.succeeded",
    "payment_intent.payment_failed",
    "payment_intent.processing",
    "payment_intent.requires_action",
    "payment_intent.canceled",
    "payment_intent.amount_capturable_updated",
    "refund.created",
    "refund.updated",
    "refund.failed",
    "charge.dispute.created",
    "charge.dispute.updated",
    "charge.dispute.closed",
    "charge.dispute.funds_withdrawn",
    "charge.dispute.funds_reinstated",
    "radar.early_fraud_warning.created",
    "radar.early_fraud_warning.updated",
    "review.opened",
    "review.closed",
    "payout.failed",
    "payout.paid",
}

_RECEIVE = (
    insert(table(WebhookDelivery))
    .on_conflict_do_nothing(index_elements=["stripe_event_id"])
    .returning(table(WebhookDelivery).c.id)
)


def open_payment(order: orders.Order, *, capture: str) -> Payment:
    """The attempt by which this order is being paid, made if there is none.

    Raises ``WrongState`` when there is nothing to pay any more.
    """
    if order.status in {OrderStatus.CONFIRMED, OrderStatus.COMPLETED}:
        if order.payment_status == PaymentStatus.UNPAID and order.total_minor:
            raise WrongState("What was reserved for this order is set free. Please write to us.")
        raise WrongState("This order is paid already.")
    if order.status != OrderStatus.PENDING or order.expires_at <= clock.now():
        raise WrongState("The time to pay for this order has run out. Place the order again.")
    latest = session.scalar(
        select(Payment)
        .where(Payment.order_id == order.id)
        .order_by(Payment.attempt.desc())
        .limit(1)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    if latest is not None and latest.status in {AttemptStatus.CREATED, AttemptStatus.STARTED}:
        return latest
    if latest is not None and latest.status == AttemptStatus.PROCESSING:
        raise WrongState("Your payment for this order is on its way. You don't need to pay again.")
    if latest is not None and latest.has_money:
        raise WrongState(
            "Money for this order has come, and we are looking at it. Do not pay twice."
        )
    payment = Payment(
        order_id=order.id,
        attempt=latest.attempt + 1 if latest else 1,
        capture=capture,
        amount_minor=order.total_minor,
        currency=order.currency,
    )
    session.add(payment)
    session.flush()
    return payment


def offered_for(order: orders.Order, payment: Payment) -> tuple[methods.PaymentMethod, ...]:
    """Returns the methods that can pay this attempt, by the amount, the currency and the country
    that the bill goes to; not again the voucher that its customer gave up for it, or the goods
    could be kept by one voucher after the other. Raises ``WrongState`` if there is none."""
    offered = ways_to_pay(order, capture=payment.capture)
    if payment.attempt > 1:
        given_up = select(Payment.method).where(
            Payment.order_id == order.id, Payment.status == AttemptStatus.CANCELLED
        )
        vouchers = {one for one in session.scalars(given_up) if methods.is_voucher(one)}
        offered = tuple(one for one in offered if one not in vouchers) or offered
    if not offered:
        raise WrongState("None of our payment methods can pay for this order. Please write to us.")
    return offered


def has_ended_voucher(order: orders.Order, payment: Payment) -> bool:
    """Whether the voucher of this attempt ended unpaid and the order can be paid otherwise."""
    has_ended = payment.status == AttemptStatus.STARTED and not payment.voucher_url
    if not (has_ended and payment.failure and methods.is_voucher(payment.method)):
        return False
    ways = ways_to_pay(order, capture=payment.capture)
    return any(not methods.is_voucher(way) for way in ways)


def ways_to_pay(order: orders.Order, *, capture: str) -> tuple[methods.PaymentMethod, ...]:
    """Returns the methods that can pay this order; possibly none. ``capture`` as in ``Payment``."""
    return methods.offered_methods(
        methods.enabled_methods(),
        Money(order.total_minor, order.currency),
        country=(order.billing_address or order.shipping_address).get("country", ""),
        capture=capture,
    )


def attach_intent(payment_id: int, intent: Intent) -> bool:
    """Remember which PaymentIntent belongs to this attempt. Returns False if it has one already,
    this or another."""
    attached = session.scalar(
        update(Payment)
        .where(Payment.id == payment_id, Payment.intent_id.is_(None))
        .values(
            intent_id=intent.id, client_secret=intent.client_secret, status=AttemptStatus.STARTED
        )
        .returning(Payment.id)
    )
    return attached is not None


def next_key(kind: type[Payment] | type[Refund], pk: int, *, after: int) -> int:
    """Count the idempotency key after number ``after`` up, unless somebody has done so; returns the
    number of the one to use now."""
    moved = session.scalar(
        update(kind)
        .where(kind.id == pk, kind.key_attempt == after)
        .values(key_attempt=after + 1)
        .returning(kind.key_attempt)
    )
    return moved or session.scalars(select(kind.key_attempt).where(kind.id == pk)).one()


def abandon(payment_id: int, intent_id: str | None) -> None:
    """Give up an attempt by which nobody can pay: Stripe does not know its intent, or none was made
    whose secret we gave away. Changes nothing if it has got another intent meanwhile."""
    orders.lock(order_of(payment_id), whole=False)
    payment = locked(payment_id)
    if payment.intent_id == intent_id and payment.status in {
        AttemptStatus.CREATED,
        AttemptStatus.STARTED,
    }:
        payment.status = AttemptStatus.CANCELLED


def record_delivery(event: dict[str, Any]) -> bool:
    """Store a verified message of Stripe's; False if it was stored before.

    Types that tell us nothing new, and messages about another account or mode, are kept, marked so,
    and wake nobody.
    """
    kept = _storable(event)
    event_id = str(kept.get("id") or "")
    outcome = "" if event.get("type") in TELLING else "ignored"
    if is_elsewhere(event):
        outcome = NOT_OURS
    delivery_id = session.scalar(
        _RECEIVE,
        {
            "stripe_event_id": event_id
            if 0 < len(event_id) <= MAX_ID_LENGTH
            else f"without id: {_fingerprint(kept)}",
            "type": str(kept.get("type") or ""),
            "object_id": str(object_of(kept).get("id") or ""),
            "payload": kept,
            "applied_at": clock.now() if outcome else None,
            "outcome": outcome,
        },
    )
    if delivery_id is None:
        return False
    if not outcome:
        emit(WebhookReceived(delivery_id=delivery_id))
    return True


def object_of(event: Mapping[str, Any]) -> dict[str, Any]:
    """The object that a message is about; empty if it names none."""
    data = event.get("data")
    found = data.get("object") if isinstance(data, dict) else None
    return found if isinstance(found, dict) else {}


def _storable(value: Any) -> Any:
    """What JSONB can keep of a message: no NUL, no half of a character, no number without end.

    https://www.postgresql.org/docs/current/datatype-json.html
    """
    if isinstance(value, dict):
        return {_storable(name): _storable(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_storable(one) for one in value]
    if isinstance(value, str):
        return value.replace("\0", "\ufffd").encode("utf-8", "replace").decode()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _fingerprint(event: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(event, sort_keys=True).encode()).hexdigest()


def apply_intent(payment_id: int, intent: Intent, *, order_id: int | None = None) -> SyncOutcome:
    """Bring payment and order in step with what Stripe says *now*; gives what was done.

    The only way to paid. Safe to call any number of times, in any order, by anybody. An order that
    somebody called off stays so: money that comes after that goes back. Without ``order_id``, its
    order is looked up.
    """
    order_id = order_id or order_of(payment_id)
    is_promised = intent.status in {"succeeded", "requires_capture", "processing"}
    basket = _cart_of(order_id) if is_promised or intent.voucher else None
    chain = orders.lock_chain(order_id)
    order, payment = chain.order, locked(payment_id)
    if _is_old_news(payment, intent):
        return (
            SyncOutcome.KNOWN
        )  # what was asked before the money came or went, and arrives after it
    _remember(payment, intent)
    if intent.status == "succeeded":
        return _captured(chain, basket, payment, intent)
    if intent.status == "requires_capture":
        return _authorised(chain, basket, payment, intent)
    if intent.status == "processing":
        return _processing(chain, basket, payment)
    if intent.status == "canceled":
        return _ended(order, payment, intent)
    if intent.voucher:
        return _voucher(chain, basket, payment, intent)
    return _unpaid(order, payment, intent)


def _remember(payment: Payment, intent: Intent) -> None:
    """What the newest answer of Stripe says of the way in which this is paid."""
    payment.checked_at = max(intent.asked_at, payment.checked_at or intent.asked_at)
    payment.method = intent.method or payment.method
    has_card = payment.method in {"", methods.PaymentMethod.CARD}
    payment.card_brand = intent.card_brand or payment.card_brand if has_card else ""
    payment.card_last4 = intent.card_last4 or payment.card_last4 if has_card else ""


def _unpaid(order: orders.Order, payment: Payment, intent: Intent) -> SyncOutcome:
    """Nothing was paid, or no more: a card was declined, a debit bounced, a voucher has ended."""
    was_waiting = payment.is_on_its_way
    if was_waiting:
        payment.status = AttemptStatus.STARTED
        _forget_voucher(payment)
        recount(order)
    if intent.failure or (was_waiting and intent.status == "requires_payment_method"):
        return _failed(order, payment, intent, was_waiting=was_waiting)
    if was_waiting:
        orders.set_deadline(order, until=clock.now() + RETRY_WINDOW)
    return SyncOutcome.WAITING


def _failed(
    order: orders.Order, payment: Payment, intent: Intent, *, was_waiting: bool, reason: str = ""
) -> SyncOutcome:
    """Write a failure down once. One that came days after the customer has done their part gives
    them time to pay again, also when nobody had told us that the money was on its way."""
    reason = intent.failure or reason or "The payment did not arrive."
    reference = intent.failure_reference or intent.id
    is_new = note(payment, MoneyEventKind.FAILED, 0, reference, occurred_at=intent.charged_at)
    if not (is_new or was_waiting):
        return SyncOutcome.WAITING
    payment.failure = reason
    is_later = was_waiting or methods.takes_days(intent.failed_method)
    if is_later:
        orders.set_deadline(order, until=clock.now() + RETRY_WINDOW)
    if order.status == OrderStatus.PENDING or not is_later:
        emit(PaymentFailed(order_id=order.id, payment_id=payment.id, reason=reason, later=is_later))
    return SyncOutcome.FAILED


def _forget_voucher(payment: Payment) -> None:
    payment.voucher_url, payment.voucher_reference = "", ""
    payment.voucher_expires_at = None


def _voucher(
    chain: orders.Chain, basket: cart.Cart | None, payment: Payment, intent: Intent
) -> SyncOutcome:
    """The customer has a voucher: the order waits until it ends."""
    order, given = chain.order, intent.voucher
    known = (payment.voucher_url, payment.voucher_reference)
    if given is None or known == (given.url, given.reference):
        return SyncOutcome.WAITING
    payment.failure = ""
    payment.voucher_url, payment.voucher_reference = given.url, given.reference
    payment.voucher_expires_at = given.expires_at
    if order.status != OrderStatus.PENDING:
        return SyncOutcome.WAITING  # closed meanwhile: what follows that cancels the voucher
    orders.extend_hold(order, until=given.expires_at + VOUCHER_GRACE)
    order.version += 1
    emit(VoucherIssued(order_id=order.id, payment_id=payment.id))
    _empty(basket, chain)
    return SyncOutcome.VOUCHER


def _processing(chain: orders.Chain, basket: cart.Cart | None, payment: Payment) -> SyncOutcome:
    """The customer has paid, and the money takes days: the order counts as ordered."""
    order, is_new = chain.order, payment.status != AttemptStatus.PROCESSING
    if is_new:
        payment.status, payment.failure = AttemptStatus.PROCESSING, ""
        _forget_voucher(payment)
        recount(order)
        if _unusable(chain) or not _in_time(chain, orders.keep_waiting):
            # Some methods can still be stopped; the money of others is refunded when it arrives.
            return _unwanted(order, payment, SyncOutcome.UNWANTED)
        emit(PaymentProcessing(order_id=order.id, payment_id=payment.id))
        _empty(basket, chain)
    orders.extend_hold(order, until=clock.now() + PROCESSING_HOLD)
    return SyncOutcome.PROCESSING


@dataclass(frozen=True, slots=True)
class CaptureRequest:
    """What to ask Stripe for: so much of an intent, in minor units, under this key."""

    intent_id: str
    key: str
    key_attempt: int
    amount_minor: int
    currency: str


def check_capture(payment_id: int, amount_minor: int | None) -> CaptureRequest:
    """Whether so much of an authorised payment can be captured now; without an amount, all that is
    owed: what was taken out of the order since is not. Raises ``WrongState``, ``Invalid``.
    """
    order = orders.lock(order_of(payment_id), whole=False)
    payment = locked(payment_id)
    if payment.status != AttemptStatus.AUTHORISED or payment.intent_id is None:
        raise WrongState("Only money that is authorised and not captured yet can be captured.")
    if order.status != OrderStatus.CONFIRMED:
        raise WrongState(f"This order is {order.status}: its money is not captured any more.")
    owed = refundable.owed(order, payment)
    if owed <= 0:
        raise WrongState("Nothing is owed for what is left of this order: release the money.")
    amount = owed if amount_minor is None else amount_minor
    if isinstance(amount, bool) or not 0 < amount <= owed:
        most = Money(owed, payment.currency).format()
        raise Invalid(
            f"Between the smallest coin and {most} can be captured.", field="amount_minor"
        )
    return CaptureRequest(
        payment.intent_id,
        f"{payment.key}:capture:{amount}",
        payment.key_attempt,
        amount,
        payment.currency,
    )


def report_refused_capture(payment_id: int, reason: str) -> None:
    """Ask a person about authorised money that Stripe will not let us capture; once while it is so.
    Opens nothing for money that came or was released since."""
    order = orders.lock(order_of(payment_id), whole=False)
    payment = locked(payment_id)
    if payment.status != AttemptStatus.AUTHORISED:
        return
    held = Money(payment.capturable_minor, payment.currency).format()
    is_open = select(Task.id).where(
        Task.kind == CAPTURE_FAILED, Task.reference == str(payment_id), Task.closed_at.is_(None)
    )
    open_task(
        CAPTURE_FAILED,
        str(payment_id),
        f"{held} of order {order.number} could not be captured: {reason}",
        order_id=order.id,
        again=session.scalar(is_open) is None,
    )


def cancel_order(order: orders.Order, *, reason: str, refund: bool = True) -> None:
    """Cancel the order and, in the same step, give back what was paid for it.

    Staff give all that is left, what they kept of units called off before included; a customer gets
    what the rest of the order cost. Without ``refund`` the money stays, for staff to decide. Money
    that was only authorised is released in any case, by what follows the event.
    """
    source = _source()
    if refund:
        _refuse_while_disputed(order)
    wanted = (
        refunds.the_rest(order) if source == RefundSource.CUSTOMER else refunds.everything(order)
    )
    goes_back = refund and bool(wanted.amount_minor)
    orders.cancel(order, reason=reason, goes_back=goes_back)
    if goes_back:
        refunds.request_refund(order, wanted, reason="cancelled", source=source)
        if source == RefundSource.CUSTOMER:
            _report_left(order)
    elif refund:
        _report_kept(order)


def cancel_lines(
    order: orders.Order, quantities: dict[int, int], *, reason: str, refund: bool = True
) -> None:
    """Take units out of a paid order and, in the same step, give back what they cost.

    When nothing is left of the order, it is cancelled as by ``cancel_order``. Raises as
    ``orders.cancel_lines`` and ``request_refund`` do; then nothing is changed.
    """
    if order.status == OrderStatus.CONFIRMED and orders.is_all_of(order, quantities):
        cancel_order(order, reason=reason, refund=refund)
        return
    if refund:
        _refuse_while_disputed(order)
    wanted = refunds.worth_of(order, quantities)
    goes_back = refund and bool(wanted.amount_minor)
    orders.cancel_lines(order, quantities, reason=reason, goes_back=goes_back)
    if goes_back:
        refunds.request_refund(order, wanted, reason="cancelled", source=_source())
    elif refund:
        _count_worthless(order, wanted)
        _report_kept(order)
    _release_if_free(order)


def _count_worthless(order: orders.Order, wanted: refunds.Wanted) -> None:
    """Count cancelled units whose part of the price rounds to nothing as refunded: with the next
    ones they come to something."""
    priced = {line.id for line in order.lines if refundable.gross(line)}
    lines = {line_id: units for line_id, units in wanted.lines.items() if line_id in priced}
    if not (lines and refundable.was_sold(order)):
        return
    given, _ = refundable.given_of(order)
    if not any(part.amount_minor for part in refunds.parts_of(order, lines, given)):
        returns.record_return(order, lines, reason="cancelled", source=_source())


def _release_if_free(order: orders.Order) -> None:
    """When only free items are left of an order whose money is authorised, release the money: the
    order counts as paid then, and can be shipped."""
    if order.status != OrderStatus.CONFIRMED or order.payment_status != PaymentStatus.AUTHORISED:
        return
    held = session.scalar(
        select(Payment)
        .where(Payment.order_id == order.id, Payment.status == AttemptStatus.AUTHORISED)
        .limit(1)
    )
    if held is not None and refundable.owed(order, held) <= 0:
        emit(VoidRequested(order_id=order.id, payment_id=held.id))


def _refuse_while_disputed(order: orders.Order) -> None:
    """Whoever cancels to have money refunded has to wait while a bank decides about it."""
    if refusal := refundable.refusal_while_disputed(Payment.order_id == order.id):
        raise WrongState(refusal)


def _report_left(order: orders.Order) -> None:
    """Money of an order that its customer cancelled is still here: somebody refunded less than its
    items cost, or nothing, when a part of it was cancelled before. A person says whether it stays.
    """
    session.flush()
    left = session.scalar(
        select(func.sum(Payment.captured_minor - Payment.refunding_minor)).where(
            Payment.order_id == order.id
        )
    )
    if left:
        open_task(
            "money_left",
            str(order.id),
            f"The customer cancelled order {order.number}, and"
            f" {Money(int(left), order.currency).format()} of its money is still here: less was"
            " refunded before than the items cost.",
            order_id=order.id,
        )


def _report_kept(order: orders.Order) -> None:
    """A bank took part of the money: the rest cannot go back by Stripe, so a person sends it."""
    balance = balance_of(order.id, order.currency)
    if balance.lost_minor and balance.kept_minor > 0:
        kept = Money(balance.kept_minor, order.currency).format()
        open_task(
            "kept_after_dispute",
            f"{order.id}:{order.version}",
            f"Something of order {order.number} was cancelled. {kept} of its money is still here,"
            " and Stripe sends nothing back of a payment that a bank has charged back.",
            order_id=order.id,
        )


def _is_old_news(payment: Payment, intent: Intent) -> bool:
    """Whether Stripe said this before what we have written down since.

    Succeeded and canceled are for good there, and held money can only become one of the two. An
    attempt that only we gave up (``abandon``) has no such end: news of it is new.
    """
    if intent.status == "succeeded":
        return False
    if payment.status == AttemptStatus.AUTHORISED:
        return intent.status not in {"requires_capture", "canceled"}
    if payment.status == AttemptStatus.CANCELLED and intent.status != "canceled":
        ended = select(PaymentEvent.id).where(
            PaymentEvent.payment_id == payment.id, PaymentEvent.kind == MoneyEventKind.CANCELLED
        )
        return session.scalar(ended.limit(1)) is not None
    if payment.status == AttemptStatus.SUCCEEDED:
        return True
    is_older = payment.checked_at is not None and intent.asked_at < payment.checked_at
    return is_older and intent.status in PASSING


def _source() -> RefundSource:
    kind = actor.current().kind
    by_actor = {"staff": RefundSource.STAFF, "system": RefundSource.SYSTEM}
    return by_actor.get(kind, RefundSource.CUSTOMER)


def _authorised(
    chain: orders.Chain, basket: cart.Cart | None, payment: Payment, intent: Intent
) -> SyncOutcome:
    order = chain.order
    was_authorised = (
        payment.status == AttemptStatus.AUTHORISED
    )  # by whichever charge: money is held once
    is_new = not was_authorised and note(
        payment,
        MoneyEventKind.AUTHORISED,
        intent.capturable_minor,
        intent.charge_id or intent.id,
        currency=intent.currency,
        occurred_at=intent.charged_at,
    )
    payment.status, payment.capturable_minor = AttemptStatus.AUTHORISED, intent.capturable_minor
    payment.capture_before = intent.capture_before
    if not is_new:
        return SyncOutcome.KNOWN
    recount(order)
    if _differs(order, payment, intent.capturable_minor, intent.currency):
        return SyncOutcome.AMOUNT_DIFFERS
    cause = _unusable(chain)
    if cause is None and not _in_time(chain, orders.mark_authorised):
        cause = LateCause.SOLD_OUT
    if cause is not None:
        emit(LatePaymentRefused(order_id=order.id, payment_id=payment.id, cause=cause))
        return _unwanted(order, payment, OUTCOMES[cause])
    _empty(basket, chain)
    return SyncOutcome.AUTHORISED


def _captured(
    chain: orders.Chain, basket: cart.Cart | None, payment: Payment, intent: Intent
) -> SyncOutcome:
    order = chain.order
    if payment.status == AttemptStatus.SUCCEEDED:
        _check_still(payment, intent)
        return SyncOutcome.KNOWN
    was_authorised = payment.status == AttemptStatus.AUTHORISED
    promised, reference = payment.capturable_minor, intent.charge_id or intent.id
    payment.status, payment.capturable_minor = AttemptStatus.SUCCEEDED, 0
    payment.capture_before = None
    _forget_voucher(payment)
    if not note(
        payment,
        MoneyEventKind.CAPTURED,
        intent.received_minor,
        reference,
        currency=intent.currency,
        occurred_at=intent.charged_at,
    ):
        return SyncOutcome.KNOWN
    if was_authorised:
        close_about("capture_soon", str(payment.id))
    if was_authorised and intent.received_minor < promised:
        note(payment, MoneyEventKind.CANCELLED, promised - intent.received_minor, reference)
    is_wanted = was_authorised and order.status == OrderStatus.CONFIRMED
    if is_wanted:
        orders.mark_paid(order)
    recount(order)
    if is_wanted:
        owed = order.total_minor - refundable.never_owed(order)
        # Units were called off while Stripe was asked, or somebody captured all of it there.
        too_much = max(0, intent.received_minor - owed)
        refunds.give_back(order, payment, reason="cancelled", amount_minor=too_much)
        return SyncOutcome.PAID
    if was_authorised and order.status == OrderStatus.CANCELLED:
        refunds.give_back(order, payment, reason="order cancelled before")
        return SyncOutcome.LATE
    if _differs(order, payment, intent.received_minor, intent.currency):
        return SyncOutcome.AMOUNT_DIFFERS
    cause = _unusable(chain)
    if cause is None and not _in_time(chain, orders.mark_paid):
        cause = LateCause.SOLD_OUT
    if cause is not None:
        refunds.give_back(order, payment, reason=REFUND_REASONS[cause])
        emit(LatePaymentRefused(order_id=order.id, payment_id=payment.id, cause=cause))
        return OUTCOMES[cause]
    _empty(basket, chain)
    return SyncOutcome.PAID


def _check_still(payment: Payment, intent: Intent) -> None:
    """A PaymentIntent succeeds once, whichever charge it shows: it is never counted again. Raises
    ``CannotApply`` if Stripe has come to another amount."""
    if intent.received_minor != payment.captured_minor:
        came = Money(intent.received_minor, intent.currency).format()
        counted = Money(payment.captured_minor, refundable.currency_of(payment)).format()
        raise CannotApply(
            RefusalName.OTHER_AMOUNT, f"Stripe received {came}, our books have {counted}."
        )


def _ended(order: orders.Order, payment: Payment, intent: Intent) -> SyncOutcome:
    """An attempt is over at Stripe: by us, by staff there, or because nobody captured in time."""
    if payment.status == AttemptStatus.CANCELLED:
        return SyncOutcome.CANCELLED
    was, released = payment.status, payment.capturable_minor
    was_waiting = payment.is_on_its_way
    payment.status, payment.capturable_minor, payment.capture_before = (
        AttemptStatus.CANCELLED,
        0,
        None,
    )
    _forget_voucher(payment)
    note(payment, MoneyEventKind.CANCELLED, released, intent.id)
    recount(order)
    if was == AttemptStatus.AUTHORISED:
        close_about("capture_soon", str(payment.id))
        emit(PaymentVoided(order_id=order.id, payment_id=payment.id, amount_minor=released))
        if order.status == OrderStatus.CONFIRMED and order.payment_status == PaymentStatus.UNPAID:
            if order.total_minor == refundable.worth_of_cancelled(order):
                orders.mark_paid(order)
                recount(order)
                return SyncOutcome.CANCELLED
            open_task(
                "authorisation_ended",
                str(payment.id),
                f"Nothing was captured for order {order.number} and the authorisation is over."
                " Cancel the order, or ask the customer to pay in another way.",
                order_id=order.id,
            )
    elif order.status == OrderStatus.PENDING:
        _ended_unpaid(order, payment, intent, was_waiting=was_waiting)
    return SyncOutcome.CANCELLED


def _ended_unpaid(
    order: orders.Order, payment: Payment, intent: Intent, *, was_waiting: bool
) -> None:
    """What follows for an order whose attempt is over: its customer may not know that yet."""
    if was_waiting and not intent.is_given_up:
        _failed(order, payment, intent, was_waiting=True, reason="The payment was cancelled.")
    elif was_waiting and order.expires_at > clock.now():
        until = min(order.expires_at, clock.now() + RETRY_WINDOW)
        orders.set_deadline(order, until=until)
        emit(VoucherCancelled(order_id=order.id, payment_id=payment.id))
    elif intent.failure and methods.takes_days(intent.failed_method):
        _failed(order, payment, intent, was_waiting=False)


def _unusable(chain: orders.Chain) -> LateCause | None:
    """Why the money of this payment cannot be used, whatever there is in stock; None if it can.

    Of the orders of one cart one is paid: the first whose money is here or on its way. One that is
    only waiting for its money makes room (https://docs.stripe.com/payments/paymentintents/lifecycle
    for what "processing" promises).
    """
    order, rival = chain.order, chain.rival
    if order.status in {OrderStatus.CONFIRMED, OrderStatus.COMPLETED}:
        return LateCause.PAID_TWICE
    if rival is not None and (
        rival.status != OrderStatus.PENDING or rival.payment_status == PaymentStatus.PROCESSING
    ):
        return LateCause.PAID_TWICE
    return LateCause.CANCELLED if chain.is_cancelled else None


def _in_time(chain: orders.Chain, mark: Callable[..., None]) -> bool:
    """Commit the stock. False when the order was closed before and its goods are gone.

    An order that waits for its money has its stock reserved: only a closed one can come too late.
    """
    order, rival = chain.order, chain.rival
    if order.status == OrderStatus.PENDING:
        mark(order)
        return True
    try:
        with session.begin_nested():
            mark(order, rival=rival)
    except OutOfStock:
        for one in (order, rival) if rival else (order,):
            session.refresh(one)
        return False
    return True


def _unwanted(order: orders.Order, payment: Payment, outcome: SyncOutcome) -> SyncOutcome:
    emit(VoidRequested(order_id=order.id, payment_id=payment.id))
    return outcome


def _differs(order: orders.Order, payment: Payment, amount_minor: int, currency: str) -> bool:
    if (amount_minor, currency) == (order.total_minor, order.currency):
        return False
    open_task(
        "amount_differs",
        str(payment.id),
        f"Stripe has {Money(amount_minor, currency).format()} for order {order.number}, which costs"
        f" {Money(order.total_minor, order.currency).format()}. It does not count as paid: give the"
        " money back in the order, or settle it with the customer.",
        order_id=order.id,
    )
    return True


def _empty(basket: cart.Cart | None, chain: orders.Chain) -> None:
    """What was bought leaves the cart, which may have been changed or merged since. It leaves once,
    though an order may be on its way before it is paid: then the cart is no more for this chain."""
    order = chain.order
    if basket is None or order.cart_version is None:
        return
    if basket.order_id not in {one.id for one in (order, *chain.others)}:
        return
    bought: dict[int, int] = {}
    for line in order.lines:
        bought[line.variant_id] = bought.get(line.variant_id, 0) + line.quantity
    cart.settle(basket, order.cart_version if basket.id == order.cart_id else None, bought)


_CARTS = text("""
SELECT id FROM cart WHERE id = (SELECT cart_id FROM "order" WHERE id = :order_id)
UNION
SELECT c.id FROM "order" mine JOIN "order" o USING (chain_id) JOIN cart c ON c.order_id = o.id
WHERE mine.id = :order_id AND c.status = 'open'
""").columns(column("id", BigInteger))
_LOCK_CARTS = (
    select(cart.Cart)
    .where(cart.Cart.id.in_(select(_CARTS.subquery().c.id)))
    .order_by(cart.Cart.id)
    .with_for_update()
    .execution_options(populate_existing=True)
)


def _cart_of(order_id: int) -> cart.Cart | None:
    """The cart that was ordered, locked: placing locks cart, then order, and so does paying.

    For a cart that was merged since, because its buyer has signed in, the one that has its items.
    """
    found = session.scalars(_LOCK_CARTS, {"order_id": order_id}).all()
    if any(
        one.status == cart.CartStatus.MERGED for one in found
    ):  # perhaps just now: look once more
        found = session.scalars(_LOCK_CARTS, {"order_id": order_id}).all()
    return max(
        found,
        key=lambda one: (one.status == cart.CartStatus.OPEN, one.status != cart.CartStatus.MERGED),
        default=None,
    )
