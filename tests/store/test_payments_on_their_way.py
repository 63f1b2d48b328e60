"""Payments that take days, as their customers see them: on the way, voucher, failed, expired."""

from datetime import datetime, timedelta

import pytest
from flask.testing import FlaskClient

from shop import checkout, orders, payments
from shop.core import clock, db
from shop.core.errors import Unavailable
from shop.payments import intents, methods
from shop.payments import stripe_gateway as gateway
from shop.payments.stripe_objects import Voucher
from shop.store.orders import IF_IT_ARRIVES
from tests import cast as people
from tests.cast import Cast
from tests.store.test_checkout import FakeStripe, back_from, fill, place
from tests.store.test_checkout import stripe as stripe
from tests.store.test_orders import link

REASON = "The customer's account has insufficient funds to cover this payment."


@pytest.fixture
def payment(cast: Cast) -> payments.Payment:
    return people.attempt(cast.unpaid_order)


def becomes(payment: payments.Payment, status: str, **facts: object) -> orders.Order:
    """Stripe's answer is now this; returns the order as it is then."""
    facts.setdefault("method", "sepa_debit")
    with db.transaction():
        intents.apply_intent(payment.id, people.intent(payment, status, **facts))
    return orders.by_id(payment.order_id)


def voucher(payment: payments.Payment, method: str = "multibanco") -> orders.Order:
    given = Voucher("https://payments.stripe.com/v/1", "21800 123 456", ends())
    return becomes(payment, "requires_action", method=method, voucher=given)


def ends() -> datetime:
    return clock.now() + timedelta(days=5)


@pytest.mark.parametrize(
    ("method", "words"),
    [
        ("sepa_debit", "Payment on its way; your bank needs 2 to 5 working days, rarely up to 14."),
        ("multibanco", "Payment on its way; your bank may need several days to confirm it."),
        ("oxxo", "Payment on its way; the store confirms it by the next working day."),
        ("klarna", "Payment on its way; this usually takes a few minutes."),
    ],
)
def test_processing_order_says_what_it_waits_for(
    browser: FlaskClient, payment: payments.Payment, method: str, words: str
) -> None:
    order = becomes(payment, "processing", method=method)

    page = browser.get(link(order)).text

    assert f"{words} Nothing more to do." in page
    assert "Payment processing" in page
    assert "Pay now" not in page and "not paid yet" not in page


def test_processing_order_can_be_cancelled_with_true_words(
    browser: FlaskClient, payment: payments.Payment
) -> None:
    order = becomes(payment, "processing")
    page = browser.get(link(order)).text
    assert str(IF_IT_ARRIVES) in page

    browser.post(f"/orders/{order.number}/cancel", data={"token": order.token})
    page = browser.get(link(order)).text

    assert f"Your order is cancelled. {IF_IT_ARRIVES}" in page
    assert "Cancelled" in page and "on its way" not in page.partition("order-state")[2][:300]


def test_unpaid_order_is_cancelled_without_a_promise(
    browser: FlaskClient, payment: payments.Payment
) -> None:
    order = orders.by_id(payment.order_id)

    assert str(IF_IT_ARRIVES) not in browser.get(link(order)).text
    browser.post(f"/orders/{order.number}/cancel", data={"token": order.token})

    assert "Your order is cancelled. Nothing was charged." in browser.get(link(order)).text


def test_voucher_is_shown_again(browser: FlaskClient, payment: payments.Payment) -> None:
    order = voucher(payment)

    for _ in range(2):
        page = browser.get(link(order)).text
        assert "Pay with Multibanco" in page and "21800 123 456" in page
        assert 'href="https://payments.stripe.com/v/1"' in page
        assert f"{ends().astimezone(checkout.terms().zone):%-d %B %Y, %H:}" in page
        assert "Pay now" not in page
        assert str(IF_IT_ARRIVES) in page


def switch(browser: FlaskClient, order: orders.Order) -> str:
    """Press “Pay another way” on the order's page; returns where that leads."""
    page = browser.get(link(order)).text
    assert "Pay another way" in page and "/checkout/payment/another-way" in page
    answer = browser.post(
        "/checkout/payment/another-way", data={"order": order.number, "token": order.token}
    )
    assert answer.status_code == 303
    return str(answer.location)


