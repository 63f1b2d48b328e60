"""Listings and product pages, as somebody without JavaScript meets them."""

import json
import re
from datetime import UTC, date, datetime
from typing import Any
from urllib.parse import unquote

import pytest
from flask.testing import FlaskClient

from shop import catalog
from shop.core import clock
from shop.core.db import transaction
from shop.store.product import arrival
from tests.store.shelf import filled


def linked_data(page: str, kind: str) -> dict[str, Any]:
    found = re.findall(r'<script type="application/ld\+json">(.*?)</script>', page, re.S)
    return next(item for item in map(json.loads, found) if item["@type"] == kind)


def names(page: str) -> list[str]:
    return re.findall(r'<h3><a href="/products/[^"]+">([^<]+)</a>', page.replace("\n", ""))


def test_a_category_shows_what_is_below_it(browser: FlaskClient):
    filled()

    page = browser.get("/c/kitchen").text

    assert set(names(page)) == {"Tidal Mug", "Moon Vase"}
    assert "2 products" in page
    assert 'href="/c/kitchen/mugs-cups"' in page
    assert linked_data(page, "BreadcrumbList")["itemListElement"][-1]["name"] == "Kitchen"


def test_filters_narrow_and_each_chip_takes_one_away(browser: FlaskClient):
    filled()

    page = browser.get("/products?option.Colour=Ember&option.Colour=Ink&max_price=20").text

    assert names(page) == ["Tidal Mug"]
    chips = [unquote(href) for href in re.findall(r'class="chip" href="([^"]+)"', page)]
    assert chips == [
        "/products?option.Colour=Ink&amp;max_price=20.00",
        "/products?option.Colour=Ember&amp;max_price=20.00",
        "/products?option.Colour=Ember&amp;option.Colour=Ink",
    ]
    assert "noindex, follow" in page


def test_filters_that_leave_nothing_offer_a_way_out(browser: FlaskClient):
    filled()

    page = browser.get("/products?min_price=900")

    assert page.status_code == 200
    assert "Nothing fits all of these" in page.text
    assert 'href="/products"' in page.text


def test_empty_fields_of_the_form_are_no_filters(browser: FlaskClient):
    filled()

    page = browser.get("/products?min_price=&max_price=&sort=").text

    assert 'class="chip"' not in page
    assert len(names(page)) == 2


def test_products_are_sorted_as_asked(browser: FlaskClient):
    filled()

    assert names(browser.get("/products?sort=price_asc").text) == ["Tidal Mug", "Moon Vase"]
    assert names(browser.get("/products?sort=price_desc").text) == ["Moon Vase", "Tidal Mug"]


@pytest.mark.parametrize(
    ("query", "status", "words"),
    [
        ("page=0", 404, "nothing at this address"),
        ("page=-1", 404, "nothing at this address"),
        ("page=abc", 404, "nothing at this address"),
        ("page=99999999999999999999", 404, "nothing at this address"),
        ("page=9", 404, "There is no page 9"),
        ("min_price=abc", 400, "“abc” is not an amount"),
        ("min_price=-1", 400, "An amount cannot be below zero"),
        ("max_price=1e99", 400, "“1e99” is not an amount"),
        ("max_price=NaN", 400, "“NaN” is not an amount"),
        ("min_price=1.005", 400, "Write 1005.00 or 1,005.00."),
        ("sort=sideways", 400, "cannot be sorted by “sideways”"),
        ("sort=%00", 400, "cannot be sorted"),
        ("category=nope", 404, "nothing at this address"),
    ],
)
def test_unusable_query_is_refused_in_words(
    browser: FlaskClient, query: str, status: int, words: str
):
    filled()

    page = browser.get(f"/products?{query}")

    assert page.status_code == status
    assert words in page.text


@pytest.mark.parametrize("address", ["/products", "/c/kitchen", "/search"])
def test_invalid_price_filter_keeps_the_other_filters(browser: FlaskClient, address: str):
    filled()

    page = browser.get(f"{address}?q=mug&min_price=cheap&max_price=50&option.Colour=Ember")

    assert page.status_code == 400
    assert "“cheap” is not an amount" in page.text
    assert re.search(r'name="min_price"[^>]* value="cheap"[^>]* aria-invalid="true"', page.text)
    assert re.search(r'name="max_price"[^>]* value="50.00"', page.text)
    assert "Tidal Mug" in page.text and "Up to €50.00" in page.text


@pytest.mark.parametrize(
    "query", ["q=%00", "q=((((", "q=%27%26%7C", "option.Colour=%00", "option.=x", "q=" + "a" * 5000]
)
def test_odd_words_find_nothing_bad(browser: FlaskClient, query: str):
    filled()

    assert browser.get(f"/products?{query}").status_code == 200


