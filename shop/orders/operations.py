"""What else happens to an order: staff note something or change its address, a customer gets an
account."""

from collections.abc import Mapping

from sqlalchemy import update

from shop.core.db import session
from shop.core.errors import Invalid, WrongState
from shop.core.events import emit
from shop.core.i18n import gettext as _
from shop.orders.events import AddressChanged, OrderNoted
from shop.orders.models import Order
from shop.orders.states import STATUS_WORDS, OrderStatus


def adopt(customer_id: int, email: str) -> int:
    """Give a customer the orders that were placed with this address without an account. Returns how
    many.

    Only for an address that was proven just now, by following a link that was emailed to it.
    """
    adopted = session.scalars(
        update(Order)
        .where(Order.email == email, Order.customer_id.is_(None))
        .values(customer_id=customer_id)
        .returning(Order.id)
    )
    return len(adopted.all())


def change_address(order: Order, address: Mapping[str, str]) -> None:
    """Send what is still open to another address, which is clean; the customer is emailed.

    What it means for tax and shipping is the caller's to know (``checkout.change_address``). Raises
    ``WrongState`` for an order of which nothing can be sent any more, ``Invalid`` for the address
    that it has.
    """
    if order.status not in {OrderStatus.PENDING, OrderStatus.CONFIRMED}:
        raise WrongState(
            _(
                "This order is %(status)s, so its address stays as it is.",
                status=STATUS_WORDS[order.status],
            )
        )
    if not order.open_units:
        raise WrongState(_("Everything was shipped, so the address stays as it is."))
    after = dict(address)
    if after == order.shipping_address:
        raise Invalid(_("The order has this address already."))
    order.shipping_address, order.customer_name = after, after["name"]
    order.version += 1
    emit(AddressChanged(order_id=order.id, version=order.version))


def note(order: Order, text: str) -> None:
    """Add a remark for staff to the timeline."""
    words = text.strip()
    if not 1 <= len(words) <= 2000:
        raise Invalid(_("A note has 1 to 2000 characters."), field="text")
    emit(OrderNoted(order_id=order.id, text=words))
