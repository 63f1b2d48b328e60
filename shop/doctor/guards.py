"""The constraints that the database itself must have, all in force: every CHECK, key, NOT NULL,
unique index and trigger.

Keys, NOT NULL and CHECKs of closed sets of words are derived from the models. ``guards.txt`` has
what cannot be: other CHECKs and partial indexes, as Postgres words them; triggers; keys that an
early migration named differently; tables of Flask-AppBuilder and of doors. Tests compare the whole
with a database that the migrations made, so that a new one cannot forget it.
"""

import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from sqlalchemy import (
    CheckConstraint,
    Connection,
    ForeignKeyConstraint,
    PrimaryKeyConstraint,
    Table,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.sql.schema import Constraint

from shop.audit import models as audit
from shop.cart import models as cart
from shop.catalog import models as catalog
from shop.checkout import models as checkout
from shop.core import broadcasts, events, idempotency, queue, reaction_runs, sessions, tokens
from shop.core.i18n import lazy_gettext
from shop.customers import models as customers
from shop.discounts import models as discounts
from shop.doctor import models as doctor
from shop.doctor.checks import Check, Fault, Scope
from shop.inventory import models as inventory
from shop.media import models as media
from shop.notifications import models as notifications
from shop.orders import models as orders
from shop.payments import models as payments
from shop.reviews import models as reviews
from shop.staff import models as staff

# Whatever has tables, but for the doors, which know the doctor: ``shop/tables.py`` adds theirs.
MODULES = (
    audit, broadcasts, cart, catalog, checkout, customers, discounts, doctor, events, idempotency,
    inventory, media, notifications, orders, payments, queue, reaction_runs, reviews, sessions,
    staff, tokens,
)  # fmt: skip
FILE = Path(__file__).with_name("guards.txt")
_PRIMARY_KEY = re.compile(r"PRIMARY KEY \((.+)\)")
_CLOSED_SET = re.compile(r"(\w+) IN \(('\w+'(?:, ?'\w+')+)\)")
_QUOTE = postgresql.dialect().identifier_preparer  # type: ignore[no-untyped-call]
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
    return _completed(listed)


def derived_constraints() -> dict[str, str]:
    """Returns the constraints that the models of the features say, as Postgres words them."""
    return {name: means for table in _tables() for name, means in _derived(table)}


def _tables() -> Iterator[Table]:
    for module in MODULES:
        for one in vars(module).values():
            table = getattr(one, "__table__", one)
            if isinstance(table, Table):
                yield table


def _derived(table: Table) -> Iterator[tuple[str, str]]:
    for column in table.columns:
        if not column.nullable:
            yield f"never empty {table.name}.{column.name}", "NOT NULL"
    for constraint in table.constraints:
        if means := _meaning(constraint):
            yield f"constraint {table.name}.{_QUOTE.format_constraint(constraint)}", means


def _meaning(constraint: Constraint) -> str:
    """The definition as Postgres words it; empty if that takes Postgres itself."""
    match constraint:
        case PrimaryKeyConstraint():
            return f"PRIMARY KEY ({_columns(constraint)})"
        case UniqueConstraint():
            return f"UNIQUE ({_columns(constraint)})"
        case ForeignKeyConstraint():
            targets = [key.target_fullname.rpartition(".") for key in constraint.elements]
            to = ", ".join(_QUOTE.quote(column) for _, _, column in targets)
            means = f"FOREIGN KEY ({_columns(constraint)}) REFERENCES"
            deletes = f" ON DELETE {constraint.ondelete}" if constraint.ondelete else ""
            return f"{means} {_QUOTE.quote(targets[0][0])}({to}){deletes}"
        case CheckConstraint():
            if is_one_of := _CLOSED_SET.fullmatch(str(constraint.sqltext)):
                words = ", ".join(f"{word.strip()}::text" for word in is_one_of[2].split(","))
                return f"CHECK (({is_one_of[1]} = ANY (ARRAY[{words}])))"
    return ""


def _columns(
    constraint: PrimaryKeyConstraint | UniqueConstraint | ForeignKeyConstraint,
) -> str:
    return ", ".join(_QUOTE.quote(column.name) for column in constraint.columns)


def _completed(listed: dict[str, str]) -> dict[str, str]:
    """What is listed, with what the models say and what follows from all keys. A key that is listed
    under another name than the models give it is that key."""
    meant = {_meant(name, means) for name, means in listed.items()}
    derived = {
        name: means
        for name, means in derived_constraints().items()
        if name in listed or _meant(name, means) not in meant
    }
    whole = derived | listed
    return whole | _following(whole)


def _meant(name: str, means: str) -> tuple[str, str]:
    """The table and the meaning; of what has only a name, the name."""
    return name if means == "NOT NULL" else name.partition(".")[0], means


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
    derived = derived_constraints() | _following(constraints)
    left = {name: means for name, means in constraints.items() if derived.get(name) != means}
    return "".join(f"{name}\t{left[name]}\n" for name in sorted(left))


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
