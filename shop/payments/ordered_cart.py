"""The cart that an order came from: what was bought leaves it, once."""

from sqlalchemy import BigInteger, column, select, text

from shop import cart as carts
from shop import orders
from shop.core.db import session

_CARTS = text("""
SELECT id FROM cart WHERE id = (SELECT cart_id FROM "order" WHERE id = :order_id)
UNION
SELECT c.id FROM "order" mine JOIN "order" o USING (chain_id) JOIN cart c ON c.order_id = o.id
WHERE mine.id = :order_id AND c.status = 'open'
""").columns(column("id", BigInteger))
_LOCK_CARTS = (
    select(carts.Cart)
    .where(carts.Cart.id.in_(select(_CARTS.subquery().c.id)))
    .order_by(carts.Cart.id)
    .with_for_update()
    .execution_options(populate_existing=True)
)


def lock_cart_of(order_id: int) -> carts.Cart | None:
    """The cart that was ordered, locked: placing locks cart, then order, and so does paying.

    For a cart that was merged since, because its buyer has signed in, the one that has its items.
    """
    found = session.scalars(_LOCK_CARTS, {"order_id": order_id}).all()
    if any(one.status == carts.CartStatus.MERGED for one in found):  # perhaps just now: look again
        found = session.scalars(_LOCK_CARTS, {"order_id": order_id}).all()
    return max(
        found,
        key=lambda one: (
            one.status == carts.CartStatus.OPEN,
            one.status != carts.CartStatus.MERGED,
        ),
        default=None,
    )


def take_out_bought(cart: carts.Cart | None, chain: orders.Chain) -> None:
    """What was bought leaves the cart, which may have been changed or merged since. It leaves once,
    though an order may be on its way before it is paid: then the cart is no more for this chain."""
    order = chain.order
    if cart is None or order.cart_version is None:
        return
    if cart.order_id not in {one.id for one in (order, *chain.others)}:
        return
    bought: dict[int, int] = {}
    for line in order.lines:
        bought[line.variant_id] = bought.get(line.variant_id, 0) + line.quantity
    carts.remove_bought(cart, order.cart_version if cart.id == order.cart_id else None, bought)
