"""Whose cart a token opens."""

from shop import cart
from shop.core.db import transaction
from tests.cast import Cast


def test_foreign_cart_is_not_found_by_its_token(cast: Cast) -> None:
    ada = cast.ada
    with transaction():
        own = cart.open_cart(ada.id)

    assert cart.find(own.token) is None
    assert cart.find(own.token, ada.id) is not None
