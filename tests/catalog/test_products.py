"""Products: what is written about them, their addresses, and whether they are for sale."""

from datetime import timedelta

import pytest
from sqlalchemy import select

from shop import catalog
from shop.core import clock
from shop.core.errors import Invalid, NotFound, WrongState
from shop.core.events import EventRecord
from tests.catalog.goods import colours, mug, shelf


def test_new_product_is_draft_that_no_page_shows(session):
    product = mug(published=False)

    with pytest.raises(NotFound):
        catalog.product_page(product.slug)


def test_two_products_of_one_name_get_own_slugs(session):
    slugs = [catalog.create_product("Tidal Mug").slug for _ in range(3)]

    assert slugs == ["tidal-mug", "tidal-mug-2", "tidal-mug-3"]


def test_an_address_that_another_product_has_is_refused(session):
    catalog.create_product("Tidal Mug")
    harbour = catalog.create_product("Harbour Mug")

    with pytest.raises(catalog.Taken) as refused:
        catalog.update_product(harbour, slug="tidal-mug")

    assert refused.value.field == "slug"
    assert harbour.slug == "harbour-mug"
    assert catalog.redirect_for("/products/harbour-mug") is None


def test_a_changed_address_keeps_the_old_one_alive(session):
    product = mug()

    catalog.update_product(product, slug="high-tide-mug")

    assert catalog.redirect_for("/products/tidal-mug") == "/products/high-tide-mug"
    assert catalog.product_page("high-tide-mug").name == "Tidal Mug"


def test_the_first_category_becomes_the_primary_one(session):
    mugs, gifts = shelf("Mugs"), shelf("Gifts")

    product = catalog.create_product("Tidal Mug", categories=[mugs, gifts])

    assert product.primary_category is mugs
    catalog.update_product(product, categories=[gifts])
    assert product.primary_category is gifts


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", "  "),
        ("name", "x" * 201),
        ("description", "x" * 20_001),
        ("attributes", {"": "no name"}),
        ("featured_rank", -1),
        ("slug", "Tidal Mug"),
    ],
)
def test_unstorable_value_is_refused_and_changes_nothing(session, field, value):
    product = mug()

    with pytest.raises(Invalid) as refused:
        catalog.update_product(product, **{"tagline": "New", field: value})

    assert refused.value.field == field
    assert (product.name, product.tagline) == ("Tidal Mug", "")


def test_product_with_nothing_to_sell_is_not_published(session):
    product = catalog.create_product("Tidal Mug")

    with pytest.raises(catalog.NotReady, match="nothing to sell"):
        catalog.publish(product)

    assert product.status == "draft"


def test_a_product_is_shown_only_between_its_days(session):
    product = mug()
    now = clock.now()

    catalog.publish(product, at=now + timedelta(days=1), until=now + timedelta(days=2))

    for days, is_shown in ((0, False), (1.5, True), (2.5, False)):
        with clock.freeze(now + timedelta(days=days)):
            assert bool(catalog.cards([product.id])) is is_shown


def test_the_last_day_cannot_lie_before_the_first(session):
    product = mug()

    with pytest.raises(Invalid):
        catalog.publish(product, until=clock.now() - timedelta(days=1))


def test_archived_product_cannot_be_published_before_restoring(session):
    product = mug()
    catalog.archive(product)

    with pytest.raises(WrongState, match="archived"):
        catalog.publish(product)

    catalog.restore(product)
    catalog.publish(product)
    assert catalog.product_page("tidal-mug").id == product.id


def test_counted_product_is_archived_but_never_deleted(session):
    product = mug(options=(colours("Ember", "Oat"),))

    with pytest.raises(catalog.HasHistory, match="archive it instead"):
        catalog.delete_product(product)

    catalog.archive(product)
    assert len(product.variants) == 2


def test_product_without_movements_is_deleted_with_its_parts(session):
    product = mug(options=(colours("Ember", "Oat"),), stock=0, category=shelf())

    catalog.delete_product(product)

    with pytest.raises(NotFound):
        catalog.get_product(product.id)


def test_every_change_leaves_an_event(session):
    product = mug(stock=0)

    catalog.unpublish(product)

    session.flush()
    said = session.scalars(
        select(EventRecord.payload)
        .where(EventRecord.type == "ProductChanged")
        .order_by(EventRecord.id)
    ).all()
    assert [payload["what"] for payload in said] == [
        "created", "options changed", "variant added", "published", "unpublished",
    ]  # fmt: skip
    assert {payload["product_id"] for payload in said} == {product.id}


def test_markdown_becomes_html_without_anything_that_runs(session):
    product = mug()
    catalog.update_product(
        product,
        description="**Heavy** <script>alert(1)</script> [a](javascript:alert(1)) [b](https://x.org)",
    )

    html = catalog.product_page("tidal-mug").description_html

    assert "<strong>Heavy</strong>" in html
    assert "<script" not in html and 'href="javascript' not in html
    assert 'href="https://x.org"' in html
