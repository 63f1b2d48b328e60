"""Reading the audit: the entries of a record, and what their changes are in words."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import MetaData, Table, select, union_all

from shop.audit.coverage import LABELS
from shop.audit.models import AuditEntry, AuditPersonal
from shop.core.db import session

PAGE = 50


@dataclass(frozen=True, slots=True)
class Change:
    """One field of an entry: what it was and what it became.

    ``is_secret``: the values are not kept. ``is_erased``: they were personal data, which is gone.
    ``before_label`` and ``after_label`` name the record that a number points to, where one does.
    """

    field: str
    before: Any = None
    after: Any = None
    is_secret: bool = False
    is_personal: bool = False
    is_erased: bool = False
    before_label: str = ""
    after_label: str = ""


def entry(entry_id: int) -> AuditEntry | None:
    """Returns the entry with this id, if there is one."""
    return session.get(AuditEntry, entry_id) if entry_id < 2**63 else None


def history(record_type: str, record_id: str, *, before: int | None = None) -> list[AuditEntry]:
    """Returns the newest ``PAGE`` entries of a record and its parts, below the entry ``before``;
    one more if there are further ones. Two index scans, however long the audit is."""
    about = (
        (AuditEntry.record_type == record_type, AuditEntry.record_id == record_id),
        (AuditEntry.parent_type == record_type, AuditEntry.parent_id == record_id),
    )
    below = () if before is None else (AuditEntry.id < before,)
    newest = [
        select(AuditEntry.id)
        .where(*one, *below)
        .order_by(AuditEntry.id.desc())
        .limit(PAGE + 1)
        .subquery()
        for one in about
    ]
    ids = union_all(*(select(one.c.id) for one in newest)).subquery()
    found = (
        select(AuditEntry)
        .where(AuditEntry.id.in_(select(ids.c.id)))
        .order_by(AuditEntry.id.desc())
        .limit(PAGE + 1)
    )
    return list(session.scalars(found))


def changes(entries: Sequence[AuditEntry], metadata: Iterable[MetaData]) -> dict[int, list[Change]]:
    """Returns the changes of each entry by its id, fields in their tables' order.

    One statement for personal values, and one for each table that changed numbers point to.
    """
    tables = {name: table for one in metadata for name, table in one.tables.items()}
    kept = _personal(entries)
    named = _references(entries, tables)
    return {
        entry.id: [
            _change(entry, field, kept, named.get((entry.record_type, field), {}))
            for field in _in_order(entry, tables.get(entry.record_type))
        ]
        for entry in entries
    }


def _change(
    entry: AuditEntry,
    field: str,
    kept: Mapping[tuple[int, str], AuditPersonal],
    named: Mapping[Any, str],
) -> Change:
    values = entry.changes[field]
    if values == "secret":
        return Change(field, is_secret=True)
    if values == "personal":
        found = kept.get((entry.id, field))
        if found is None:
            return Change(field, is_personal=True, is_erased=True)
        return Change(field, found.before, found.after, is_personal=True)
    before, after = values
    return Change(
        field, before, after,
        before_label=named.get(before, "") if isinstance(before, int) else "",
        after_label=named.get(after, "") if isinstance(after, int) else "",
    )  # fmt: skip


def _in_order(entry: AuditEntry, table: Table | None) -> list[str]:
    places = {
        name: place for place, name in enumerate(table.columns.keys() if table is not None else ())
    }
    return sorted(entry.changes, key=lambda field: (places.get(field, len(places)), field))


def _personal(entries: Sequence[AuditEntry]) -> dict[tuple[int, str], AuditPersonal]:
    ids = [one.id for one in entries if "personal" in one.changes.values()]
    if not ids:
        return {}
    found = session.scalars(select(AuditPersonal).where(AuditPersonal.entry_id.in_(ids)))
    return {(one.entry_id, one.field): one for one in found}


def _references(
    entries: Sequence[AuditEntry], tables: Mapping[str, Table]
) -> dict[tuple[str, str], dict[Any, str]]:
    """What changed numbers point to, by table and field: the label of each."""
    wanted: dict[tuple[str, str], tuple[Table, set[int]]] = {}
    for entry in entries:
        table = tables.get(entry.record_type)
        for field, values in entry.changes.items():
            if table is None or field not in table.c or not isinstance(values, list):
                continue
            for key in table.c[field].foreign_keys:
                _, ids = wanted.setdefault((table.name, field), (key.column.table, set()))
                ids.update(value for value in values if isinstance(value, int))
    return {place: _labels(table, ids) for place, (table, ids) in wanted.items()}


def _labels(table: Table, ids: set[int]) -> dict[Any, str]:
    label = next((table.c[name] for name in LABELS if name in table.c), None)
    keys = list(table.primary_key.columns)
    if label is None or len(keys) != 1 or not ids:
        return {}
    found = session.execute(select(keys[0], label).where(keys[0].in_(ids)))
    return {key: str(name) for key, name in found}
