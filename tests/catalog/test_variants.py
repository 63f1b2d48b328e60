"""Options and variants: one of each combination, one SKU each, prices that can be."""

import pytest

from shop import catalog, inventory
from shop.core.errors import Invalid, NotFound, WrongState
from tests.catalog.goods import colours, mug, sizes, value


def test_every_missing_combination_is_generated_once(session):
    product = mug(options=(colours("Ember", "Oat"), sizes("300 ml")))
    catalog.set_options(product, [colours("Ember", "Oat"), sizes("300 ml", "420 ml")])

    added = catalog.generate_variants(
        product, sku_pattern="tdl-{Colour:3}-{size}", price_minor=2200
    )

    assert [v.sku for v in added] == ["TDL-EMB-420ML", "TDL-OAT-420ML"]
    assert [v.title for v in added] == ["Ember / 420 ml", "Oat / 420 ml"]
    assert catalog.generate_variants(product, sku_pattern="x", price_minor=1) == []


def test_pattern_that_gives_one_sku_twice_adds_nothing(session):
    product = mug(options=(colours("Ember"),))
    catalog.set_options(product, [colours("Ember", "Oat", "Oatmeal")])

    with pytest.raises(catalog.Taken, match="SKU"):
        catalog.generate_variants(product, sku_pattern="N-{Colour:3}", price_minor=1800)

    session.refresh(product)
    assert len(product.variants) == 1


def test_a_pattern_with_an_unknown_option_is_refused(session):
    product = mug(options=(colours("Ember"),), published=False)
    catalog.set_options(product, [colours("Ember", "Oat")])

    with pytest.raises(Invalid, match="no option Taste"):
        catalog.generate_variants(product, sku_pattern="{Taste}", price_minor=1800)


def test_too_many_combinations_are_refused_before_creation(session):
    product = catalog.create_product("Endless Mug")
    many = [str(n) for n in range(20)]
    catalog.set_options(product, [colours(*many), sizes(*many)])

    with pytest.raises(Invalid, match="400 variants; 200 is the most"):
        catalog.generate_variants(product, sku_pattern="{Colour}-{Size}", price_minor=1800)

    assert product.variants == []


def test_a_combination_exists_once(session):
    product = mug(options=(colours("Ember", "Oat"),))

    with pytest.raises(catalog.Taken, match="already has a variant with these options"):
        catalog.add_variant(
            product, sku="NEW", price_minor=1, values=[value(product, "Colour", "Oat")]
        )

    assert len(product.variants) == 2


def test_a_product_without_options_has_one_variant(session):
    product = mug()

    with pytest.raises(catalog.Taken):
        catalog.add_variant(product, sku="NEW", price_minor=1)


def test_sku_is_unique_whatever_its_case(session):
    tidal, harbour = mug("Tidal Mug"), mug("Harbour Mug")

    with pytest.raises(catalog.Taken) as refused:
        catalog.update_variant(harbour.variants[0], sku=" tidal-mug ")

    assert refused.value.field == "sku"
    assert (tidal.variants[0].sku, harbour.variants[0].sku) == ("TIDAL-MUG", "HARBOUR-MUG")


@pytest.mark.parametrize(
    ("field", "number"),
    [
        ("price_minor", -1),
        ("price_minor", 10**12),
        ("compare_at_minor", 1800),
        ("compare_at_minor", 1799),
        ("weight_g", -1),
        ("low_stock_level", -1),
        ("sku", ""),
        ("sku", "with space"),
        ("sku", "X" * 65),
    ],
)
def test_invalid_value_is_refused_and_changes_nothing(session, field, number):
    variant = mug().variants[0]

    with pytest.raises(Invalid) as refused:
        catalog.update_variant(variant, **{"barcode": "4006381333931", field: number})

    assert refused.value.field == field
    assert (variant.price_minor, variant.compare_at_minor, variant.barcode) == (1800, None, "")


def test_a_price_cannot_rise_to_its_former_price(session):
    variant = mug().variants[0]
    catalog.update_variant(variant, compare_at_minor=2400)

    with pytest.raises(Invalid, match="compare-at price"):
        catalog.update_variant(variant, price_minor=2400)


def test_a_variant_needs_one_value_of_each_option(session):
    product = mug(options=(colours("Ember"), sizes("S")))
    other = mug("Harbour Mug", options=(colours("Ember"),))
    ember = value(product, "Colour", "Ember")

    for values, words in (
        ([ember], "Choose a value for Size"),
        ([ember, value(product, "Size", "S"), ember], "one value of each"),
        ([ember, value(other, "Colour", "Ember")], "Choose a value for Size"),
    ):
        with pytest.raises(Invalid, match=words):
            catalog.add_variant(product, sku="NEW", price_minor=1, values=values)


def test_the_span_of_prices_follows_what_is_sold(session):
    product = mug(options=(colours("Ember", "Oat"),))
    ember, oat = product.variants

    catalog.update_variant(oat, price_minor=2500)
    assert (product.price_from_minor, product.price_to_minor) == (1800, 2500)

    catalog.archive_variant(ember)
    assert (product.price_from_minor, product.price_to_minor) == (2500, 2500)

    catalog.restore_variant(ember)
    assert product.price_from_minor == 1800


