"""Standing pages, images, errors, and what machines read."""

import secrets
import string
from pathlib import Path
from xml.etree import ElementTree

import pytest
from flask import Flask
from flask.testing import FlaskClient
from psycopg import errors
from sqlalchemy.exc import IntegrityError, OperationalError

from shop import customers, media
from shop.store import seo
from shop.store.pages import STANDING
from tests.store.shelf import filled


@pytest.mark.parametrize("slug", STANDING)
def test_a_standing_page_has_title_text_and_address(browser: FlaskClient, slug: str):
    page = browser.get(f"/pages/{slug}")

    assert page.status_code == 200
    assert f"<h1>{STANDING[slug]}</h1>" in page.text
    assert f'rel="canonical" href="http://localhost/pages/{slug}"' in page.text


def test_only_known_pages_stand(browser: FlaskClient):
    for slug in ("layout", "nope", "../errors/plain", "sitemap.xml"):
        assert browser.get(f"/pages/{slug}").status_code == 404


def test_the_sitemap_lists_what_can_be_found(browser: FlaskClient):
    seo._addresses.cache_clear()
    filled()

    tree = ElementTree.fromstring(browser.get("/sitemap.xml").text)

    found = {node.text for node in tree.iter() if node.tag.endswith("loc")}
    assert {
        "http://localhost/",
        "http://localhost/c/kitchen/mugs-cups",
        "http://localhost/products/tidal-mug",
        "http://localhost/pages/about",
    } <= found


def test_robots_txt_excludes_private_pages(browser: FlaskClient):
    robots = browser.get("/robots.txt").text

    assert "Disallow: /checkout" in robots
    assert "Sitemap: http://localhost/sitemap.xml" in robots


def test_nothing_private_is_loaded_ahead(browser: FlaskClient):
    answer = browser.get("/speculation-rules.json")

    assert answer.mimetype == "application/speculationrules+json"
    assert browser.get("/").headers["Speculation-Rules"] == '"/speculation-rules.json"'
    for word in ("cart", "checkout", "account", "logout"):
        assert word not in answer.text


def test_the_manifest_names_icons_that_exist(browser: FlaskClient):
    manifest = browser.get("/manifest.webmanifest")

    assert manifest.mimetype == "application/manifest+json"
    for icon in (manifest.get_json(force=True))["icons"]:
        assert browser.get(icon["src"]).status_code == 200
    assert browser.get("/favicon.ico").status_code == 200


def test_rendition_is_cached_for_ever_and_original_briefly(browser: FlaskClient, tmp_path: Path):
    key = "".join(secrets.choice(string.ascii_lowercase) for _ in range(26))
    file = tmp_path / "image.webp"
    file.write_bytes(b"RIFF....WEBP")
    media.storage.current().put(f"{key}/original.webp", file)

    original = browser.get(f"/media/{key}/original.webp")
    pending = browser.get(f"/media/{key}/640.avif")

    assert original.mimetype == "image/webp"
    assert "immutable" in original.headers["Cache-Control"]
    assert original.headers["X-Content-Type-Options"] == "nosniff"
    assert pending.data == original.data
    assert pending.mimetype == "image/webp"
    assert pending.headers["Cache-Control"] == "public, max-age=60"


def test_unknown_images_and_strange_names_are_404(browser: FlaskClient):
    for name in ("x/y", "../../etc/passwd", "a" * 26 + "/640.avif", "a" * 26 + "/../x", "%00/%00"):
        assert browser.get(f"/media/{name}").status_code == 404


def test_a_wrong_method_gets_a_page(browser: FlaskClient):
    answer = browser.post("/products")

    assert answer.status_code == 405
    assert "cannot be used in this way" in answer.text


def test_a_failure_shows_a_calm_page_without_details(
    app: Flask, browser: FlaskClient, monkeypatch: pytest.MonkeyPatch
):
    class BrokenDisk:
        def open(self, name: str) -> None:
            raise OSError("secret detail")

    monkeypatch.setattr(media.storage, "_storage", BrokenDisk())
    app.testing = False
    try:
        answer = browser.get("/media/x/y")
    finally:
        app.testing = True

    assert answer.status_code == 500
    assert "Something broke on our side" in answer.text
    assert "secret detail" not in answer.text


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.LockNotAvailable(), 503),
        (errors.QueryCanceled(), 503),
        (errors.AdminShutdown(), 503),
        (errors.UniqueViolation(), 409),
    ],
)
def test_busy_database_is_no_failure_of_shop(
    browser: FlaskClient, monkeypatch: pytest.MonkeyPatch, error: Exception, status: int
):
    def busy(*_: object) -> None:
        kind = IntegrityError if status == 409 else OperationalError
        raise kind("UPDATE secret", None, error)

    monkeypatch.setattr(customers, "register", busy)
    answer = browser.post("/account/register", data={"email": "a@example.com"})

    assert answer.status_code == status
    assert answer.headers.get("Retry-After") == ("5" if status == 503 else None)
    assert "secret" not in answer.text


def test_text_that_cannot_be_stored_is_refused(browser: FlaskClient):
    given = {"email": "a@example.com", "password": "correct horse battery", "name": "A\0da"}

    assert browser.post("/account/register", data=given).status_code == 422
    assert browser.get("/search?q=%00").status_code < 500


def test_other_doors_keep_their_own_errors(browser: FlaskClient):
    assert browser.get("/api/v1/nope").mimetype == "application/problem+json"
    assert browser.get("/nope").mimetype == "text/html"


@pytest.mark.parametrize("path", ["/", "/products", "/cart", "/nowhere", "/account/login"])
def test_foreign_host_is_refused_and_never_linked(
    client: FlaskClient, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    answer = client.get(path, headers={"Host": "evil.example"})

    assert answer.status_code == 400
    assert "<a " not in answer.text and "Location" not in answer.headers
    assert [one for one in caplog.records if one.exc_info] == []
