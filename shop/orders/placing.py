"""Placing an order: what the customer agreed to, written down together with its stock."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import uuid4

from shop import discounts, inventory
from shop.core import clock, tokens
from shop.core.db import session
from shop.core.errors import Invalid
from shop.core.events import emit
from shop.core.i18n import gettext as _
from shop.discounts import Quote, TaxedLine
from shop.orders.chains import REPLACED
from shop.orders.events import OrderPlaced
from shop.orders.lines import open_lines
from shop.orders.models import Order, OrderLine


@dataclass(frozen=True, slots=True)
class Item:
    """One thing to be ordered, with the words and price that the customer saw."""

    variant_id: int
    product_id: int
    name: str
    variant_title: str
    sku: str
    slug: str
    image_key: str
    tax_class: str
    quantity: int
    unit_price_minor: int


@dataclass(frozen=True, slots=True)
class Details:
    """Who orders, where it goes and how."""

    email: str
    shipping_address: Mapping[str, str]
    billing_address: Mapping[str, str] | None
    shipping_method: str
    shipping_method_name: str
    customer_id: int | None = None
    cart_id: int | None = None
    cart_version: int | None = None
    placed_from: str = ""


def place(
    items: Sequence[Item],
    quote: Quote,
    details: Details,
    *,
    hold_minutes: int,
    instead_of: Order | None = None,
) -> Order:
    """Write the order down and reserve its stock until ``hold_minutes`` from now.

    ``instead_of`` is the buyer's order before this one, whose chain this one continues; an unpaid
    one was just cancelled for it, in this transaction. Raises ``OutOfStock`` or ``UsedUp``, and
    then nothing is ordered. The stock statement comes last, so that its row locks are held for the
    shortest time.
    """
    if not items:
        raise Invalid(_("There is nothing to order."))
    order = _written(items, quote, details, instead_of=instead_of)
    order.expires_at = order.placed_at + timedelta(minutes=hold_minutes)
    session.add(order)
    session.flush()
    discounts.redeem(
        order.id,
        quote.discounts,
        customer_id=details.customer_id,
        email=details.email,
        currency=quote.currency,
    )
    emit(OrderPlaced(order_id=order.id))
    was_reserved = instead_of is not None and instead_of.close_reason == REPLACED
    replaced = open_lines(instead_of) if instead_of and was_reserved else ()
    inventory.reserve(order.id, open_lines(order), replaced=replaced)
    return order


def _written(
    items: Sequence[Item], quote: Quote, details: Details, *, instead_of: Order | None
) -> Order:
    """What was agreed, with its lines; it has no number and no deadline yet."""
    return Order(
        token=tokens.new_token(),
        cart_id=details.cart_id,
        cart_version=details.cart_version,
        chain_id=instead_of.chain_id if instead_of else uuid4(),
        customer_id=details.customer_id,
        email=details.email,
        customer_name=details.shipping_address["name"],
        currency=quote.currency,
        prices_include_tax=quote.prices_include_tax,
        subtotal_minor=quote.subtotal_minor,
        discount_minor=quote.discount_minor,
        shipping_minor=quote.shipping_minor,
        shipping_discount_minor=quote.shipping_discount_minor,
        shipping_tax_minor=quote.shipping_tax_minor,
        tax_minor=quote.tax_minor,
        total_minor=quote.total_minor,
        item_count=sum(item.quantity for item in items),
        shipping_method=details.shipping_method,
        shipping_method_name=details.shipping_method_name,
        shipping_address=dict(details.shipping_address),
        billing_address=dict(details.billing_address) if details.billing_address else None,
        placed_from=details.placed_from,
        placed_at=clock.now(),
        lines=[_line(item, priced) for item, priced in zip(items, quote.lines, strict=True)],
    )


def _line(item: Item, priced: TaxedLine) -> OrderLine:
    return OrderLine(
        variant_id=item.variant_id,
        product_id=item.product_id,
        name=item.name,
        variant_title=item.variant_title,
        sku=item.sku,
        slug=item.slug,
        image_key=item.image_key,
        quantity=item.quantity,
        unit_price_minor=item.unit_price_minor,
        discount_minor=priced.discount_minor,
        total_minor=priced.total_minor,
        tax_class=item.tax_class,
        tax_rate=priced.tax_rate,
        tax_minor=priced.tax_minor,
    )
