"""Money between us and Stripe. No transaction is ever open during a call to Stripe."""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar

from sqlalchemy import select
from sqlalchemy.exc import DBAPIError

from shop import orders
from shop.core import clock, retention
from shop.core.db import end_read, retrying, session, transaction
from shop.core.errors import DomainError, Unavailable, WrongState
from shop.core.money import Money
from shop.orders import OrderStatus
from shop.payments import (
    alerts,
    disputes,
    operations,
    ownership,
    refundable,
    refunds,
    stripe_objects,
    unapplied,
)
from shop.payments import stripe_gateway as gateway
from shop.payments.models import Dispute, Payment, Refund, WebhookDelivery
from shop.payments.ownership import NOT_OURS
from shop.payments.records import order_of
from shop.payments.refusals import RefusalReason
from shop.payments.states import AttemptStatus, RefundStatus, SyncOutcome
from shop.payments.tasks import close_about, open_task

log = logging.getLogger(__name__)

# Each failed call may take 16 seconds; nothing else of the timetable runs meanwhile.
PATIENCE = 3
# https://docs.stripe.com/api/idempotent_requests: keys may be forgotten after 24 hours.
KEY_LIVES = timedelta(hours=20)
# So many keys are tried in a row when Stripe fails under each; the next call goes on from there.
MAX_KEYS = 3
CLOCKS_DIFFER_BY = timedelta(minutes=10)
MESSAGES_KEPT = timedelta(days=90)
# Nothing is wrong with the payment: somebody asked for the wrong amount.
AMOUNT_REASONS = {RefusalReason.AMOUNT_TOO_LARGE, RefusalReason.AMOUNT_TOO_SMALL}

Found = TypeVar("Found")


@dataclass(frozen=True, slots=True)
class Started:
    """What the payment page needs. Amount in minor units."""

    payment_id: int
    client_secret: str
    publishable_key: str
    amount_minor: int
    currency: str


@contextmanager
def _reports_denied_access() -> Iterator[None]:
    """Nothing works while Stripe does not accept our key: ask a person, once a day."""
    try:
        yield
    except gateway.AccessDenied:
        with transaction():
            open_task(
                "stripe_access",
                f"{clock.now():%Y-%m-%d}",
                "Stripe does not accept the shop’s key for all that the shop does: payments cannot"
                " be started, captured or refunded. Check STRIPE_SECRET_KEY.",
                order_id=None,
            )
        raise


@_reports_denied_access()
@gateway.bounded()
def start(order_id: int, *, with_wallet: bool = False) -> Started:
    """Begin (or go on) paying an order; safe to repeat after any crash.

    ``with_wallet``: a wallet outside the payment form pays it. Such a wallet sets the shipping
    address itself when it confirms, which Stripe refuses for one that the shop has set
    (https://github.com/stripe/react-stripe-js/issues/504): its PaymentIntent has none until then,
    and one that has is given up for it.

    Raises ``WrongState`` when it cannot be paid (any more), ``Unavailable`` when Stripe is away:
    the order stays pending and the same call works later; and ``Refused`` when Stripe will not
    start such a payment at all: then a task says why.
    """
    if with_wallet:
        _give_up_addressed(order_id)
    opened = _open(order_id, with_wallet=with_wallet)
    if opened.has_ended_voucher:
        void(opened.payment.id)
        opened = _open(order_id, with_wallet=with_wallet)
    payment = opened.payment
    client_secret = payment.client_secret or ""
    if payment.intent_id is None:
        intent = _created(
            payment,
            methods=opened.methods,
            shipping=opened.shipping,
            number=opened.number,
            shop=opened.shop,
        )
        with transaction("attach-intent"):
            is_ours = operations.attach_intent(payment.id, intent)
        client_secret = intent.client_secret if is_ours else _attached(payment.id, intent)
    return Started(
        payment.id,
        client_secret,
        gateway.publishable_key(),
        payment.amount_minor,
        payment.currency,
    )


