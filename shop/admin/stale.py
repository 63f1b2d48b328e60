"""Two people at one form: whoever saves second hears what the first one changed, and loses nothing.

A form carries the fingerprint of the values that it was made from; at saving, under the row's lock,
it is compared with what is there now.
"""

import hashlib
from collections.abc import Sequence
from itertools import zip_longest
from typing import Any

from sqlalchemy import inspect
from sqlalchemy.orm import InstanceState
from sqlalchemy.orm.collections import InstrumentedList

from shop.admin.errors import Stale


def fingerprint(item: Any, columns: Sequence[str]) -> str:
    """What a form for ``item`` is made from: a short hash for each of its columns."""
    values = (_plain(getattr(item, name, None)) for name in columns)
    return ".".join(hashlib.sha256(value.encode()).hexdigest()[:8] for value in values)


def check(form: Any, columns: Sequence[str], *, seen: str, now: str, noun: str) -> None:
    """Refuse with ``Stale`` what was typed on values that are no longer there, and mark the fields.

    A form that does not say what it was made from, as a script may send it, is believed.
    """
    if not seen or seen == now:
        return
    for name, before, after in zip_longest(columns, seen.split("."), now.split(".")):
        if before != after and name in form:
            form[name].errors = [*form[name].errors, "Somebody has changed this meanwhile."]
    raise Stale(
        f"Somebody changed this {noun} while you edited it. What you typed is still here: look at"
        " the marked fields, then save again to replace what is there."
    )


def _plain(value: Any) -> str:
    """A value of a row as text; rows of other tables by their keys."""
    if isinstance(value, InstrumentedList):
        return ",".join(sorted(_plain(row) for row in value))
    if isinstance(inspect(value, raiseerr=False), InstanceState):
        return str(inspect(value).identity)
    return repr(value)
