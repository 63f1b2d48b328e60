"""Lists, filters and searches, and what they cost."""

from typing import Any

import pytest

from shop import catalog
from shop.catalog import Filters
from shop.core.errors import NotFound
from shop.core.statements import Statements
from tests.catalog.goods import colours, mug, shelf, sizes, stored_image

NO_ORDER: Any = "price; DROP TABLE product"  # nobody checks the type of what an address says


@pytest.fixture(autouse=True)
def fresh():
    catalog.clear_cache()
    yield
    catalog.clear_cache()


def names(filters: Filters) -> list[str]:
    catalog.clear_cache()
    return [card.name for card in catalog.listing(filters).cards]


def test_category_lists_what_lies_in_it_and_below(session):
    kitchen = shelf("Kitchen")
    mug("Tidal Mug", category=shelf("Mugs", parent=kitchen))
    mug("Elsewhere", category=shelf("Living"))

    assert names(Filters(category_path="kitchen")) == ["Tidal Mug"]
    assert names(Filters(category_path="/kitchen/mugs/")) == ["Tidal Mug"]


def test_an_unknown_category_is_not_found(session):
    with pytest.raises(NotFound):
        catalog.listing(Filters(category_path="nothing"))


@pytest.mark.parametrize("page", [-1, 0, 3, 10**9])
def test_page_that_is_not_there_is_not_found(session, page):
    mug("One"), mug("Two")

    with pytest.raises(NotFound, match="Page not found"):
        catalog.listing(Filters(page=page, per_page=1))


def test_pages_divide_the_list_without_gaps(session):
    for n in range(5):
        mug(f"Mug {n}")

    pages = [catalog.listing(Filters(page=n, per_page=2, sort="newest")) for n in (1, 2, 3)]

    assert [len(page.cards) for page in pages] == [2, 2, 1]
    assert len({card.id for page in pages for card in page.cards}) == 5
    assert (pages[0].total, pages[0].pages) == (5, 3)


def test_an_empty_list_is_a_page(session):
    nothing = catalog.listing(Filters())

    assert (nothing.total, nothing.pages, nothing.price_range) == (0, 1, None)


def test_lists_are_sorted_by_price(session):
    mug("Middle", price_minor=2000), mug("Dear", price_minor=3000), mug("Cheap", price_minor=1000)

    assert names(Filters(sort="price_asc")) == ["Cheap", "Middle", "Dear"]
    assert names(Filters(sort="price_desc")) == ["Dear", "Middle", "Cheap"]


def test_one_variant_must_pass_all_filters_together(session):
    product = mug(options=(colours("Ember", "Oat"),), stock=0)
    catalog.update_variant(product.variants[1], price_minor=2500, backorder_allowed=True)
    ember: dict[str, tuple[str, ...]] = {"Colour": ("Ember",)}
    oat: dict[str, tuple[str, ...]] = {"Colour": ("Oat",)}

    assert names(Filters(options=oat, in_stock=True, min_price_minor=2000)) == ["Tidal Mug"]
    assert names(Filters(options=ember, in_stock=True)) == []
    assert names(Filters(options=ember, min_price_minor=2000)) == []
    assert names(Filters(options=oat, max_price_minor=2000)) == []


def test_facet_counts_what_its_other_values_would_add(session):
    mug("One", options=(colours("Ember", "Oat"), sizes("S", "L")))
    mug("Two", options=(colours("Oat"), sizes("L")))

    listing = catalog.listing(Filters(options={"Colour": ("Ember",)}))

    counts = {
        facet.name: {value.value: (value.count, value.is_chosen) for value in facet.values}
        for facet in listing.facets
    }
    assert listing.total == 1
    assert counts["Colour"] == {"Ember": (1, True), "Oat": (2, False)}
    assert counts["Size"] == {"S": (1, False), "L": (1, False)}


def test_facet_of_single_product_is_left_out(session):
    mug("One", options=(colours("Ember", "Oat"),))
    mug("Two")

    assert catalog.listing(Filters()).facets == ()


def test_chosen_value_that_nothing_has_is_still_shown(session):
    mug("One")

    listing = catalog.listing(Filters(options={"Colour": ("Plaid",)}))

    assert (listing.total, listing.facets[0].values[0].value) == (0, "Plaid")
    assert listing.facets[0].values[0].is_chosen


def test_price_range_and_stock_count_ignore_their_filter(session):
    mug("Cheap", price_minor=1000)
    mug("Dear", price_minor=3000, stock=0)

    listing = catalog.listing(Filters(max_price_minor=2000, in_stock=False))

    assert listing.price_range == (1000, 3000)
    assert (listing.total, listing.in_stock_count) == (1, 1)


def test_words_match_by_stem_prefix_and_without_accents(session):
    mug("Café Mugs")

    for q in ("mug", "cafe", "caf", "MUGS café", "cafe-mug"):
        assert names(Filters(q=q)) == ["Café Mugs"], q


def test_the_name_counts_more_than_the_description(session):
    saucer = mug("Saucer")
    catalog.update_product(saucer, description="Goes below a teapot, any teapot.")
    mug("Teapot")

    assert names(Filters(q="teapot")) == ["Teapot", "Saucer"]


def test_a_sku_finds_its_product(session):
    mug("Tidal Mug", options=(colours("Ember"),))

    assert names(Filters(q="tidal-mug-ember")) == ["Tidal Mug"]


def test_typing_mistake_finds_similar_names_and_says_so(session):
    mug("Hush Candle")

    listing = catalog.listing(Filters(q="candel"))

    assert [card.name for card in listing.cards] == ["Hush Candle"]
    assert listing.is_guess
    assert not catalog.listing(Filters(q="candle")).is_guess


