"""Taking images in: what is kept, what is refused, and that a refusal keeps nothing."""

import zipfile
from io import BytesIO

import pytest
from PIL import Image, ImageCms
from sqlalchemy import func, select

from shop import media
from shop.core.events import EventRecord
from shop.media import ImageRefused, MediaFile, storage
from tests.media import images


@pytest.fixture
def folder(tmp_path, session):
    storage.configure(f"file:{tmp_path / 'media'}")
    return tmp_path / "media"


def stored(kept: MediaFile) -> Image.Image:
    with storage.open(f"{kept.key}/original.webp") as file:
        image = Image.open(BytesIO(file.read()))
        image.load()
    return image


def grey(image: Image.Image, at: tuple[int, int]) -> float:
    shade = image.convert("L").getpixel(at)
    assert isinstance(shade, int | float)
    return shade


@pytest.mark.parametrize("fmt", ["JPEG", "PNG", "WEBP"])
def test_image_is_stored_as_webp_and_queued(folder, session, fmt):
    kept = media.store_upload(images.image(fmt=fmt), "mug")

    image = stored(kept)
    assert (image.format, image.size) == ("WEBP", (60, 40))
    assert (kept.width, kept.height, kept.state, kept.widths) == (60, 40, "pending", "")
    assert kept.size_bytes == len(storage.open(f"{kept.key}/original.webp").read())
    recorded = session.scalars(
        select(EventRecord.payload).where(EventRecord.type == "MediaStored")
    ).all()
    assert recorded == [{"media_id": kept.id}]


def test_colour_that_fills_its_place_is_mean_one(folder):
    red, green, blue = bytes.fromhex(media.store_upload(images.image(fmt="PNG"), "mug").colour[1:])

    assert abs(red - 0xB0) < 6 and abs(green - 0x58) < 6 and abs(blue - 0x3A) < 6


def test_phone_photo_is_rotated_and_loses_its_location(folder):
    kept = media.store_upload(images.phone_photo(), "photo.jpg")

    image = stored(kept)
    assert image.size == (40, 60)
    assert grey(image, (20, 5)) < 60 < 200 < grey(image, (20, 55))
    assert dict(image.getexif()) == {}
    raw = storage.open(f"{kept.key}/original.webp").read()
    for trace in (b"EXIF", b"XMP ", b"ICCP", b"Camera Maker", b"secret"):
        assert trace not in raw


def test_what_shows_through_still_does(folder):
    kept = media.store_upload(
        images.image(fmt="PNG", mode="RGBA", colour=(0, 0, 0, 0)), "clear.png"
    )

    assert stored(kept).mode == "RGBA"
    assert kept.colour == "#ffffff"


@pytest.mark.parametrize(
    ("mode", "fmt"), [("L", "JPEG"), ("CMYK", "JPEG"), ("P", "PNG"), ("1", "PNG"), ("I;16", "PNG")]
)
def test_unusual_colours_become_ordinary_ones(folder, mode, fmt):
    kept = media.store_upload(images.image(fmt=fmt, mode=mode, colour=0), "odd")

    assert stored(kept).mode == "RGB"


def test_a_colour_profile_is_applied_and_taken_out(folder):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()

    for icc in (profile, srgb, b"not a profile"):
        kept = media.store_upload(images.image(fmt="PNG", icc_profile=icc), "mug.png")
        assert "icc_profile" not in stored(kept).info


def test_large_image_is_reduced_to_screen_size(folder):
    kept = media.store_upload(images.image(5_000, 2_500), "wide.jpg")

    assert (kept.width, kept.height) == (2560, 1280)


def test_thirty_six_megapixels_of_nothing_are_taken(folder):
    kept = media.store_upload(images.png_bomb(), "night.png")

    assert (kept.width, kept.height) == (2560, 2560)


