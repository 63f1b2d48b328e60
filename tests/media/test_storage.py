"""Where files lie: whole or not at all, and nothing outside the folder."""

import os
import time

import pytest

from shop import media
from shop.media import NoSuchFile, storage
from shop.media.errors import StorageRefused
from tests.media import images

KEY = "a" * 26


@pytest.fixture
def folder(tmp_path):
    storage.configure(f"file:{tmp_path / 'media'}")
    return tmp_path / "media"


def test_a_file_is_found_under_its_name(folder, tmp_path):
    (tmp_path / "source").write_bytes(b"picture")

    storage.current().put(f"{KEY}/640.webp", tmp_path / "source")

    assert storage.open(f"{KEY}/640.webp").read() == b"picture"
    assert media.content_type(f"{KEY}/640.avif") == "image/avif"


@pytest.mark.parametrize(
    "name",
    [
        "../secret", f"{KEY}/../../secret", f"{KEY}/original.svg", f"{KEY}/0.webp",
        f"/{KEY}/1.webp", f"{KEY}/99999.webp", KEY, "", f"{KEY}/640.webp\n",
        f"{KEY.upper()}/640.webp", f"{KEY}/640.webp",
    ],
)  # fmt: skip
def test_no_other_name_leads_to_a_file(folder, name):
    (folder / "secret").parent.mkdir(parents=True)
    (folder / "secret").write_text("secret")

    with pytest.raises(NoSuchFile):
        storage.open(name)


def test_a_copy_that_fails_leaves_nothing(folder, tmp_path):
    with pytest.raises(FileNotFoundError):
        storage.current().put(f"{KEY}/640.webp", tmp_path / "nothing")

    assert [path for path in folder.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize(
    "url", ["s3://bucket", "http://x/y", "", "file:", "file://host/x", "/tmp/x"]
)
def test_unusable_folder_is_refused_in_words(url):
    with pytest.raises(StorageRefused, match="file:var/media"):
        storage.configure(url)


def test_addresses_of_images():
    assert media.url(KEY) == f"/media/{KEY}/original.webp"
    assert media.url(KEY, 640, "avif") == f"/media/{KEY}/640.avif"


def test_files_without_row_are_swept_after_day(folder, session, tmp_path):
    kept = media.store_upload(images.image(), "mug.jpg")
    (tmp_path / "source").write_bytes(b"orphan")
    for key in (KEY, "b" * 26):
        storage.current().put(f"{key}/original.webp", tmp_path / "source")
    old = time.time() - 2 * 24 * 60 * 60
    for key in (KEY, kept.key):
        os.utime(folder / key[:2] / key, (old, old))

    assert media.sweep() == 1

    left = {path.parent.name for path in folder.rglob("original.webp")}
    assert left == {kept.key, "b" * 26}
