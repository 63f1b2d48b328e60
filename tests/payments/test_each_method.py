"""Each method that can be switched on, from the order to its end, against the stand-in."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

import pytest

from shop import checkout, orders, payments
from shop.core.db import transaction
from shop.payments import methods, syncing
from tests import cast as people
from tests.cast import ADDRESS, Cast
from tests.tools import stripe_rig

BILLING = {"name": "Ada Lovelace", "email": "fill_never@example.com"}
OWN: dict[str, dict[str, str]] = {
    "card": {"card[number]": "4242424242424242", "card[exp_month]": "12", "card[exp_year]": "40",
             "card[cvc]": "123"},
    "sepa_debit": {"sepa_debit[iban]": "DE08370400440532013003"},
}  # fmt: skip
# How the order stands when the customer has done their part.
AFTER = {
    "card": "paid", "link": "paid", "ideal": "unpaid", "bancontact": "unpaid", "klarna": "unpaid",
    "sepa_debit": "processing", "multibanco": "voucher", "konbini": "voucher", "oxxo": "voucher",
}  # fmt: skip
PLACES = {"konbini": ("JPY", "JP"), "oxxo": ("MXN", "MX")}


@pytest.fixture
def every_method() -> Iterator[None]:
    terms = checkout.terms()
    methods.configure(tuple(methods.PaymentMethod))
    yield
    methods.configure(["card"])
    checkout.configure(terms)


def order_for(cast: Cast, method: str) -> orders.Order:
    """An order in the currency of this method."""
    currency, _country = PLACES.get(method, ("EUR", "DE"))
    checkout.configure(replace(checkout.terms(), currency=currency))
    cart = people.filled_cart(cast.mug)
    with transaction():
        return checkout.place_order(cart.id, billing_address=ADDRESS)


def confirm(rig: stripe_rig.Rig, started: payments.Started, method: str) -> dict[str, Any]:
    """What the payment form sends to Stripe."""
    data = {"key": "pk_test_standin", "client_secret": started.client_secret}
    data |= {"return_url": "http://localhost/back", "payment_method_data[type]": method}
    for name, value in OWN.get(method, {}).items():
        head, _, rest = name.partition("[")
        data[f"payment_method_data[{head}][{rest}"] = value
    if method != "card":
        for name, value in BILLING.items():
            data[f"payment_method_data[billing_details][{name}]"] = value
        data["payment_method_data[billing_details][address][country]"] = "DE"
    if method == "sepa_debit":
        data["mandate_data[customer_acceptance][type]"] = "online"
        data["mandate_data[customer_acceptance][online][infer_from_client]"] = "true"
    intent_id = started.client_secret.partition("_secret_")[0]
    status, answer = rig.call(
        "POST", f"/v1/payment_intents/{intent_id}/confirm", urlencode(data).encode()
    )
    assert status == 200, answer
    return dict(answer)


@pytest.mark.parametrize("method", AFTER)
def test_method_works_to_the_end(
    cast: Cast, stripe: stripe_rig.Rig, every_method: None, method: str
) -> None:
    order = order_for(cast, method)
    stripe.control(timers=False)

    started = payments.start(order.id)
    intent = confirm(stripe, started, method)
    payments.sync_payment(started.payment_id)

    attempt = payments.latest(order.id)
    assert attempt is not None
    after = "voucher" if attempt.voucher_url else orders.by_id(order.id).payment_status
    assert after == AFTER[method]
    if method not in {"ideal", "bancontact", "klarna"}:
        assert attempt.method == method
    if AFTER[method] != "paid":
        stripe.control("/payment", payment_intent=intent["id"], outcome="succeed")
        payments.sync_payment(started.payment_id)
    paid = orders.by_id(order.id)
    assert (paid.status, paid.payment_status) == ("confirmed", "paid")
    assert payments.latest(order.id).method == method
    with transaction():
        payments.cancel_order(orders.lock(order.id), reason="customer")
    (refund,) = payments.refunds_of(order.id)
    payments.send_refund(refund.id)
    if refund.status != "done":  # of money that did not come from a card
        stripe.control("/refund", refund=refund.stripe_id, status="succeeded")
        syncing.sync_refund(refund.stripe_id or "")
    assert orders.by_id(order.id).payment_status == "refunded"


@pytest.mark.parametrize(
    ("method", "outcome"),
    [
        ("sepa_debit", "fail"), ("ideal", "fail"), ("bancontact", "fail"), ("klarna", "fail"),
        ("multibanco", "expire"), ("konbini", "expire"), ("oxxo", "expire"),
    ],
)  # fmt: skip
def test_failed_method_leaves_the_order_payable(
    cast: Cast, stripe: stripe_rig.Rig, every_method: None, method: str, outcome: str
) -> None:
    order = order_for(cast, method)
    stripe.control(timers=False)
    started = payments.start(order.id)
    intent = confirm(stripe, started, method)
    payments.sync_payment(started.payment_id)

    stripe.control("/payment", payment_intent=intent["id"], outcome=outcome)
    payments.sync_payment(started.payment_id)

    failed = orders.by_id(order.id)
    assert (failed.status, failed.payment_status) == ("pending", "unpaid")
    again = payments.start(order.id)
    confirm(stripe, again, "card")
    payments.sync_payment(again.payment_id)
    paid = orders.by_id(order.id)
    assert (paid.status, paid.payment_status) == ("confirmed", "paid")
