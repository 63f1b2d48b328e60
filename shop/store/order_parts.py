"""Parts of an order as the components show them: lines, totals, addresses."""

from typing import Any

from shop import catalog, customers, orders, payments
from shop.core.i18n import gettext as _
from shop.customers.models import Address
from shop.store.cart import discount_words

THUMB_WIDTH, THUMB_HEIGHT = 320, 400
THUMB_WIDTH, THUMB_HEIGHT = 320, 400


def order_lines(order: orders.Order) -> list[tuple[orders.OrderLine, catalog.ImageView | None]]:
    """The lines of an order with their images, as the components show them."""
    return [(line, _thumb(line.image_key)) for line in order.lines]


def order_rows(order: orders.Order) -> list[tuple[str, int | str]]:
    """What the total of an order is made of, for people."""
    rows: list[tuple[str, int | str]] = [(_("Subtotal"), order.subtotal_minor)]
    redeemed = orders.redeemed(order)
    rows += [
        (discount_words(one.name, one.code), -one.amount_minor)
        for one in redeemed
        if one.amount_minor
    ]
    rows.append((order.shipping_method_name, order.shipping_minor or _("Free")))
    rows += [
        (
            _("%(discount)s: off shipping", discount=discount_words(one.name, one.code)),
            _("included"),
        )
        for one in redeemed
        if one.shipping_minor
    ]
    if not order.prices_include_tax:
        rows.append((_("Tax"), order.tax_minor))
    return rows


def failure_words(reason: str) -> str:
    """Why a payment did not work, for people; Stripe words some reasons for programmers."""
    return payments.failure_for_customer(reason)


def shown_address(saved: Address) -> dict[str, Any]:
    """A saved address as the components show it."""
    fields = (*customers.ADDRESS_FIELDS, "id", "is_default")
    return {field: getattr(saved, field) for field in fields}


def _thumb(key: str) -> catalog.ImageView | None:
    if not key:
        return None
    return catalog.ImageView(key, "", THUMB_WIDTH, THUMB_HEIGHT, "", (THUMB_WIDTH,), None)