def test_data_appended_to_an_image_is_dropped(folder):
    polyglot = images.image()
    polyglot.seek(0, 2)
    with zipfile.ZipFile(polyglot, "a") as archive:
        archive.writestr("page.html", "<script>alert(1)</script>")
    polyglot.seek(0)

    kept = media.store_upload(polyglot, "picture.jpg")

    assert b"page.html" not in storage.open(f"{kept.key}/original.webp").read()


def truncated() -> BytesIO:
    whole = images.image(600, 400, quality=95).read()
    return BytesIO(whole[: len(whole) // 2])


@pytest.mark.parametrize(
    ("upload", "name", "sentence"),
    [
        (BytesIO(b""), "mug.jpg", "mug.jpg is empty."),
        (BytesIO(b"<svg onload=alert(1)>"), "a.png", "a.png is not a JPEG, PNG or WebP image."),
        (BytesIO(b"GIF89a" + bytes(100)), "a.jpg", "a.jpg is not a JPEG, PNG or WebP image."),
        (BytesIO(b"RIFF\x00\x00\x00\x00WAVEfmt "), "a.webp", "is not a JPEG, PNG or WebP"),
        (BytesIO(b"\xff\xd8\xff" + bytes(100)), "mug.jpg", "mug.jpg is damaged"),
        (BytesIO(b"\xff\xd8\xff" + bytes(10 * 1024 * 1024)), "big.jpg", "larger than 10 MB"),
        (images.png_that_says(7_800, 7_800), "a.png",
         "a.png has 61 megapixels; 40 is the most we can take."),
        (images.png_that_says(2**31 - 1, 2**31 - 1), "a.png", "40 is the most we can take"),
        (images.png_that_says(40_000_001, 1), "a.png", "has 41 megapixels"),
        (images.png_that_says(0, 0), "a.png", "is damaged"),
        (images.png_that_says(3_000, 3_000), "a.png", "is damaged"),
        (truncated(), "half.jpg", "half.jpg is damaged"),
        (images.animation("WEBP"), "a.webp", "a.webp is animated"),
        (images.animation("PNG"), "a.png", "a.png is animated"),
        (BytesIO(b"x"), "../../etc/pass\nwd", "passwd is not a JPEG"),
        (BytesIO(b"x"), "", "This image is not a JPEG"),
    ],
)  # fmt: skip
def test_what_is_refused_says_why_and_keeps_nothing(folder, session, upload, name, sentence):
    with pytest.raises(ImageRefused) as refused:
        media.store_upload(upload, name)

    assert sentence in refused.value.sentence
    assert refused.value.field == "picture"
    assert not folder.exists()
    assert session.scalar(select(func.count()).select_from(MediaFile)) == 0


def test_file_is_removed_when_its_row_fails(folder, session, monkeypatch):
    def broken(event):
        raise RuntimeError("the database went away")

    monkeypatch.setattr("shop.media.procedures.emit", broken)

    with pytest.raises(RuntimeError):
        media.store_upload(images.image(), "mug.jpg")

    assert [path for path in folder.rglob("*") if path.is_file()] == []
    assert session.scalar(select(func.count()).select_from(MediaFile)) == 0


def test_catalog_files_are_stored_once(folder, tmp_path):
    first, same, other = (tmp_path / name for name in ("a.jpg", "b.jpg", "c.jpg"))
    first.write_bytes(images.image().read())
    same.write_bytes(first.read_bytes())
    other.write_bytes(images.image(80, 80).read())

    kept = media.store_files([first, same, other])
    again = media.store_files([other, first])

    assert kept[first].id == kept[same].id != kept[other].id
    assert again == {first: kept[first], other: kept[other]}


def test_one_bad_file_of_many_is_named(folder, tmp_path):
    good, bad = tmp_path / "good.jpg", tmp_path / "bad.jpg"
    good.write_bytes(images.image().read())
    bad.write_bytes(b"\xff\xd8\xff" + bytes(100))

    with pytest.raises(ImageRefused, match=r"bad\.jpg is damaged"):
        media.store_files([good, bad])

    assert not folder.exists()
