"""From a cart to an order, in one transaction."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from shop import cart as carts
from shop import discounts, inventory, orders, payments
from shop.cart import CartChanged, CartStatus, CartView
from shop.checkout.errors import CartProblems, NoShipping
from shop.checkout.operations import check_method
from shop.checkout.queries import ShippingOption, quote, terms
from shop.checkout.reservations import check_unpaid_reservations
from shop.core import clock
from shop.core.db import session
from shop.core.i18n import gettext as _
from shop.core.money import Money
from shop.customers import clean_address, clean_email
from shop.discounts import Quote
from shop.orders import OrderStatus, PaymentStatus


def place_order(
    cart_id: int,
    *,
    seen_version: int | None = None,
    seen_total_minor: int | None = None,
    billing_address: Mapping[str, Any] | None = None,
    shipping_method: str | None = None,
    network: str = "",
) -> orders.Order:
    """Order what is in the cart, as the customer last saw it, and reserve the stock.

    The cart must carry email and address, and the method unless it is given here. Pressing twice
    returns the same order; a cart that changed since an unpaid order replaces that order, unless
    its money is on its way: then that is the order. An order that costs nothing is confirmed at
    once: there is no payment to wait for.

    Raises ``CartChanged`` when version or total differ from what was seen, or when a code stopped
    applying and no total was seen; ``UsedUp``, ``CartProblems``, ``OutOfStock``, ``NoShipping``,
    ``InvalidAddress``; ``Invalid`` for a total that no card can be charged; ``ReservationRefused``
    for a buyer who keeps too much without paying (``network`` is the digest of where they are).
    """
    cart = carts.lock(cart_id)
    if shipping_method is not None and cart.status == CartStatus.OPEN:
        check_method(cart, shipping_method)
    earlier = _earlier(cart)
    billing = clean_address(billing_address) if billing_address else None
    if earlier and _is_answer(
        earlier, cart, billing, seen_version, seen_total_minor, shipping_method
    ):
        if earlier.customer_id is None:
            earlier.customer_id = cart.customer_id  # who has signed in since finds it again
        return earlier
    view = _as_seen(cart, seen_version, shipping_method)
    email, address = clean_email(view.email), clean_address(view.shipping_address or {})
    priced, chosen = _priced(view, seen_total_minor)
    details = orders.Details(
        email=email,
        shipping_address=address,
        billing_address=billing,
        shipping_method=chosen.code,
        shipping_method_name=chosen.name,
        customer_id=view.customer_id,
        cart_id=view.id,
        cart_version=view.version,
        placed_from=network,
    )
    _check_may_order(view, priced, details)
    if earlier and earlier.status == OrderStatus.PENDING:
        _make_room(earlier, view, priced)
    order = orders.place(
        _items(view), priced, details, hold_minutes=terms().hold_minutes, instead_of=earlier
    )
    carts.link_order(cart, order.id)
    if shipping_method is not None:
        carts.set_details(cart, {"shipping_method": shipping_method})
    if not order.total_minor:
        orders.mark_paid(order)
        orders.set_payment_status(order, PaymentStatus.PAID)
        carts.remove_bought(cart, view.version, {})
    return order


def _earlier(cart: carts.Cart) -> orders.Order | None:
    """The order of before from this cart, its chain locked: the live one, else the cart's own."""
    if cart.order_id is None:
        return None
    chain = orders.lock_chain(cart.order_id)
    return chain.order if chain.order.status in orders.LIVE else chain.rival or chain.order


def _is_answer(
    earlier: orders.Order,
    cart: carts.Cart,
    billing: dict[str, str] | None,
    seen_version: int | None,
    seen_total_minor: int | None,
    shipping_method: str | None,
) -> bool:
    """Whether the order of before is the one that is asked for: its cart is closed, its money is on
    its way, or the customer only pressed again."""
    if cart.status != CartStatus.OPEN:
        return True
    if seen_version not in {None, cart.version}:
        return False
    return earlier.payment_status == PaymentStatus.PROCESSING or _is_same(
        earlier, cart, billing, seen_total_minor, shipping_method
    )


