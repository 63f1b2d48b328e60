"""The front page, the frame around all pages, and the headers that come with them."""

import re
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from shop.core import i18n
from shop.store import home
from shop.store.statics import FILES, words
from tests.store.shelf import filled
from tests.support.languages import write_catalog


@pytest.fixture(autouse=True)
def _fresh_category_cards() -> None:
    home.category_cards.cache_clear()


def test_home_shows_one_large_image_of_the_goods(browser: FlaskClient):
    filled()

    page = browser.get("/")

    assert page.status_code == 200
    assert page.text.count("<h1>") == 1
    assert page.text.count('fetchpriority="high"') == 1
    assert "Tidal Mug" in page.text
    assert '"@type":"WebSite"' in page.text.replace(" ", "")


def test_home_renders_with_an_empty_catalog(browser: FlaskClient):
    page = browser.get("/")

    assert page.status_code == 200


def test_every_image_has_a_size_and_alt_text(browser: FlaskClient):
    filled()

    for address in ("/", "/products", "/products/tidal-mug", "/pages/about"):
        for tag in re.findall(r"<img[^>]*>", browser.get(address).text):
            assert {"width", "height", "alt"} <= set(re.findall(r"([a-z]+)=", tag)), tag


def test_pages_carry_a_strict_policy_and_nothing_inline(browser: FlaskClient):
    filled()

    for address in ("/", "/products", "/products/tidal-mug", "/search", "/pages/terms", "/nope"):
        page = browser.get(address)
        policy = page.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "ws://localhost" in policy
        assert not re.search(r"<[^>]+\s(style|on[a-z]+)=", page.text)
        assert "<style" not in page.text
        assert all(
            "src=" in tag or "json" in tag for tag in re.findall(r"<script[^>]*>", page.text)
        )


def test_the_socket_address_is_on_every_page(browser: FlaskClient):
    for address in ("/", "/products", "/nope", "/products?min_price=x"):
        assert '<meta name="realtime-url" content="ws' in browser.get(address).text


def test_a_chosen_theme_is_rendered_by_the_server(browser: FlaskClient):
    assert 'data-theme="auto"' in browser.get("/").text

    browser.set_cookie("theme", "dark")
    assert 'data-theme="dark"' in browser.get("/").text

    browser.set_cookie("theme", '"><script>')
    assert 'data-theme="auto"' in browser.get("/").text


def test_looking_around_leaves_no_cookie(browser: FlaskClient):
    filled()

    for address in ("/", "/products", "/c/kitchen", "/search?q=mug", "/pages/about"):
        assert "Set-Cookie" not in browser.get(address).headers, address


def test_versioned_files_are_kept_for_ever_and_packed(browser: FlaskClient):
    address = re.search(r'href="(/static/[^"]+/css/shop.css)"', browser.get("/").text)
    assert address

    packed = browser.get(address[1], headers={"Accept-Encoding": "br"})
    plain = browser.get("/static/css/shop.css", headers={"Accept-Encoding": "identity"})

    assert "immutable" in packed.headers["Cache-Control"]
    assert packed.headers["Content-Encoding"] == "br"
    assert len(packed.data) < 12_000
    assert plain.headers["Cache-Control"] == "no-cache"
    assert plain.text.startswith("@layer")
    again = browser.get("/static/css/shop.css", headers={"If-None-Match": plain.headers["ETag"]})
    assert again.status_code == 304


def test_only_files_of_the_shelf_are_served(browser: FlaskClient):
    for name in ("../__init__.py", "%2e%2e/__init__.py", "css", "css/", "nope.css", "css/%00"):
        assert browser.get(f"/static/{name}").status_code == 404


def test_scripts_and_fonts_keep_their_budget(browser: FlaskClient):
    scripts = len(browser.get("/static/js/store.js", headers={"Accept-Encoding": "br"}).data)
    fonts = sum(path.stat().st_size for path in (FILES.folder / "fonts").iterdir())

    assert 5_000 <= scripts <= 20_000
    assert fonts <= 70_000


def test_every_behaviour_is_in_script_that_pages_load(browser: FlaskClient):
    built = browser.get("/static/js/store.js").text
    sources = [path.stem for path in (FILES.folder.parent / "scripts").glob("*.js")]

    assert re.search(r'<script type="module" src="/static/[^"]+/js/store.js">', home_page(browser))
    assert len(sources) > 10
    assert not [name for name in sources if f"./{name}.js" not in built]


def test_address_of_older_version_leads_to_todays(browser: FlaskClient):
    old = browser.get("/static/v-0123456789ab/css/shop.css")

    assert old.status_code == 302
    assert old.headers["Location"] == FILES.address("css/shop.css")
    assert browser.get(old.headers["Location"]).status_code == 200
    assert browser.get("/static/v-0123456789ab/css/none.css").status_code == 404


def home_page(browser: FlaskClient) -> str:
    return browser.get("/").text


def test_scripts_speak_the_language_of_the_page(
    browser: FlaskClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    sentences = {
        "Your cart": "Dein Warenkorb",
        "Your cart has %(num)s item.\nYour cart has %(num)s items.": (
            "Dein Warenkorb hat %(num)s Artikel.\nDein Warenkorb hat %(num)s Artikel!"
        ),
    }
    write_catalog(tmp_path, "de", sentences)
    monkeypatch.setattr(i18n, "FOLDER", tmp_path)

    with i18n.speaking("de"):
        said = words()

    assert said["Your cart"] == "Dein Warenkorb"
    assert said["Your cart has %(num)s item."] == {
        "one": "Dein Warenkorb hat %(num)s Artikel.",
        "other": "Dein Warenkorb hat %(num)s Artikel!",
    }
    assert said["No suggestions"] == "No suggestions"
    assert 'id="words"' not in home_page(browser)
