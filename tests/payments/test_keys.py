"""Stripe saves its first answer under an idempotency key, failures too; the money is still right.

Stripe is played by the stand-in, which saves and replays as Stripe does
(https://docs.stripe.com/api/idempotent_requests).
"""

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import tenacity
from sqlalchemy import select, update

from shop import orders, payments
from shop.core import clock
from shop.core.actor import SYSTEM, acting_as
from shop.core.db import session, transaction
from shop.core.errors import Unavailable
from shop.payments import (
    attempts,
    closing,
    keys,
    refund_news,
    stripe_client,
    stripe_objects,
)
from shop.payments import stripe_gateway as gateway
from shop.payments.models import Payment, Refund, Task
from tests import cast as people
from tests.cast import Cast
from tests.tools import stripe_rig

VISA = "pm_card_visa"
CREATE, CAPTURE = "/v1/payment_intents", "/v1/payment_intents/*/capture"
CANCEL, REFUND = "/v1/payment_intents/*/cancel", "/v1/refunds"
DONE_OR_NOT = pytest.mark.parametrize("is_done", [False, True], ids=["not done", "done"])


class Killed(BaseException):
    """The process ends here."""


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stripe_client, "_BACK_OFF", tenacity.wait_none())


def fail(stripe: stripe_rig.Rig, path: str, error: str = "api_error", **how: Any) -> None:
    """Order an error for the next calls of this path."""
    stripe.control(fail={"path": path, "error": error, **how})


def pay_at_stripe(order_id: int, stripe: stripe_rig.Rig, *, capture: str = "automatic") -> Payment:
    """Start a payment and let the customer pay it by card."""
    with transaction():
        attempts.open_payment(orders.lock(order_id), capture=capture)
    payments.start(order_id)
    payment = one(Payment)
    params: Any = {"payment_method": VISA, "return_url": "https://example.com/"}
    stripe.client.v1.payment_intents.confirm(payment.intent_id or "", params)
    payments.sync_payment(payment.id)
    return one(Payment)


def requested(order_id: int, amount_minor: int = 700) -> Refund:
    """A refund that was decided; Stripe was not asked."""
    wanted = payments.Wanted(amount_minor=amount_minor)
    with transaction():
        payments.request_refund(orders.lock(order_id), wanted, reason="goodwill")
    return one(Refund)


def one(kind: type[Any]) -> Any:
    session.expire_all()
    return session.scalars(select(kind)).one()


def at_stripe(stripe: stripe_rig.Rig, kind: str) -> list[Any]:
    return list(stripe.state()[f"{kind}s"])


def killed(*_: object, **__: object) -> Any:
    raise Killed


@DONE_OR_NOT
def test_payment_starts_after_a_saved_failure(
    cast: Cast, stripe: stripe_rig.Rig, is_done: bool
) -> None:
    fail(stripe, CREATE, created=is_done)

    started = payments.start(cast.unpaid_order.id)

    (intent,) = at_stripe(stripe, "payment_intent")
    payment = one(Payment)
    assert (payment.intent_id, started.client_secret) == (intent["id"], intent["client_secret"])
    assert payment.key_attempt == (1 if is_done else 2)


@DONE_OR_NOT
def test_capture_succeeds_after_a_saved_failure(
    cast: Cast, stripe: stripe_rig.Rig, is_done: bool
) -> None:
    order = cast.unpaid_order
    payment = pay_at_stripe(order.id, stripe, capture="manual")
    fail(stripe, CAPTURE, created=is_done)

    assert payments.capture(payment.id) == "paid"

    (intent,) = at_stripe(stripe, "payment_intent")
    assert (intent["status"], intent["amount_received"]) == ("succeeded", order.total_minor)
    assert orders.by_id(order.id).payment_status == "paid"


@DONE_OR_NOT
def test_refund_is_sent_after_a_saved_failure(
    cast: Cast, stripe: stripe_rig.Rig, is_done: bool
) -> None:
    order = cast.unpaid_order
    pay_at_stripe(order.id, stripe)
    refund = requested(order.id)
    fail(stripe, REFUND, created=is_done)

    payments.send_refund(refund.id)

    (sent,) = at_stripe(stripe, "refund")
    refund = one(Refund)
    assert (refund.status, refund.stripe_id, sent["amount"]) == ("done", sent["id"], 700)
    assert refund.key_attempt == (1 if is_done else 2)


@DONE_OR_NOT
def test_release_succeeds_after_a_saved_failure(
    cast: Cast, stripe: stripe_rig.Rig, is_done: bool
) -> None:
    payment = pay_at_stripe(cast.unpaid_order.id, stripe, capture="manual")
    fail(stripe, CANCEL, created=is_done)

    payments.release(payment.id)

    (intent,) = at_stripe(stripe, "payment_intent")
    assert (intent["status"], one(Payment).status) == ("canceled", "cancelled")