@dataclass(frozen=True, slots=True)
class _Opened:
    """An attempt to pay, and what a PaymentIntent for it says."""

    payment: Payment
    number: str
    shipping: dict[str, Any] | None
    shop: str
    methods: tuple[str, ...]
    has_ended_voucher: bool


def _open(order_id: int, *, with_wallet: bool) -> _Opened:
    with transaction("open-payment"):
        order = orders.lock(order_id, whole=False)
        payment = operations.open_payment(order, capture=gateway.capture_method())
        return _Opened(
            payment,
            order.number,
            None if with_wallet else _shipping(order),
            ownership.shop_id(),
            operations.offered_for(order, payment),
            operations.has_ended_voucher(order, payment),
        )


@_reports_denied_access()
@gateway.bounded()
def cancel_voucher(order_id: int) -> SyncOutcome:
    """Cancel the voucher with which an order waits to be paid, so that it can be paid otherwise:
    ``start`` begins a new attempt then. Safe to repeat. A voucher that was paid at this moment
    counts: the order is paid, or its money is on its way. Returns what was done.

    It is cancelled at Stripe, not replaced within its PaymentIntent: that is for good there, so
    nothing that the customer still has in hand can pay a second time. Raises ``WrongState`` when
    Stripe keeps it, and ``Unavailable``; nothing has changed then.
    """
    found = session.execute(
        select(Payment.id, Payment.intent_id)
        .where(Payment.order_id == order_id, Payment.voucher_url != "")
        .order_by(Payment.attempt.desc())
        .limit(1)
    ).first()
    end_read()
    if found is None:
        return SyncOutcome.KNOWN
    intent = gateway.cancel_intent(found.intent_id)

    def apply() -> SyncOutcome:
        with transaction("settle"):
            return operations.apply_intent(found.id, intent, order_id=order_id)

    outcome = retrying(apply)
    if intent.voucher is not None and intent.status == "requires_action":
        raise WrongState("This voucher cannot be cancelled now. Please try again in a minute.")
    return outcome


@gateway.bounded()
def give_up_voucher(payment_id: int) -> None:
    """Cancel an attempt whose voucher has ended unpaid, so that the order is paid in another way:
    its goods must not be kept by one voucher after the other. Safe to repeat; does nothing where
    only a voucher can pay the order. Raises ``Unavailable``.
    """
    payment = session.get_one(Payment, payment_id, populate_existing=True)
    has_ended = operations.has_ended_voucher(orders.by_id(payment.order_id), payment)
    end_read()
    if has_ended:
        void(payment_id)


def _give_up_addressed(order_id: int) -> None:
    """Cancel the newest attempt if its PaymentIntent has a shipping address and nobody has paid;
    the next one begins without. Raises ``Unavailable``."""
    latest = session.execute(
        select(Payment.id, Payment.intent_id, Payment.status)
        .where(Payment.order_id == order_id)
        .order_by(Payment.attempt.desc())
        .limit(1)
    ).first()
    end_read()
    if latest is None or latest.intent_id is None or latest.status != AttemptStatus.STARTED:
        return
    intent = gateway.fetch_intent(latest.intent_id)
    if intent.has_shipping and intent.status == "requires_payment_method":
        void(latest.id)


def _shipping(order: orders.Order) -> dict[str, Any]:
    """Where an order goes, as Stripe wants it; fields that are empty are left out.

    https://docs.stripe.com/api/payment_intents/create#create_payment_intent-shipping
    """
    given = order.shipping_address
    address = {
        "line1": given.get("line1"),
        "line2": given.get("line2"),
        "city": given.get("city"),
        "postal_code": given.get("postal_code"),
        "state": given.get("region"),
        "country": given.get("country"),
    }
    shown = {
        "name": given.get("name") or order.email,
        "phone": given.get("phone"),
        "address": {name: value for name, value in address.items() if value},
    }
    return {name: value for name, value in shown.items() if value}


