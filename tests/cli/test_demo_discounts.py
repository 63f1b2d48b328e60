"""The demo shop's discounts are made once, and work."""

from shop import catalog, discounts
from shop.cli import demo_discounts
from shop.core.db import transaction
from tests.cast import Cast


def test_loading_twice_does_no_harm(cast: Cast) -> None:
    with transaction():
        catalog.create_category("Kitchen")

    assert (demo_discounts.load(), demo_discounts.load()) == (3, 3)

    assert discounts.page(status="active").total == 3
    assert discounts.by_code("WELCOME10").value == 1_000
    assert discounts.by_code("THREEFORTWO").target_names == ("Kitchen",)
