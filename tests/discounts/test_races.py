"""The last uses of a discount, wanted by many at the same moment: the short form."""

from tests.faults.discount_races import races


def test_of_sixty_four_ten_get_the_ten_uses(live_database: str) -> None:
    assert races(30) == []