def _created(
    payment: Payment,
    *,
    methods: Sequence[str],
    shipping: dict[str, Any] | None,
    number: str,
    shop: str,
) -> stripe_objects.Intent:
    """The PaymentIntent of an attempt that has none yet: found at Stripe, or created there."""
    since = payment.created_at - CLOCKS_DIFFER_BY

    def create(key_attempt: int) -> stripe_objects.Intent:
        return gateway.create_intent(
            # Another body under the same key would be an error.
            key=_numbered(payment.key, key_attempt) + ("" if shipping else ":wallet"),
            amount_minor=payment.amount_minor,
            currency=payment.currency,
            capture=payment.capture,
            methods=methods,
            description=f"Order {number}",
            shipping=shipping,
            metadata={ownership.SHOP: shop, "order": number, "payment": payment.key},
        )

    def find() -> stripe_objects.Intent | None:
        return gateway.find_intent(payment.key, since=since)

    try:
        if _is_forgotten(payment.created_at) and (found := find()):
            return found
        return _once(create, find, _next_key_of(Payment, payment.id), payment.key_attempt)
    except gateway.Refused as refusal:
        code = refusal.stripe_code or refusal.code
        _report_refused_start(code, refusal.sentence, payment.order_id, number)
        raise gateway.Refused(  # the reason is for staff
            "This payment could not be started, and nothing was charged. Please contact us."
        ) from refusal
    except Unavailable as away:
        raise type(away)(f"{away.sentence} Nothing was charged.") from away


def _attached(payment_id: int, intent: stripe_objects.Intent) -> str:
    """The secret of the PaymentIntent that another call gave this attempt. Ours, if it is another
    one, is cancelled, now or by the comparison: nobody has its secret."""
    known = session.execute(
        select(Payment.intent_id, Payment.client_secret).where(Payment.id == payment_id)
    ).one()
    end_read()
    if known.intent_id != intent.id:
        with suppress(Unavailable):
            gateway.cancel_intent(intent.id)
    return known.client_secret or ""


def _report_refused_start(code: str, reason: str, order_id: int, number: str) -> None:
    """No customer may be able to pay: ask a person, once a day for each reason."""
    log.error("stripe refuses to start payments", extra={"reason": reason})
    with transaction():
        open_task(
            "payment_not_started",
            f"{code}:{clock.now():%Y-%m-%d}",
            f"Stripe refused to start the payment of order {number}. Others may fail in the same"
            f" way. {reason}",
            order_id=order_id,
        )


def _once(
    ask: Callable[[int], Found],
    look: Callable[[], Found | None],
    next_key: Callable[[int], int],
    key_attempt: int,
) -> Found:
    """Let Stripe do something once, though it saves the first answer under a key, failures too.

    ``ask`` does it under the key of this number. When the key is spent, ``look`` says whether it
    was done all the same; if not, ``next_key`` stores the number of the key to use instead, and
    only then it is used. A refusal is saved as well, so the next try has a new key in any case; one
    that is merely replayed may be out of date and is tried again at once. Raises as ``ask`` does.
    """
    for _ in range(MAX_KEYS):
        try:
            return ask(key_attempt)
        except gateway.KeySpent as spent:
            failure: DomainError = spent
            found = look()
            if found is not None:
                return found
            key_attempt = next_key(key_attempt)
        except gateway.Refused as refusal:
            failure = refusal
            key_attempt = next_key(key_attempt)
            if not refusal.is_replayed:
                break
    raise failure


def _next_key_of(kind: type[Payment] | type[Refund], pk: int) -> Callable[[int], int]:
    def next_key(after: int) -> int:
        with transaction("change-key"):
            return operations.next_key(kind, pk, after=after)

    return next_key


def _numbered(key: str, key_attempt: int) -> str:
    return key if key_attempt == 1 else f"{key}/{key_attempt}"


def _is_forgotten(moment: datetime) -> bool:
    """Whether Stripe may have forgotten what was asked under a key then."""
    return clock.now() - moment > KEY_LIVES


