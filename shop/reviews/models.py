"""Table of reviews: what buyers say of a product."""

from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Identity, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from shop.core.db import Base


class Review(Base):
    """One opinion, one to five stars; ``author`` is the name that is shown."""

    __tablename__ = "review"
    __table_args__ = (
        CheckConstraint("rating BETWEEN 1 AND 5", name="rating"),
        UniqueConstraint("product_id", "author", "title"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    product_id: Mapped[int] = mapped_column(ForeignKey("product.id", ondelete="CASCADE"))
    rating: Mapped[int]
    title: Mapped[str]
    text: Mapped[str]
    author: Mapped[str]
    created_at: Mapped[datetime]