@pytest.mark.parametrize("path", [CREATE, CAPTURE, REFUND])
def test_more_failures_than_keys_end_later(cast: Cast, stripe: stripe_rig.Rig, path: str) -> None:
    order = cast.unpaid_order
    if path == CREATE:
        work: Callable[[], object] = lambda: payments.start(order.id)  # noqa: E731
    else:
        how = "manual" if path == CAPTURE else "automatic"
        payment = pay_at_stripe(order.id, stripe, capture=how)
        work = lambda: payments.capture(payment.id)  # noqa: E731
        if path == REFUND:
            refund = requested(order.id)
            work = lambda: payments.send_refund(refund.id)  # noqa: E731
    fail(stripe, path, times=keys.MAX_KEYS)

    with pytest.raises(Unavailable):
        work()
    work()

    kept = one(Refund if path == REFUND else Payment)
    assert kept.key_attempt == keys.MAX_KEYS + 1
    assert kept.status == {CREATE: "started", CAPTURE: "succeeded", REFUND: "done"}[path]


def test_failed_answer_lost_then_replayed_finds_refund(cast: Cast, stripe: stripe_rig.Rig) -> None:
    order = cast.unpaid_order
    payment = pay_at_stripe(order.id, stripe)
    refund = requested(order.id)
    fail(stripe, REFUND, created=True)
    with pytest.raises(Exception, match="backends"):  # its sender died before the answer came
        stripe.client.v1.refunds.create(
            {
                "payment_intent": payment.intent_id or "",
                "amount": 700,
                "metadata": {"refund": refund.key, "attempt": "1"},
            },
            {"idempotency_key": refund.key},
        )

    payments.send_refund(refund.id)

    (sent,) = at_stripe(stripe, "refund")
    assert (one(Refund).stripe_id, one(Refund).status) == (sent["id"], "done")


def test_lost_success_is_replayed_not_repeated(cast: Cast, stripe: stripe_rig.Rig) -> None:
    order = cast.unpaid_order
    pay_at_stripe(order.id, stripe)
    refund = requested(order.id)
    fail(stripe, REFUND, "connection_lost")

    payments.send_refund(refund.id)

    assert len(at_stripe(stripe, "refund")) == 1
    assert (one(Refund).status, one(Refund).key_attempt) == ("done", 1)


@pytest.mark.parametrize("is_stored", [False, True], ids=["before", "after"])
def test_death_around_storing_the_key_creates_one(
    cast: Cast, stripe: stripe_rig.Rig, monkeypatch: pytest.MonkeyPatch, is_stored: bool
) -> None:
    order_id = cast.unpaid_order.id
    fail(stripe, CREATE)
    create, asked = gateway.create_intent, list[str]()

    def dies_at_the_second(*, key: str, **params: Any) -> stripe_objects.Intent:
        asked.append(key)
        return create(key=key, **params) if len(asked) == 1 else killed()

    with monkeypatch.context() as dying, pytest.raises(Killed):
        if is_stored:
            dying.setattr(gateway, "create_intent", dies_at_the_second)
        else:
            dying.setattr(keys, "next_key", killed)
        payments.start(order_id)
    session.rollback()
    assert one(Payment).key_attempt == (2 if is_stored else 1)

    payments.start(order_id)

    (intent,) = at_stripe(stripe, "payment_intent")
    assert (one(Payment).intent_id, one(Payment).key_attempt) == (intent["id"], 2)