def settle(payment_id: int) -> SyncOutcome:
    """Ask Stripe how a payment stands and bring ours in step; gives what was done.

    Called by the return page, by webhooks and by ``reconcile``; safe to repeat at any time.
    """
    intent_id = session.scalar(select(Payment.intent_id).where(Payment.id == payment_id))
    return _settle(payment_id, intent_id)


def _settle(payment_id: int, intent_id: str | None, order_id: int | None = None) -> SyncOutcome:
    end_read()
    if intent_id is None:
        return SyncOutcome.WAITING
    intent = gateway.fetch_intent(intent_id)

    def apply() -> SyncOutcome:
        with transaction("settle"):
            return operations.apply_intent(payment_id, intent, order_id=order_id)

    return retrying(apply)


@gateway.bounded()
def settle_order(order_id: int) -> SyncOutcome:
    """``settle`` for the newest attempt of an order; "waiting" when there is none."""
    found = session.execute(
        select(Payment.id, Payment.intent_id)
        .where(Payment.order_id == order_id, Payment.intent_id.is_not(None))
        .order_by(Payment.attempt.desc())
        .limit(1)
    ).first()
    return _settle(found.id, found.intent_id, order_id) if found else SyncOutcome.WAITING


def record_webhook(payload: bytes, signature: str) -> bool:
    """Verify and store a message of Stripe's; False if we had it. Raises ``BadSignature``."""
    event = gateway.verify(payload, signature)
    with transaction("store-message"):
        return operations.record_delivery(event)


@_reports_denied_access()
@gateway.bounded()
def apply_delivery(delivery_id: int) -> None:
    """Act on a stored message. Unknown types are kept and ignored.

    It is marked as applied also when its object is not ours, or cannot be applied: that is written
    down with a task, and asking again would change nothing. Raises ``Unavailable`` while Stripe is
    away: then it is tried again.
    """
    delivery = session.get(WebhookDelivery, delivery_id)
    if delivery is None or delivery.applied_at is not None:
        return
    kind, payload = delivery.type, delivery.payload
    end_read()
    outcome = _outcome(kind, operations.object_of(payload))
    with transaction("apply-message"):
        row = session.get_one(WebhookDelivery, delivery_id)
        row.applied_at, row.outcome = clock.now(), outcome


def _outcome(kind: str, about: dict[str, Any]) -> str:
    """What a message of this type led to. ``about`` is its object as it was then: it says whose it
    is and whom to ask about, never how things stand."""
    reference = _word(about.get("id"))
    intent_id = reference if kind.startswith("payment_intent.") else _intent_of(about)
    found = [settler for prefix, settler in _SETTLERS.items() if kind.startswith(prefix)]
    if not found:
        return "ignored"
    what, settle_one = found[0]

    def work() -> str:
        if not reference:
            return NOT_OURS
        if what == "payout" or _is_ours(reference, intent_id, about):
            return settle_one(reference)
        if what == "payment" or (intent_id and _adopted(intent_id) is None):
            return NOT_OURS
        try:
            return settle_one(reference)  # Stripe tells whose it is
        except gateway.NoSuchObject:
            return NOT_OURS

    return unapplied.attempt(what, reference, work, intent_id=intent_id)


def _is_ours(reference: str, intent_id: str, about: dict[str, Any]) -> bool:
    """Whether we know what a message is about, or its metadata says that it is ours."""
    known = (
        select(Payment.id).where(Payment.intent_id == intent_id),
        select(Refund.id).where(Refund.stripe_id == reference),
        select(Dispute.id).where(Dispute.stripe_id == reference),
    )
    is_known = any(session.scalar(one) is not None for one in known)
    is_ours = is_known or ownership.is_ours(stripe_objects.metadata_of(about))
    end_read()
    return is_ours


