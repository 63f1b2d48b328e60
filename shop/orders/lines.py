"""Units of an order's lines that are still open."""

from collections.abc import Mapping

from shop import inventory
from shop.core.errors import Invalid
from shop.orders.models import Order, OrderLine


def named_units(order: Order, quantities: Mapping[int, int], *, to: str) -> dict[OrderLine, int]:
    """What is named, as far as it is still open. Raises ``Invalid``."""
    lines = {line.id: line for line in order.lines}
    wanted = {}
    for line_id, quantity in quantities.items():
        if line_id not in lines:
            raise Invalid("This line is not part of the order.", field="lines")
        line = lines[line_id]
        if isinstance(quantity, bool) or not 0 <= quantity <= line.open_quantity:
            raise Invalid(
                f"{line.name}: {line.open_quantity} left to {to}, not {quantity}.", field="lines"
            )
        if quantity:
            wanted[line] = quantity
    if not wanted:
        raise Invalid(f"Choose at least one thing to {to}.", field="lines")
    return wanted


def open_lines(order: Order) -> list[inventory.Line]:
    """What of an order is neither sent nor cancelled, as stock."""
    return [
        inventory.Line(line.variant_id, line.open_quantity)
        for line in order.lines
        if line.open_quantity
    ]
