"""From a cart to an order, in one transaction."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sqlalchemy.dialects.postgresql import insert

from shop import cart, discounts, inventory, orders, payments
from shop.cart import CartChanged, CartView
from shop.checkout import defaults
from shop.checkout.errors import CartProblems, NoDelivery
from shop.checkout.holds import check_holds
from shop.checkout.models import ShippingMethod, TaxRate
from shop.checkout.queries import forget, of_address, quote, refusals, shipping_options, terms
from shop.core import clock
from shop.core.db import session
from shop.core.money import Money
from shop.customers import clean_address, clean_email


def set_contact(basket: cart.Cart, *, email: str, address: Mapping[str, Any]) -> None:
    """Keep who orders and where it goes. Raises ``Invalid``, ``InvalidAddress``, ``NoDelivery``."""
    email = clean_email(email)
    cleaned = clean_address(address)
    if not shipping_options(cleaned["country"], 0):
        raise NoDelivery("We do not send to this country yet.", field="country")
    cart.set_details(basket, {"email": email, "shipping_address": cleaned})


def set_method(basket: cart.Cart, code: str) -> None:
    """Keep how it is sent. Raises ``NoDelivery``."""
    country = (basket.shipping_address or {}).get("country", terms().country)
    if code not in {option.code for option in shipping_options(country, 0)}:
        raise NoDelivery("Please choose a way to send it.", field="shipping_method")
    cart.set_details(basket, {"shipping_method": code})


def apply_code(basket: cart.Cart, given: object) -> discounts.Applied | None:
    """Put a discount code into the cart; gives what it saves, None if that waits for the address.

    Raises ``Invalid`` for an empty code, ``UnknownCode``, and ``CodeRefused`` with every reason if
    it saves nothing now; then nothing has changed. A code that only another country speaks against
    is kept while nobody said where to.
    """
    rule = discounts.by_code(given)
    view = cart.view(basket)
    tried = replace(view, code_ids=tuple({*view.code_ids, rule.code_id or 0}))
    priced, _, _ = quote(tried)
    found = next((one for one in priced.discounts if one.code_id == rule.code_id), None)
    reasons = refusals(priced, rule.code)
    if found is None and reasons != of_address(rule):
        raise discounts.CodeRefused(rule.code, reasons)
    cart.add_code(basket, rule.code_id or 0)
    return found


def place_order(
    cart_id: int,
    *,
    seen_version: int | None = None,
    seen_total_minor: int | None = None,
    billing_address: Mapping[str, Any] | None = None,
    network: str = "",
) -> orders.Order:
    """Order what is in the cart, as the customer last saw it, and hold the stock.

    The cart must carry e-mail, address and method. Pressing twice gives the same order; a cart that
    changed since an unpaid order replaces that order. Raises ``CartChanged`` when version or total
    differ from what was seen, or when a code stopped applying and no total was seen; ``UsedUp``,
    ``CartProblems``, ``OutOfStock``, ``NoDelivery``, ``InvalidAddress``; ``Invalid`` for a total
    that no card can be charged; ``HoldRefused`` for a buyer who keeps too much without paying
    (``network`` is the digest of where they are). An order that costs nothing is confirmed at once:
    there is no payment to wait for.
    """
    basket = cart.lock(cart_id)
    earlier = orders.lock(basket.order_id) if basket.order_id else None
    billing = clean_address(billing_address) if billing_address else None
    if earlier and (
        basket.status != "open" or _is_same(earlier, basket, billing, seen_total_minor)
    ):
        if earlier.customer_id is None:
            earlier.customer_id = basket.customer_id  # who signed in meanwhile finds it again
        return earlier
    if basket.status != "open":
        raise CartChanged("This cart is closed.")
    view = cart.view(basket)
    if not view.lines or view.problems:
        raise CartProblems(view.problems)
    if seen_version is not None and seen_version != view.version:
        raise CartChanged("Your cart has changed. Please look at it again before you pay.")
    email, address = clean_email(view.email), clean_address(view.shipping_address or {})
    priced, _, chosen = quote(view)
    if chosen is None or (view.shipping_method and chosen.code != view.shipping_method):
        raise NoDelivery("Please choose a way to send it.", field="shipping_method")
    if seen_total_minor != priced.total_minor:
        if priced.refused:  # whoever saw the total without the code saw the reasons too
            raise CartChanged(" ".join(one.sentence for one in priced.refused))
        if seen_total_minor is not None:
            raise CartChanged("The total has changed. Please look at it again before you pay.")
    payments.check_amount(
        Money(priced.total_minor, priced.currency),
        goods=Money(priced.subtotal_minor, priced.currency),
    )
    if priced.total_minor:
        check_holds(view, email=email, network=network)
    replaced = earlier if earlier and earlier.status == "pending" else None
    if replaced:
        discounts.lock_for(replaced.id, priced.discounts)
        held = {line.variant_id for line in replaced.lines}
        inventory.lock(held | {line.variant_id for line in view.lines})
        orders.cancel(replaced, reason=orders.REPLACED)
    order = orders.place(
        _items(view),
        priced,
        orders.Details(
            email=email,
            shipping_address=address,
            billing_address=billing,
            shipping_method=chosen.code,
            shipping_method_name=chosen.name,
            customer_id=view.customer_id,
            cart_id=view.id,
            cart_version=view.version,
            placed_from=network,
        ),
        hold_minutes=terms().hold_minutes,
        instead_of=replaced,
    )
    cart.link_order(basket, order.id)
    if not order.total_minor:
        orders.mark_paid(order)
        orders.set_payment_status(order, "paid")
        cart.settle(basket, view.version, {})
    return order


def install_defaults() -> None:
    """Make the first shipping methods and tax rates; what staff changed since stays."""
    for row in defaults.SHIPPING_METHODS:
        session.execute(
            insert(ShippingMethod).values(**row).on_conflict_do_nothing(index_elements=["code"])
        )
    session.execute(
        insert(TaxRate)
        .values(
            [
                {"country": country, "tax_class": tax_class, "rate": rate}
                for country, rates in defaults.TAX_RATES.items()
                for tax_class, rate in zip(defaults.TAX_CLASSES, rates, strict=True)
            ]
        )
        .on_conflict_do_nothing()
    )
    forget()


def _is_same(
    order: orders.Order,
    basket: cart.Cart,
    billing: dict[str, str] | None,
    seen_total_minor: int | None,
) -> bool:
    """Whether the customer only pressed again: the same cart, total, way and place, still held."""
    if order.status == "pending" and order.expires_at <= clock.now():
        return False
    return (
        order.status in {"pending", "confirmed", "completed"}
        and (order.cart_id, order.cart_version) == (basket.id, basket.version)
        and seen_total_minor in {None, order.total_minor}
        and order.email == basket.email
        and order.shipping_method == (basket.shipping_method or order.shipping_method)
        and order.shipping_address == (basket.shipping_address or {})
        and order.billing_address == billing
    )


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
