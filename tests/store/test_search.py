"""Searching: the result page and the suggestions."""

from flask.testing import FlaskClient

from shop.store.search import marked
from tests.store.shelf import filled


def test_a_search_finds_and_can_be_narrowed(browser: FlaskClient):
    filled()

    page = browser.get("/search?q=mug").text

    assert "Results for “mug”" in page
    assert "Tidal Mug" in page
    assert "Moon Vase" not in page.partition("<main")[2].partition("</main>")[0]
    assert "Best match" in page
    assert 'content="noindex"' in page


def test_a_slip_of_the_finger_still_finds_it(browser: FlaskClient):
    filled()

    page = browser.get("/search?q=tidl+mugg").text

    assert "Tidal Mug" in page


def test_nothing_found_helps_on(browser: FlaskClient):
    filled()

    page = browser.get("/search?q=zzqqxx")

    assert page.status_code == 200
    assert "We found nothing" in page.text
    assert 'href="/c/kitchen"' in page.text


def test_without_words_the_page_asks(browser: FlaskClient):
    for address in ("/search", "/search?q=", "/search?q=%20%00"):
        page = browser.get(address)
        assert page.status_code == 200
        assert "What are you looking for?" in page.text


def test_suggestions_are_options_with_marks(browser: FlaskClient):
    filled()

    fragment = browser.get("/search/suggest?q=mug").text

    assert 'role="option"' in fragment
    assert 'data-href="/products/tidal-mug"' in fragment
    assert "<mark>Mug</mark>" in fragment
    assert "Search for “mug”" in fragment
    assert "<html" not in fragment


def test_one_letter_asks_nothing_of_the_database(browser: FlaskClient, statements: list[str]):
    statements.clear()

    browser.get("/search/suggest?q=m")

    assert statements == []


def test_words_of_a_visitor_are_never_markup(browser: FlaskClient):
    page = browser.get("/search?q=<script>alert(1)</script>").text

    assert "<script>alert" not in page
    assert str(marked("Mug <i>", "<i> mug")) == "<mark>Mug</mark> <mark>&lt;i&gt;</mark>"
