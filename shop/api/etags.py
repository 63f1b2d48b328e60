"""Tags of editable things, so that nobody overwrites what they have not seen (RFC 9110, 13.1.1)."""

import hashlib
import re
from typing import Any

from flask import Response, json, jsonify, request

from shop.api.errors import Refused

# What Flask-Compress appends to the tag of an answer it has packed.
_PACKED = re.compile(r":(?:br|gzip|zstd|deflate)$")


def of(shown: Any) -> str:
    """The tag of something as it is shown."""
    return hashlib.sha256(json.dumps(shown, sort_keys=True).encode()).hexdigest()[:32]


def check(shown: Any) -> None:
    """Raise 412 if the request names another state than this. Without ``If-Match`` all is well."""
    check_tag(of(shown))


def check_tag(tag: str) -> None:
    """As ``check``, for a tag that is known already."""
    if "If-Match" not in request.headers:
        return
    known = request.if_match
    if not known.star_tag and tag not in {_PACKED.sub("", one) for one in known.as_set()}:
        raise Refused(412, "Somebody has changed this since you read it. Read it again first.")


def tagged(shown: Any, status: int = 200, *, tag: str = "", is_whole: bool = True) -> Response:
    """An answer that carries its tag (made of it unless given), or 304 for who has it already: not
    if the tag is not of the whole, but only of what can be edited."""
    tag = tag or of(shown)
    response = jsonify(shown)
    response.status_code = status
    response.set_etag(tag)
    known = {_PACKED.sub("", one) for one in request.if_none_match.as_set()}
    if is_whole and request.method in {"GET", "HEAD"} and tag in known:
        response.status_code = 304
        response.set_data(b"")
    return response
