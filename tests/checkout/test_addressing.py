"""The shipping address of a placed order is changed, as long as it costs the same."""

from decimal import Decimal

import pytest

from shop import checkout, orders
from shop.checkout.models import ShippingMethod, TaxRate
from shop.core.db import session, transaction
from shop.core.errors import DomainError, Invalid, WrongState
from shop.customers import InvalidAddress
from tests import cast as people
from tests.cast import ADDRESS, Cast

VIENNA = ADDRESS | {"line1": "Ring 1", "city": "Wien", "postal_code": "1010", "country": "AT"}


def change(order: orders.Order, **changes: str) -> None:
    with transaction():
        checkout.change_address(orders.lock(order.id), ADDRESS | changes)


def rate_of(country: str, rate: str) -> None:
    with transaction():
        session.query(TaxRate).filter_by(country=country).update({"rate": Decimal(rate)})
    checkout.clear_cache()


def test_a_new_address_is_cleaned_and_told_with_the_old_one(cast: Cast) -> None:
    order = cast.paid_order
    version = order.version

    change(order, name="Ada Byron", line1=" Allee   7 ", postal_code="10119")

    event = orders.timeline(order.id)[-1]
    assert order.shipping_address["line1"] == "Allee 7"
    assert order.customer_name == "Ada Byron"
    assert order.version == version + 1
    assert event.type == "AddressChanged"
    assert "10119" not in str(event.payload)  # events stay; the audit can forget a person


def test_an_address_that_its_country_does_not_know_is_refused(cast: Cast) -> None:
    with pytest.raises(InvalidAddress) as refused:
        change(cast.paid_order, postal_code="1", line1="")

    assert refused.value.errors.keys() == {"postal_code", "line1"}


def test_the_address_it_has_is_refused(cast: Cast) -> None:
    with pytest.raises(Invalid, match="already"):
        change(cast.paid_order)


def test_a_country_with_another_tax_is_refused_with_both_rates(cast: Cast) -> None:
    order = cast.paid_order

    with pytest.raises(WrongState, match=r"In Austria the tax of Tidal mug is 20 %.*19 %"):
        change(order, **VIENNA)

    assert order.shipping_address["country"] == "DE"


def test_a_country_of_the_same_tax_and_method_is_taken(cast: Cast) -> None:
    order = cast.paid_order
    rate_of("AT", "0.19")

    change(order, **VIENNA)

    assert order.shipping_address["country"] == "AT"


def test_a_country_that_the_shipping_method_does_not_serve_is_refused(cast: Cast) -> None:
    order = cast.paid_order
    rate_of("AT", "0.19")
    with transaction():
        session.query(ShippingMethod).update({"countries": ["DE"]})
    checkout.clear_cache()

    with pytest.raises(WrongState, match="does not go to Austria"):
        change(order, **VIENNA)


def test_the_address_stays_once_everything_is_shipped(cast: Cast) -> None:
    order = cast.paid_order
    with transaction():
        orders.ship(orders.lock(order.id), {order.lines[0].id: 1})
    change(order, line1="Allee 7")
    with transaction():
        orders.ship(orders.lock(order.id))

    with pytest.raises(DomainError, match="Everything was shipped"):
        change(order, line1="Allee 8")


def test_the_address_of_a_closed_order_stays(cast: Cast) -> None:
    order = people.order(cast.lamp)
    people.expire(order)

    with pytest.raises(WrongState, match="This order is expired"):
        change(order, line1="Allee 7")
