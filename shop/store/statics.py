"""The storefront's own files; ``bin/build`` makes ``js`` and ``css`` of ``scripts``, ``styles``."""

from pathlib import Path

from flask import Response, send_file

from shop.statics import Statics
from shop.store.blueprint import bp

FILES = Statics(Path(__file__).parent / "static", "/static")
DAY = 24 * 3600


@bp.get("/favicon.ico")
def favicon() -> Response:
    """The icon for those who ask without reading the page."""
    return send_file(FILES.folder / "icons" / "favicon.ico", max_age=DAY)
