"""Payments, refunds, disputes and the books of charges, each reconciled with Stripe's."""

from collections.abc import Iterator
from datetime import timedelta
from functools import partial

from sqlalchemy import Text, cast, func, select

from shop import orders
from shop.core.db import end_read, session
from shop.core.money import format_minor
from shop.payments import (
    charge_balances,
    ownership,
    stripe_objects,
    stripe_reading,
    syncing,
    unapplied,
)
from shop.payments import stripe_gateway as gateway
from shop.payments.differences import Difference, Look, as_it_was, number_of_intent
from shop.payments.models import Dispute, Payment, PaymentEvent, Refund
from shop.payments.states import AttemptStatus, RefundStatus
from shop.payments.stripe_errors import NoSuchObject

# What Stripe calls an intent, in our words; the others mean that nobody has paid yet.
STATUS = {
    "succeeded": AttemptStatus.SUCCEEDED,
    "processing": AttemptStatus.PROCESSING,
    "requires_capture": AttemptStatus.AUTHORISED,
    "canceled": AttemptStatus.CANCELLED,
}
BALANCE = "balance"


def payment_differences(look: Look) -> Iterator[Difference | None]:
    """PaymentIntents made since then, and payments of ours that Stripe does not list."""
    seen: set[str] = set()
    for intent in gateway.intents_since(look.since):
        if isinstance(intent, stripe_reading.Unreadable):
            seen.add(intent.reference)
            yield look.unreadable("payment", intent)
            continue
        seen.add(intent.id)
        look.sources[intent.charge_id] = charge_balances.Source(
            intent.id, intent.received_minor, intent.currency
        )
        yield look.guarded("payment", intent.id, partial(_payment, look, intent))
    missing = session.execute(
        select(Payment.intent_id, Payment.captured_minor, Payment.currency, orders.Order.number)
        .join(orders.Order, orders.Order.id == Payment.order_id)
        .where(
            Payment.created_at >= look.since + timedelta(hours=1),
            Payment.captured_minor > 0,
        )
    ).all()
    end_read()
    for row in missing:
        if row.intent_id not in seen:
            here = f"succeeded, {format_minor(row.captured_minor, row.currency)}"
            yield look.deleted(
                "payment", row.intent_id or "", row.number, here, gateway.fetch_intent
            )


def _payment(look: Look, intent: stripe_objects.Intent) -> Difference | None:
    ours = session.execute(
        select(Payment.status, Payment.captured_minor, orders.Order.number)
        .join(orders.Order, orders.Order.id == Payment.order_id)
        .where(Payment.intent_id == intent.id)
    ).first()
    is_ours = ours is not None or ownership.is_ours(intent.metadata)
    end_read()
    status = STATUS.get(intent.status, AttemptStatus.STARTED)
    if not is_ours:
        return None
    here = "unknown"
    if ours is None:
        if intent.status == "canceled":
            return None  # a second one of some attempt, which nobody could pay
    else:
        if (ours.status, ours.captured_minor) == (status, intent.received_minor):
            return None
        here = f"{ours.status}, {format_minor(ours.captured_minor, intent.currency)}"
    return look.difference(
        "payment",
        intent.id,
        ours.number if ours else intent.metadata.get("order", ""),
        here,
        f"{status}, {format_minor(intent.received_minor, intent.currency)}",
        partial(syncing.sync_intent, intent.id),
    )


def refund_differences(look: Look) -> Iterator[Difference | None]:
    """Refunds made since then, and refunds of ours that Stripe does not list."""
    seen: set[str] = set()
    for sent in gateway.refunds_since(look.since):
        if isinstance(sent, stripe_reading.Unreadable):
            seen.add(sent.reference)
            yield look.unreadable("refund", sent)
            continue
        seen.add(sent.id)
        look.sources[sent.id] = charge_balances.Source(
            sent.intent_id, sent.amount_minor, sent.currency
        )
        yield look.guarded("refund", sent.id, partial(_refund, look, sent))
    known = session.execute(
        select(Refund.stripe_id, Refund.status, Refund.amount_minor, Refund.currency,
               orders.Order.number)
        .join(Payment, Payment.id == Refund.payment_id)
        .join(orders.Order, orders.Order.id == Payment.order_id)
        .where(
            Refund.requested_at >= look.since + timedelta(hours=1),
            Refund.stripe_id.is_not(None),
            Refund.status.in_([RefundStatus.SENT, RefundStatus.DONE]),
        )
    ).all()  # fmt: skip
    end_read()
    for row in known:
        if row.stripe_id not in seen:
            here = f"{row.status}, {format_minor(row.amount_minor, row.currency)}"
            yield look.deleted(
                "refund", row.stripe_id or "", row.number, here, gateway.fetch_refund
            )


