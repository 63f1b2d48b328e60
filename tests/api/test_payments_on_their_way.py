"""Payments that take days, through the API."""

from datetime import timedelta

import pytest

from shop import orders, payments
from shop.core import clock
from shop.core.db import transaction
from shop.payments import intents
from shop.payments import stripe_gateway as gateway
from shop.payments.stripe_objects import Voucher
from tests import cast as people
from tests.api.conftest import Program
from tests.cast import Cast


def order_that(cast: Cast, status: str, **facts: object) -> orders.Order:
    payment = people.attempt(cast.unpaid_order)
    with transaction():
        intents.apply_intent(payment.id, people.intent(payment, status, **facts))
    return orders.by_id(payment.order_id)


def test_customer_sees_the_processing_payment(guest: Program, cast: Cast) -> None:
    order = order_that(cast, "processing", method="sepa_debit")

    answer = guest.get(f"orders/{order.number}?token={order.token}").json

    assert (answer["status"], answer["payment_status"]) == ("pending", "processing")
    assert answer["status_label"] == "Payment processing"
    assert answer["payment"]["method"] == "sepa_debit"
    assert answer["payment"]["status"] == "processing"


def test_customer_sees_the_voucher(guest: Program, cast: Cast) -> None:
    ends = clock.now() + timedelta(days=5)
    given = Voucher("https://payments.stripe.com/v/1", "21800 123 456", ends)
    order = order_that(cast, "requires_action", method="multibanco", voucher=given)

    shown = guest.get(f"orders/{order.number}?token={order.token}").json["payment"]

    assert (shown["voucher_url"], shown["voucher_reference"]) == (given.url, given.reference)
    assert shown["voucher_expires_at"][:16] == ends.isoformat()[:16]


def test_unpaid_order_has_no_payment_yet(guest: Program, cast: Cast) -> None:
    order = cast.unpaid_order

    assert guest.get(f"orders/{order.number}?token={order.token}").json["payment"] is None


def test_processing_is_a_documented_filter(guest: Program) -> None:
    document = guest.get("openapi.json").json

    parameters = document["paths"]["/api/v1/orders"]["get"]["parameters"]
    (status,) = [one for one in parameters if one.get("name") == "payment_status"]
    assert "processing" in status["schema"]["enum"]
    described = document["components"]["schemas"]["Order"]["properties"]
    assert "payment" in described
    assert "takes days" in described["payment_status"]["description"]


def test_payment_cannot_be_started_twice(guest: Program, cast: Cast) -> None:
    order = order_that(cast, "processing", method="sepa_debit")

    answer = guest.post(f"orders/{order.number}/payment-intent?token={order.token}")

    assert answer.status_code == 409
    assert "on its way" in answer.json["detail"]


def test_voucher_is_cancelled_to_pay_another_way(
    guest: Program, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = Voucher("https://payments.stripe.com/v/1", "21800", clock.now() + timedelta(days=5))
    order = order_that(cast, "requires_action", method="multibanco", voucher=given)
    attempt = payments.latest(order.id)
    assert attempt is not None
    gone = people.intent(attempt, "canceled", is_given_up=True)
    made = people.intent(
        attempt, "requires_payment_method", id="pi_new", client_secret="new_secret"
    )
    monkeypatch.setattr(gateway, "cancel_intent", lambda _: gone)
    monkeypatch.setattr(gateway, "create_intent", lambda **_: made)
    path = f"orders/{order.number}/payment-intent?token={order.token}"

    answer = guest.post(f"{path}&cancel_voucher=true")

    assert (answer.status_code, answer.json["client_secret"]) == (200, "new_secret")
    assert guest.post(path).json["client_secret"] == "new_secret"
    shown = guest.get(f"orders/{order.number}?token={order.token}").json
    assert (shown["payment"]["status"], shown["payment"]["voucher_url"]) == ("started", "")