def _adopted(intent_id: str) -> int | None:
    """Our payment for an intent whose id we do not know, if Stripe says that it is ours: we may
    have died before we could store it."""
    try:
        intent = gateway.fetch_intent(intent_id)
    except (gateway.NoSuchObject, stripe_objects.Unreadable):
        return None
    settle_sent_intent(intent)
    payment_id = ownership.payment_of(intent_id)
    end_read()
    return payment_id


def _intent_of(about: dict[str, Any]) -> str:
    found = about.get("payment_intent")
    return _word(found.get("id") if isinstance(found, dict) else found)


def _word(value: Any) -> str:
    is_id = isinstance(value, str) and len(value) <= stripe_objects.MAX_ID_LENGTH
    return value if is_id else ""


def prune_messages() -> int:
    """Forget messages that were acted on 90 days ago; gives how many. Stripe repeats none that is
    older than 30 days (https://docs.stripe.com/api/events)."""
    long_ago = clock.now() - MESSAGES_KEPT
    return retention.delete_expired(
        WebhookDelivery.id, is_expired=WebhookDelivery.applied_at < long_ago
    )


def settle_intent(intent_id: str) -> str:
    """``settle`` for the payment of a PaymentIntent. One that we do not know is taken over if we
    made it and died before storing its id; if it holds money, a person is asked. One of another
    shop is left alone."""
    payment_id = ownership.payment_of(intent_id)
    end_read()
    if payment_id is not None:
        return _settle(payment_id, intent_id)
    return settle_sent_intent(gateway.fetch_intent(intent_id))


def settle_sent_intent(intent: stripe_objects.Intent) -> str:
    """``settle_intent`` for an intent that was just read and whose id we do not know."""
    is_ours = ownership.is_ours(intent.metadata)
    end_read()
    if not is_ours:
        return NOT_OURS
    payment_id = _adopt(intent)
    if payment_id is not None:
        return _settle(payment_id, intent.id)
    if _is_superseded(intent):
        return f"superseded, {gateway.cancel_intent(intent.id).status}"
    if intent.status in {"succeeded", "requires_capture"}:
        with transaction():
            _report_orphan(intent)
    return "unknown payment"


def settle_refund(stripe_id: str) -> str:
    """Bring a refund in step with what Stripe says *now*; one made there is taken over."""
    return apply_sent_refund(gateway.fetch_refund(stripe_id))


def apply_sent_refund(sent: stripe_objects.SentRefund) -> str:
    """``settle_refund`` for a refund that was just read.

    One of ours is known by Stripe's id or by its key and attempt; a failure of an earlier attempt
    is old news, a success of one is money that somebody has to look at.
    """
    # Metadata can be copied to a refund of somebody else's money.
    is_made_by_us = (Refund.key == sent.metadata.get("refund", "")) & (
        Payment.intent_id == sent.intent_id
    )
    known = session.execute(
        select(Refund.id, Refund.attempt, Refund.stripe_id)
        .join(Payment, Payment.id == Refund.payment_id)
        .where((Refund.stripe_id == sent.id) | is_made_by_us)
        # An earlier attempt of ours that was taken over has a row of its own: that one is meant.
        .order_by(Refund.stripe_id.is_distinct_from(sent.id))
        .limit(1)
    ).first()
    payment = session.execute(
        select(Payment.id, Payment.captured_minor).where(Payment.intent_id == sent.intent_id)
    ).first()
    end_read()
    if known is not None:
        is_now = sent.metadata.get("attempt", str(known.attempt)) == str(known.attempt)
        if known.stripe_id == sent.id or (known.stripe_id is None and is_now):
            return _in_one(lambda: refunds.apply_refund(known.id, sent), "refund")
        if sent.status in {"failed", "canceled"}:
            return "earlier attempt"
    if payment is None:
        return "unknown refund" if ownership.is_ours(sent.metadata) else NOT_OURS
    if not payment.captured_minor and sent.status not in {"failed", "canceled"}:
        _settle(payment.id, sent.intent_id)  # this message overtook the one of the money
    return _in_one(lambda: refunds.adopt_refund(payment.id, sent), "external refund")


