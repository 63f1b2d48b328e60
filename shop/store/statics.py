"""The storefront's own files; ``bin/build`` makes ``js`` and ``css`` of ``scripts``, ``styles``."""

from functools import lru_cache
from pathlib import Path

from babel import Locale
from babel.messages.extract import extract
from flask import Response, send_file

from shop.core import i18n
from shop.statics import Statics
from shop.store.blueprint import bp

FILES = Statics(Path(__file__).parent / "static", "/static")
SCRIPTS = Path(__file__).parent / "scripts"
DAY = 24 * 3600


@bp.get("/favicon.ico")
def favicon() -> Response:
    """The icon for those who ask without reading the page."""
    return send_file(FILES.folder / "icons" / "favicon.ico", max_age=DAY)


def script_words() -> dict[str, str | dict[str, str]]:
    """What the scripts say, in the language of this request; empty for English, which stands in
    them. A sentence that has forms for numbers has them by the names of CLDR: one, few, other …"""
    return {} if i18n.locale() == i18n.SOURCE else _translated(i18n.locale())


@lru_cache(maxsize=8)
def _translated(language: str) -> dict[str, str | dict[str, str]]:
    sayings: dict[str, str | dict[str, str]] = {}
    form_of = Locale.parse(language).plural_form
    for path in sorted(SCRIPTS.glob("*.js")):
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
