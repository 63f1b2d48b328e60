"""What forms and addresses of pages send, read strictly."""

from collections.abc import Callable

from flask import abort, request

from shop.admin.framework.interface import BIGINT_MAX
from shop.core.errors import Invalid
from shop.core.i18n import gettext as _


def existing(pk: int) -> int:
    """``pk`` if a row can have it; 404 otherwise, so that no odd number reaches the database."""
    if not 0 < pk <= BIGINT_MAX:
        abort(404)
    return pk


def whole(name: str, *, what: str, of: Callable[[str], str | None] | None = None) -> int:
    """A whole number from the form. Raises ``Invalid``, which names the field."""
    typed = ((of or request.form.get)(name) or "").strip().replace("−", "-")
    sign, digits = ("-", typed[1:]) if typed[:1] in {"-", "+"} else ("", typed)
    if not (digits.isascii() and digits.isdecimal()) or len(digits) > 9:
        raise Invalid(_("%(field)s must be a whole number.", field=what), field=name)
    return -int(digits) if sign and typed[0] == "-" else int(digits)


def seen_version() -> int | None:
    """The version of the record that the form was made from; None when it does not say."""
    return whole("version", what=_("The version")) if request.form.get("version") else None
