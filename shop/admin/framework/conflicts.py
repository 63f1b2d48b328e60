"""Two people at one form: whoever saves second keeps what the first one saved, and loses nothing.

A form carries the fingerprint of the values that it was made from; at saving, under the row's lock,
it is compared with what is there now. What only somebody else changed stays as they left it. What
both changed is a conflict: the field says what is there now, and saving once more replaces it.
"""

import hashlib
from collections.abc import Sequence
from decimal import Decimal
from itertools import zip_longest
from typing import Any

from sqlalchemy import inspect
from sqlalchemy.orm import InstanceState

from shop.admin.framework.errors import Stale
from shop.core.i18n import gettext as _

LONGEST_SHOWN = 80


def fingerprint(item: Any, columns: Sequence[str]) -> str:
    """What a form for ``item`` is made from: a short hash for each of its columns."""
    return ".".join(_hash(getattr(item, name, None)) for name in columns)


def merge(form: Any, item: Any, columns: Sequence[str], *, seen: str, noun: str) -> None:
    """Put what only somebody else changed into ``form``; refuse with ``Stale`` what both changed,
    and mark those fields. ``item`` is as it is now, locked.

    A form that does not say what it was made from, as a script may send it, is believed.
    """
    now = fingerprint(item, columns)
    if not seen or seen == now:
        return
    both = False
    for name, before, after in zip_longest(columns, seen.split("."), now.split(".")):
        if before == after or name not in form:
            continue
        mine, theirs = _hash(form[name].data), getattr(item, name, None)
        if mine == before:
            form[name].data = theirs
        elif mine != after:
            both = True
            text = _shown(theirs)
            form[name].errors = [
                *form[name].errors,
                _("Someone else has changed this to “%(now)s”.", now=text)
                if text
                else _("Someone else has changed this."),
            ]
    if both:
        raise Stale(
            _(
                "Someone else changed this %(noun)s while you were editing it. Your changes are"
                " still here: check the marked fields, then save again to replace the other"
                " changes.",
                noun=noun,
            )
        )


def _hash(value: Any) -> str:
    return hashlib.sha256(_plain(value).encode()).hexdigest()[:8]


def _plain(value: Any) -> str:
    """A value of a row or of a form's field as text; rows of other tables by their keys."""
    if value is None or value == "":
        return ""
    if isinstance(value, (list, tuple, set)):
        return ",".join(sorted(_plain(one) for one in value))
    if isinstance(value, Decimal):
        return f"{value.normalize():f}"
    if isinstance(inspect(value, raiseerr=False), InstanceState):
        return str(inspect(value).identity)
    return repr(value) if not isinstance(value, str) else value


def _shown(value: Any) -> str:
    """A value in a sentence; empty when it would not fit in one."""
    if isinstance(value, (list, tuple)):
        value = ", ".join(str(one) for one in value)
    text = "" if value is None else str(value)
    return text if len(text) <= LONGEST_SHOWN else ""
