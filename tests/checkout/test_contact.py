"""Who orders, and where it goes."""

import pytest

from shop import cart as carts
from shop import checkout
from shop.checkout import NoShipping
from shop.core.db import transaction
from tests import cast as people
from tests.cast import Cast


def test_no_arrival_date_where_we_cannot_ship(cast: Cast) -> None:
    with transaction():
        cart = carts.open_cart()

    with pytest.raises(NoShipping), transaction():
        checkout.set_contact(
            cart, email="ada@example.com", address=people.ADDRESS | {"country": "BR"}
        )
