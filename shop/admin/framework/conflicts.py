"""Two people at one form: whoever saves second keeps what the first one saved, and loses nothing.

A form says what it was made from: a fingerprint of each of its values, or, where its fields are the
rows of a table, the values themselves. At saving, under the record's lock, that is compared with
the form as it would be now. What only somebody else changed stays as they left it. What both
changed is a conflict: the field says what is there now, and saving once more replaces it.

A form that does not say what it was made from, as a script may send it, is believed.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import inspect
from sqlalchemy.orm import InstanceState
from wtforms import BooleanField

from shop.admin.framework.errors import Stale
from shop.core import strict_json
from shop.core.i18n import gettext as _

LONGEST_SHOWN = 80
Typed = Mapping[str, str]


class Conflicts(Stale):
    """Two people changed the same fields; ``fields`` says of each what happened to it."""

    def __init__(self, noun: str, fields: Mapping[str, str]) -> None:
        super().__init__(
            _(
                "Someone else changed this %(noun)s while you were editing it. Your changes are"
                " still here: check the marked fields, then save again to replace the other"
                " changes.",
                noun=noun,
            )
        )
        self.fields = fields


# -- forms of fields -----------------------------------------------------------------------------


def fingerprint(form: Any) -> str:
    """What ``form`` shows: a short hash for each of its fields."""
    return ".".join(f"{field.short_name}:{_hash(field.data)}" for field in _fields(form))


def merge(form: Any, now: Any, *, seen: str, noun: str) -> None:
    """Put what only somebody else changed into ``form``, as it was sent; ``now`` is the same form
    made of the record as it is, locked. Raises ``Conflicts``."""
    if not seen or seen == fingerprint(now):
        return
    before = dict(part.partition(":")[::2] for part in seen.split("."))
    conflicts = {}
    for field in _fields(now):
        was, theirs = before.get(field.short_name), _hash(field.data)
        if was == theirs or field.name not in form:
            continue
        mine = _hash(form[field.name].data)
        if mine == was:
            put(form[field.name], field.data)
        elif mine != theirs:
            conflicts[field.name] = _what_is_there(field)
    if conflicts:
        raise Conflicts(noun, conflicts)


def _fields(form: Any) -> Iterator[Any]:
    return (field for field in form if field.name != form.meta.csrf_field_name)


def put(field: Any, value: Any) -> None:
    """Let ``field`` hold ``value``, and show it: a field remembers what was typed into it."""
    field.data, field.raw_data = value, None
    if hasattr(field, "typed"):
        field.typed = None


def _what_is_there(field: Any) -> str:
    text = _words(field)
    if not text or len(text) > LONGEST_SHOWN:
        return _("Someone else has changed this.")
    return _("Someone else has changed this to “%(now)s”.", now=text)


def _words(field: Any) -> str:
    """What a field shows, as words."""
    if isinstance(field, BooleanField):
        return _("Yes") if field.data else _("No")
    if hasattr(field, "iter_choices"):
        return ", ".join(str(choice[1]) for choice in field.iter_choices() if choice[2])
    return str(field._value())


def _hash(value: Any) -> str:
    return hashlib.sha256(_plain(value).encode()).hexdigest()[:8]


def _plain(value: Any) -> str:
    """A value of a form's field as text; rows of other tables by their keys."""
    if value is None:
        return ""
    if isinstance(value, str):  # browsers send a line's end as two characters
        return value.replace("\r\n", "\n").strip()
    if isinstance(value, (list, tuple, set)):
        return ",".join(sorted(_plain(one) for one in value))
    if isinstance(value, Decimal):
        return f"{value.normalize():f}"
    if isinstance(value, datetime) and value.tzinfo:  # forms know no seconds
        return str(value.timestamp() // 60)
    if isinstance(inspect(value, raiseerr=False), InstanceState):
        return str(inspect(value).identity)
    return repr(value)


# -- forms whose fields are rows -----------------------------------------------------------------


def seen_of(shown: Typed) -> str:
    """What a form of rows shows, for its hidden field ``seen``."""
    return json.dumps(shown, ensure_ascii=False, separators=(",", ":"))


def merged(shown: Typed, typed: Typed) -> dict[str, str]:
    """What was typed, where it was typed; elsewhere what is ``shown`` now, whoever wrote it."""
    kept = {name: text.strip() for name, text in typed.items()}
    seen = _seen_in(typed)
    if not seen:
        return kept
    untouched = {name for name in shown if kept.get(name, "") == seen.get(name, "")}
    return kept | {name: shown[name] for name in untouched}


def check_merged(shown: Typed, typed: Typed, *, noun: str) -> None:
    """Raises ``Conflicts`` for what two people changed differently."""
    conflicts = {}
    for name, before in _seen_in(typed).items():
        mine, now = typed.get(name, "").strip(), shown.get(name, "")
        if before not in (mine, now) and mine != now:
            conflicts[name] = _what_happened(before, now)
    if conflicts:
        raise Conflicts(noun, conflicts)


def _what_happened(before: str, now: str) -> str:
    if not before:
        return _("Someone else filled in “%(now)s”.", now=now)
    if not now:
        return _("Someone else removed “%(before)s”.", before=before)
    return _("Someone else changed “%(before)s” to “%(now)s”.", before=before, now=now)


def _seen_in(typed: Typed) -> dict[str, str]:
    try:
        seen = strict_json.parse(typed.get("seen", ""))
    except ValueError:
        return {}
    if not isinstance(seen, dict):
        return {}
    return {name: text for name, text in seen.items() if isinstance(text, str)}
