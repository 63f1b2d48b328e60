"""What the catalogue refuses, and how the database's own refusals read for people."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import IntegrityError

from shop.core.db import session, sqlstate, violated
from shop.core.errors import DomainError, Invalid, WrongState
from shop.core.i18n import gettext as _
from shop.core.i18n import lazy_gettext

FOREIGN_KEY = "23503"


class Taken(DomainError):
    """Something that may exist only once exists already; ``field`` names it."""

    code = "taken"


class WouldCircle(WrongState):
    """A category cannot lie inside itself."""

    code = "would_circle"

    def __init__(self, name: str) -> None:
        super().__init__(
            _("%(category)s cannot be moved into itself or below itself.", category=name),
            field="parent",
        )


class NotEmpty(WrongState):
    """A category that still holds something cannot be deleted."""

    code = "not_empty"


class HasHistory(WrongState):
    """What was ordered or counted stays readable, so it is archived instead of deleted."""

    code = "has_history"

    def __init__(self, name: str) -> None:
        super().__init__(
            _(
                "%(name)s was ordered, put in a cart or counted before and must stay readable:"
                " archive it instead.",
                name=name,
            )
        )


class NotReady(WrongState):
    """A product lacks what its page needs."""

    code = "not_ready"


TAKEN = {
    "uq_category_path": (
        lazy_gettext("There is already a category with this URL slug here."),
        "slug",
    ),
    "uq_product_slug": (lazy_gettext("Another product already has this URL slug."), "slug"),
    "uq_variant_sku": (lazy_gettext("Another variant already has this SKU."), "sku"),
    "uq_variant_product_id_combination": (
        lazy_gettext("This product already has a variant with these options."),
        "values",
    ),
    "uq_option_product_id_name": (
        lazy_gettext("Two options of a product cannot share a name."),
        "options",
    ),
    "uq_option_value_option_id_name": (
        lazy_gettext("Two values of an option cannot share a name."),
        "options",
    ),
}


@contextmanager
def refusing(*, history_of: str = "") -> Iterator[None]:
    """Write what the block changes; if the database refuses, say why and take it all back.

    Raises ``Taken`` for what exists already and, when ``history_of`` names the thing to be
    deleted, ``HasHistory`` for what others still point at. Unknown refusals are bugs and stay loud.
    """
    try:
        with session.begin_nested():
            yield
            session.flush()
    except IntegrityError as error:
        name = violated(error)
        if name in TAKEN:
            sentence, field = TAKEN[name]
            raise Taken(str(sentence), field=field) from error
        if history_of and sqlstate(error) == FOREIGN_KEY:
            raise HasHistory(history_of) from error
        raise


def readable(value: str, *, field: str, what: str, most: int, least: int = 0) -> str:
    """``value`` without spaces around it. Raises ``Invalid`` if its length is out of bounds."""
    clean = value.replace("\x00", "").replace("\r\n", "\n").strip()
    if len(clean) < least:
        raise Invalid(_("%(what)s is missing.", what=what), field=field)
    if len(clean) > most:
        raise Invalid(
            _("%(what)s may have at most %(most)s characters.", what=what, most=f"{most:,}"),
            field=field,
        )
    return clean
