"""The category tree keeps its shape and its addresses."""

import pytest

from shop import catalog
from shop.core.errors import Invalid, NotFound
from tests.catalog.goods import mug, shelf


def test_category_below_another_has_its_address_below_it(session):
    mugs = shelf("Mugs & cups", parent=shelf("Kitchen"))

    assert mugs.path == "kitchen/mugs-cups"
    assert catalog.menu()[0].children[0].path == "kitchen/mugs-cups"


def test_moving_a_subtree_keeps_the_old_addresses_alive(session):
    kitchen, living = shelf("Kitchen"), shelf("Living")
    mugs = shelf("Mugs", parent=kitchen)
    espresso = shelf("Espresso", parent=mugs)

    catalog.move_category(mugs, parent=living)

    assert espresso.path == "living/mugs/espresso"
    assert catalog.redirect_for("/c/kitchen/mugs") == "/c/living/mugs"
    assert catalog.redirect_for("/c/kitchen/mugs/espresso") == "/c/living/mugs/espresso"


def test_old_path_redirects_after_a_second_move(session):
    mugs = shelf("Mugs", parent=shelf("Kitchen"))

    catalog.update_category(mugs, slug="cups")
    catalog.move_category(mugs, parent=None)

    assert catalog.redirect_for("/c/kitchen/mugs") == "/c/cups"


def test_reused_slug_no_longer_redirects(session):
    mugs = shelf("Mugs")
    catalog.update_category(mugs, slug="cups")
    assert catalog.redirect_for("/c/mugs") == "/c/cups"

    shelf("Mugs")

    assert catalog.redirect_for("/c/mugs") is None


@pytest.mark.parametrize("depth", [0, 1, 2])
def test_category_cannot_be_moved_into_itself_or_below(session, depth):
    kitchen = shelf("Kitchen")
    mugs = shelf("Mugs", parent=kitchen)
    line = [kitchen, mugs, shelf("Espresso", parent=mugs)]

    with pytest.raises(catalog.WouldCircle, match="Kitchen cannot be moved"):
        catalog.move_category(kitchen, parent=line[depth])

    assert [c.path for c in line] == ["kitchen", "kitchen/mugs", "kitchen/mugs/espresso"]


def test_two_neighbours_cannot_share_an_address(session):
    kitchen = shelf("Kitchen")
    shelf("Mugs", parent=kitchen)

    with pytest.raises(catalog.Taken, match="already a category"):
        shelf("Mugs", parent=kitchen)


def test_move_onto_a_used_path_is_refused(session):
    kitchen = shelf("Kitchen")
    mugs = shelf("Mugs", parent=kitchen)
    shelf("Mugs")

    with pytest.raises(catalog.Taken):
        catalog.move_category(mugs, parent=None)

    assert mugs.path == "kitchen/mugs" and mugs.parent is kitchen
    assert catalog.redirect_for("/c/kitchen/mugs") is None


def test_a_category_can_be_moved_between_its_neighbours(session):
    first, second, third = shelf("First"), shelf("Second"), shelf("Third")

    catalog.move_category(third, parent=None, position=1)

    assert [entry.name for entry in catalog.menu()] == ["First", "Third", "Second"]
    assert (first.position, third.position, second.position) == (0, 1, 2)


def test_a_category_with_categories_is_not_deleted(session):
    kitchen = shelf("Kitchen")
    shelf("Mugs", parent=kitchen)

    with pytest.raises(catalog.NotEmpty, match="still has categories"):
        catalog.delete_category(kitchen)


def test_a_category_with_products_is_not_deleted(session):
    mugs = shelf("Mugs")
    mug(category=mugs)

    with pytest.raises(catalog.NotEmpty, match="still has 1 product in it"):
        catalog.delete_category(mugs)


def test_an_empty_category_is_deleted(session):
    catalog.delete_category(shelf("Mugs"))

    with pytest.raises(NotFound):
        catalog.category("mugs")


@pytest.mark.parametrize("slug", ["Mugs", "mugs--cups", "-mugs", "mugs/cups", "müsli", "a" * 81])
def test_impossible_address_field_is_refused(session, slug):
    with pytest.raises(Invalid) as refused:
        catalog.create_category("Mugs", slug=slug)

    assert refused.value.field == "slug"


def test_name_without_letters_for_address_is_refused(session):
    with pytest.raises(Invalid):
        shelf("杯子")


def test_the_tree_has_a_greatest_depth(session):
    above = None
    for level in range(6):
        above = shelf(f"Level {level}", parent=above)

    with pytest.raises(Invalid, match="6 levels"):
        shelf("Level 6", parent=above)
