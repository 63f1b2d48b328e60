"""Who orders, and where it goes."""

import pytest

from shop import cart, checkout
from shop.checkout import NoDelivery
from shop.core.db import transaction
from tests import cast as people
from tests.cast import Cast


def test_we_do_not_promise_delivery_where_we_cannot_send(cast: Cast) -> None:
    with transaction():
        basket = cart.open_cart()

    with pytest.raises(NoDelivery), transaction():
        checkout.set_contact(
            basket, email="ada@example.com", address=people.ADDRESS | {"country": "BR"}
        )
