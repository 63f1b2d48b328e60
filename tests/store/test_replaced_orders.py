"""What the pages of an order say that another order of the same cart took the place of."""

from flask.testing import FlaskClient

from shop import cart as carts
from shop import checkout
from shop.core.db import transaction
from shop.payments import intents
from tests import cast as people
from tests.cast import Cast


def test_replaced_order_links_to_its_successor(client: FlaskClient, cast: Cast) -> None:
    cart = people.filled_cart(cast.mug)
    with transaction():
        first = checkout.place_order(cart.id)
    paying = people.attempt(first)
    with transaction():
        carts.add(cart, cast.mug.id)
    with transaction():
        second = checkout.place_order(cart.id)

    page = client.get(f"/orders/{first.number}?token={first.token}").text
    assert f"order {second.number}</a> has taken its place" in page

    with transaction():
        intents.apply_intent(paying.id, people.intent(paying))
    page = client.get(f"/orders/{second.number}?token={second.token}").text
    assert f"order {first.number}</a> has taken its place" in page
    assert "Pay now" not in page
    payment = client.get(f"/checkout/payment?order={second.number}&token={second.token}")
    assert payment.status_code == 303
    assert "taken its place" not in client.get(f"/orders/{first.number}?token={first.token}").text
