"""Audit entries as people read them: in the history of a record and in the list of all."""

import difflib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from markupsafe import Markup, escape

from shop.admin.framework import formatters
from shop.admin.framework.columns import Column
from shop.audit import AuditAction, AuditEntry, Change
from shop.core.i18n import gettext as _
from shop.core.i18n import lazy_gettext
from shop.core.money import Money

LONG_TEXT = 60
MAX_COMPARED = 4000
MIN_ALIKE = 0.3  # two texts that share less are easier to read one after the other
ACTIONS: Mapping[AuditAction, tuple[str, str]] = {
    AuditAction.CREATE: ("good", lazy_gettext("Created")),
    AuditAction.UPDATE: ("info", lazy_gettext("Changed")),
    AuditAction.DELETE: ("bad", lazy_gettext("Deleted")),
    AuditAction.SIGN_IN: ("mute", lazy_gettext("Signed in")),
    AuditAction.SIGN_IN_REFUSED: ("warn", lazy_gettext("Sign-in refused")),
    AuditAction.SIGN_OUT: ("mute", lazy_gettext("Signed out")),
    AuditAction.EXPORT: ("info", lazy_gettext("Exported")),
    AuditAction.REFUSED: ("warn", lazy_gettext("No access")),
}
SOURCES: Mapping[str, str] = {
    "admin": lazy_gettext("Admin"),
    "api": lazy_gettext("API"),
    "command": lazy_gettext("Command line"),
    "import": lazy_gettext("Import"),
    "sql": lazy_gettext("Database"),
    "store": lazy_gettext("Store"),
    "relay": lazy_gettext("Scheduled task"),
    "worker": lazy_gettext("Background job"),
}


@dataclass(frozen=True)
class Line:
    """One field of an entry as it is shown. ``words`` has both values in one text, word by word,
    where that reads better; ``restores`` is the name of the field that can be set back."""

    label: str
    before: Any = ""
    after: Any = ""
    words: str = ""
    note: str = ""
    restores: str = ""


@dataclass(frozen=True)
class Shown:
    """An entry as it is shown."""

    entry: AuditEntry
    tone: str
    action: str
    record: str
    source: str
    lines: list[Line]

    @property
    def has_before(self) -> bool:
        """Whether there was something before."""
        return self.entry.action is not AuditAction.CREATE

    @property
    def has_after(self) -> bool:
        """Whether there is something afterwards."""
        return self.entry.action is not AuditAction.DELETE


def shown(
    entry: AuditEntry,
    changes: list[Change],
    *,
    label: Callable[[str], str],
    restores: Callable[[Change], bool] | None = None,
    currency: str | None = None,
    is_part: bool = True,
) -> Shown:
    """Returns an entry as lists and histories show it. ``label`` names a field, ``restores`` says
    whether a change can be set back, ``currency`` is that of the record."""
    tone, action = ACTIONS[entry.action]
    record = ""
    if is_part and entry.record_type:
        kind = record_words(entry.record_type)
        record = f"{kind} {entry.label or entry.record_id}".strip()
    return Shown(
        entry, tone, action, record, str(SOURCES.get(entry.source, entry.source)),
        [
            _line(entry, one, label(one.field), currency, bool(restores and restores(one)))
            for one in changes
            if _is_worth_a_line(entry, one)
        ],
    )  # fmt: skip


def _is_worth_a_line(entry: AuditEntry, change: Change) -> bool:
    """Of a new record only what was filled in: its number stands above."""
    if entry.action is not AuditAction.CREATE or change.is_secret or change.is_erased:
        return True
    return change.field != "id" and change.after not in (None, "", {}, [])


def words_of(field: str) -> str:
    """A column's name as words."""
    return Column(field.removesuffix("_id")).heading


def record_words(table: str) -> str:
    """A table's name as words: what kind of record this is."""
    return str(KINDS.get(table, table.removeprefix("ab_").replace("_", " ").capitalize()))


KINDS: Mapping[str, str] = {
    "ab_user": lazy_gettext("Staff member"),
    "ab_user_role": lazy_gettext("Role of a staff member"),
    "ab_permission_view_role": lazy_gettext("Permission of a role"),
    "fulfilment": lazy_gettext("Shipment"),
    "product_category": lazy_gettext("Category of a product"),
    "staff_invitation": lazy_gettext("Invitation"),
}


def _line(
    entry: AuditEntry, change: Change, label: str, currency: str | None, restores: bool
) -> Line:
    if change.is_secret:
        return Line(label, note=_("Changed. The value is never stored."))
    if change.is_erased:
        return Line(label, note=_("Personal data that has been erased."))
    before = _value(change, change.before, change.before_label, currency)
    after = _value(change, change.after, change.after_label, currency)
    words = ""
    if entry.action is AuditAction.UPDATE and _reads_as_text(change):
        words = compared(change.before, change.after)
    return Line(label, before, after, words, restores=change.field if restores else "")


def _reads_as_text(change: Change) -> bool:
    both = change.before, change.after
    return all(isinstance(value, str) for value in both) and any(
        len(value) > LONG_TEXT for value in both
    )


def _value(change: Change, value: Any, label: str, currency: str | None) -> Any:
    if label:
        return label
    if change.field.endswith("_minor") and isinstance(value, int):
        return Money(value, currency or formatters.shop_currency()).format()
    if isinstance(value, str) and (moment := _moment(value)):
        return formatters.moment(moment)
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False, indent=1)
    return formatters.plain(value)


def _moment(text: str) -> datetime | None:
    if not re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d", text):
        return None
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def compared(before: str, after: str) -> Markup:
    """Returns both texts as one: words that are gone and words that are new are marked. Empty for
    texts that have too little in common."""
    old, new = (re.findall(r"\w+\s*|\W", text[:MAX_COMPARED]) for text in (before, after))
    parts: list[str] = []
    matcher = difflib.SequenceMatcher(None, old, new, autojunk=False)
    if matcher.ratio() < MIN_ALIKE:
        return Markup()
    for kind, a, b, c, d in matcher.get_opcodes():
        gone, come = escape("".join(old[a:b])), escape("".join(new[c:d]))
        if kind == "equal":
            parts.append(gone)
            continue
        parts += [f"<del>{gone}</del>" if gone else "", f"<ins>{come}</ins>" if come else ""]
    return Markup("".join(parts))
