"""Whoever has a voucher can pay another way: the voucher is cancelled first, for good."""

from collections.abc import Iterator
from datetime import timedelta

import pytest

from shop import orders, payments
from shop.core import clock
from shop.core.db import session, transaction
from shop.core.errors import Unavailable
from shop.orders.models import Order
from shop.payments import intents, methods
from shop.payments import stripe_gateway as gateway
from tests import cast as people
from tests.cast import Cast
from tests.notifications.test_emails import emails, work
from tests.payments.test_each_method import confirm
from tests.tools import stripe_rig


@pytest.fixture
def order(cast: Cast, stripe: stripe_rig.Rig) -> Iterator[Order]:
    """An order whose customer has a Multibanco voucher."""
    methods.configure(["card", "multibanco"])
    made = cast.unpaid_order
    stripe.control(timers=False)
    started = payments.start(made.id)
    confirm(stripe, started, "multibanco")
    payments.sync_payment(started.payment_id)
    assert payments.has_voucher(made.id)
    yield made
    methods.configure(["card"])


def attempts(order: Order) -> list[tuple[str, str]]:
    session.expire_all()
    return [(one.status, one.method) for one in payments.of_order(order.id)]


def intent_of(order: Order) -> str:
    found = payments.latest(order.id)
    assert found is not None and found.intent_id is not None
    return found.intent_id


def test_order_is_paid_by_card_instead(order: Order, stripe: stripe_rig.Rig) -> None:
    reserved_until = order.expires_at

    payments.cancel_voucher(order.id)
    payments.cancel_voucher(order.id)

    now = orders.by_id(order.id)
    assert not payments.has_voucher(order.id)
    assert timedelta(hours=71) < now.expires_at - clock.now() < timedelta(hours=73)
    assert now.expires_at < reserved_until
    again = payments.start(order.id)
    confirm(stripe, again, "card")
    payments.sync_payment(again.payment_id)
    assert orders.by_id(order.id).payment_status == "paid"
    assert attempts(order) == [("cancelled", "multibanco"), ("succeeded", "card")]
    work()
    assert [email.kind for email in emails()] == ["receipt"]


def test_cancelled_voucher_is_not_offered_again(order: Order, stripe: stripe_rig.Rig) -> None:
    payments.cancel_voucher(order.id)

    payments.start(order.id)

    intent = stripe.client.v1.payment_intents.retrieve(intent_of(order))
    assert intent.payment_method_types == ["card"]


def test_voucher_is_offered_again_without_other_methods(
    order: Order, stripe: stripe_rig.Rig
) -> None:
    payments.cancel_voucher(order.id)
    methods.configure(["multibanco"])

    payments.start(order.id)

    intent = stripe.client.v1.payment_intents.retrieve(intent_of(order))
    assert intent.payment_method_types == ["multibanco"]


def test_ended_voucher_is_followed_by_another_method(order: Order, stripe: stripe_rig.Rig) -> None:
    stripe.control("/payment", payment_intent=intent_of(order), outcome="expire")
    payments.sync_order(order.id)
    deadline = orders.by_id(order.id).expires_at

    work()
    payments.start(order.id)

    intent = stripe.client.v1.payment_intents.retrieve(intent_of(order))
    assert attempts(order) == [("cancelled", "multibanco"), ("started", "")]
    assert intent.payment_method_types == ["card"]
    assert orders.by_id(order.id).expires_at == deadline
    assert [email.kind for email in emails()] == ["payment_failed"]


def test_paying_again_does_not_wait_for_the_worker(order: Order, stripe: stripe_rig.Rig) -> None:
    stripe.control("/payment", payment_intent=intent_of(order), outcome="expire")
    payments.sync_order(order.id)

    started = payments.start(order.id)
    work()

    assert attempts(order) == [("cancelled", "multibanco"), ("started", "")]
    confirm(stripe, started, "card")
    payments.sync_payment(started.payment_id)
    assert orders.by_id(order.id).payment_status == "paid"


def test_ended_voucher_can_be_renewed_without_other_methods(order: Order) -> None:
    methods.configure(["multibanco"])
    payment = payments.latest(order.id)
    assert payment is not None
    with transaction():
        payment.voucher_url = payment.voucher_reference = ""
        payment.failure = "The voucher has expired."

    payments.give_up_voucher(payment.id)

    assert attempts(order) == [("started", "multibanco")]


def test_voucher_paid_at_the_same_time_counts(order: Order, stripe: stripe_rig.Rig) -> None:
    stripe.control("/payment", payment_intent=intent_of(order), outcome="succeed")

    assert payments.cancel_voucher(order.id) == "paid"

    assert orders.by_id(order.id).status == "confirmed"


def test_voucher_whose_money_is_on_its_way_counts(order: Order, stripe: stripe_rig.Rig) -> None:
    stripe.control("/payment", payment_intent=intent_of(order), outcome="process")

    assert payments.cancel_voucher(order.id) == "processing"

    assert orders.by_id(order.id).payment_status == "processing"


def test_money_of_a_cancelled_voucher_is_refunded(order: Order, stripe: stripe_rig.Rig) -> None:
    voucher = payments.latest(order.id)
    assert voucher is not None
    payments.cancel_voucher(order.id)
    again = payments.start(order.id)
    confirm(stripe, again, "card")
    payments.sync_payment(again.payment_id)

    with transaction():
        late = people.intent(voucher, method="multibanco", charge_id="py_late")
        assert intents.apply_intent(voucher.id, late) == "paid twice"

    (refund,) = payments.refunds_of(order.id)
    assert (refund.payment_id, refund.amount_minor) == (voucher.id, order.total_minor)


def test_nothing_changes_while_stripe_is_away(
    order: Order, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = orders.by_id(order.id).expires_at

    def is_away(_: str) -> None:
        raise Unavailable("The payment service does not answer.")

    monkeypatch.setattr(gateway, "cancel_intent", is_away)

    with pytest.raises(Unavailable):
        payments.cancel_voucher(order.id)

    assert payments.has_voucher(order.id)
    assert orders.by_id(order.id).expires_at == before


def test_expired_voucher_order_is_not_called_cancelled(order: Order) -> None:
    with transaction():
        order.expires_at = clock.now() - timedelta(minutes=1)

    assert payments.expire_unpaid() == 1

    types = [entry.type for entry in orders.timeline(order.id)]
    assert "OrderExpired" in types and "VoucherCancelled" not in types
