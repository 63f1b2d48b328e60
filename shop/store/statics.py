"""The storefront's own files: styles, scripts, fonts, icons, pictures of the house.

Every address carries a version made of all their contents (``/static/v-3f2a…/css/shop.css``), so
browsers may keep them for ever and modules can import each other by relative names. The plain
address (``/static/js/live.js``) works too, but is asked for again each time. ``css/shop.css`` is
all of ``css/`` in one piece, ``js/store.js`` all of ``js/``: one file per component to read, one
request to load.
"""

import gzip
import hashlib
import json
import mimetypes
import re
from functools import lru_cache
from pathlib import Path

import brotli
from babel import Locale
from babel.messages.extract import extract
from flask import Response, abort, request
from flask.typing import ResponseReturnValue

from shop.core import i18n
from shop.store.blueprint import bp

ROOT = Path(__file__).parent / "static"
BUNDLE = "css/shop.css"
LAYERS = "@layer reset, tokens, base, layout, components, utilities;\n"
SCRIPT = "js/store.js"
FIRST = "shop"
# Each module becomes a function that is run when it is first asked for, as with import().
LOADER = """\
const ready = {};
function use(name) {
  if (!ready[name]) parts[name]((ready[name] = {}));
  return ready[name];
}
"""
# The only forms of import and export that our modules use; what is left of others is refused.
_MODULE = (
    (re.compile(r'^import \{ ([\w, ]+) \} from "\./([\w-]+)\.js";$', re.M),
     r'const { \1 } = use("\2");'),
    (re.compile(r"^export default (async )?function (\w+)", re.M),
     r"module.default = \2; \1function \2"),
    (re.compile(r"^export (async )?function (\w+)", re.M), r"module.\2 = \2; \1function \2"),
    (re.compile(r"\bimport\(`\./\$\{(\w+)\}\.js`\)"), r"use(\1)"),
)  # fmt: skip
_LEFT_OVER = re.compile(r"^\s*(?:import|export)\b|\bimport\(", re.M)
FOR_EVER = "public, max-age=31536000, immutable"
_TEXT = {".css", ".js", ".svg", ".json", ".webmanifest"}

mimetypes.add_type("image/avif", ".avif")
mimetypes.add_type("font/woff2", ".woff2")
mimetypes.add_type("text/javascript", ".js")


def store_static(name: str) -> str:
    """The address of one of these files, e.g. ``css/shop.css``; changes when any of them does."""
    return f"/static/v-{_version()}/{name}"


@bp.get("/static/v-<version>/<path:name>")
def versioned_static(version: str, name: str) -> ResponseReturnValue:
    """A file under its version; an address of another version still finds today's file."""
    return _answer(name, FOR_EVER if version == _version() else "no-cache")


@bp.get("/static/<path:name>")
def static(name: str) -> ResponseReturnValue:
    """A file under its plain name, for programs and for other doors."""
    return _answer(name, "no-cache")


@bp.get("/favicon.ico")
def favicon() -> ResponseReturnValue:
    """The icon for those who ask without reading the page."""
    return _answer("icons/favicon.ico", "public, max-age=86400")


def _answer(name: str, cache: str) -> Response:
    accepted = request.accept_encodings
    packing = next((p for p in ("br", "gzip") if accepted[p] > 0), "")
    try:
        body, packed, tag = _packed(name, packing)
    except FileNotFoundError:
        abort(404)
    response = Response(body, mimetype=mimetypes.guess_type(name)[0] or "application/octet-stream")
    response.headers["Cache-Control"] = cache
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Cross-Origin-Resource-Policy"] = "same-origin"
    response.vary.add("Accept-Encoding")
    if packed:
        response.headers["Content-Encoding"] = packing
    response.set_etag(tag)
    response.make_conditional(request)
    return response


@lru_cache(maxsize=512)
def _packed(name: str, packing: str) -> tuple[bytes, bool, str]:
    """The content as it is sent, whether it is packed, and its tag. Kept: the files are few."""
    raw = _content(name)
    tag = hashlib.sha256(raw).hexdigest()[:16]
    if not packing or Path(name).suffix not in _TEXT:
        return raw, False, tag
    packed = brotli.compress(raw, quality=11) if packing == "br" else gzip.compress(raw, 9, mtime=0)
    return packed, True, f"{tag}-{packing}"


@lru_cache(maxsize=1)
def _files() -> dict[str, Path]:
    """All that may be served, by name; anything else, however it is spelled, is unknown."""
    return {p.relative_to(ROOT).as_posix(): p for p in sorted(ROOT.rglob("*")) if p.is_file()}


def _content(name: str) -> bytes:
    if name == BUNDLE:
        sheets = [path for known, path in _files().items() if known.startswith("css/")]
        return LAYERS.encode() + b"\n".join(path.read_bytes() for path in sheets)
    if name == SCRIPT:
        return bundled({Path(known).stem: path.read_text() for known, path in _scripts()}).encode()
    if name not in _files():
        raise FileNotFoundError(name)
    return _files()[name].read_bytes()


def bundled(modules: dict[str, str]) -> str:
    """One module out of many, by name; ``shop`` is run, the others when they are asked for.

    Raises ``ValueError`` for an import or export of a form that it does not know.
    """
    parts = []
    for name, source in modules.items():
        for form, by in _MODULE:
            source = form.sub(by, source)
        if strange := _LEFT_OVER.search(source):
            raise ValueError(f"{name}.js: {strange[0].strip()} is of a form that is not bundled.")
        parts.append(f"{json.dumps(name)}(module) {{\n{source}}},\n")
    return f"const parts = {{\n{''.join(parts)}}};\n{LOADER}use({json.dumps(FIRST)});\n"


def _scripts() -> list[tuple[str, Path]]:
    return [(known, path) for known, path in _files().items() if known.startswith("js/")]


def script_words() -> dict[str, str | dict[str, str]]:
    """What the scripts say, in the language of this request; empty for English, which stands in
    them. A sentence that has forms for numbers has them by the names of CLDR: one, few, other …"""
    return {} if i18n.locale() == i18n.SOURCE else _translated(i18n.locale())


@lru_cache(maxsize=8)
def _translated(language: str) -> dict[str, str | dict[str, str]]:
    sayings: dict[str, str | dict[str, str]] = {}
    form_of = Locale.parse(language).plural_form
    for _name, path in _scripts():
        with path.open("rb") as script:
            for _line, message, _comments, _context in extract("javascript", script):
                if isinstance(message, str):
                    sayings[message] = i18n.gettext(message)
                    continue
                one, many = message[:2]
                sayings[one] = {
                    form_of(n): i18n.ngettext(one, many, n, num="%(num)s") for n in range(201)
                }
    return sayings


@lru_cache(maxsize=1)
def _version() -> str:
    digest = hashlib.sha256()
    for name, path in _files().items():
        digest.update(name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:12]
