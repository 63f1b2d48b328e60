"""Two carts and their orders become one, when a guest signs in."""

from shop import cart as carts
from shop import orders, payments
from shop.cart import CartStatus
from shop.core.db import session
from shop.core.i18n import gettext as _
from shop.orders import OrderStatus, PaymentStatus


def merge_carts(guest: carts.Cart | None, customer_id: int) -> tuple[carts.Cart | None, list[str]]:
    """Bring a guest's cart and its order along at sign-in, as ``cart.merge`` does.

    Of two orders that are not paid yet, one from each cart, one stays: the one with a voucher, else
    the newer one. Returns the customer's cart (None if there is none) and what changed, in
    sentences for people.
    """
    notes: list[str] = []
    own = carts.find(None, customer_id)
    if guest is not None and own is not None and guest.customer_id is None:
        for cart_id in sorted((guest.id, own.id)):
            carts.lock(cart_id)
        if guest.status != CartStatus.OPEN:  # its order was paid just now
            return own, []
        if guest.order_id is not None and own.status == CartStatus.OPEN:
            notes = _merge_orders(own, guest)
    merged, changed = carts.merge(guest, customer_id)
    return merged, notes + changed


def _merge_orders(own: carts.Cart, guest: carts.Cart) -> list[str]:
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
    for cart in (own, guest):
        carts.link_order(cart, kept.id)
    session.flush()
    return [
        _(
            "Your unpaid order %(number)s was cancelled. Its items are in your cart.",
            number=other.number,
        )
        for other in live[1:]
    ]


def _by_need(order: orders.Order) -> tuple[bool, bool, int]:
    is_ordered = (
        order.status != OrderStatus.PENDING or order.payment_status == PaymentStatus.PROCESSING
    )
    return is_ordered, payments.has_voucher(order.id), order.id
