"""What happens to the catalogue."""

from dataclasses import dataclass

from shop.core.events import Event


@dataclass(frozen=True, kw_only=True)
class CategoryChanged(Event):
    """A category was ``created``, ``updated``, ``moved`` or ``deleted``."""

    category_id: int
    what: str


@dataclass(frozen=True, kw_only=True)
class ProductChanged(Event):
    """Something about a product changed; ``what`` says it in a word or two for a timeline."""

    product_id: int
    what: str
