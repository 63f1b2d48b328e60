"""Taking images in and making their renditions: files first, the row that names them after.

A refusal or a crash at any line leaves no row without files; files without a row are found by
``sweep`` a day later.
"""

import errno
import hashlib
import secrets
import tempfile
from base64 import b32encode
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from sqlalchemy import select

from shop.core import clock, failpoints
from shop.core.db import session, transaction
from shop.core.events import emit
from shop.core.i18n import gettext as _
from shop.media import storage, workshop
from shop.media.errors import ImageRefused, NoRoom, NoSuchFile
from shop.media.events import MediaStored
from shop.media.models import MediaFile, MediaState

MAX_BYTES = 10 * 1024 * 1024
WIDTHS = (320, 480, 640, 960, 1280)
MAGIC = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"RIFF")
DAY = 24 * 60 * 60


def store_upload(stream: BinaryIO, filename: str) -> MediaFile:
    """Take one image in: JPEG, PNG or WebP, at most 10 MB and 40 megapixels.

    It is decoded in a process of its own, re-encoded without any metadata, and stored under a
    random key. Opens its own transaction. Raises ``ImageRefused``, or ``NoRoom`` when the disk is
    full; then nothing is kept.
    """
    with _no_room_said(), tempfile.TemporaryDirectory(prefix="shop-upload-") as folder:
        source = Path(folder, "upload")
        source.write_bytes(stream.read(MAX_BYTES + 1))
        return _store([source], [filename])[0]


def store_files(paths: Sequence[Path], *, processes: int = 2) -> dict[Path, MediaFile]:
    """Take images in from files, several at a time; what is already stored is found again.

    For loading a catalogue. Opens its own transactions. Raises ``ImageRefused``.
    """
    sums = {path: _sha256(path) for path in paths}
    with transaction():
        known = {
            media.sha256: media
            for media in session.scalars(
                select(MediaFile).where(MediaFile.sha256.in_(set(sums.values())))
            )
        }
    missing = list({sums[path]: path for path in paths if sums[path] not in known}.values())
    for media in _store(missing, [path.name for path in missing], processes=processes):
        known[media.sha256] = media
    return {path: known[sums[path]] for path in paths}


def _store(sources: Sequence[Path], names: Sequence[str], *, processes: int = 1) -> list[MediaFile]:
    for source, name in zip(sources, names, strict=True):
        _check(source, name)
    with tempfile.TemporaryDirectory(prefix="shop-image-") as folder:
        targets = [Path(folder, str(n)) for n in range(len(sources))]
        answers = workshop.run(
            [
                {"do": "prepare", "source": str(source), "target": str(target)}
                for source, target in zip(sources, targets, strict=True)
            ],
            processes=processes,
        )
        for name, answer in zip(names, answers, strict=True):
            if "refused" in answer:
                raise ImageRefused(_why(_spoken(name), answer))
        rows = [
            MediaFile(
                key=b32encode(secrets.token_bytes(16)).decode().lower().rstrip("="),
                sha256=_sha256(source),
                width=answer["width"],
                height=answer["height"],
                size_bytes=target.stat().st_size,
                colour=answer["colour"],
                created_at=clock.now(),
            )
            for source, target, answer in zip(sources, targets, answers, strict=True)
        ]
        try:
            for media, target in zip(rows, targets, strict=True):
                with failpoints.around("write-image"):
                    storage.current().put(f"{media.key}/original.webp", target)
            with transaction("store-image"):
                session.add_all(rows)
                session.flush()
                for media in rows:
                    emit(MediaStored(media_id=media.id))
        except BaseException:
            for media in rows:
                storage.current().remove(media.key)
            raise
    return rows


def make_renditions(media_id: int) -> None:
    """Make AVIF and WebP of an image in up to five widths, never larger than it is.

    Runs twice without harm and holds no transaction while it works. An image that is gone by now
    is no error; one whose renditions fail raises ``ImageRefused``, to be tried again.
    """
    with transaction():
        media = session.get(MediaFile, media_id)
    if media is None or media.state == MediaState.READY:
        return
    widths = rendition_widths(media.width)
    with tempfile.TemporaryDirectory(prefix="shop-renditions-") as folder:
        source = Path(folder, "original.webp")
        try:
            with storage.open(f"{media.key}/original.webp") as original:
                source.write_bytes(original.read())
        except NoSuchFile:
            raise ImageRefused(_("The file of image %(key)s is missing.", key=media.key)) from None
        job = {"do": "render", "source": str(source), "folder": folder, "widths": widths}
        answer = workshop.run([job])[0]
        if "refused" in answer:
            raise ImageRefused(_why(_("Image %(key)s", key=media.key), answer))
        for width in widths:
            for fmt in ("webp", "avif"):
                name = f"{width}.{fmt}"
                storage.current().put(f"{media.key}/{name}", Path(folder, name))
    with transaction("finish-image"):
        current = session.get(MediaFile, media_id, with_for_update=True, populate_existing=True)
        if current is not None:
            current.widths = ",".join(map(str, widths))
            current.state = MediaState.READY


def sweep() -> int:
    """Remove files that no row names, older than a day. Returns how many images that were."""
    old = set(storage.current().keys(older_than_seconds=DAY))
    with transaction():
        named = set(session.scalars(select(MediaFile.key).where(MediaFile.key.in_(old))))
    for key in old - named:
        storage.current().remove(key)
    return len(old - named)


def rendition_widths(width: int) -> list[int]:
    """The widths to make of an image that is ``width`` wide; a small one is kept at its own."""
    return sorted({min(wanted, width) for wanted in WIDTHS})


@contextmanager
def _no_room_said() -> Iterator[None]:
    """Turn the system's words for a full disk into ours."""
    try:
        yield
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise NoRoom from error
        raise


def _check(source: Path, name: str) -> None:
    """What can be said before anything is decoded."""
    size = source.stat().st_size
    if size == 0:
        raise ImageRefused(_("%(file)s is empty.", file=_spoken(name)))
    if size > MAX_BYTES:
        raise ImageRefused(
            _("%(file)s is larger than 10 MB, the most we can take.", file=_spoken(name))
        )
    with source.open("rb") as file:
        start = file.read(12)
    is_known = start.startswith(MAGIC) and (start[:4] != b"RIFF" or start[8:] == b"WEBP")
    if not is_known:
        raise ImageRefused(_("%(file)s is not a JPEG, PNG or WebP image.", file=_spoken(name)))


def _why(file: str, answer: workshop.Answer) -> str:
    """The decoder's reason as a sentence."""
    if answer["refused"] == "too_large":
        return _(
            "%(file)s has %(megapixels)s megapixels; %(most)s is the most we can take.",
            file=file,
            megapixels=f"{answer['megapixels']:,}",
            most=answer["most"],
        )
    if answer["refused"] == "animated":
        return _("%(file)s is animated; only still images can be taken.", file=file)
    return _("%(file)s is damaged or not an image that can be read.", file=file)


def _spoken(name: str) -> str:
    """A file name as it may stand at the start of a sentence."""
    readable = "".join(c for c in name.replace("\\", "/").rpartition("/")[2] if c.isprintable())
    return readable[:80] or _("This image")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