def _in_one(work: Callable[[], object], outcome: str) -> str:
    def apply() -> str:
        with transaction("apply-refund"):
            return outcome if work() is not False else "refund"

    return retrying(apply)


def settle_dispute(stripe_id: str) -> str:
    """Bring a dispute in step with what Stripe says *now*."""
    return apply_sent_dispute(gateway.fetch_dispute(stripe_id))


def apply_sent_dispute(sent: stripe_objects.SentDispute) -> str:
    """``settle_dispute`` for a dispute that was just read."""
    payment = session.execute(
        select(Payment.id, Payment.captured_minor).where(Payment.intent_id == sent.intent_id)
    ).first()
    end_read()
    if payment is None:
        return NOT_OURS
    if not payment.captured_minor:
        _settle(payment.id, sent.intent_id)  # this message overtook the one of the money
    currency = _currency_of(payment.id)
    needs_rate = disputes.needs_charge(sent, currency) and sent.charge_id
    charge = gateway.fetch_charge(sent.charge_id) if needs_rate else None

    def apply() -> str:
        with transaction("apply-dispute"):
            return f"dispute {disputes.apply_dispute(payment.id, sent, charge)}"

    return retrying(apply)


def _currency_of(payment_id: int) -> str:
    currency = refundable.currency_of(session.get_one(Payment, payment_id))
    end_read()
    return currency


# What a message's type begins with: what it is about, and who asks Stripe how that stands.
_SETTLERS: dict[str, tuple[str, Callable[[str], str]]] = {
    "payment_intent.": ("payment", settle_intent),
    "refund.": ("refund", settle_refund),
    "charge.dispute.": ("dispute", settle_dispute),
    "radar.early_fraud_warning.": ("early fraud warning", alerts.settle_fraud_warning),
    "review.": ("review", alerts.settle_review),
    "payout.": ("payout", alerts.settle_payout),
}


@_reports_denied_access()
@gateway.bounded()
def capture(payment_id: int, amount_minor: int | None = None) -> SyncOutcome:
    """Take authorised money, all of it or ``amount_minor``; what is left is released for good.

    Safe to repeat, also after a refusal. Raises ``WrongState`` and ``Invalid``; ``Refused`` with
    Stripe's reason in words for staff, and a task when the money will not come; ``Unavailable``
    when nobody knows yet whether it was captured.
    """
    with transaction():
        asked = operations.check_capture(payment_id, amount_minor)

    def take(key_attempt: int) -> stripe_objects.Intent:
        return gateway.capture_intent(
            asked.intent_id,
            key=_numbered(asked.key, key_attempt),
            amount_minor=asked.amount_minor,
        )

    def look() -> stripe_objects.Intent | None:
        intent = gateway.fetch_intent(asked.intent_id)
        return None if intent.status == "requires_capture" else intent

    refusal: gateway.Refused | None = None
    intent: stripe_objects.Intent | None
    try:
        intent = _once(take, look, _next_key_of(Payment, payment_id), asked.key_attempt)
    except gateway.Refused as refused:
        refusal, intent = refused, _as_it_is(asked.intent_id)
    except gateway.AccessDenied:  # nothing was asked of Stripe
        raise
    except Unavailable as away:
        raise Unavailable(
            "Stripe has not confirmed the capture. If it went through, the order shows it in a"
            " moment; capturing again is safe and never charges twice."
        ) from away
    return _captured(payment_id, asked, intent, refusal)