def test_unknown_addresses_offer_search_and_products(browser: FlaskClient):
    filled()

    for address in (
        "/c/nope",
        "/c/%00",
        "/products/nope",
        "/products/%00",
        "/nope",
        "/c/nope?page=4",
    ):
        page = browser.get(address)
        assert page.status_code == 404
        assert 'name="q"' in page.text
        assert "Kitchen" in page.text


def test_addresses_that_moved_answer_301_and_keep_query(browser: FlaskClient):
    shelf = filled()
    with transaction():
        catalog.update_category(shelf.mugs, slug="cups")
        catalog.update_product(shelf.mug, slug="ebb-mug")
    catalog.clear_cache()

    category = browser.get("/c/kitchen/mugs-cups?sort=newest")
    product = browser.get("/products/tidal-mug")

    assert (category.status_code, category.location) == (301, "/c/kitchen/cups?sort=newest")
    assert (product.status_code, product.location) == (301, "/products/ebb-mug")


def test_the_asked_variant_is_rendered(browser: FlaskClient):
    shelf = filled()
    scarce = next(v for v in shelf.mug.variants if v.title == "Ember / 420 ml")

    page = browser.get(f"/products/tidal-mug?variant={scarce.sku}").text

    assert "Only 2 left" in page
    assert f'name="variant_id" value="{scarce.id}"' in page
    assert f'data-product-id="{shelf.mug.id}"' in page
    assert re.search(r'value="420 ml"[^>]*checked', page)


def test_sold_out_is_shown_and_cannot_be_bought(browser: FlaskClient):
    shelf = filled()
    gone = next(v for v in shelf.mug.variants if v.title == "Ink / 420 ml")

    page = browser.get(f"/products/tidal-mug?variant={gone.sku}").text

    assert '<span class="note">sold out</span>' in page
    assert re.search(r"<button[^>]*data-buy[^>]*disabled>\s*Sold out\s*</button>", page)


def test_unknown_variant_shows_one_that_can_be_bought(browser: FlaskClient):
    filled()

    for sku in ("nope", "%00", ""):
        assert "In stock" in browser.get(f"/products/tidal-mug?variant={sku}").text


def test_choosing_works_without_scripts(browser: FlaskClient):
    shelf = filled()
    wanted = next(v for v in shelf.mug.variants if v.title == "Ink / 300 ml")

    answer = browser.get("/products/tidal-mug?option.Colour=Ink&option.Size=300+ml")

    assert answer.status_code == 303
    assert answer.location == f"/products/tidal-mug?variant={wanted.sku}"


def test_machines_read_same_price_and_stock_as_people(browser: FlaskClient):
    filled()

    group = linked_data(browser.get("/products/tidal-mug").text, "ProductGroup")

    offers = {v["name"]: v["offers"] for v in group["hasVariant"]}
    assert offers["Tidal Mug, Ember / 300 ml"]["price"] == "18.00"
    assert offers["Tidal Mug, Ember / 300 ml"]["availability"].endswith("/InStock")
    assert offers["Tidal Mug, Ink / 420 ml"]["availability"].endswith("/OutOfStock")
    assert group["aggregateRating"] == {
        "@type": "AggregateRating",
        "ratingValue": "4.5",
        "reviewCount": 2,
    }


def test_what_people_write_stays_text(browser: FlaskClient):
    filled()

    page = browser.get("/products/tidal-mug").text

    assert "Just &lt;b&gt;right&lt;/b&gt;" in page
    assert "<b>right" not in page
    assert "<strong>enough</strong>" in page


@pytest.mark.parametrize(
    ("moment", "first", "last"),
    [
        (datetime(2026, 11, 23, 9, tzinfo=UTC), date(2026, 11, 25), date(2026, 11, 27)),
        (datetime(2026, 11, 23, 18, tzinfo=UTC), date(2026, 11, 26), date(2026, 11, 30)),
        (datetime(2026, 11, 21, 9, tzinfo=UTC), date(2026, 11, 25), date(2026, 11, 27)),
    ],
    ids=["monday morning", "monday evening", "saturday"],
)
def test_arrival_days_skip_the_weekend(session: object, moment: datetime, first: date, last: date):
    with clock.freeze(moment):
        promised = arrival()

    assert promised is not None
    assert (promised.first, promised.last) == (first, last)


def test_a_product_page_costs_few_statements(browser: FlaskClient, statements: list[str]):
    filled()
    browser.get("/products/tidal-mug")
    statements.clear()

    browser.get("/products/tidal-mug")

    assert len(statements) <= 4, statements


def test_a_listing_costs_few_statements(browser: FlaskClient, statements: list[str]):
    filled()
    browser.get("/products")
    statements.clear()

    browser.get("/products?option.Colour=Ember")

    assert len(statements) <= 5, statements


def test_product_page_says_what_an_order_takes(browser: FlaskClient):
    filled()
    page = browser.get("/products/tidal-mug").text

    assert 'max="20"' in page and "Up to 20 per order" in page
