"""What happens to carts."""

from dataclasses import dataclass

from shop.core.events import Event


@dataclass(frozen=True, kw_only=True)
class CartChanged(Event):
    """The items of a cart changed; ``count`` is the number of units in it now."""

    cart_id: int
    version: int
    count: int
