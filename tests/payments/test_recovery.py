"""What is mended later: lost answers, overtaken messages, attempts that nobody finishes."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from shop import inventory, orders, payments
from shop.core import clock
from shop.core.db import session, transaction
from shop.core.errors import Unavailable
from shop.discounts.models import Discount, Redemption
from shop.payments import attempts, intents, webhooks
from shop.payments import stripe_gateway as gateway
from shop.payments.models import Payment, Refund
from shop.payments.stripe_errors import Refused
from shop.payments.stripe_objects import Intent, SentRefund
from tests import cast as people
from tests.cast import Cast
from tests.discounts.offers import offer


class Stripe:
    """Answers as configured; knows only what was put into it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.intents: dict[str, Intent] = {}
        self.refunds: dict[str, SentRefund] = {}
        self.asked: list[str] = []
        for name in ("fetch_intent", "cancel_intent", "fetch_refund", "create_refund"):
            monkeypatch.setattr(gateway, name, getattr(self, name))
        monkeypatch.setattr(gateway, "create_intent", self.away)

    def away(self, **_: Any) -> Intent:
        raise Unavailable("The payment service does not answer.")

    def fetch_intent(self, intent_id: str) -> Intent:
        self.asked.append(intent_id)
        if intent_id not in self.intents:
            raise Refused("No such payment_intent.")
        return self.intents[intent_id]

    cancel_intent = fetch_intent

    def fetch_refund(self, stripe_id: str) -> SentRefund:
        return self.refunds[stripe_id]

    def create_refund(self, *, metadata: dict[str, str], amount_minor: int, **_: Any) -> SentRefund:
        row = session.scalars(select(Refund).where(Refund.key == metadata["refund"])).one()
        made = people.sent(row, "pending", amount_minor=amount_minor)
        return self.refunds.setdefault(made.id, made)


@pytest.fixture
def stripe(monkeypatch: pytest.MonkeyPatch) -> Stripe:
    return Stripe(monkeypatch)


def long_ago() -> None:
    with transaction() as current:
        current.execute(update(Payment).values(created_at=clock.now() - timedelta(minutes=5)))
        current.execute(update(Refund).values(requested_at=clock.now() - timedelta(hours=2)))


def end(order: orders.Order) -> None:
    with clock.freeze(order.expires_at + timedelta(seconds=1)), transaction():
        orders.expire(orders.lock(order.id))


def status_of(payment: Payment) -> str | None:
    return session.scalar(select(Payment.status).where(Payment.id == payment.id))


def begun(order: orders.Order) -> Payment:
    """An attempt that Stripe was not heard of."""
    with transaction():
        return attempts.open_payment(orders.lock(order.id), capture="automatic")


def outcome_of(kind: str, about: dict[str, Any], number: int = 1) -> str:
    """A message of Stripe's arrives and is worked on. Returns the outcome."""
    with transaction():
        webhooks.record_verified({"id": f"evt_{number}", "type": kind, "data": {"object": about}})
    latest = session.scalars(
        select(payments.WebhookDelivery).order_by(payments.WebhookDelivery.id.desc())
    ).first()
    payments.apply_webhook(latest.id)
    session.refresh(latest)
    return latest.outcome


def refunded(order: orders.Order) -> Refund:
    """A paid order was cancelled; its refund was decided, Stripe not yet asked."""
    with transaction():
        payments.cancel_order(orders.lock(order.id), reason="mistake")
    (payment,) = payments.of_order(order.id)
    return payment.refunds[0]


def test_attempt_unknown_at_stripe_ends_with_its_order(cast: Cast, stripe: Stripe) -> None:
    order = cast.unpaid_order
    payment = begun(order)
    end(order)

    payments.close_intents(order.id)

    assert status_of(payment) == "cancelled"


def test_attempt_at_a_closed_order_is_checked_once(cast: Cast, stripe: Stripe) -> None:
    forgotten = begun(cast.unpaid_order)
    payment = people.attempt(people.order(cast.lamp))
    for order in (cast.unpaid_order, orders.by_id(payment.order_id)):
        end(order)
    stripe.intents[f"pi_{payment.id}"] = people.intent(payment, "canceled")
    long_ago()

    payments.reconcile()
    stripe.asked.clear()
    payments.reconcile()

    assert (status_of(forgotten), status_of(payment)) == ("cancelled", "cancelled")
    assert stripe.asked == []


