"""Reading what was said."""

from sqlalchemy import select

from shop.core.db import session
from shop.reviews.models import Review

PER_PAGE = 10


def of_product(product_id: int, *, page: int = 1) -> list[Review]:
    """The opinions on a product, newest first, ten to a page. One statement."""
    return list(
        session.scalars(
            select(Review)
            .where(Review.product_id == product_id)
            .order_by(Review.created_at.desc(), Review.id.desc())
            .limit(PER_PAGE)
            .offset((max(1, min(page, 10_000)) - 1) * PER_PAGE)
        )
    )
