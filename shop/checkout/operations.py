"""From a cart to an order, in one transaction."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sqlalchemy.dialects.postgresql import insert

from shop import cart, discounts, inventory, orders, payments
from shop.cart import CartChanged, CartStatus, CartView
from shop.checkout import defaults
from shop.checkout.errors import CartProblems, NoDelivery
from shop.checkout.holds import check_holds
from shop.checkout.models import ShippingMethod, TaxRate
from shop.checkout.queries import clear_cache, of_address, quote, refusals, shipping_options, terms
from shop.core import clock
from shop.core.db import session
from shop.core.money import Money
from shop.customers import clean_address, clean_email, country_names
from shop.discounts import Quote
from shop.orders import OrderStatus, PaymentStatus


def set_contact(basket: cart.Cart, *, email: str, address: Mapping[str, Any]) -> None:
    """Keep who orders and where it goes. Raises ``Invalid``, ``InvalidAddress``, ``NoDelivery``."""
    email = clean_email(email)
    country = str(address.get("country") or "").strip().upper()
    if country in country_names() and not shipping_options(country, 0):
        raise NoDelivery("We do not send to this country yet.", field="country")
    cleaned = clean_address(address)
    cart.set_details(basket, {"email": email, "shipping_address": cleaned})


def set_method(basket: cart.Cart, code: str) -> None:
    """Keep how it is sent. Raises ``NoDelivery``."""
    _check_method(basket, code)
    cart.set_details(basket, {"shipping_method": code})


def _check_method(basket: cart.Cart, code: str) -> None:
    country = (basket.shipping_address or {}).get("country", terms().country)
    if code not in {option.code for option in shipping_options(country, 0)}:
        raise NoDelivery("Please choose a way to send it.", field="shipping_method")


def apply_code(basket: cart.Cart, given: object) -> discounts.Applied | None:
    """Put a discount code into the cart. Returns what it saves; None if that waits for an address.

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
    shipping_method: str | None = None,
    network: str = "",
) -> orders.Order:
    """Order what is in the cart, as the customer last saw it, and reserve the stock.

    The cart must carry email and address, and the method unless it is given here. Pressing twice
    returns the same order; a cart that changed since an unpaid order replaces that order, unless
    its money is on its way: then that is the order. An order that costs nothing is confirmed at
    once: there is no payment to wait for.

    Raises ``CartChanged`` when version or total differ from what was seen, or when a code stopped
    applying and no total was seen; ``UsedUp``, ``CartProblems``, ``OutOfStock``, ``NoDelivery``,
    ``InvalidAddress``; ``Invalid`` for a total that no card can be charged; ``HoldRefused`` for a
    buyer who keeps too much without paying (``network`` is the digest of where they are).
    """
    basket = cart.lock(cart_id)
    if shipping_method is not None and basket.status == CartStatus.OPEN:
        _check_method(basket, shipping_method)
    earlier = _earlier(basket)
    billing = clean_address(billing_address) if billing_address else None
    is_current = basket.status != CartStatus.OPEN or seen_version in {None, basket.version}
    if (earlier and is_current) and (
        basket.status != CartStatus.OPEN
        or earlier.payment_status == PaymentStatus.PROCESSING
        or _is_same(earlier, basket, billing, seen_total_minor, shipping_method)
    ):
        if earlier.customer_id is None:
            earlier.customer_id = basket.customer_id  # who has signed in since finds it again
        return earlier
    if basket.status != CartStatus.OPEN:
        raise CartChanged("This cart is closed.")
    view = cart.view(basket)
    if shipping_method is not None:
        view = replace(view, shipping_method=shipping_method)
    if seen_version not in {None, view.version}:
        raise _changed("Your cart has changed. Check it before you pay.", view)
    if not view.lines or view.problems:
        raise CartProblems(view.problems)
    email, address = clean_email(view.email), clean_address(view.shipping_address or {})
    priced, _, chosen = quote(view)
    if chosen is None or (view.shipping_method and chosen.code != view.shipping_method):
        raise NoDelivery("Please choose a way to send it.", field="shipping_method")
    if seen_total_minor != priced.total_minor:
        if priced.refused:  # whoever saw the total without the code saw the reasons too
            raise _changed(" ".join(one.sentence for one in priced.refused), view, priced)
        if seen_total_minor is not None:
            raise _changed("The total has changed. Check it before you pay.", view, priced)
    payments.check_amount(
        Money(priced.total_minor, priced.currency),
        goods=Money(priced.subtotal_minor, priced.currency),
        country=(billing or address)["country"],
    )
    if priced.total_minor:
        check_holds(view, email=email, network=network)
    replaced = earlier if earlier and earlier.status == OrderStatus.PENDING else None
    if replaced:
        discounts.lock_for(replaced.id, priced.discounts)
        held = {line.variant_id for line in replaced.lines}
        inventory.lock(held | {line.variant_id for line in view.lines})
        orders.cancel(replaced, reason=orders.REPLACED)
        session.flush()  # of a chain, two orders are never live at once, not even for a moment
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
        instead_of=earlier,
    )
    cart.link_order(basket, order.id)
    if shipping_method is not None:
        cart.set_details(basket, {"shipping_method": shipping_method})
    if not order.total_minor:
        orders.mark_paid(order)
        orders.set_payment_status(order, PaymentStatus.PAID)
        cart.settle(basket, view.version, {})
    return order