def _captured(
    payment_id: int,
    asked: operations.CaptureRequest,
    intent: stripe_objects.Intent | None,
    refusal: gateway.Refused | None,
) -> SyncOutcome:
    """Write down what became of a capture. Raises unless the wanted amount was captured."""
    outcome = SyncOutcome.WAITING
    why = refusal or WrongState("This payment can no longer be captured. Check it at Stripe.")
    with transaction("apply-capture"):
        if intent is not None:
            outcome = operations.apply_intent(payment_id, intent)
        if intent is not None and intent.status in {"succeeded", "canceled"}:
            close_about(operations.CAPTURE_FAILED, str(payment_id))
        elif refusal is None or refusal.reason not in AMOUNT_REASONS:
            operations.report_refused_capture(payment_id, why.sentence)
    if intent is not None and intent.status == "succeeded":
        if intent.received_minor == asked.amount_minor:
            return outcome
        came = Money(intent.received_minor, intent.currency).format()
        raise WrongState(f"{came} of this money was captured already; the rest was released.")
    if intent is not None and intent.status == "canceled":
        raise WrongState("The authorisation has ended at Stripe, so nothing was captured.")
    raise why


def _as_it_is(intent_id: str) -> stripe_objects.Intent | None:
    """The PaymentIntent behind a refusal; None if Stripe cannot say, so that the refusal counts."""
    try:
        return gateway.fetch_intent(intent_id)
    except (gateway.Refused, Unavailable):
        return None


@_reports_denied_access()
@gateway.bounded()
def void(payment_id: int) -> SyncOutcome:
    """Release authorised money without taking it. Money that was captured meanwhile is settled.

    Returns what was done, "cancelled" if it is released. Raises ``WrongState`` when Stripe keeps it
    authorised, and ``Unavailable``.
    """
    intent_id = session.scalar(select(Payment.intent_id).where(Payment.id == payment_id))
    end_read()
    if intent_id is None:
        return SyncOutcome.WAITING
    intent = gateway.cancel_intent(intent_id)
    with transaction("apply-void"):
        outcome = operations.apply_intent(payment_id, intent)
        if intent.status in {"succeeded", "canceled"}:
            close_about(operations.CAPTURE_FAILED, str(payment_id))
    if intent.status == "requires_capture":
        raise WrongState("Stripe has not released this money. Check the payment at Stripe.")
    return outcome


def release(payment_id: int) -> None:
    """``void`` for staff, who want to know. Raises ``WrongState`` too when the money was captured
    at the same time, so that nothing was released."""
    outcome = void(payment_id)
    if outcome != SyncOutcome.CANCELLED:
        raise WrongState(
            "This money was captured at the same time, so it was not released. Refund it instead."
        )


@_reports_denied_access()
@gateway.bounded()
def send_refund(refund_id: int) -> None:
    """Ask Stripe to give the money of a requested refund back; safe to repeat.

    What Stripe refuses fails, with the reason and a task. Raises ``Unavailable``.
    """
    refund = session.get_one(Refund, refund_id, populate_existing=True)
    if refund.status in {RefundStatus.DONE, RefundStatus.FAILED}:
        return
    intent_id = session.scalar(select(Payment.intent_id).where(Payment.id == refund.payment_id))
    amount, own_key, attempt = refund.amount_minor, refund.key, refund.attempt
    key_attempt, requested_at = refund.key_attempt, refund.requested_at
    shop = ownership.shop_id()
    end_read()

    def send(key_attempt: int) -> stripe_objects.SentRefund:
        return gateway.create_refund(
            key=_numbered(own_key if attempt == 1 else f"{own_key}:{attempt}", key_attempt),
            intent_id=intent_id or "",
            amount_minor=amount,
            metadata={ownership.SHOP: shop, "refund": own_key, "attempt": str(attempt)},
        )

    def look() -> stripe_objects.SentRefund | None:
        return _sent_before(intent_id or "", own_key, attempt)

    try:
        sent = look() if _is_forgotten(requested_at) else None
        sent = sent or _once(send, look, _next_key_of(Refund, refund_id), key_attempt)
    except gateway.Refused as refusal:
        sent = None if refusal.reason is RefusalReason.NOT_AT_STRIPE else look()
        if sent is None:
            _refund_refused(refund_id, attempt, refusal.sentence)
            return
    with transaction("apply-refund"):
        refunds.apply_refund(refund_id, sent)


