"""Static files in front of an application: how they are kept, packed, tagged and refused."""

from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from shop import statics
from shop.statics import Statics

SHEET = "body { margin: 0; }\n" * 200


@pytest.fixture
def door(tmp_path: Path) -> Statics:
    folder = tmp_path / "store" / "static"
    (folder / "css").mkdir(parents=True)
    (folder / "css" / "shop.css").write_text(SHEET)
    (folder / "dot.png").write_bytes(b"\x89PNG" * 200)
    return Statics(folder, "/static")


def client(door: Statics, folder: Path, *, is_secure: bool = False) -> FlaskClient:
    app = Flask("static-test", static_folder=None)
    statics.init_app(app, [door], folder=folder, is_secure=is_secure)
    return app.test_client()


@pytest.mark.parametrize("packing", ["br", "gzip", "identity"])
def test_text_is_sent_as_the_browser_takes_it(tmp_path: Path, door: Statics, packing: str) -> None:
    browser = client(door, tmp_path / "packed")

    answer = browser.get(door.address("css/shop.css"), headers={"Accept-Encoding": packing})

    assert answer.headers.get("Content-Encoding", "identity") == packing
    assert (len(answer.data) < 200) == (packing != "identity")
    assert answer.headers["Vary"] == "Accept-Encoding"
    assert answer.headers["Cache-Control"] == statics.FOR_EVER


def test_what_is_packed_already_is_left_alone(tmp_path: Path, door: Statics) -> None:
    browser = client(door, tmp_path / "packed")

    answer = browser.get(door.address("dot.png"), headers={"Accept-Encoding": "br"})

    assert answer.mimetype == "image/png"
    assert "Content-Encoding" not in answer.headers


def test_tags_and_versions_follow_the_contents(tmp_path: Path, door: Statics) -> None:
    before = client(door, tmp_path / "packed").get("/static/css/shop.css")
    (door.folder / "css" / "shop.css").write_text(SHEET + "p { margin: 0; }\n")

    changed = Statics(door.folder, "/static")
    browser = client(changed, tmp_path / "packed")
    asked = {"If-None-Match": before.headers["ETag"]}

    assert changed.version != door.version
    assert "p {" in browser.get("/static/css/shop.css", headers=asked).text
    asked = {"If-None-Match": browser.get("/static/css/shop.css").headers["ETag"]}
    assert browser.get("/static/css/shop.css", headers=asked).status_code == 304


def test_static_files_carry_the_headers_of_pages(tmp_path: Path, door: Statics) -> None:
    plain = client(door, tmp_path / "packed").get("/static/dot.png").headers
    secure = client(door, tmp_path / "packed", is_secure=True).get("/static/dot.png").headers

    assert plain["X-Content-Type-Options"] == "nosniff"
    assert plain["Cross-Origin-Resource-Policy"] == "same-origin"
    assert "default-src 'none'" in plain["Content-Security-Policy"]
    assert "Strict-Transport-Security" not in plain
    assert "max-age=31536000" in secure["Strict-Transport-Security"]


def test_folder_that_cannot_be_written_costs_packing(tmp_path: Path, door: Statics) -> None:
    (tmp_path / "taken").write_text("")
    browser = client(door, tmp_path / "taken" / "packed")

    answer = browser.get(door.address("css/shop.css"), headers={"Accept-Encoding": "br"})

    assert answer.text == SHEET
    assert answer.headers["Cache-Control"] == statics.FOR_EVER


def test_only_the_latest_versions_stay_on_the_disk(tmp_path: Path, door: Statics) -> None:
    packed = tmp_path / "packed"
    for number in range(3 * statics.MAX_KEPT):
        (door.folder / "dot.png").write_bytes(b"%d" % number)
        client(Statics(door.folder, "/static"), packed)

    assert len(list(packed.iterdir())) <= 2 * statics.MAX_KEPT + 1
    assert (packed / f"store-{Statics(door.folder, '/static').version}").is_dir()
