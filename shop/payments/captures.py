"""Authorised money: taking it, releasing it, and what becomes of either."""

from dataclasses import dataclass

from sqlalchemy import select

from shop import orders
from shop.core.db import end_read, session, transaction
from shop.core.errors import Invalid, Unavailable, WrongState
from shop.core.i18n import gettext as _
from shop.core.money import Money
from shop.orders import OrderStatus
from shop.payments import intents, refundable, stripe_client, stripe_objects
from shop.payments import stripe_gateway as gateway
from shop.payments.denied_access import reports_denied_access
from shop.payments.keys import next_key_of, numbered, once
from shop.payments.models import Payment, Task
from shop.payments.records import locked, order_of
from shop.payments.refusals import RefusalReason
from shop.payments.states import AttemptStatus, SyncOutcome
from shop.payments.stripe_errors import AccessDenied, Refused
from shop.payments.tasks import close_about, open_task

CAPTURE_FAILED = "capture_failed"
# As a task stores it: English.
NO_LONGER_CAPTURED = "This payment can no longer be captured. Check it at Stripe."
# Nothing is wrong with the payment: somebody asked for the wrong amount.
AMOUNT_REASONS = {RefusalReason.AMOUNT_TOO_LARGE, RefusalReason.AMOUNT_TOO_SMALL}


@reports_denied_access()
@stripe_client.bounded()
def capture(payment_id: int, amount_minor: int | None = None) -> SyncOutcome:
    """Take authorised money, all of it or ``amount_minor``; what is left is released for good.

    Safe to repeat, also after a refusal. Raises ``WrongState`` and ``Invalid``; ``Refused`` with
    Stripe's reason in words for staff, and a task when the money will not come; ``Unavailable``
    when nobody knows yet whether it was captured.
    """
    with transaction():
        asked = check_capture(payment_id, amount_minor)

    def take(key_attempt: int) -> stripe_objects.Intent:
        return gateway.capture_intent(
            asked.intent_id,
            key=numbered(asked.key, key_attempt),
            amount_minor=asked.amount_minor,
        )

    def look() -> stripe_objects.Intent | None:
        intent = gateway.fetch_intent(asked.intent_id)
        return None if intent.status == "requires_capture" else intent

    refusal: Refused | None = None
    intent: stripe_objects.Intent | None
    try:
        intent = once(take, look, next_key_of(Payment, payment_id), asked.key_attempt)
    except Refused as refused:
        refusal, intent = refused, _as_it_is(asked.intent_id)
    except AccessDenied:  # nothing was asked of Stripe
        raise
    except Unavailable as away:
        raise Unavailable(
            _(
                "Stripe has not confirmed the capture. If it went through, the order shows it in a"
                " moment; capturing again is safe and never charges twice."
            )
        ) from away
    return _captured(payment_id, asked, intent, refusal)


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
        raise WrongState(_("Only money that is authorised and not captured yet can be captured."))
    if order.status != OrderStatus.CONFIRMED:
        raise WrongState(
            _(
                "This order is %(status)s: its money can no longer be captured.",
                status=orders.STATUS_WORDS[order.status],
            )
        )
    owed = refundable.owed(order, payment)
    if owed <= 0:
        raise WrongState(_("Nothing is owed for what is left of this order: release the money."))
    amount = owed if amount_minor is None else amount_minor
    if isinstance(amount, bool) or not 0 < amount <= owed:
        most = Money(owed, payment.currency).format()
        raise Invalid(
            _("Capture more than zero and at most %(amount)s.", amount=most), field="amount_minor"
        )
    return CaptureRequest(
        payment.intent_id,
        f"{payment.key}:capture:{amount}",
        payment.key_attempt,
        amount,
        payment.currency,
    )


def _as_it_is(intent_id: str) -> stripe_objects.Intent | None:
    """The PaymentIntent behind a refusal; None if Stripe cannot say, so that the refusal counts."""
    try:
        return gateway.fetch_intent(intent_id)
    except (Refused, Unavailable):
        return None


def _captured(
    payment_id: int,
    asked: CaptureRequest,
    intent: stripe_objects.Intent | None,
    refusal: Refused | None,
) -> SyncOutcome:
    """Write down what became of a capture. Raises unless the wanted amount was captured."""
    outcome = SyncOutcome.WAITING
    why = refusal or WrongState(_("This payment can no longer be captured. Check it at Stripe."))
    with transaction("apply-capture"):
        if intent is not None:
            outcome = intents.apply_intent(payment_id, intent)
        if intent is not None and intent.status in {"succeeded", "canceled"}:
            close_about(CAPTURE_FAILED, str(payment_id))
        elif refusal is None or refusal.reason not in AMOUNT_REASONS:
            report_refused_capture(payment_id, refusal.stored if refusal else NO_LONGER_CAPTURED)
    if intent is not None and intent.status == "succeeded":
        if intent.received_minor == asked.amount_minor:
            return outcome
        came = Money(intent.received_minor, intent.currency).format()
        raise WrongState(
            _("%(amount)s of this money was already captured; the rest was released.", amount=came)
        )
    if intent is not None and intent.status == "canceled":
        raise WrongState(_("The authorisation has ended at Stripe, so nothing was captured."))
    raise why


def report_refused_capture(payment_id: int, reason: str) -> None:
    """Ask a person about authorised money that Stripe will not let us capture; once while it is so.
    Opens nothing for money that came or was released since."""
    order = orders.lock(order_of(payment_id), whole=False)
    payment = locked(payment_id)
    if payment.status != AttemptStatus.AUTHORISED:
        return
    authorised = Money(payment.capturable_minor, payment.currency).format()
    is_open = select(Task.id).where(
        Task.kind == CAPTURE_FAILED, Task.reference == str(payment_id), Task.closed_at.is_(None)
    )
    open_task(
        CAPTURE_FAILED,
        str(payment_id),
        f"{authorised} of order {order.number} could not be captured: {reason}",
        order_id=order.id,
        again=session.scalar(is_open) is None,
    )


@reports_denied_access()
@stripe_client.bounded()
def void(payment_id: int) -> SyncOutcome:
    """Release authorised money without taking it. Money that was captured meanwhile is synced.

    Returns what was done, "cancelled" if it is released. Raises ``WrongState`` when Stripe keeps it
    authorised, and ``Unavailable``.
    """
    intent_id = session.scalar(select(Payment.intent_id).where(Payment.id == payment_id))
    end_read()
    if intent_id is None:
        return SyncOutcome.WAITING
    intent = gateway.cancel_intent(intent_id)
    with transaction("apply-void"):
        outcome = intents.apply_intent(payment_id, intent)
        if intent.status in {"succeeded", "canceled"}:
            close_about(CAPTURE_FAILED, str(payment_id))
    if intent.status == "requires_capture":
        raise WrongState(_("Stripe has not released this money. Check the payment at Stripe."))
    return outcome


def release(payment_id: int) -> None:
    """``void`` for staff, who want to know. Raises ``WrongState`` too when the money was captured
    at the same time, so that nothing was released."""
    outcome = void(payment_id)
    if outcome != SyncOutcome.CANCELLED:
        raise WrongState(
            _("This money was captured at the same time, so it was not released. Refund it.")
        )
