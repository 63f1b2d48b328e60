"""What is said about things, the same in a snapshot and in an event. Pure functions.

Nothing here may tell more than the page does: the public learns a number only when little is left.
"""

from collections.abc import Iterable
from typing import Any, Protocol

from shop.inventory.events import Change
from shop.orders import Order, words


class VariantStock(Protocol):
    """What ``product_data`` needs to know of a variant; any row with these columns will do."""

    @property
    def variant_id(self) -> int: ...
    @property
    def available(self) -> int: ...
    @property
    def low_stock_level(self) -> int: ...
    @property
    def backorder_allowed(self) -> bool: ...
    @property
    def price_minor(self) -> int: ...


def product_data(rows: Iterable[VariantStock]) -> dict[str, Any]:
    """The data of ``product:<id>``: each variant's state, price, and what is left if it is little.

    ``{"variants": {"<id>": {"state", "left", "price_minor"}}}``; state is ``in_stock``, ``low``,
    ``sold_out`` or ``backorder``; ``left`` is a number for ``low`` only, else null.
    """
    return {"variants": {str(row.variant_id): _variant(row) for row in rows}}


def order_data(order: Order) -> dict[str, Any]:
    """The data of ``order:<number>``; ``version`` tells a page whether it shows an older state."""
    return {
        "number": order.number,
        "version": order.version,
        "status_label": words(order).label,
        "status": order.status,
        "payment_status": order.payment_status,
        "fulfilment_status": order.fulfilment_status,
    }


def order_row_data(order: Order) -> dict[str, Any]:
    """The data of ``staff:orders``: what a row of the list of orders shows."""
    return order_data(order) | {
        "id": order.id,
        "tone": words(order).tone,
        "customer": order.customer_name,
        "item_count": order.item_count,
        "total_minor": order.total_minor,
        "currency": order.currency,
        "placed_at": order.placed_at.isoformat(),
    }


def level_data(change: Change) -> dict[str, Any]:
    """The data of ``staff:stock``: what is available of a variant, before and after."""
    return {
        "variant_id": change["variant_id"],
        "sku": change["sku"],
        "before": change["before"],
        "after": change["after"],
    }


def task_data(*, task_id: int, sentence: str, order_id: int | None) -> dict[str, Any]:
    """The data of ``staff:tasks`` when a person has to look at something."""
    return {"task_id": task_id, "sentence": sentence, "order_id": order_id}


def cart_topic(cart_id: int | None, customer_id: int | None) -> str:
    """What news of a cart are called: a customer's next cart has the same name as the last one.

    So a second device that saw no cart yet, or one that became an order, hears of the new one.
    """
    return f"cart:{cart_id}" if customer_id is None else f"cart:customer-{customer_id}"


def cart_data(*, version: int, count: int) -> dict[str, Any]:
    """The data of ``cart``; ``count`` is units, not lines."""
    return {"version": version, "count": count}


def _variant(row: VariantStock) -> dict[str, Any]:
    if row.available > row.low_stock_level:
        state = "in_stock"
    elif row.available > 0:
        state = "low"
    else:
        state = "backorder" if row.backorder_allowed else "sold_out"
    left = row.available if state == "low" else None
    return {"state": state, "left": left, "price_minor": row.price_minor}
