"""The sizes that pages show, made by a worker."""

from io import BytesIO

import pytest
from PIL import Image

from shop import media
from shop.media import ImageRefused, storage
from shop.media.models import MediaState
from tests.media import images


@pytest.fixture
def folder(tmp_path, session):
    storage.configure(f"file:{tmp_path / 'media'}")
    return tmp_path / "media"


def files(folder) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def test_five_widths_in_two_formats_are_made(folder, session):
    kept = media.store_upload(images.image(1500, 900), "mug.jpg")

    media.make_renditions(kept.id)

    session.refresh(kept)
    assert (kept.state, kept.widths) == ("ready", "320,480,640,960,1280")
    for width in (320, 1280):
        for fmt in ("webp", "avif"):
            with storage.open(f"{kept.key}/{width}.{fmt}") as file:
                image = Image.open(BytesIO(file.read()))
            assert (image.format, image.size) == (fmt.upper(), (width, round(width * 0.6)))


def test_small_image_is_never_enlarged(folder, session):
    kept = media.store_upload(images.image(500, 400), "mug.jpg")

    media.make_renditions(kept.id)

    session.refresh(kept)
    assert kept.widths == "320,480,500"


@pytest.mark.parametrize(
    ("width", "widths"),
    [(1, [1]), (320, [320]), (800, [320, 480, 640, 800]), (4000, [320, 480, 640, 960, 1280])],
)
def test_widths_are_capped_and_not_repeated(width, widths):
    assert media.rendition_widths(width) == widths


def test_a_job_that_runs_twice_changes_nothing(folder, session):
    kept = media.store_upload(images.image(400, 400), "mug.jpg")
    media.make_renditions(kept.id)
    before = files(folder)

    media.make_renditions(kept.id)

    assert files(folder) == before


def test_interrupted_job_is_finished_by_the_next_worker(folder, session):
    kept = media.store_upload(images.image(400, 400), "mug.jpg")
    media.make_renditions(kept.id)
    kept.state, kept.widths = MediaState.PENDING, ""
    next(folder.rglob("320.avif")).unlink()

    media.make_renditions(kept.id)

    assert files(folder) == ["320.avif", "320.webp", "400.avif", "400.webp", "original.webp"]


def test_deleted_image_is_no_error(folder):
    media.make_renditions(10**9)


def test_a_missing_file_is_said(folder, session):
    kept = media.store_upload(images.image(), "mug.jpg")
    storage.current().remove(kept.key)

    with pytest.raises(ImageRefused, match="is missing"):
        media.make_renditions(kept.id)

    assert kept.state == "pending"