def _refund(look: Look, sent: stripe_objects.SentRefund) -> Difference | None:
    ours = session.execute(
        select(Refund.status, Refund.amount_minor, Refund.currency).where(
            Refund.stripe_id == sent.id
        )
    ).first()
    number = number_of_intent(sent.intent_id)
    status = {
        "succeeded": RefundStatus.DONE,
        "failed": RefundStatus.FAILED,
        "canceled": RefundStatus.FAILED,
    }.get(sent.status, RefundStatus.SENT)
    is_past = ours is None and status == RefundStatus.FAILED and _was_retried(sent)
    end_read()
    theirs = (status, sent.amount_minor, sent.currency)
    if number is None or is_past or (ours is not None and tuple(ours) == theirs):
        return None
    return look.difference(
        "refund",
        sent.id,
        number,
        f"{ours.status}, {format_minor(ours.amount_minor, ours.currency)}" if ours else "unknown",
        f"{status}, {format_minor(sent.amount_minor, sent.currency)}",
        partial(syncing.apply_sent_refund, sent),
    )


def _was_retried(sent: stripe_objects.SentRefund) -> bool:
    """Whether this is a try of a refund of ours that failed, and another one was made since."""
    later = select(Refund.id).where(
        Refund.key == sent.metadata.get("refund", ""),
        cast(Refund.attempt, Text) != sent.metadata.get("attempt", ""),
    )
    return session.scalar(later.limit(1)) is not None


def dispute_differences(look: Look) -> Iterator[Difference | None]:
    """Those opened since then, and ours that are not decided: a bank takes two months and
    more."""
    seen: set[str] = set()
    for sent in gateway.disputes_since(look.since):
        if isinstance(sent, stripe_reading.Unreadable):
            seen.add(sent.reference)
            yield look.unreadable("dispute", sent)
            continue
        seen.add(sent.id)
        look.sources[sent.id] = charge_balances.Source(
            sent.intent_id, sent.amount_minor, sent.currency, dispute=sent
        )
        yield look.guarded("dispute", sent.id, partial(_dispute, look, sent))
    older = session.execute(
        select(Dispute.stripe_id, orders.Order.number)
        .join(Payment, Payment.id == Dispute.payment_id)
        .join(orders.Order, orders.Order.id == Payment.order_id)
        .where(Dispute.closed_at.is_(None))
        .order_by(Dispute.id)
    ).all()
    end_read()
    for row in older:
        if row.stripe_id not in seen:
            yield look.guarded(
                "dispute",
                row.stripe_id,
                partial(_older_dispute, look, row.stripe_id, row.number),
            )


def _older_dispute(look: Look, stripe_id: str, number: str) -> Difference | None:
    try:
        return _dispute(look, gateway.fetch_dispute(stripe_id))
    except NoSuchObject as error:
        raise_it = partial(as_it_was, error)
        return look.difference("dispute", stripe_id, number, "open", "unknown", raise_it)


def _dispute(look: Look, sent: stripe_objects.SentDispute) -> Difference | None:
    ours = session.execute(
        select(
            Dispute.status,
            select(func.count(PaymentEvent.reference.distinct()))
            .where(PaymentEvent.dispute_id == Dispute.id)
            .where(PaymentEvent.reference.in_([one.id for one in sent.movements]))
            .scalar_subquery()
            .label("counted"),
        ).where(Dispute.stripe_id == sent.id)
    ).first()
    number = number_of_intent(sent.intent_id)
    end_read()
    moved = sum(bool(one.amount_minor or one.fee_minor) for one in sent.movements)
    if number is None or (ours is not None and tuple(ours) == (sent.status, moved)):
        return None
    return look.difference(
        "dispute",
        sent.id,
        number,
        f"{ours.status}, {ours.counted} of {moved} movements" if ours else "unknown",
        f"{sent.status}, {moved} movements",
        partial(syncing.sync_dispute, sent.id),  # perhaps this was read a while ago
    )


def balance_differences(look: Look) -> Iterator[Difference | None]:
    """The books of each charge against Stripe's balance, once all else was reconciled."""
    open_tasks = unapplied.open_references()
    for books in charge_balances.books_since(look.since, look.sources):
        if books.number in look.differing:
            continue
        if books.differ:
            yield look.difference(
                BALANCE,
                books.charge_id,
                books.number,
                books.ours,
                books.theirs,
                partial(as_it_was, books.refusal()),
                intent_id=books.intent_id,
            )
        elif look.mends and books.charge_id in open_tasks:
            unapplied.resolve(books.charge_id)
