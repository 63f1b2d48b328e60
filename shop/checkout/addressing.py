"""Another shipping address for an order that was placed: only where it costs the same."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from shop import orders
from shop.checkout.queries import shipping_options, tax_rates
from shop.core.errors import WrongState
from shop.core.i18n import gettext as _
from shop.customers import clean_address, country_names


def change_address(order: orders.Order, address: Mapping[str, Any]) -> None:
    """Send what of a locked order is still open to ``address``; the customer is emailed.

    Raises ``InvalidAddress`` naming every fault, ``WrongState`` for an order that is closed or
    shipped, or for a country where its tax or shipping would be another: what the customer agreed
    to pay stays; ``Invalid`` for the address that the order has.
    """
    cleaned = clean_address(address)
    if cleaned["country"] != order.shipping_address.get("country"):
        _check_costs_the_same(order, cleaned["country"])
    orders.change_address(order, cleaned)


def _check_costs_the_same(order: orders.Order, country: str) -> None:
    there = country_names()[country]
    options = shipping_options(country, order.subtotal_minor)
    if order.shipping_method not in {option.code for option in options}:
        raise WrongState(
            _(
                "%(method)s does not go to %(country)s, so shipping would have another price."
                " Cancel the order and have it placed again with this address.",
                method=order.shipping_method_name,
                country=there,
            ),
            field="country",
        )
    rates = tax_rates(country)
    for line in order.lines:
        rate = rates.get(line.tax_class, Decimal(0))
        if rate != line.tax_rate and line.cancelled < line.quantity:
            raise WrongState(
                _(
                    "In %(country)s the tax of %(item)s is %(there)s, and the customer paid"
                    " %(here)s. Cancel the order and have it placed again with this address.",
                    country=there,
                    item=line.name,
                    there=_percent(rate),
                    here=_percent(line.tax_rate),
                ),
                field="country",
            )


def _percent(rate: Decimal) -> str:
    return f"{(rate * 100).normalize():f} %"
