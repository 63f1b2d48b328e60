"""Checkout: a cart becomes an order, with a way to send it and the tax of where it goes.

Promise: the customer is charged exactly what was shown, or nothing; pressing twice orders once.
Leaves money to payments.
"""

from shop.checkout.addressing import change_address
from shop.checkout.errors import CartProblems, NoShipping
from shop.checkout.merging import merge_carts
from shop.checkout.operations import apply_code, install_defaults, set_contact, set_method
from shop.checkout.placing import place_order
from shop.checkout.queries import (
    FreeShippingCounts,
    ShippingOption,
    ShippingRate,
    Terms,
    clear_cache,
    configure,
    countries,
    goods_for_free_shipping,
    quote,
    quotes,
    shipping_options,
    shipping_rates,
    tax_rates,
    terms,
)
from shop.checkout.reservations import ReservationRefused, delete_expired_networks
from shop.checkout.trial import Trial, try_discount

__all__ = [
    "CartProblems", "FreeShippingCounts", "NoShipping", "ReservationRefused",
    "ShippingOption", "ShippingRate", "Terms", "Trial", "apply_code", "change_address",
    "clear_cache", "configure", "countries", "delete_expired_networks", "goods_for_free_shipping",
    "install_defaults", "merge_carts", "place_order", "quote", "quotes", "set_contact",
    "set_method", "shipping_options", "shipping_rates", "tax_rates", "terms",
    "try_discount",
]  # fmt: skip