def test_callers_together_use_one_intent(
    live_database: str, stripe: stripe_rig.Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stripe_client, "_BACK_OFF", tenacity.wait_fixed(0.5))  # the key is in use
    order_id = Cast().unpaid_order.id
    session.remove()
    fail(stripe, CREATE, times=2)
    barrier = threading.Barrier(4)
    secrets: list[str] = []

    def start() -> None:
        with acting_as(SYSTEM):
            barrier.wait()
            secrets.append(payments.start(order_id).client_secret)
        session.remove()

    threads = [threading.Thread(target=start) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    payable = [
        intent["client_secret"]
        for intent in at_stripe(stripe, "payment_intent")
        if intent["status"] != "canceled"
    ]
    assert len(secrets) == 4
    assert set(secrets) == set(payable)


def test_second_intent_of_a_payment_is_cancelled(cast: Cast, stripe: stripe_rig.Rig) -> None:
    payments.start(cast.unpaid_order.id)
    payment = one(Payment)
    second = stripe.intent(payment.amount_minor, metadata={"payment": payment.key})

    run = payments.reconcile_all(days=1)

    assert [difference["done"] for difference in run.differences] == ["superseded, canceled"]
    assert stripe.client.v1.payment_intents.retrieve(second.id).status == "canceled"
    assert payments.reconcile_all(days=1).differences == []
    assert one(Payment).status == "started"


@DONE_OR_NOT
def test_key_used_with_other_parameters_is_replaced(
    cast: Cast, stripe: stripe_rig.Rig, is_done: bool
) -> None:
    order = cast.unpaid_order
    with transaction():
        payment = attempts.open_payment(orders.lock(order.id), capture="automatic")
    mine = {"payment": payment.key if is_done else "of nobody"}
    made = stripe.client.v1.payment_intents.create(
        {"amount": payment.amount_minor, "currency": "eur", "description": "x", "metadata": mine},
        {"idempotency_key": payment.key},
    )

    payments.start(order.id)

    assert (one(Payment).intent_id == made.id) is is_done
    assert one(Payment).status == "started"


def test_intent_older_than_its_key_is_found(cast: Cast, stripe: stripe_rig.Rig) -> None:
    order = cast.unpaid_order
    with transaction() as current:
        payment = attempts.open_payment(orders.lock(order.id), capture="automatic")
        long_ago = clock.now() - timedelta(days=2)
        current.execute(update(Payment).values(created_at=long_ago))
    session.expire_all()
    made = stripe.intent(payment.amount_minor, metadata={"payment": payment.key})

    payments.start(order.id)

    assert one(Payment).intent_id == made.id
    assert len(at_stripe(stripe, "payment_intent")) == 1


@pytest.mark.parametrize("error", ["rate_limit", "lock_timeout", "unavailable"])
def test_passing_refusals_are_retried_under_the_key(
    cast: Cast, stripe: stripe_rig.Rig, error: str
) -> None:
    order = cast.unpaid_order
    fail(stripe, CREATE, error, times=2)
    pay_at_stripe(order.id, stripe)
    refund = requested(order.id)
    fail(stripe, REFUND, error, times=2)

    payments.send_refund(refund.id)

    assert (one(Payment).key_attempt, one(Refund).key_attempt) == (1, 1)
    assert one(Refund).status == "done"


def test_retries_end_when_stripe_asks_to_wait_long(cast: Cast, stripe: stripe_rig.Rig) -> None:
    fail(stripe, CREATE, "rate_limit", times=5, retry_after_s=600)

    with pytest.raises(Unavailable, match="busy"):
        payments.start(cast.unpaid_order.id)

    assert stripe.call("GET", "/_control")[1]["fail"][0]["times"] == 4


def test_retries_end_after_some(cast: Cast, stripe: stripe_rig.Rig) -> None:
    fail(stripe, CREATE, "lock_timeout", times=100)

    with pytest.raises(Unavailable, match="busy"):
        payments.start(cast.unpaid_order.id)

    left = stripe.call("GET", "/_control")[1]["fail"][0]["times"]
    assert left == 100 - stripe_client.FOR_PEOPLE.tries
    assert orders.by_id(cast.unpaid_order.id).status == "pending"


def test_key_in_use_is_not_given_up(cast: Cast, stripe: stripe_rig.Rig) -> None:
    in_use = {"type": "idempotency_error", "code": "idempotency_key_in_use"}
    fail(stripe, CREATE, "lock_timeout", times=stripe_client.FOR_PEOPLE.tries, **in_use)

    with pytest.raises(Unavailable, match="busy"):
        payments.start(cast.unpaid_order.id)

    assert one(Payment).key_attempt == 1


def test_unconfirmed_refund_opens_a_task_until_sent(cast: Cast, stripe: stripe_rig.Rig) -> None:
    order = cast.unpaid_order
    pay_at_stripe(order.id, stripe)
    refund = requested(order.id)
    with transaction() as current:
        current.execute(update(Refund).values(requested_at=clock.now() - timedelta(hours=2)))
    fail(stripe, REFUND, "unavailable", times=100)

    payments.reconcile_refunds()
    payments.reconcile_refunds()

    task = one(Task)
    assert (task.kind, task.closed_at, task.order_id) == ("refund_stuck", None, order.id)
    assert "Stripe has not confirmed it" in task.sentence
    stripe.control(reset=True)
    payments.reconcile_refunds()
    assert one(Task).closed_at is not None
    assert session.get_one(Refund, refund.id).status == "done"


def test_refund_pending_for_weeks_opens_a_task(cast: Cast) -> None:
    refund = requested(cast.paid_order.id)
    with transaction() as current:
        long_ago = clock.now() - timedelta(days=15)
        current.execute(
            update(Refund).values(requested_at=long_ago, status="sent", stripe_id="re_1")
        )
        session.expire_all()
    with transaction():
        assert refund_news.report_stuck_refunds() == 1

    with transaction():
        refund_news.apply_refund(refund.id, people.sent(refund, "pending"))
    assert "has been pending at Stripe since" in one(Task).sentence
    assert one(Task).closed_at is None
    with transaction():
        refund_news.apply_refund(refund.id, people.sent(refund))

    assert one(Task).closed_at is not None
    assert payments.open_tasks() == []


def test_refused_refunds_do_not_stop_the_others(cast: Cast, stripe: stripe_rig.Rig) -> None:
    order = cast.unpaid_order
    pay_at_stripe(order.id, stripe)
    for _ in range(closing.MAX_FAILURES + 1):
        with transaction():
            payments.request_refund(
                orders.lock(order.id), payments.Wanted(amount_minor=100), reason="goodwill"
            )
    with transaction() as current:
        current.execute(update(Refund).values(requested_at=clock.now() - timedelta(hours=2)))
    fail(stripe, REFUND, times=closing.MAX_FAILURES * keys.MAX_KEYS)

    payments.reconcile_refunds()

    statuses = session.scalars(select(Refund.status).order_by(Refund.id)).all()
    assert statuses == ["requested"] * closing.MAX_FAILURES + ["done"]
