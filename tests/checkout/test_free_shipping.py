"""From which value shipping is free, before or after discounts: the same rule everywhere."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from shop import cart as carts
from shop import checkout
from shop.checkout import FreeShippingCounts
from shop.core.db import transaction
from shop.discounts import CodeRefused
from tests.cast import Cast, filled_cart
from tests.discounts.offers import offer

LIMIT = 6000  # "Standard delivery", 4.90, in the defaults of a new shop


@pytest.fixture
def rule(request: pytest.FixtureRequest) -> Iterator[FreeShippingCounts]:
    """The shop's terms with the rule that the test names."""
    before = checkout.terms()
    checkout.configure(replace(before, free_shipping_counts=request.param))
    checkout.clear_cache()
    yield request.param
    checkout.configure(before)


BOTH = pytest.mark.parametrize("rule", list(FreeShippingCounts), indirect=True)


@BOTH
def test_order_uses_the_free_shipping_rule(cast: Cast, rule: FreeShippingCounts) -> None:
    offer("Quarter", value=2500)
    cart = filled_cart(cast.mug, 4)
    with transaction():
        view = carts.view(cart)
        quoted, _, _ = checkout.quote(view)
        offered = {option.code: priced for option, priced in checkout.quotes(view)}
        order = checkout.place_order(cart.id, seen_total_minor=quoted.total_minor)

    assert order.subtotal_minor >= LIMIT > order.subtotal_minor - order.discount_minor
    expected = 490 if rule is FreeShippingCounts.AFTER_DISCOUNTS else 0
    assert (order.shipping_minor, quoted.shipping_minor) == (expected, expected)
    assert offered["standard"].shipping_minor == expected
    assert offered["express"].shipping_minor == 1290


@BOTH
def test_free_shipping_code_follows_the_rule(cast: Cast, rule: FreeShippingCounts) -> None:
    offer("Quarter", value=2500)
    offer("Sent free", code="SENTFREE", kind="free_shipping", value=0)
    cart = filled_cart(cast.mug, 4)

    if rule is FreeShippingCounts.BEFORE_DISCOUNTS:
        with pytest.raises(CodeRefused, match=r"Shipping is already free\."), transaction():
            checkout.apply_code(cart, "SENTFREE")
        return
    with transaction():
        saved = checkout.apply_code(cart, "SENTFREE")
        quoted, _, _ = checkout.quote(carts.view(cart))
    assert saved is not None and saved.shipping_minor == 490
    assert (quoted.shipping_minor, quoted.total_minor) == (0, 5700)


@BOTH
def test_limit_itself_is_free_shipping(cast: Cast, rule: FreeShippingCounts) -> None:
    with transaction():
        at, below = (
            {option.code: option.price_minor for option in checkout.shipping_options("DE", goods)}
            for goods in (LIMIT, LIMIT - 1)
        )

    assert (at["standard"], below["standard"]) == (0, 490)
