"""What is said about things, the same in a snapshot and in an event. Pure functions.

Nothing here may tell more than the page does: the public learns a number only when little is left.
"""

from collections.abc import Iterable
from typing import Any, Protocol


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


def order_data(
    *, status_label: str, version: int, fulfilment_status: str, payment_status: str
) -> dict[str, Any]:
    """The data of ``order:<number>``; ``version`` tells a page whether it shows an older state."""
    return {
        "status_label": status_label,
        "version": version,
        "fulfilment_status": fulfilment_status,
        "payment_status": payment_status,
    }


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
