"""Units of an order's lines that are still open."""

from collections.abc import Mapping
from typing import Literal

from shop import inventory
from shop.core.errors import Invalid
from shop.core.i18n import gettext as _
from shop.orders.models import Order, OrderLine


def named_units(
    order: Order, quantities: Mapping[int, int], *, to: Literal["cancel", "ship"]
) -> dict[OrderLine, int]:
    """Returns the units that are named, by line. Raises ``Invalid`` for more than are open."""
    lines = {line.id: line for line in order.lines}
    wanted = {}
    for line_id, quantity in quantities.items():
        if line_id not in lines:
            raise Invalid(_("This item is not part of the order."), field="lines")
        line = lines[line_id]
        if isinstance(quantity, bool) or not 0 <= quantity <= line.open_quantity:
            values = {"item": line.name, "left": line.open_quantity, "given": quantity}
            raise Invalid(
                _("%(item)s: %(left)s left to ship, not %(given)s.", **values)
                if to == "ship"
                else _("%(item)s: %(left)s left to cancel, not %(given)s.", **values),
                field="lines",
            )
        if quantity:
            wanted[line] = quantity
    if not wanted:
        raise Invalid(
            _("Choose at least one item to ship.")
            if to == "ship"
            else _("Choose at least one item to cancel."),
            field="lines",
        )
    return wanted


def open_lines(order: Order) -> list[inventory.Line]:
    """What of an order is neither sent nor cancelled, as stock."""
    return [
        inventory.Line(line.variant_id, line.open_quantity)
        for line in order.lines
        if line.open_quantity
    ]