def merge_carts(guest: cart.Cart | None, customer_id: int) -> tuple[cart.Cart | None, list[str]]:
    """Bring a guest's cart and its order along at sign-in, as ``cart.merge`` does.

    Of two orders that are not paid yet, one from each cart, one stays: the one with a voucher, else
    the newer one. Returns the customer's cart (None if there is none) and what changed, in
    sentences for people.
    """
    notes: list[str] = []
    own = cart.find(None, customer_id)
    if guest is not None and own is not None and guest.customer_id is None:
        for cart_id in sorted((guest.id, own.id)):
            cart.lock(cart_id)
        if guest.status != CartStatus.OPEN:  # its order was paid just now
            return own, []
        if guest.order_id is not None and own.status == CartStatus.OPEN:
            notes = _merge_orders(own, guest)
    merged, changed = cart.merge(guest, customer_id)
    return merged, notes + changed


def _merge_orders(own: cart.Cart, guest: cart.Cart) -> list[str]:
    """Make one chain of the orders of two carts, with one live order, which both carts are for."""
    tips = [one for one in (own.order_id, guest.order_id) if one is not None]
    found = orders.lock_all(tips)
    live = sorted((one for one in found if one.status in orders.LIVE), key=_by_need, reverse=True)
    if any(
        one.status != OrderStatus.PENDING or one.payment_status == PaymentStatus.PROCESSING
        for one in live[1:]
    ):
        return []  # both are ordered, so neither stands in for the other
    for other in live[1:]:
        orders.cancel(other, reason=orders.REPLACED)
    kept = live[0] if live else found[-1]
    for other in found:
        # One that a person cancelled stays cancelled, and must not speak for the other cart's.
        if other.id in tips and other.chain_id != kept.chain_id and not orders.was_cancelled(other):
            orders.unite(kept, other)
    for basket in (own, guest):
        cart.link_order(basket, kept.id)
    session.flush()
    return [
        f"Your unpaid order {other.number} is closed. Its items are in your cart."
        for other in live[1:]
    ]


def _by_need(order: orders.Order) -> tuple[bool, bool, int]:
    is_ordered = (
        order.status != OrderStatus.PENDING or order.payment_status == PaymentStatus.PROCESSING
    )
    return is_ordered, payments.has_voucher(order.id), order.id


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
    clear_cache()


def _changed(sentence: str, view: CartView, priced: Quote | None = None) -> CartChanged:
    priced = priced or quote(view)[0]
    amounts = ("subtotal", "discount", "shipping", "tax", "total")
    totals = {f"{name}_minor": getattr(priced, f"{name}_minor") for name in amounts}
    return CartChanged(
        sentence, totals={"version": view.version, "currency": priced.currency, **totals}
    )


def _earlier(basket: cart.Cart) -> orders.Order | None:
    """The order of before from this cart, its chain locked: the live one, else the cart's own."""
    if basket.order_id is None:
        return None
    chain = orders.lock_chain(basket.order_id)
    return chain.order if chain.order.status in orders.LIVE else chain.rival or chain.order


def _is_same(
    order: orders.Order,
    basket: cart.Cart,
    billing: dict[str, str] | None,
    seen_total_minor: int | None,
    shipping_method: str | None,
) -> bool:
    """Whether the customer only pressed again: the same cart, total, way and place, still held."""
    if order.status == OrderStatus.PENDING and order.expires_at <= clock.now():
        return False
    kept = basket.shipping_method or order.shipping_method
    wanted = kept if shipping_method is None else shipping_method
    return (
        order.status in {OrderStatus.PENDING, OrderStatus.CONFIRMED, OrderStatus.COMPLETED}
        and (order.cart_id, order.cart_version) == (basket.id, basket.version)
        and seen_total_minor in {None, order.total_minor}
        and order.email == basket.email
        and order.shipping_method == wanted
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
