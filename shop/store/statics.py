"""The storefront's own files; ``bin/build`` makes ``js`` and ``css`` of ``scripts``, ``styles``."""

from pathlib import Path

from flask import Response, send_file

from shop.core import script_words
from shop.statics import Statics
from shop.store.blueprint import bp

FILES = Statics(Path(__file__).parent / "static", "/static")
SCRIPTS = Path(__file__).parent / "scripts"
DAY = 24 * 3600


@bp.get("/favicon.ico")
def favicon() -> Response:
    """The icon for those who ask without reading the page."""
    return send_file(FILES.folder / "icons" / "favicon.ico", max_age=DAY)


def words() -> script_words.Words:
    """Returns what the store's scripts say, in the language of this request."""
    return script_words.script_words(SCRIPTS)