def _is_same(
    order: orders.Order,
    cart: carts.Cart,
    billing: dict[str, str] | None,
    seen_total_minor: int | None,
    shipping_method: str | None,
) -> bool:
    """Whether the customer only pressed again: the same cart, total, way and place, still
    reserved."""
    if order.status == OrderStatus.PENDING and order.expires_at <= clock.now():
        return False
    kept = cart.shipping_method or order.shipping_method
    wanted = kept if shipping_method is None else shipping_method
    return (
        order.status in {OrderStatus.PENDING, OrderStatus.CONFIRMED, OrderStatus.COMPLETED}
        and (order.cart_id, order.cart_version) == (cart.id, cart.version)
        and seen_total_minor in {None, order.total_minor}
        and order.email == cart.email
        and order.shipping_method == wanted
        and order.shipping_address == (cart.shipping_address or {})
        and order.billing_address == billing
    )


def _as_seen(cart: carts.Cart, seen_version: int | None, shipping_method: str | None) -> CartView:
    """What is in an open cart, if that is what the customer saw and all of it can be ordered.
    Raises ``CartChanged``, ``CartProblems``."""
    if cart.status != CartStatus.OPEN:
        raise CartChanged(_("This cart is closed."))
    view = carts.view(cart)
    if shipping_method is not None:
        view = replace(view, shipping_method=shipping_method)
    if seen_version not in {None, view.version}:
        raise _changed(_("Your cart has changed. Check it before you pay."), view)
    if not view.lines or view.problems:
        raise CartProblems(view.problems)
    return view


def _priced(view: CartView, seen_total_minor: int | None) -> tuple[Quote, ShippingOption]:
    """What the cart costs, if that is what the customer saw, and how it is sent. Raises
    ``NoShipping``, ``CartChanged``."""
    priced, _options, chosen = quote(view)
    if chosen is None or (view.shipping_method and chosen.code != view.shipping_method):
        raise NoShipping(_("Choose a shipping method."), field="shipping_method")
    if seen_total_minor != priced.total_minor:
        if priced.refused:  # whoever saw the total without the code saw the reasons too
            raise _changed(" ".join(one.sentence for one in priced.refused), view, priced)
        if seen_total_minor is not None:
            raise _changed(_("The total has changed. Check it before you pay."), view, priced)
    return priced, chosen


def _changed(sentence: str, view: CartView, priced: Quote | None = None) -> CartChanged:
    priced = priced or quote(view)[0]
    amounts = ("subtotal", "discount", "shipping", "tax", "total")
    totals = {f"{name}_minor": getattr(priced, f"{name}_minor") for name in amounts}
    return CartChanged(
        sentence, totals={"version": view.version, "currency": priced.currency, **totals}
    )


def _check_may_order(view: CartView, priced: Quote, details: orders.Details) -> None:
    """Raise ``Invalid`` for a total that cannot be paid, ``ReservationRefused`` for a buyer who
    keeps too much without paying."""
    payments.check_amount(
        Money(priced.total_minor, priced.currency),
        goods=Money(priced.subtotal_minor, priced.currency),
        country=(details.billing_address or details.shipping_address)["country"],
    )
    if priced.total_minor:
        check_unpaid_reservations(view, email=details.email, network=details.placed_from)


def _make_room(replaced: orders.Order, view: CartView, priced: Quote) -> None:
    """Cancel the unpaid order of before, once all that both orders need is locked."""
    discounts.lock_for(replaced.id, priced.discounts)
    reserved = {line.variant_id for line in replaced.lines}
    inventory.lock(reserved | {line.variant_id for line in view.lines})
    orders.cancel(replaced, reason=orders.REPLACED)
    session.flush()  # of a chain, two orders are never live at once, not even for a moment


def _items(view: CartView) -> list[orders.Item]:
    return [
        orders.Item(
            variant_id=line.variant_id,
            product_id=line.product_id,
            name=line.name,
            variant_title=line.variant_title,
            sku=line.sku,
            slug=line.slug,
            image_key=(line.image or {}).get("key", ""),
            tax_class=line.tax_class,
            quantity=line.quantity,
            unit_price_minor=line.unit_price_minor,
        )
        for line in view.lines
    ]
