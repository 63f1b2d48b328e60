"""Vouchers that are given up, so that their orders can be paid in another way."""

from sqlalchemy import select

from shop import orders
from shop.core.db import end_read, retrying, session, transaction
from shop.core.errors import WrongState
from shop.core.i18n import gettext as _
from shop.payments import attempts, intents, stripe_client
from shop.payments import stripe_gateway as gateway
from shop.payments.captures import void
from shop.payments.denied_access import reports_denied_access
from shop.payments.models import Payment
from shop.payments.states import SyncOutcome


@reports_denied_access()
@stripe_client.bounded()
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
        with transaction("sync-payment"):
            return intents.apply_intent(found.id, intent, order_id=order_id)

    outcome = retrying(apply)
    if intent.voucher is not None and intent.status == "requires_action":
        raise WrongState(_("This voucher cannot be cancelled now. Please try again in a minute."))
    return outcome


@stripe_client.bounded()
def give_up_voucher(payment_id: int) -> None:
    """Cancel an attempt whose voucher has ended unpaid, so that the order is paid in another way:
    its goods must not be kept by one voucher after the other. Safe to repeat; does nothing where
    only a voucher can pay the order. Raises ``Unavailable``.
    """
    payment = session.get_one(Payment, payment_id, populate_existing=True)
    has_ended = attempts.has_ended_voucher(orders.by_id(payment.order_id), payment)
    end_read()
    if has_ended:
        void(payment_id)
