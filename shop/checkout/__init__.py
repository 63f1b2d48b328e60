"""Checkout: a cart becomes an order, with a way to send it and the tax of where it goes.

Promise: the customer is charged exactly what was shown, or nothing; pressing twice orders once.
Leaves money to payments.
"""

from shop.checkout.errors import CartProblems, NoDelivery
from shop.checkout.operations import install_defaults, place_order, set_contact, set_method
from shop.checkout.queries import (
    ZONE,
    ShippingOption,
    Terms,
    configure,
    countries,
    forget,
    quote,
    shipping_options,
    tax_rates,
    terms,
)

__all__ = [
    "ZONE", "CartProblems", "NoDelivery", "ShippingOption", "Terms", "configure", "countries",
    "forget", "install_defaults", "place_order", "quote", "set_contact", "set_method",
    "shipping_options", "tax_rates", "terms",
]  # fmt: skip
