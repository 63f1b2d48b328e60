"""Locking orders. The orders of one cart are a chain: of them at most one is live."""

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import Select, select, update
from sqlalchemy.orm import selectinload

from shop.core.db import session
from shop.core.errors import NotFound
from shop.core.i18n import gettext as _
from shop.orders.models import Order
from shop.orders.states import LIVE, OrderStatus

# Why an unpaid order was closed in favour of another one of its chain; no person cancelled it.
REPLACED = "replaced by a newer order"
SUPERSEDED = "another order of the same cart was paid"
REPLACEMENTS = frozenset({REPLACED, SUPERSEDED})


@dataclass(frozen=True, slots=True)
class Chain:
    """An order, and the other orders of its cart that were placed in each other's place."""

    order: "Order"
    others: tuple["Order", ...]

    @property
    def rival(self) -> "Order | None":
        """The live order of the chain, if that is another one."""
        return next((one for one in self.others if one.status in LIVE), None)

    @property
    def is_cancelled(self) -> bool:
        """Whether a person cancelled the order, or one that came in its place."""
        return self.order.status != OrderStatus.PENDING and any(
            was_cancelled(one) for one in (self.order, *self.others) if one.id >= self.order.id
        )


def lock(order_id: int, *, whole: bool = True) -> Order:
    """The order with its lines, its row locked until the transaction ends. Raises ``NotFound``.

    Whoever changes an order, its payments or its stock locks the order first. Unless ``whole``,
    lines and shipments are read only when they are asked for.
    """
    order = session.scalar(_locked(whole=whole).where(Order.id == order_id))
    if order is None:
        raise NotFound(_("Order not found."))
    return order


def lock_chain(order_id: int) -> Chain:
    """The order and the others of its chain, all locked, in the order of their ids.

    Whoever may make an order live again, or decides which of two is, locks its chain; the cart, if
    there is one, comes before. Raises ``NotFound``.
    """
    chain_id = select(Order.chain_id).where(Order.id == order_id).scalar_subquery()
    found = session.scalars(_locked(whole=False).where(Order.chain_id == chain_id)).all()
    order = next((one for one in found if one.id == order_id), None)
    if order is None:
        raise NotFound(_("Order not found."))
    return Chain(order, tuple(one for one in found if one is not order))


def lock_all(order_ids: Iterable[int]) -> list[Order]:
    """All orders of the chains of these orders, locked, in the order of their ids."""
    chains = select(Order.chain_id).where(Order.id.in_(list(order_ids)))
    return list(session.scalars(_locked(whole=False).where(Order.chain_id.in_(chains))))


def was_cancelled(order: Order) -> bool:
    """Whether a person cancelled the order, so that no money brings it back to life."""
    return order.status == OrderStatus.CANCELLED and order.close_reason not in REPLACEMENTS


def unite(kept: Order, other: Order) -> None:
    """Make one chain of two, when the carts that they come from become one.

    The caller has locked both chains and left at most one live order in them.
    """
    session.flush()
    session.execute(
        update(Order).where(Order.chain_id == other.chain_id).values(chain_id=kept.chain_id)
    )


def _locked(*, whole: bool) -> Select[Order]:
    parts = [selectinload(Order.lines), selectinload(Order.fulfilments)] if whole else []
    return (
        select(Order)
        .options(*parts)
        .order_by(Order.id)
        .with_for_update(of=Order)
        .execution_options(populate_existing=True)
    )
