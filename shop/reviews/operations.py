"""Writing about a product. The product keeps the sum and the number of stars for lists."""

from sqlalchemy import update
from sqlalchemy.exc import IntegrityError

from shop.catalog.models import Product
from shop.core import clock
from shop.core.db import session, violated
from shop.core.errors import DomainError, Invalid
from shop.core.events import emit
from shop.core.i18n import gettext as _
from shop.core.i18n import lazy_gettext
from shop.reviews.events import ReviewAdded
from shop.reviews.models import Review

# Name for people, fewest and most characters.
TEXTS = {
    "title": (lazy_gettext("The title"), 1, 120),
    "text": (lazy_gettext("The text"), 1, 4_000),
    "author": (lazy_gettext("The name"), 1, 60),
}


class SaidBefore(DomainError):
    """The same author said this about the same product."""

    code = "said_before"


def add(product: Product, *, rating: int, title: str, text: str, author: str) -> Review:
    """Add an opinion and count its stars. Raises ``Invalid``, or ``SaidBefore`` the second time."""
    if not 1 <= rating <= 5:
        raise Invalid(_("Give one to five stars."), field="rating")
    written = Review(
        product_id=product.id,
        rating=rating,
        title=_readable("title", title),
        text=_readable("text", text),
        author=_readable("author", author),
        created_at=clock.now(),
    )
    try:
        with session.begin_nested():
            session.add(written)
            session.flush()
    except IntegrityError as error:
        if violated(error) == "uq_review_product_id_author_title":
            raise SaidBefore(_("This review is here already."), field="title") from error
        raise
    # Counted in SQL: two people may write at the same moment.
    session.execute(
        update(Product)
        .where(Product.id == product.id)
        .values(
            rating_sum=Product.rating_sum + rating,
            rating_count=Product.rating_count + 1,
        )
        .execution_options(synchronize_session=False)
    )
    session.expire(product, ["rating_sum", "rating_count"])
    emit(ReviewAdded(product_id=product.id, review_id=written.id, rating=rating))
    return written


def _readable(field: str, value: str) -> str:
    what, least, most = TEXTS[field]
    clean = value.replace("\x00", "").strip()
    if not least <= len(clean) <= most:
        raise Invalid(
            _(
                "%(what)s needs %(least)s to %(most)s characters.",
                what=what,
                least=least,
                most=f"{most:,}",
            ),
            field=field,
        )
    return clean
