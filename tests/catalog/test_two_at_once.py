"""Two members of staff at the same moment: real commits, two threads."""

from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest

from shop import catalog
from shop.core.db import session, transaction
from tests.catalog.goods import colours, mug, shelf


def test_the_span_of_prices_counts_both_changes(live_database):
    with transaction():
        product = mug(options=(colours("Ember", "Oat"),))
        ember, oat = (variant.id for variant in product.variants)
        slug = product.slug
    session.remove()
    first_has_changed = Event()

    def raise_the_price(variant_id: int, price: int, *, is_first: bool) -> None:
        try:
            with transaction():
                variant = catalog.get_variant(variant_id)
                assert len(variant.product.variants) == 2
                if not is_first:
                    first_has_changed.wait(5)
                catalog.update_variant(variant, price_minor=price)
                first_has_changed.set()
        finally:
            session.remove()

    with ThreadPoolExecutor(2) as staff:
        jobs = [
            staff.submit(raise_the_price, ember, 3000, is_first=True),
            staff.submit(raise_the_price, oat, 4000, is_first=False),
        ]
        for job in jobs:
            job.result()

    page = catalog.product_page(slug)
    assert (page.price_from_minor, page.price_to_minor) == (3000, 4000)


def test_two_categories_cannot_be_moved_into_each_other(live_database):
    with transaction():
        ids = [shelf("Kitchen").id, shelf("Living").id]
    session.remove()

    def move(moved: int, below: int) -> str:
        try:
            with transaction():
                catalog.move_category(
                    catalog.get_category(moved), parent=catalog.get_category(below)
                )
            return "moved"
        except catalog.WouldCircle:
            return "refused"
        finally:
            session.remove()

    with ThreadPoolExecutor(2) as staff:
        answers = list(staff.map(move, ids, reversed(ids)))

    assert sorted(answers) == ["moved", "refused"]
    with pytest.raises(catalog.NotEmpty):
        catalog.delete_category(catalog.get_category(ids[1 - answers.index("moved")]))
