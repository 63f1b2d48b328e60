"""What the catalogue refuses, and how the database's own refusals read for people."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import IntegrityError

from shop.core.db import session, sqlstate, violated
from shop.core.errors import DomainError, Invalid, WrongState

FOREIGN_KEY = "23503"


class Taken(DomainError):
    """Something that may exist only once exists already; ``field`` names it."""

    code = "taken"


class WouldCircle(WrongState):
    """A category cannot lie inside itself."""

    code = "would_circle"

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} cannot be moved into itself or below itself.", field="parent")


class NotEmpty(WrongState):
    """A category that still holds something cannot be deleted."""

    code = "not_empty"


class HasHistory(WrongState):
    """What was ordered or counted stays readable, so it is archived instead of deleted."""

    code = "has_history"

    def __init__(self, name: str) -> None:
        super().__init__(
            f"{name} was ordered, put in a cart or counted before and must stay readable:"
            " archive it instead."
        )


class NotReady(WrongState):
    """A product lacks what its page needs."""

    code = "not_ready"


TAKEN = {
    "uq_category_path": ("There is already a category with this address here.", "slug"),
    "uq_product_slug": ("Another product already has this address.", "slug"),
    "uq_variant_sku": ("Another variant already has this SKU.", "sku"),
    "uq_variant_product_id_combination": (
        "This product already has a variant with these options.",
        "values",
    ),
    "uq_option_product_id_name": ("Two options of a product cannot share a name.", "options"),
    "uq_option_value_option_id_name": ("Two values of an option cannot share a name.", "options"),
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
            raise Taken(sentence, field=field) from error
        if history_of and sqlstate(error) == FOREIGN_KEY:
            raise HasHistory(history_of) from error
        raise


def readable(value: str, *, field: str, what: str, most: int, least: int = 0) -> str:
    """``value`` without spaces around it. Raises ``Invalid`` if its length is out of bounds."""
    clean = value.replace("\x00", "").replace("\r\n", "\n").strip()
    if len(clean) < least:
        raise Invalid(f"{what} is missing.", field=field)
    if len(clean) > most:
        raise Invalid(f"{what} may have at most {most:,} characters.", field=field)
    return clean