def test_voucher_is_cancelled_for_another_way(
    browser: FlaskClient,
    payment: payments.Payment,
    stripe: FakeStripe,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    order = voucher(payment)
    gone = people.intent(payment, "canceled", is_given_up=True)
    monkeypatch.setattr(gateway, "cancel_intent", lambda _: gone)

    address = switch(browser, order)

    form = browser.get(address).text
    assert "data-client-secret" in form
    assert "The voucher is cancelled. Please do not pay it any more." in form
    assert ">Change</a>" not in form  # of its cart nothing is left
    page = browser.get(link(order)).text
    assert "Pay with Multibanco" not in page and "Pay now" in page
    assert "The voucher was cancelled, so that you can pay another way" in page


def test_only_way_to_pay_is_not_swapped(browser: FlaskClient, payment: payments.Payment) -> None:
    order = voucher(payment)
    methods.configure(["multibanco"])

    page = browser.get(link(order)).text

    methods.configure(["card"])
    assert "Pay with Multibanco" in page and "Pay another way" not in page


def test_paid_voucher_leads_to_the_order(
    browser: FlaskClient, payment: payments.Payment, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = voucher(payment)
    monkeypatch.setattr(gateway, "cancel_intent", lambda _: people.intent(payment))

    address = switch(browser, order)

    answer = browser.get(address)
    assert (answer.status_code, answer.location) == (303, link(order))
    assert "Paid" in browser.get(answer.location).text


def test_voucher_stays_while_stripe_is_away(
    browser: FlaskClient, payment: payments.Payment, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = voucher(payment)

    def is_away(_: str) -> None:
        raise Unavailable("The payment service does not answer.")

    monkeypatch.setattr(gateway, "cancel_intent", is_away)

    page = browser.get(switch(browser, order)).text

    assert "The payment service does not answer." in page and "Pay with Multibanco" in page


def test_attempt_cancelled_at_stripe_can_be_begun_again(
    browser: FlaskClient, payment: payments.Payment, stripe: FakeStripe
) -> None:
    becomes(payment, "processing")
    order = becomes(payment, "canceled")
    address = f"/checkout/payment?order={order.number}&token={order.token}"
    page = browser.get(address).text
    assert "The last payment for this order was cancelled" in page

    browser.post("/checkout/payment", data={"order": order.number, "token": order.token})

    assert "data-client-secret" in browser.get(address).text


def test_open_cart_of_the_order_can_be_changed(
    browser: FlaskClient, cast: Cast, stripe: FakeStripe
) -> None:
    fill(browser, cast)

    assert ">Change</a>" in browser.get(place(browser)).text


def test_voucher_disappears_once_paid(browser: FlaskClient, payment: payments.Payment) -> None:
    voucher(payment)

    order = becomes(payment, "succeeded", method="multibanco")

    page = browser.get(link(order)).text
    assert "Pay with Multibanco" not in page and "Paid" in page


def test_cancelled_voucher_must_not_be_paid(
    browser: FlaskClient, payment: payments.Payment
) -> None:
    order = voucher(payment)

    browser.post(f"/orders/{order.number}/cancel", data={"token": order.token})

    page = browser.get(link(order)).text
    assert f"Please do not pay the voucher any more. {IF_IT_ARRIVES}" in page


def test_failed_debit_can_be_paid_again_until_when(
    browser: FlaskClient, payment: payments.Payment
) -> None:
    becomes(payment, "processing")
    order = becomes(payment, "requires_payment_method", failure=REASON, failure_reference="py_1")

    page = browser.get(link(order)).text

    until = order.expires_at.astimezone(checkout.terms().zone)
    assert "Your payment did not arrive." in page
    assert "Your account has insufficient funds to cover this payment." in page
    assert f"{until:%-d %B %Y, %H:%M}" in page
    assert f"/checkout/payment?order={order.number}&amp;token={order.token}" in page
    form = browser.get(f"/checkout/payment?order={order.number}&token={order.token}").text
    assert "data-client-secret" in form
    assert f"{until:%-d %B %Y, %H:%M}" in form


def test_failed_debit_expires_with_words(browser: FlaskClient, payment: payments.Payment) -> None:
    becomes(payment, "processing")
    order = becomes(payment, "requires_payment_method", failure=REASON, failure_reference="py_1")
    with clock.freeze(order.expires_at + timedelta(seconds=1)):
        with db.transaction():
            orders.expire(orders.lock(order.id))

        page = browser.get(link(order)).text

    assert "Your payment did not arrive in time, so this order has expired." in page
    assert "Nothing was charged" in page


@pytest.mark.parametrize("wait", ["processing", "voucher"])
def test_payment_page_of_a_waiting_order_redirects(
    browser: FlaskClient, payment: payments.Payment, wait: str
) -> None:
    order = becomes(payment, "processing") if wait == "processing" else voucher(payment)

    answer = browser.get(f"/checkout/payment?order={order.number}&token={order.token}")

    assert (answer.status_code, answer.location) == (303, link(order))


@pytest.mark.parametrize("wait", ["processing", "voucher"])
def test_return_page_thanks_for_the_order(
    browser: FlaskClient, cast: Cast, stripe: FakeStripe, wait: str
) -> None:
    fill(browser, cast)
    address = place(browser)
    given = Voucher("https://payments.stripe.com/v/1", "21800 123 456", ends())
    if wait == "processing":
        stripe.become(status="processing", method="sepa_debit", asked_at=clock.now())
    else:
        stripe.become(status="requires_action", method="oxxo", voucher=given, asked_at=clock.now())

    answer = browser.get(back_from(address))

    assert answer.status_code == 303 and "thanks=1" in answer.location
    page = browser.get(answer.location).text
    assert "Thank you, Ada Lovelace" in page
    assert "Order placed. We sent the details to <strong>ada@example.com</strong>" in page
    assert "Your cart is empty" in browser.get("/cart").text


def test_refused_redirect_leads_back_with_the_reason(
    browser: FlaskClient, cast: Cast, stripe: FakeStripe
) -> None:
    fill(browser, cast)
    address = place(browser)
    stripe.become(
        failure="The customer has refused it", failure_reference="py_1", asked_at=clock.now()
    )

    answer = browser.get(back_from(address))

    assert "/checkout/payment" in answer.location
    assert "The customer has refused it. " in browser.get(answer.location).text.replace(
        "</strong>", ""
    )


def test_account_lists_payments_on_their_way(browser: FlaskClient, cast: Cast) -> None:
    payment = people.attempt(people.order(cast.mug, customer_id=cast.ada.id))
    order = becomes(payment, "processing")
    browser.post("/account/login", data={"email": cast.ada.email, "password": people.PASSWORD})

    page = browser.get("/account/orders").text

    assert order.number in page
    assert "Payment processing" in page and "Nothing more to do" in page


def test_payment_form_knows_the_billing_details(
    browser: FlaskClient, payment: payments.Payment
) -> None:
    order = orders.by_id(payment.order_id)

    page = browser.get(f"/checkout/payment?order={order.number}&token={order.token}").text

    assert "&#34;email&#34;: &#34;ada@example.com&#34;" in page
    assert "&#34;country&#34;: &#34;DE&#34;" in page
