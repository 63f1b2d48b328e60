"""What came in an address, a form or a cookie, read strictly."""

import re
from urllib.parse import urlsplit

from flask import request

from shop import cart
from shop.core.errors import Invalid, NotFound
from shop.core.i18n import gettext as _

MAX_ID = 2**63 - 1
_SECRET = re.compile(r"[A-Za-z0-9_-]{16,128}")


def secret(given: str | None) -> str:
    """A secret of a link or cookie, or nothing if it cannot be one of ours."""
    return given if given and _SECRET.fullmatch(given) else ""


def row_id(given: str | int | None) -> int:
    """A row's number out of an address or a form. Raises ``NotFound`` for what can be none."""
    text = str(given or "")
    if not (text.isascii() and text.isdecimal() and len(text) < 20 and int(text) <= MAX_ID):
        raise NotFound(_("Not found."))
    return int(text)


def quantity(given: str | None) -> int:
    """How many of something, out of a form. Raises ``Invalid`` with the rule in words."""
    text = (given or "").strip()
    if (
        text.isascii()
        and text.isdecimal()
        and len(text) <= 9
        and 1 <= int(text) <= cart.MAX_QUANTITY
    ):
        return int(text)
    limit = cart.max_per_variant()
    raise Invalid(_("Please choose a quantity from 1 to %(limit)s.", limit=limit), field="quantity")


def local_path(given: str | None, default: str) -> str:
    """Where to go next, if that is a page of this shop; ``default`` for anything else."""
    path = given or ""
    fits = path.startswith("/") and not path.startswith("//") and "\\" not in path
    if not fits or not path.isascii() or not path.isprintable() or len(path) > 500:
        return default
    parts = urlsplit(path)
    return default if parts.scheme or parts.netloc else path


def wants_fragment() -> bool:
    """Whether a script asks and will put the answer into the page it has."""
    return request.headers.get("X-Requested-With") == "fetch"
