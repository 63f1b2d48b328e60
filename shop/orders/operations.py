"""What else happens to an order: staff note something, a customer gets an account."""

from sqlalchemy import update

from shop.core.db import session
from shop.core.errors import Invalid
from shop.core.events import emit
from shop.core.i18n import gettext as _
from shop.orders.events import OrderNoted
from shop.orders.models import Order


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


def note(order: Order, text: str) -> None:
    """Add a remark for staff to the timeline."""
    words = text.strip()
    if not 1 <= len(words) <= 2000:
        raise Invalid(_("A note has 1 to 2000 characters."), field="text")
    emit(OrderNoted(order_id=order.id, text=words))
