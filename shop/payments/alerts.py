"""What Stripe warns of and a person should know: early fraud warnings, reviews, failed payouts.

They move no money of an order. A task says each in words, and closes when Stripe closes it.
"""

from shop import orders
from shop.core.db import end_read, transaction
from shop.core.money import Money
from shop.payments import stripe_gateway as gateway
from shop.payments.ownership import NOT_OURS, payment_of
from shop.payments.records import order_of
from shop.payments.tasks import close_about, close_before, open_task

WARNING, REVIEW, PAYOUT = "fraud_warning", "review", "payout_failed"


def settle_fraud_warning(stripe_id: str) -> str:
    """Ask a person about a payment that its card network takes for fraud, while something can be
    done: Stripe says so until it is disputed or refunded in full.

    https://docs.stripe.com/disputes/measuring#early-fraud-warnings
    """
    warning = gateway.fetch_fraud_warning(stripe_id)
    order = _order_of(warning.intent_id)
    if order is None:
        return NOT_OURS
    with transaction():
        if not warning.is_actionable:
            close_about(WARNING, warning.id)
            return "warning closed"
        open_task(
            WARNING,
            warning.id,
            f"The cardholder's bank reports the payment of order {order.number} as fraud"
            f" ({warning.fraud_type or 'no kind given'}). A dispute may follow. Check the order"
            " before you ship it; to prevent the dispute, cancel the order and refund it in full.",
            order_id=order.id,
        )
    return "warning open"


def settle_review(stripe_id: str) -> str:
    """Ask a person to look at a payment that Stripe Radar holds for review; close the task when the
    review is closed. https://docs.stripe.com/radar/reviews"""
    review = gateway.fetch_review(stripe_id)
    order = _order_of(review.intent_id)
    if order is None:
        return NOT_OURS
    with transaction():
        if not review.is_open:
            close_about(REVIEW, review.id)
            return "review closed"
        open_task(
            REVIEW,
            review.id,
            f"Stripe asks for a review of the payment of order {order.number}"
            f" ({review.reason or 'no reason given'}). Approve it in Stripe's dashboard before you"
            " ship the order.",
            order_id=order.id,
            again=True,
        )
    return "review open"


def settle_payout(stripe_id: str) -> str:
    """Ask a person about a payout that failed. It is the whole account's, whichever shops share it.
    A later one that is paid ends what was asked. https://docs.stripe.com/payouts#payout-failures"""
    payout = gateway.fetch_payout(stripe_id)
    with transaction():
        if payout.status == "failed":
            amount = Money(payout.amount_minor, payout.currency).format()
            reason = payout.failure.rstrip(".") or "Stripe gives no reason"
            open_task(
                PAYOUT,
                payout.id,
                f"Stripe could not pay {amount} to your bank account: {reason}. Check the bank"
                " details in Stripe's dashboard under Settings, Payouts.",
                order_id=None,
            )
        elif payout.status == "paid":
            close_about(PAYOUT, payout.id)
            close_before(PAYOUT, payout.created)
    return f"payout {payout.status}"


def _order_of(intent_id: str) -> orders.Order | None:
    """The order of a PaymentIntent of ours."""
    payment_id = payment_of(intent_id) if intent_id else None
    order = orders.by_id(order_of(payment_id)) if payment_id is not None else None
    end_read()
    return order