def test_last_variant_on_sale_is_not_archived(session):
    product = mug()

    with pytest.raises(catalog.NotReady):
        catalog.archive_variant(product.variants[0])


def test_an_archived_variant_is_not_shown(session):
    product = mug(options=(colours("Ember", "Oat"),))

    catalog.archive_variant(product.variants[0])

    page = catalog.product_page("tidal-mug")
    assert [variant.title for variant in page.variants] == ["Oat"]
    assert [v.name for v in page.options[0].values] == ["Oat"]


def test_a_variant_that_was_counted_is_not_deleted(session):
    product = mug(options=(colours("Ember", "Oat"),))

    with pytest.raises(catalog.HasHistory, match="TIDAL-MUG-EMBER was ordered"):
        catalog.delete_variant(product.variants[0])


def test_a_variant_nobody_counted_is_deleted(session):
    product = mug(options=(colours("Ember", "Oat"),), stock=0)

    catalog.delete_variant(product.variants[0])

    assert [v.title for v in catalog.product_page("tidal-mug").variants] == ["Oat"]


def test_variants_take_first_value_of_new_option(session):
    product = mug(options=(colours("Ember", "Oat"),))

    catalog.set_options(product, [colours("Ember", "Oat"), sizes("300 ml", "420 ml")])

    assert [v.title for v in product.variants] == ["Ember / 300 ml", "Oat / 300 ml"]


def test_a_value_in_use_does_not_vanish(session):
    product = mug(options=(colours("Ember", "Oat"),))

    with pytest.raises(WrongState, match="Oat is still used by TIDAL-MUG-OAT"):
        catalog.set_options(product, [colours("Ember", "Ink")])

    session.refresh(product)
    assert [v.name for v in product.options[0].values] == ["Ember", "Oat"]


def test_option_that_distinguishes_variants_cannot_be_removed(session):
    product = mug(options=(colours("Ember"), sizes("S", "L")))

    with pytest.raises(catalog.Taken, match="would be the same"):
        catalog.set_options(product, [colours("Ember")])

    assert [option.name for option in product.options] == ["Colour", "Size"]


def test_an_option_that_tells_nothing_apart_can_go(session):
    product = mug(options=(colours("Ember", "Oat"), sizes("S")))

    catalog.set_options(product, [colours("Ember", "Oat")])

    assert [v.title for v in product.variants] == ["Ember", "Oat"]


def test_options_and_values_are_renamed_by_their_number(session):
    product = mug(options=(colours("Ember"),))
    option = product.options[0]

    catalog.set_options(
        product,
        [
            catalog.OptionDraft(
                "Glaze", (catalog.ValueDraft("Flame", "#AA3300", option.values[0].id),), option.id
            )
        ],
    )

    assert product.variants[0].title == "Flame"
    assert (option.name, option.values[0].swatch) == ("Glaze", "#aa3300")


@pytest.mark.parametrize(
    "drafts",
    [
        [colours()],
        [colours("Ember", " ember ")],
        [sizes("S"), sizes("L")],
        [catalog.OptionDraft("Colour", (catalog.ValueDraft("Ember", "red"),))],
        [catalog.OptionDraft(" ", (catalog.ValueDraft("Ember"),))],
        [catalog.OptionDraft(f"Option {n}", (catalog.ValueDraft("x"),)) for n in range(6)],
    ],
)
def test_options_that_cannot_be_are_refused(session, drafts):
    product = mug(published=False)

    with pytest.raises(Invalid) as refused:
        catalog.set_options(product, drafts)

    assert refused.value.field == "options"
    assert product.options == []


def test_an_option_of_another_product_is_not_found(session):
    product, other = mug(options=(colours("Ember"),)), mug("Other", options=(colours("Oat"),))
    draft = catalog.OptionDraft("Colour", (catalog.ValueDraft("Ink"),), other.options[0].id)

    with pytest.raises(NotFound):
        catalog.set_options(product, [draft])


def test_variants_are_shown_in_order_that_staff_gave(session):
    product = mug(options=(colours("Ember", "Oat"),))
    ember, oat = product.variants

    catalog.reorder_variants(product, [oat.id, ember.id])

    assert [v.title for v in catalog.product_page("tidal-mug").variants] == ["Oat", "Ember"]
    with pytest.raises(Invalid):
        catalog.reorder_variants(product, [oat.id])


def test_a_backorder_can_be_bought_without_stock(session):
    product = mug(stock=0)
    assert not catalog.product_page("tidal-mug").variants[0].is_available

    catalog.update_variant(product.variants[0], backorder_allowed=True)

    shown = catalog.product_page("tidal-mug").variants[0]
    assert (shown.is_available, shown.available) == (True, 0)


def test_few_left_are_said_to_be_low(session):
    product = mug(stock=0)
    for stock, low in ((3, True), (1, False)):
        inventory.receive(product.variants[0].id, stock)
        assert catalog.product_page("tidal-mug").variants[0].low is low
