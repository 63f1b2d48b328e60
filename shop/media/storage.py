"""Where image files lie. One folder per image: ``<key>/original.webp``, ``<key>/640.avif``.

Promise: a name either gives the whole file or nothing, also after a power cut, and no name leads
out of the folder. Files never change once written, so they may be cached for ever.
"""

import os
import re
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Literal, Protocol
from urllib.parse import unquote, urlsplit

from shop.core import clock
from shop.media.errors import NoSuchFile, StorageRefused

Format = Literal["avif", "webp"]
KEY = re.compile(r"[a-z2-7]{26}")
NAME = re.compile(r"[a-z2-7]{26}/(?:original|[1-9][0-9]{1,3})\.(?:webp|avif)")
TYPES = {"avif": "image/avif", "webp": "image/webp"}


class Storage(Protocol):
    """What a place for files must be able to do."""

    def put(self, name: str, source: Path) -> None:
        """Keep a copy of ``source`` under ``name``, replacing what is there, as a whole."""

    def open(self, name: str) -> BinaryIO:
        """The file, to be read and closed by the caller. Raises ``NoSuchFile``."""

    def remove(self, key: str) -> None:
        """Remove an image with all its renditions; nothing happens if there is none."""

    def keys(self, *, older_than_seconds: float) -> Iterator[str]:
        """The images whose folder has not changed for so long."""

    def names(self) -> Iterator[tuple[str, list[str]]]:
        """Every image with the names of its files."""


class LocalStorage:
    """A folder on this machine."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def put(self, name: str, source: Path) -> None:
        target = self._path(name)
        incoming = self.root / ".incoming" / secrets.token_hex(16)
        for folder in (incoming.parent, target.parent):
            folder.mkdir(parents=True, exist_ok=True)
        try:
            with source.open("rb") as read, incoming.open("xb") as written:
                shutil.copyfileobj(read, written)
                written.flush()
                os.fsync(written.fileno())
            incoming.replace(target)
        finally:
            incoming.unlink(missing_ok=True)

    def open(self, name: str) -> BinaryIO:
        try:
            return self._path(name).open("rb")
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            raise NoSuchFile from None

    def remove(self, key: str) -> None:
        if not KEY.fullmatch(key):
            raise NoSuchFile
        shutil.rmtree(self.root / key[:2] / key, ignore_errors=True)

    def keys(self, *, older_than_seconds: float) -> Iterator[str]:
        before = clock.epoch_s() - older_than_seconds
        for folder in self.root.glob("??/*"):
            if KEY.fullmatch(folder.name) and folder.stat().st_mtime < before:
                yield folder.name

    def names(self) -> Iterator[tuple[str, list[str]]]:
        for folder in self.root.glob("??/*"):
            if KEY.fullmatch(folder.name):
                yield folder.name, os.listdir(folder)

    def _path(self, name: str) -> Path:
        """Two letters of the key come first, so that no folder grows too long."""
        if not NAME.fullmatch(name):
            raise NoSuchFile
        return self.root / name[:2] / name


_storage: Storage | None = None


def configure(url: str) -> None:
    """Keep files at ``url``: ``file:/some/folder``. Raises ``StorageRefused`` for anything else."""
    global _storage
    parts = urlsplit(url)
    if parts.scheme == "s3":
        raise StorageRefused(
            "STORAGE_URL asks for S3, which this version cannot use yet: "
            "name a folder instead, such as file:var/media."
        )
    if parts.scheme != "file" or parts.netloc or not parts.path:
        raise StorageRefused(f"STORAGE_URL must name a folder, such as file:var/media, not {url}.")
    _storage = LocalStorage(Path(unquote(parts.path)).resolve())


def current() -> Storage:
    """The place for files of this process. Raises ``RuntimeError`` before ``configure``."""
    if _storage is None:
        raise RuntimeError("media.storage.configure() has not been called")
    return _storage


def open(name: str) -> BinaryIO:
    """The file ``<key>/<width>.<format>`` or ``<key>/original.webp``. Raises ``NoSuchFile``."""
    return current().open(name)


def url(key: str, width: int | None = None, fmt: Format = "webp") -> str:
    """Where a browser finds an image: the rendition of ``width``, or without it the original."""
    return f"/media/{key}/{width}.{fmt}" if width else f"/media/{key}/original.webp"


def content_type(name: str) -> str:
    """The media type of a stored file, by its name."""
    return TYPES[name.rpartition(".")[2]]
