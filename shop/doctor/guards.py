"""The constraints that the database itself must have, as ``guards.txt`` lists them, all in force:
every CHECK, key, NOT NULL, unique index and trigger.

The file is what the migrations leave behind, less what follows from other lines of it. Tests
compare it with a fresh database and with the models, so that a new migration cannot forget it.
"""

import re
from functools import lru_cache
from pathlib import Path

from sqlalchemy import Connection, text

from shop.core.i18n import lazy_gettext
from shop.doctor.checks import Check, Fault, Scope

FILE = Path(__file__).with_name("guards.txt")
_PRIMARY_KEY = re.compile(r"PRIMARY KEY \((.+)\)")
_FOREIGN_KEY = re.compile(r'FOREIGN KEY \(.+?\) REFERENCES "?(\w+)"?\(')

_CONSTRAINTS = text("""
SELECT 'constraint' AS kind, conrelid::regclass || '.' || conname AS name,
    CASE WHEN convalidated THEN '' ELSE 'not checked: ' END
        || regexp_replace(pg_get_constraintdef(oid), '\\s+', ' ', 'g') AS means
FROM pg_constraint
WHERE connamespace = 'public'::regnamespace AND contype IN ('c', 'f', 'p', 'u', 'x')
    AND conrelid <> 0
UNION ALL
SELECT 'trigger', tgrelid::regclass || '.' || tgname,
    CASE tgenabled WHEN 'O' THEN '' ELSE 'switched off: ' END || pg_get_triggerdef(t.oid)
        || ' AS ' || md5(regexp_replace(p.prosrc, '\\s+', ' ', 'g'))
FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid JOIN pg_class c ON c.oid = t.tgrelid
WHERE NOT tgisinternal AND c.relnamespace = 'public'::regnamespace
UNION ALL
SELECT 'unique index', i.indexrelid::regclass::text,
    CASE WHEN i.indisvalid THEN '' ELSE 'not built: ' END || pg_get_indexdef(i.indexrelid)
FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
WHERE i.indisunique AND c.relnamespace = 'public'::regnamespace
    AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = i.indexrelid)
UNION ALL
SELECT 'never empty', a.attrelid::regclass || '.' || a.attname, 'NOT NULL'
FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace
    AND a.attnum > 0 AND a.attnotnull AND NOT a.attisdropped
UNION ALL
SELECT 'foreign key in force', t.tgrelid::regclass || '.' || k.conname, 'its triggers are on'
FROM pg_trigger t JOIN pg_constraint k ON k.oid = t.tgconstraint AND k.contype = 'f'
WHERE t.tgisinternal AND k.connamespace = 'public'::regnamespace
GROUP BY t.tgrelid, k.conname HAVING bool_and(t.tgenabled = 'O')
""")


def actual_constraints(connection: Connection) -> dict[str, str]:
    """Returns every constraint of this database, by kind and name, with its definition."""
    return {
        f"{row.kind} {row.name.replace(chr(34), '')}": row.means
        for row in connection.execute(_CONSTRAINTS)
        if "alembic_version" not in row.name
    }


@lru_cache(maxsize=1)
def expected_constraints() -> dict[str, str]:
    """Returns every constraint that there must be."""
    lines = FILE.read_text().splitlines()
    listed = {name: means for name, _, means in (line.partition("\t") for line in lines)}
    return listed | _following(listed)


def _following(listed: dict[str, str]) -> dict[str, str]:
    """What follows from keys: a primary key's columns are never empty, and a foreign key is in
    force on either side of it."""
    found = {}
    for name, means in listed.items():
        table, _, constraint = name.removeprefix("constraint ").partition(".")
        if key := _PRIMARY_KEY.match(means):
            for column in key[1].split(", "):
                found[f"never empty {table}.{column}"] = "NOT NULL"
        elif key := _FOREIGN_KEY.match(means):
            for side in (table, key[1]):
                found[f"foreign key in force {side}.{constraint}"] = "its triggers are on"
    return found


def format_constraints(constraints: dict[str, str]) -> str:
    """Returns the text of the file for these constraints."""
    left = constraints.keys() - _following(constraints).keys()
    return "".join(f"{name}\t{constraints[name]}\n" for name in sorted(left))


def _find_differences(connection: Connection, scope: Scope) -> tuple[int, list[Fault]]:
    actual, expected = actual_constraints(connection), expected_constraints()
    faults = [Fault(None, name, "is missing") for name in sorted(expected.keys() - actual.keys())]
    faults += [
        Fault(None, name, f"is “{actual[name]}”, not “{expected[name]}”")
        for name in sorted(expected.keys() & actual.keys())
        if actual[name] != expected[name]
    ]
    faults += [
        Fault(None, name, actual[name])
        for name in sorted(actual.keys() - expected.keys())
        if actual[name].startswith(("not ", "switched off"))
    ]
    return len(faults), faults[: scope.limit]


CHECKS = (
    Check(
        id="guards",
        invariant="I27",
        title=lazy_gettext("The database itself refuses what must never be"),
        why=lazy_gettext("What the code misses, a CHECK, a key or a trigger still stops."),
        todo=lazy_gettext("Run `flask db upgrade`; then make what is named as the migrations do."),
        find=_find_differences,
    ),
)
