"""Order numbers that somebody outside already has."""

import pytest

from shop import orders
from shop.core.db import transaction
from tests import cast as people
from tests.cast import Cast


def number_of_next(cast: Cast) -> int:
    return int(people.order(cast.mug).number.removeprefix("EO-"))


def test_order_numbers_in_use_elsewhere_are_skipped(cast: Cast) -> None:
    now = number_of_next(cast)
    with transaction():
        orders.pass_number(f"EO-{now + 40}")
        orders.pass_number(f"EO-{now + 7}")

    assert number_of_next(cast) == now + 41


@pytest.mark.parametrize("number", ["", "EO-", "X-99999", "EO-1", "EO-999999999999999", "EO-9" * 9])
def test_number_that_is_none_of_ours_changes_nothing(cast: Cast, number: str) -> None:
    now = number_of_next(cast)
    with transaction():
        orders.pass_number(number)

    assert number_of_next(cast) == now + 1
