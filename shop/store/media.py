"""Images of products, out of the media storage."""

from flask import Response, abort, request
from flask.typing import ResponseReturnValue

from shop import media
from shop.statics import FOR_EVER
from shop.store.blueprint import bp

ORIGINAL = "original.webp"


@bp.get("/media/<key>/<file>")
def image(key: str, file: str) -> ResponseReturnValue:
    """A rendition; while it is being made, the original in its place, for a minute."""
    name, cache = f"{key}/{file}", FOR_EVER
    try:
        opened = media.storage.open(name)
    except media.NoSuchFile:
        name, cache = f"{key}/{ORIGINAL}", "public, max-age=60"
        try:
            opened = media.storage.open(name)
        except media.NoSuchFile:
            abort(404)
    with opened:
        response = Response(opened.read(), mimetype=media.content_type(name))
    response.headers["Cache-Control"] = cache
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Cross-Origin-Resource-Policy"] = "same-origin"
    response.set_etag(name.replace("/", "-"))
    return response.make_conditional(request)
