"""What Stripe warns of and a person should know: early fraud warnings, reviews, failed payouts.

They move no money of an order. A task says each in words, and closes when Stripe closes it.
``WATCHED`` is for the reconciliation, which finds those whose message was lost.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select

from shop import orders
from shop.core.db import end_read, session, transaction
from shop.core.money import Money
from shop.payments import stripe_gateway as gateway
from shop.payments.models import Task
from shop.payments.ownership import NOT_OURS, payment_of
from shop.payments.records import order_of
from shop.payments.stripe_errors import NoSuchObject
from shop.payments.stripe_objects import FraudWarning, Payout, Review
from shop.payments.stripe_reading import Unreadable
from shop.payments.tasks import close_about, open_task

WARNING, REVIEW, PAYOUT = "fraud_warning", "review", "payout_failed"
Sent = FraudWarning | Review | Payout


def sync_fraud_warning(stripe_id: str) -> str:
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


def sync_review(stripe_id: str) -> str:
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


def sync_payout(stripe_id: str) -> str:
    """Ask a person about a payout that failed. It is the whole account's, whichever shops share it.
    One of the same currency that was begun later and is paid ends what was asked.

    https://docs.stripe.com/payouts#payout-failures
    """
    payout = gateway.fetch_payout(stripe_id)
    if payout.status == "paid":
        _close_earlier(payout)
    is_over = payout.status == "failed" and not asks(payout)
    with transaction():
        if payout.status == "paid" or is_over:
            close_about(PAYOUT, payout.id)
        elif payout.status == "failed":
            amount = Money(abs(payout.amount_minor), payout.currency).format()
            # What the account owes is a payout below zero.
            what = f"pay {amount} to" if payout.amount_minor >= 0 else f"collect {amount} from"
            reason = payout.failure.rstrip(".") or "Stripe gives no reason"
            open_task(
                PAYOUT,
                payout.id,
                f"Stripe could not {what} your bank account: {reason}. Check the bank"
                " details in Stripe's dashboard under Settings, Payouts.",
                order_id=None,
            )
    return "payout failed, a later one is paid" if is_over else f"payout {payout.status}"


def _close_earlier(paid: Payout) -> None:
    """Close what was asked about payouts that failed before this one, which is paid, was begun."""
    for reference in sorted(open_about(PAYOUT)):
        try:
            failed = gateway.fetch_payout(reference)
        except (NoSuchObject, Unreadable):
            continue
        if _makes_up_for(paid, failed):
            with transaction():
                close_about(PAYOUT, reference)


def _makes_up_for(paid: Payout, failed: Payout) -> bool:
    """Whether Stripe pays to the bank account again; each currency has a bank account of its own
    (https://docs.stripe.com/payouts/multicurrency-settlement)."""
    return paid.currency == failed.currency and paid.created >= (failed.failed_at or failed.created)


def asks(sent: Sent) -> bool:
    """Whether a person should look at this: Stripe says so, and nothing has ended it since. Asks
    Stripe about later payouts; no transaction may be open."""
    if isinstance(sent, FraudWarning):
        return sent.is_actionable
    if isinstance(sent, Review):
        return sent.is_open
    if sent.status != "failed":
        return False
    later = gateway.payouts_since(sent.failed_at or sent.created, status="paid")
    return not any(isinstance(one, Payout) and _makes_up_for(one, sent) for one in later)


@dataclass(frozen=True, slots=True)
class Watched:
    """A kind of alert: what lists call it, the kind of its task, how Stripe is asked about all and
    about one, and how one is synced. ``is_of_account``: it belongs to no order."""

    what: str
    task: str
    since: Callable[[datetime], Iterator[Sent | Unreadable]]
    fetch: Callable[[str], Sent]
    sync: Callable[[str], str]
    is_of_account: bool = False


# Looked up at each call, so that another Stripe can be put behind the gateway.
WATCHED = (
    Watched(
        "early fraud warning",
        WARNING,
        lambda moment: gateway.fraud_warnings_since(moment),
        lambda stripe_id: gateway.fetch_fraud_warning(stripe_id),
        sync_fraud_warning,
    ),
    Watched(
        "review",
        REVIEW,
        lambda moment: gateway.reviews_since(moment),
        lambda stripe_id: gateway.fetch_review(stripe_id),
        sync_review,
    ),
    Watched(
        "payout",
        PAYOUT,
        lambda moment: gateway.payouts_since(moment),
        lambda stripe_id: gateway.fetch_payout(stripe_id),
        sync_payout,
        is_of_account=True,
    ),
)


def open_about(task: str) -> set[str]:
    """The ids at Stripe that tasks of this kind ask about."""
    found = session.scalars(
        select(Task.reference).where(Task.kind == task, Task.closed_at.is_(None))
    ).all()
    end_read()
    return set(found)


def is_asked(task: str, reference: str) -> bool | None:
    """Whether a person is asked about this; None if nobody ever was."""
    found = session.execute(
        select(Task.closed_at).where(Task.kind == task, Task.reference == reference)
    ).first()
    end_read()
    return None if found is None else found.closed_at is None


def _order_of(intent_id: str) -> orders.Order | None:
    """The order of a PaymentIntent of ours."""
    payment_id = payment_of(intent_id) if intent_id else None
    order = orders.by_id(order_of(payment_id)) if payment_id is not None else None
    end_read()
    return order