@pytest.mark.parametrize(
    "q",
    ["'", "\\", "(((", "a:*&!|", "\x00", "\ud800", "<->", '"', "-", "or", "%", "x" * 100_000, "🙂"],
)
def test_no_query_breaks_the_search(session, q):
    mug()

    assert catalog.listing(Filters(q=q)).page == 1
    catalog.suggest(q)


@pytest.mark.parametrize(
    "filters",
    [
        Filters(min_price_minor=-(10**20), max_price_minor=10**20),
        Filters(per_page=10**9),
        Filters(per_page=-1),
        Filters(sort=NO_ORDER),
        Filters(options={"\x00": ("\x00",), "'": ("'",) * 1000}),
        Filters(options={str(n): ("x",) for n in range(1000)}),
    ],
)
def test_filters_out_of_bounds_are_brought_into_them(session, filters):
    mug()

    assert catalog.listing(filters).page == 1


def test_what_is_typed_offers_products_and_categories(session):
    mug("Tidal Mug", category=shelf("Mugs & cups"))

    offered = catalog.suggest("mu")

    assert [hint.slug for hint in offered.products] == ["tidal-mug"]
    assert [hint.path for hint in offered.categories] == ["mugs-cups"]
    assert catalog.suggest("m").products == ()


def test_card_shows_the_second_image_of_the_colour(session):
    product = mug(options=(colours("Ember", "Oat"),))
    ember, oat = product.options[0].values
    for key, value in (("a", ember), ("b", oat), ("c", ember)):
        catalog.add_image(product, stored_image(key * 26), alt=key, option_value=value)

    card = catalog.cards([product.id])[0]

    assert (card.image.alt, card.hover_image.alt) == ("a", "c")
    assert card.swatches == (("Ember", "#b0583a"), ("Oat", "#d3c3a4"))


def test_card_of_sold_out_product_says_so(session):
    product = mug(stock=0)

    assert not catalog.cards([product.id])[0].is_available


def test_cards_keep_their_order_and_omit_drafts(session):
    first, second, draft = mug("One"), mug("Two"), mug("Draft", published=False)

    shown = catalog.cards([second.id, draft.id, first.id, 10**12])

    assert [card.id for card in shown] == [second.id, first.id]


def test_the_featured_come_in_their_rank(session):
    for rank, name in ((2, "Second"), (1, "First"), (None, "Never")):
        catalog.update_product(mug(name), featured_rank=rank)

    assert [card.name for card in catalog.featured(8)] == ["First", "Second"]


def test_a_product_page_costs_two_statements(session):
    kitchen = shelf("Kitchen")
    mug("Tidal Mug", options=(colours("Ember", "Oat"), sizes("S", "L")), category=kitchen)
    mug("Harbour Mug", category=kitchen)
    catalog.menu()

    with Statements() as statements:
        page = catalog.product_page("tidal-mug")

    assert len(statements) == 2
    assert (len(page.variants), [card.name for card in page.related]) == (4, ["Harbour Mug"])


def test_list_costs_two_statements_and_next_page_one(session):
    kitchen = shelf("Kitchen")
    for n in range(30):
        mug(f"Mug {n}", options=(colours("Ember", "Oat"),), category=kitchen)
    catalog.menu()

    with Statements() as statements:
        catalog.listing(Filters(category_path="kitchen", q="mug", in_stock=True))
    assert len(statements) == 2

    with Statements() as statements:
        catalog.listing(Filters(category_path="kitchen", q="mug", in_stock=True, page=2))
    assert len(statements) == 1


def test_parts_of_home_page_cost_one_statement_each(session):
    for n in range(4):
        catalog.update_product(mug(f"Mug {n}"), featured_rank=n)
    session.flush()
    catalog.clear_cache()

    with Statements() as statements:
        catalog.menu(), catalog.featured(8), catalog.newest(8), catalog.menu()

    assert len(statements) == 3


def test_shelves_show_what_sells_best_in_one_statement(session):
    kitchen, _bath = shelf("Kitchen"), shelf("Bath")
    mugs = shelf("Mugs", parent=kitchen)
    slow, best, bare = mug("Slow", category=kitchen), mug("Best", category=mugs), mug("Bare")
    for product, key, sold in ((slow, "s" * 26, 1), (best, "b" * 26, 5)):
        catalog.add_image(product, stored_image(key))
        product.sold_count = sold
    bare.sold_count = 9
    session.flush()
    catalog.menu()

    with Statements() as seen:
        found = catalog.shelf_images(["kitchen", "bath", "nowhere"])

    assert {path: image.key for path, image in found.items()} == {"kitchen": "b" * 26}
    assert len(seen) == 1


def test_a_very_long_list_is_counted_without_facets(session, monkeypatch):
    monkeypatch.setattr("shop.catalog.lists.MAX_FACETED", 1)
    mug("One", options=(colours("Ember"),)), mug("Two", options=(colours("Ember", "Oat"),))

    listing = catalog.listing(Filters(options={"Colour": ("Oat",)}))

    assert (listing.total, listing.in_stock_count, listing.facets) == (1, None, ())
    assert [card.name for card in listing.cards] == ["Two"]


def test_every_public_address_is_listed_for_search_engines(session):
    mug(category=shelf("Mugs"))
    mug("Draft", published=False)

    assert [address for address, _ in catalog.addresses()] == ["/c/mugs", "/products/tidal-mug"]