def _refund_refused(refund_id: int, attempt: int, reason: str) -> None:
    with transaction():
        row = session.get_one(Refund, refund_id)
        order = orders.lock(order_of(row.payment_id))
        session.refresh(row, with_for_update=True)
        if row.attempt == attempt and row.stripe_id is None:
            refunds.fail_refund(order, row, reason)


def _sent_before(intent_id: str, own_key: str, attempt: int) -> stripe_objects.SentRefund | None:
    """Our refund among those of a PaymentIntent: Stripe forgets idempotency keys after a day.
    Raises ``Unreadable`` if it is there and cannot be read; others need not be."""
    wanted = {"refund": own_key, "attempt": str(attempt)}
    for one in gateway.refunds_of(intent_id):
        if wanted.items() <= one.metadata.items():
            if isinstance(one, stripe_objects.Unreadable):
                raise one
            return one
    return None


@gateway.bounded()
def close_intents(order_id: int) -> None:
    """Cancel what could still be paid for a closed order; money that came first is settled.

    Of an order that stands, money that is held stays: only further attempts are cancelled. What
    Stripe never heard of, or does not know under our key, nobody can pay: it is given up.
    """
    stands = orders.Order.status.in_([OrderStatus.CONFIRMED, OrderStatus.COMPLETED])
    rows = session.execute(
        select(Payment.id, Payment.intent_id)
        .join(orders.Order, orders.Order.id == Payment.order_id)
        .where(
            Payment.order_id == order_id,
            Payment.status.in_(operations.OPEN),
            ~(stands & (Payment.status == AttemptStatus.AUTHORISED)),
        )
    ).all()
    end_read()
    for payment_id, intent_id in rows:
        intent = _cancelled(intent_id) if intent_id else None
        with transaction("close-attempt"):
            if intent is None:
                operations.abandon(payment_id, intent_id)
            else:
                operations.apply_intent(payment_id, intent)


def _cancelled(intent_id: str) -> stripe_objects.Intent | None:
    try:
        return gateway.cancel_intent(intent_id)
    except gateway.Refused as error:
        log.error("unknown to stripe", extra={"intent_id": intent_id, "reason": str(error)})
        return None


def expire_unpaid() -> int:
    """Close orders whose time is up: cancel at Stripe first, then release; gives how many.

    While Stripe does not answer, only orders that it never heard of are closed.
    """
    closed = failures = 0
    due = orders.due_to_expire()
    end_read()
    for order_id in due:
        if failures >= PATIENCE and _is_known_to_stripe(order_id):
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


def _adopt(intent: stripe_objects.Intent) -> int | None:
    """Our payment for an intent that we made just before we died: known by its key alone."""
    payment_id = session.scalar(
        select(Payment.id).where(
            Payment.key == intent.metadata.get("payment", ""), Payment.intent_id.is_(None)
        )
    )
    end_read()
    if payment_id is not None:
        with transaction("attach-intent"):
            operations.attach_intent(payment_id, intent)
    return payment_id


def _is_superseded(intent: stripe_objects.Intent) -> bool:
    """Whether it is a second PaymentIntent of an attempt of ours: Stripe had failed to tell us of
    it. Nobody has its secret, so nobody can pay it."""
    if intent.status in {"succeeded", "requires_capture", "processing", "canceled"}:
        return False
    known = session.scalar(
        select(Payment.id).where(
            Payment.key == intent.metadata.get("payment", ""), Payment.intent_id != intent.id
        )
    )
    end_read()
    return known is not None


def _report_orphan(intent: stripe_objects.Intent) -> None:
    """Money by a payment that this database does not know, as after restoring a backup. Another
    order may have its number by now."""
    number = intent.metadata.get("order", "")
    orders.pass_number(number)
    amount = Money(intent.received_minor or intent.capturable_minor, intent.currency).format()
    open_task(
        "orphan_money",
        intent.id,
        f"Stripe has {amount} of {intent.email or 'somebody'} for order {number or '?'}, by a"
        f" payment that is not in this database ({intent.id}). Place the order again, or refund it"
        " at Stripe.",
        order_id=None,
    )
