"""Beginning to pay: an attempt of ours, then its PaymentIntent at Stripe, then its id with us.

No transaction is open during a call to Stripe; a crash anywhere leaves what the next call goes on
from.
"""

import logging
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import select

from shop import orders
from shop.core import clock
from shop.core.db import end_read, session, transaction
from shop.core.errors import Unavailable
from shop.core.i18n import gettext as _
from shop.payments import attempts, ownership, stripe_client, stripe_objects
from shop.payments import stripe_gateway as gateway
from shop.payments.captures import void
from shop.payments.denied_access import reports_denied_access
from shop.payments.keys import is_expired, next_key_of, numbered, once
from shop.payments.models import Payment
from shop.payments.states import AttemptStatus
from shop.payments.stripe_errors import Refused
from shop.payments.tasks import open_task

log = logging.getLogger(__name__)

CLOCKS_DIFFER_BY = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Started:
    """What the payment page needs. Amount in minor units."""

    payment_id: int
    client_secret: str
    publishable_key: str
    amount_minor: int
    currency: str


@reports_denied_access()
@stripe_client.bounded()
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
            is_ours = attempts.attach_intent(payment.id, intent)
        client_secret = intent.client_secret if is_ours else _attached(payment.id, intent)
    return Started(
        payment.id,
        client_secret,
        stripe_client.publishable_key(),
        payment.amount_minor,
        payment.currency,
    )


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
        payment = attempts.open_payment(order, capture=stripe_client.capture_method())
        return _Opened(
            payment,
            order.number,
            None if with_wallet else _shipping(order),
            ownership.shop_id(),
            attempts.offered_for(order, payment),
            attempts.has_ended_voucher(order, payment),
        )


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
            key=numbered(payment.key, key_attempt) + ("" if shipping else ":wallet"),
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
        if is_expired(payment.created_at) and (found := find()):
            return found
        return once(create, find, next_key_of(Payment, payment.id), payment.key_attempt)
    except Refused as refusal:
        code = refusal.stripe_code or refusal.code
        _report_refused_start(code, refusal.stored, payment.order_id, number)
        raise Refused(  # the reason is for staff
            _("This payment could not be started, and nothing was charged. Please contact us.")
        ) from refusal
    except Unavailable as away:
        raise type(away)(_("%(reason)s Nothing was charged.", reason=away.sentence)) from away


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


def _attached(payment_id: int, intent: stripe_objects.Intent) -> str:
    """The secret of the PaymentIntent that another call gave this attempt. Ours, if it is another
    one, is cancelled, now or by the reconciliation: nobody has its secret."""
    known = session.execute(
        select(Payment.intent_id, Payment.client_secret).where(Payment.id == payment_id)
    ).one()
    end_read()
    if known.intent_id != intent.id:
        with suppress(Unavailable):
            gateway.cancel_intent(intent.id)
    return known.client_secret or ""
