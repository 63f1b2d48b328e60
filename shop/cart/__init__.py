"""Carts: what somebody means to buy, at today's prices, with today's problems.

Promise: one open cart per browser, one per signed-in customer on all devices; quantities that can
be had; a version that grows with every change. Reserves no stock: that is for orders.
"""

from shop.cart.errors import CartChanged, NotEnough
from shop.cart.limits import MAX_QUANTITY, TooMany, limit_words, max_per_variant
from shop.cart.models import Cart, CartStatus
from shop.cart.operations import (
    add,
    add_code,
    link_order,
    lock,
    merge,
    open_cart,
    remove,
    remove_bought,
    remove_code,
    set_details,
    set_quantity,
)
from shop.cart.queries import CartLine, CartView, count_of, find, open_view, view

__all__ = [
    "MAX_QUANTITY", "Cart", "CartChanged", "CartLine", "CartStatus", "CartView",
    "NotEnough", "TooMany", "add", "add_code", "count_of", "find", "limit_words",
    "link_order", "lock", "max_per_variant", "merge", "open_cart", "open_view", "remove",
    "remove_bought", "remove_code", "set_details", "set_quantity", "view",
]  # fmt: skip
