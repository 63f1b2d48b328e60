"""The triggers that write an entry for each changed row, one on every audited table.

They follow from the tables themselves (``coverage``), so the end of every migration makes those
that are missing or out of date: a new table is audited without a word. What a trigger does stands
in its function ``audit_capture``, which is a migration's.
"""

import hashlib
from collections.abc import Iterable

from sqlalchemy import Connection, MetaData, text

from shop.audit.coverage import Coverage, covered

TRIGGER = "audit_capture"
# Our own connections begin with it: what nobody is named for is a customer's, and no entry. In a
# connection of another program the setting is missing, and the entry names the database's user.
NOBODY = "none"

_FOUND = text("""
    SELECT tgrelid::regclass::text AS name, obj_description(oid, 'pg_trigger') AS made_from
    FROM pg_trigger WHERE tgname = :trigger AND NOT tgisinternal
""")


def install_triggers(connection: Connection, *metadata: MetaData) -> list[str]:
    """Make the audit's triggers what these tables ask for. Returns the tables that it touched.

    Call it at the newest version of the database, inside its transaction.
    """
    found = {
        row.name.strip('"'): row.made_from
        for row in connection.execute(_FOUND, {"trigger": TRIGGER})
    }
    wanted = {one.table: trigger(one) for one in covered(*metadata)}
    touched = []
    for table, statement in wanted.items():
        made_from = hashlib.sha256(statement.encode()).hexdigest()
        if found.get(table) == made_from:
            continue
        connection.execute(text(f'DROP TRIGGER IF EXISTS {TRIGGER} ON "{table}"'))
        connection.execute(text(statement))
        connection.execute(text(f"COMMENT ON TRIGGER {TRIGGER} ON \"{table}\" IS '{made_from}'"))
        touched.append(table)
    for table in found.keys() - wanted.keys():
        connection.execute(text(f'DROP TRIGGER {TRIGGER} ON "{table}"'))
        touched.append(table)
    return touched


def trigger(one: Coverage) -> str:
    """Returns the statement that makes the trigger of a table."""
    given = (
        _list(one.key), one.label, one.part_of, one.parent,
        _list(one.ignored), _list(one.secret), _list(one.personal),
    )  # fmt: skip
    arguments = ", ".join(f"'{value}'" for value in given)
    watched = " OF " + ", ".join(f'"{name}"' for name in one.watched) if one.watched else ""
    return (
        f'CREATE TRIGGER {TRIGGER} AFTER INSERT OR DELETE OR UPDATE{watched} ON "{one.table}"'
        f" FOR EACH ROW WHEN (current_setting('shop.actor', true) IS DISTINCT FROM '{NOBODY}')"
        f" EXECUTE FUNCTION {TRIGGER}({arguments})"
    )


def _list(names: Iterable[str]) -> str:
    return ",".join(names)
