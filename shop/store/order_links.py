"""Addresses of an order and its payment, and the order behind such an address."""

from flask import url_for

from shop import orders
from shop.core.errors import NotFound
from shop.core.i18n import gettext as _
from shop.store import inputs


def order_by_link(
    number: str, token: str | None, *, whole: bool = True, with_lines: bool = False
) -> orders.Order:
    """The order with this number and secret, read as ``orders.by_token`` does. Raises
    ``NotFound``, also for what is no number."""
    if not (number.isascii() and number.replace("-", "").isalnum() and len(number) <= 32):
        raise NotFound(_("Order not found."))
    return orders.by_token(number, inputs.secret(token), whole=whole, with_lines=with_lines)


def payment_url(order: orders.Order) -> str:
    """The address of the page to pay an order."""
    return url_for("store.payment", order=order.number, token=order.token)


def return_url(order: orders.Order) -> str:
    """The path to which the browser comes back after paying."""
    return url_for("store.payment_return", order=order.number, token=order.token)


def order_url(order: orders.Order, *, thanks: int | None = None) -> str:
    """The address of an order's own page."""
    return url_for("store.order", number=order.number, token=order.token, thanks=thanks)
