"""Payments that take days, as staff see them: tab, badge, filter, page, timeline, cancelling."""

from datetime import timedelta

import pytest
from flask import Flask

from shop import orders, payments
from shop.core import clock
from shop.core.db import transaction
from shop.payments import intents
from shop.payments.stripe_objects import Voucher
from tests import cast as people
from tests.admin.desk import Desk, sit
from tests.admin.test_orders import kept
from tests.cast import Cast


@pytest.fixture
def owner(app: Flask, cast: Cast) -> Desk:
    return sit(app, "Owner")


def order_that(cast: Cast, status: str, **facts: object) -> orders.Order:
    """An order whose payment is in this state at Stripe."""
    payment = people.attempt(cast.unpaid_order)
    facts.setdefault("method", "sepa_debit")
    with transaction():
        intents.apply_intent(payment.id, people.intent(payment, status, card_last4="", **facts))
    return kept(orders.by_id(payment.order_id))


def test_processing_has_a_tab_and_a_badge(owner: Desk, cast: Cast) -> None:
    order = order_that(cast, "processing")

    page = owner.text("/admin/orders/list/?tab=payment_processing")

    assert order.number in page
    assert '<span class="pill pill-info">Payment processing</span>' in page
    assert order.number not in owner.text("/admin/orders/list/?tab=unpaid")
    assert order.number in owner.text("/admin/orders/list/?payment_status=processing")


def test_processing_page_says_what_it_waits_for(owner: Desk, cast: Cast) -> None:
    order = order_that(cast, "processing")

    page = owner.text(f"/admin/orders/show/{order.id}")

    assert "Payment processing by SEPA Direct Debit; the customer&#39;s bank needs 2 to 5" in page
    assert "<b>SEPA Direct Debit</b>" in page
    assert "Processing <small>last checked" in page
    assert "Payment processing: the money takes days to arrive" in page
    assert "If the money still arrives, it is refunded automatically." in page


def test_voucher_page_says_until_when(owner: Desk, cast: Cast) -> None:
    ends = clock.now() + timedelta(days=5)
    given = Voucher("https://payments.stripe.com/v/1", "21800 123 456", ends)
    order = order_that(cast, "requires_action", method="multibanco", voucher=given)

    page = owner.text(f"/admin/orders/show/{order.id}")

    assert "Waiting for a voucher to be paid: Multibanco, by" in page
    assert "21800 123 456" in page
    assert "Voucher issued; waiting for the customer to pay it" in page


def test_failed_debit_page_says_it_can_be_paid(owner: Desk, cast: Cast) -> None:
    order = order_that(cast, "processing")
    payment = payments.latest(order.id)
    assert payment is not None
    with transaction():
        intents.apply_intent(
            payment.id,
            people.intent(
                payment,
                "requires_payment_method",
                method="sepa_debit",
                failure="Insufficient funds.",
                failure_reference="py_1",
            ),
        )
    kept(order)

    page = owner.text(f"/admin/orders/show/{order.id}")

    assert "The payment did not arrive. The customer can pay again." in page
    assert "Insufficient funds." in page
    assert order.number in owner.text("/admin/orders/list/?tab=unpaid")
