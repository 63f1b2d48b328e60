"""The files that the doors send as they are: styles, scripts, fonts, icons, images of the house.

Every address carries a version made of all contents of its door (``/static/v-3f2a…/css/shop.css``),
so browsers may keep them for ever, and files name each other by relative addresses. The plain
address works too and is asked for again each time; one of another version leads to today's.
ServeStatic sends them, packed once, before Flask hears of the request.
"""

import contextlib
import hashlib
import logging
import os
import shutil
import tempfile
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from wsgiref.headers import Headers

from flask import Flask, abort, redirect
from flask.typing import ResponseReturnValue
from servestatic import ServeStatic
from servestatic.compress import Compressor

from shop.core import csp

SHARED = Path(__file__).parent / "static"  # what both doors' pages are made of
FOR_EVER = "public, max-age=31536000, immutable"
ASK_AGAIN = "no-cache"
MAX_KEPT = 5  # versions on the disk: another process may still send an older one

log = logging.getLogger(__name__)


class Statics:
    """The files of one door."""

    def __init__(self, folder: Path, prefix: str, *, shared: Path | None = None) -> None:
        """``folder`` holds the files, ``prefix`` is where their addresses begin: ``/static``. Those
        of ``shared`` stand among them, as if they lay in the same folder."""
        self.folder = folder
        self.folders = (folder, shared) if shared else (folder,)
        self.prefix = prefix

    @cached_property
    def paths(self) -> dict[str, Path]:
        """Where each file lies, by its name; nothing else is ever sent."""
        return {
            path.relative_to(folder).as_posix(): path
            for folder in self.folders
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        }

    @cached_property
    def tags(self) -> dict[str, str]:
        """What is in each file, in short, by its name."""
        return {name: _digest(path.read_bytes()) for name, path in self.paths.items()}

    @cached_property
    def version(self) -> str:
        """Changes when any of the files does."""
        return _digest("\n".join(f"{name} {tag}" for name, tag in self.tags.items()).encode())

    def address(self, name: str) -> str:
        """Returns where a file is, e.g. ``css/shop.css``, under its version."""
        return f"{self.prefix}/v-{self.version}/{name}"

    def todays(self, version: str, name: str) -> ResponseReturnValue:
        """A page that was loaded before an update may still ask for a file of the old version."""
        if name not in self.tags or version == self.version:
            abort(404)
        return redirect(self.address(name), 302)


def init_app(app: Flask, doors: Iterable[Statics], *, folder: Path, is_secure: bool) -> None:
    """Send the files of these doors in front of ``app``.

    ``folder`` is where the packed files are kept from one start to the next; it is made.
    """
    server = ServeStatic(
        app.wsgi_app, max_age=None, allow_all_origins=False, mimetypes={".js": "text/javascript"}
    )
    for door in doors:
        packed = _packed(door, folder)
        for prefix, cache in ((door.address(""), FOR_EVER), (f"{door.prefix}/", ASK_AGAIN)):
            server.add_headers_function = _Headers(door, prefix, cache, is_secure=is_secure)
            for files in packed:
                server.add_files(files, prefix)
        endpoint = f"statics{door.prefix.replace('/', '_')}"
        rule = f"{door.prefix}/v-<version>/<path:name>"
        app.add_url_rule(rule, endpoint, door.todays, methods=["GET"])
    app.wsgi_app = server  # type: ignore[method-assign]


class _Headers:
    """Adds to each file what Flask would add to an answer."""

    def __init__(self, door: Statics, prefix: str, cache: str, *, is_secure: bool) -> None:
        self._door, self._prefix, self._cache = door, prefix, cache
        self._is_secure = is_secure

    def __call__(self, headers: Headers, _path: str, url: str) -> None:
        headers["Cache-Control"] = self._cache
        headers["ETag"] = f'"{self._door.tags[url.removeprefix(self._prefix)]}"'
        headers["Content-Security-Policy"] = csp.NO_PAGE
        headers["Cross-Origin-Resource-Policy"] = "same-origin"
        headers["X-Content-Type-Options"] = "nosniff"
        if self._is_secure:
            headers["Strict-Transport-Security"] = "max-age=31536000; includeSubDomains"


def _packed(door: Statics, folder: Path) -> tuple[Path, ...]:
    """Returns a folder with the files and, beside each text, the same as gzip and Brotli; those
    that the files lie in, if none can be written."""
    place = folder / f"{door.folder.parent.name}-{door.version}"
    if place.is_dir():
        return (place,)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _delete_old(folder)
        with tempfile.TemporaryDirectory(prefix=".", dir=folder) as side:
            made = Path(side) / "made"
            _pack(door, made)
            with contextlib.suppress(OSError):  # another process was faster
                made.rename(place)
    except OSError as error:
        log.warning("static files are sent unpacked: %s cannot be written (%s)", folder, error)
        return door.folders
    return (place,)


def _pack(door: Statics, target: Path) -> None:
    compressor = Compressor(quiet=True)
    for name, path in door.paths.items():
        copy = target / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, copy)
        if compressor.should_compress(name):
            compressor.compress(copy)


def _delete_old(folder: Path) -> None:
    known = sorted(folder.iterdir(), key=os.path.getmtime, reverse=True)
    for old in known[MAX_KEPT * 2 :]:
        shutil.rmtree(old, ignore_errors=True)


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:12]
