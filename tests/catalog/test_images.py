"""Images of a product: order, words, colours."""

import pytest

from shop import catalog
from shop.core.errors import Invalid
from tests.catalog.goods import colours, mug, stored_image, value


def test_images_are_shown_in_order_with_alt_text(session):
    product = mug(options=(colours("Ember", "Oat"),))
    oat = value(product, "Colour", "Oat")
    first = catalog.add_image(product, stored_image("a" * 26), alt="A mug in Ember")
    second = catalog.add_image(
        product, stored_image("b" * 26, widths="320,640"), alt="A mug in Oat", option_value=oat
    )

    catalog.reorder_images(product, [second.id, first.id])

    shown = catalog.product_page("tidal-mug").images
    assert [image.alt for image in shown] == ["A mug in Oat", "A mug in Ember"]
    assert (shown[0].widths, shown[0].option_value_id) == ((320, 640), oat.id)
    assert shown[1].widths == ()


def test_order_must_name_every_image_once(session):
    product = mug()
    first = catalog.add_image(product, stored_image("a" * 26))
    catalog.add_image(product, stored_image("b" * 26))

    for ids in ([first.id], [first.id, first.id], [first.id, 0]):
        with pytest.raises(Invalid, match="every image once"):
            catalog.reorder_images(product, ids)


def test_image_refuses_option_value_of_another_product(session):
    product, other = mug(), mug("Other", options=(colours("Ember"),))

    with pytest.raises(Invalid, match="another product"):
        catalog.add_image(product, stored_image(), option_value=value(other, "Colour", "Ember"))


def test_removed_image_keeps_its_file(session):
    product = mug()
    media = stored_image()
    image = catalog.add_image(product, media)

    catalog.remove_image(image)

    assert catalog.product_page("tidal-mug").images == ()
    assert session.get(type(media), media.id) is media


def test_the_words_can_be_changed_within_bounds(session):
    image = catalog.add_image(mug(), stored_image())

    catalog.update_image(image, alt=" Two mugs ", option_value=None)
    assert image.alt == "Two mugs"

    with pytest.raises(Invalid):
        catalog.update_image(image, alt="x" * 301, option_value=None)
