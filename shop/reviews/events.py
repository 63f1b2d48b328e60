"""What happens to reviews."""

from dataclasses import dataclass

from shop.core.events import Event


@dataclass(frozen=True, kw_only=True)
class ReviewAdded(Event):
    """Somebody wrote about a product."""

    product_id: int
    review_id: int
    rating: int
