"""Opinions and the stars that lists show."""

from typing import Any, TypedDict

import pytest

from shop import catalog, reviews
from shop.core.errors import Invalid
from tests.catalog.goods import mug


class Opinion(TypedDict):
    rating: int
    title: str
    text: str
    author: str


GOOD: Opinion = {"rating": 5, "title": "Just right", "text": "Holds tea.", "author": "Marta"}


def test_stars_are_counted_and_shown(session):
    product = mug()

    reviews.add(product, **GOOD)
    reviews.add(product, **GOOD | {"rating": 4, "author": "Jonas"})

    page = catalog.product_page("tidal-mug")
    assert (page.rating, page.rating_count) == (4.5, 2)
    assert [review.author for review in page.reviews] == ["Jonas", "Marta"]
    assert (product.rating_sum, product.rating_count) == (9, 2)


def test_same_words_of_same_author_are_counted_once(session):
    product = mug()
    reviews.add(product, **GOOD)

    with pytest.raises(reviews.SaidBefore):
        reviews.add(product, **GOOD)

    assert product.rating_count == 1


@pytest.mark.parametrize(
    ("field", "value"),
    [("rating", 0), ("rating", 6), ("title", " "), ("text", "x" * 4001), ("author", "")],
)
def test_what_cannot_be_an_opinion_is_refused(session, field, value):
    product = mug()
    opinion: dict[str, Any] = {**GOOD, field: value}

    with pytest.raises(Invalid) as refused:
        reviews.add(product, **opinion)

    assert refused.value.field == field
    assert reviews.of_product(product.id) == []


def test_opinions_come_newest_first_ten_to_a_page(session):
    product = mug()
    for n in range(12):
        reviews.add(product, **GOOD | {"author": f"Author {n}"})

    first, second = reviews.of_product(product.id), reviews.of_product(product.id, page=2)

    assert (len(first), [review.author for review in second]) == (10, ["Author 1", "Author 0"])