def test_one_unknown_intent_stops_no_other_sync(cast: Cast, stripe: Stripe) -> None:
    people.attempt(people.order(cast.lamp))
    order = cast.unpaid_order
    payment = people.attempt(order)
    stripe.intents[f"pi_{payment.id}"] = people.intent(payment)
    long_ago()

    payments.reconcile()

    assert orders.by_id(order.id).payment_status == "paid"


def test_one_unreadable_payment_hides_none_behind_it(
    cast: Cast, stripe: Stripe, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = (people.attempt(people.order(v)) for v in (cast.lamp, cast.mug))
    stripe.intents[f"pi_{second.id}"] = people.intent(second)
    long_ago()

    def fetch(intent_id: str) -> Intent:
        return stripe.away() if intent_id == f"pi_{first.id}" else stripe.fetch_intent(intent_id)

    monkeypatch.setattr(gateway, "fetch_intent", fetch)

    assert payments.reconcile() == 1

    assert (status_of(first), status_of(second)) == ("started", "succeeded")


def test_order_with_unknown_intent_still_expires(cast: Cast, stripe: Stripe) -> None:
    order = cast.unpaid_order
    people.attempt(order)
    with transaction():
        orders.lock(order.id).expires_at = clock.now() - timedelta(days=1)

    assert payments.expire_unpaid() == 1
    assert inventory.available([cast.mug.id])[cast.mug.id] == 10


def test_order_that_cannot_close_hides_none_behind_it(cast: Cast, stripe: Stripe) -> None:
    ten = offer(limit_total=5)
    spoiled, behind = cast.unpaid_order, people.order(cast.lamp)
    with transaction() as current:
        for hours, order in ((2, spoiled), (1, behind)):
            orders.lock(order.id).expires_at = clock.now() - timedelta(hours=hours)
        current.execute(
            update(Redemption)
            .where(Redemption.order_id == behind.id)
            .values(released_at=clock.now())
        )
        current.execute(update(Discount).where(Discount.id == ten.id).values(used=0))

    assert payments.expire_unpaid() == 1

    assert (orders.by_id(spoiled.id).status, orders.by_id(behind.id).status) == (
        "pending",
        "expired",
    )


def test_refused_payment_hides_none_behind_it(cast: Cast, stripe: Stripe) -> None:
    first, second = (people.attempt(people.order(v)) for v in (cast.mug, cast.lamp))
    for payment in (first, second):
        stripe.intents[f"pi_{payment.id}"] = people.intent(payment)
    stripe.intents[f"pi_{first.id}"] = people.intent(first, received_minor=10**12)
    long_ago()

    assert payments.reconcile() == 1

    assert status_of(second) == "succeeded"


def test_stripe_that_hangs_does_not_hold_up_timetable(
    cast: Cast, stripe: Stripe, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(5):
        people.attempt(people.order(cast.mug))
    unheard_of = people.order(cast.lamp)
    begun(unheard_of)
    with transaction() as current:
        over = clock.now() - timedelta(days=1)
        current.execute(update(orders.Order).values(expires_at=over))
        current.expire_all()
    asked: list[str] = []

    def hang(intent_id: str) -> Intent:
        asked.append(intent_id)
        return stripe.away()

    monkeypatch.setattr(gateway, "cancel_intent", hang)

    assert payments.expire_unpaid() == 1

    assert len(asked) == 3
    assert orders.by_id(unheard_of.id).status == "expired"


def test_money_for_a_cancelled_order_is_refunded(cast: Cast) -> None:
    order = cast.unpaid_order
    payment = people.attempt(order)
    with transaction():
        payments.cancel_order(orders.lock(order.id), reason="customer")

    with transaction():
        assert intents.apply_intent(payment.id, people.intent(payment)) == "late"

    assert (order.status, order.payment_status) == ("cancelled", "paid")
    assert inventory.available([cast.mug.id])[cast.mug.id] == 10
    session.refresh(payment)
    assert payment.balance_minor == 0


def test_double_payment_is_refunded_and_order_stays_paid(cast: Cast, stripe: Stripe) -> None:
    order = cast.unpaid_order
    first = people.attempt(order)
    with transaction():
        intents.apply_intent(first.id, people.intent(first, "canceled"))
    second = people.attempt(order)
    with transaction():
        intents.apply_intent(second.id, people.intent(second))
    with transaction():
        assert intents.apply_intent(first.id, people.intent(first)) == "paid twice"
    (refund,) = session.scalars(select(Refund).where(Refund.payment_id == first.id))

    payments.send_refund(refund.id)
    stripe.refunds[f"re_{refund.id}"] = people.sent(refund)
    outcome_of("refund.updated", {"id": f"re_{refund.id}"})

    paid = orders.by_id(order.id)
    assert (paid.payment_status, orders.words(paid).label) == ("paid", "Paid")


def test_refund_message_that_overtakes_our_own_answer_counts(cast: Cast, stripe: Stripe) -> None:
    order = cast.paid_order
    refund = refunded(order)
    stripe.refunds["re_early"] = people.sent(refund, id="re_early")

    assert outcome_of("refund.updated", {"id": "re_early"}) == "refund"

    assert orders.by_id(order.id).payment_status == "refunded"


def test_refund_of_another_payment_is_not_ours(cast: Cast, stripe: Stripe) -> None:
    refund = refunded(cast.paid_order)
    stripe.refunds["re_x"] = people.sent(refund, id="re_x", intent_id="pi_x", metadata={})

    assert outcome_of("refund.updated", {"id": "re_x"}) == "not ours"


def test_old_success_does_not_undo_a_failed_refund(cast: Cast, stripe: Stripe) -> None:
    refund = refunded(cast.paid_order)
    payments.send_refund(refund.id)
    stripe_id = f"re_{refund.id}"
    stripe.refunds[stripe_id] = people.sent(refund, "failed", failure="Card lost.")

    outcome_of("refund.failed", {"id": stripe_id, "status": "failed"}, 1)
    outcome_of("refund.updated", {"id": stripe_id, "status": "succeeded"}, 2)

    assert session.scalar(select(Refund.status).where(Refund.id == refund.id)) == "failed"


def test_refund_whose_message_was_lost_is_asked_about(cast: Cast, stripe: Stripe) -> None:
    order = cast.paid_order
    refund = refunded(order)
    payments.send_refund(refund.id)
    stripe_id = f"re_{refund.id}"
    stripe.refunds[stripe_id] = people.sent(refund)
    long_ago()

    assert payments.reconcile_refunds() == 1

    assert orders.by_id(order.id).payment_status == "refunded"
    assert payments.reconcile_refunds() == 0


def test_refund_from_yesterday_is_not_made_again(
    cast: Cast, stripe: Stripe, monkeypatch: pytest.MonkeyPatch
) -> None:
    refund = refunded(cast.paid_order)
    made = people.sent(refund, id="re_lost")
    monkeypatch.setattr(gateway, "refunds_of", lambda _: [made])
    monkeypatch.setattr(gateway, "create_refund", stripe.away)
    with transaction() as current:
        current.execute(update(Refund).values(requested_at=clock.now() - timedelta(days=2)))
        current.expire_all()

    payments.send_refund(refund.id)

    assert session.scalar(select(Refund.stripe_id)) == "re_lost"


def test_unfinished_attempts_hide_no_paid_one(cast: Cast, stripe: Stripe) -> None:
    left, order = cast.unpaid_order, people.order(cast.mug)
    with transaction():
        session.add_all(
            Payment(
                order_id=left.id, attempt=n, status="started", intent_id=f"pi_left_{n}",
                amount_minor=left.total_minor, currency=left.currency,
            )
            for n in range(1, 251)
        )  # fmt: skip
    payment = people.attempt(order)
    paid = people.intent(payment)
    stripe.intents[paid.id] = paid
    long_ago()

    payments.reconcile()

    assert len(stripe.asked) == 251
    assert order.payment_status == "paid"
