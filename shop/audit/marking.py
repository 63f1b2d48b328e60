"""Naming the actor to the database, in time for the triggers that write entries.

Before the first change of an audited table in a transaction, the actor, door, address and request
are put into a setting of that transaction. What customers and guests do is no entry, so that their
transactions are spared the extra statement.
"""

import json
import re
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, Engine, event
from sqlalchemy.sql.dml import UpdateBase

from shop.audit.capture import NOBODY
from shop.audit.coverage import NOT_AUDITED
from shop.core import actor

_NAMED = "audit: the actor that this transaction has named"
_UNKNOWN = "unknown"
_CHANGES = re.compile(r"\s*(INSERT|UPDATE|DELETE|MERGE|WITH)\b", re.IGNORECASE)


def watch(engine: Engine) -> None:
    """Name the actor in every transaction of ``engine`` that changes what is audited."""
    if event.contains(engine, "before_cursor_execute", _name_actor):
        return
    event.listen(engine, "before_cursor_execute", _name_actor)
    event.listen(engine, "commit", _end)
    event.listen(engine, "rollback", _end)
    event.listen(engine, "rollback_savepoint", _undone)


def _name_actor(
    connection: Connection, cursor: Any, statement: str, _given: Any, context: Any, _many: bool
) -> None:
    wanted = _setting(actor.current(), actor.origin(), actor.request_id())
    if connection.info.get(_NAMED, NOBODY) == wanted or not _changes_audited(statement, context):
        return
    cursor.connection.execute("SELECT set_config('shop.actor', %s, true)", (wanted,))
    connection.info[_NAMED] = wanted


def _changes_audited(statement: str, context: Any) -> bool:
    compiled = context.compiled.statement if context is not None and context.compiled else None
    if isinstance(compiled, UpdateBase):
        return getattr(compiled.table, "name", "") not in NOT_AUDITED
    return bool(_CHANGES.match(statement))


@lru_cache(maxsize=256)
def _setting(who: actor.Actor, origin: actor.Origin, request_id: str) -> str:
    if who.kind in ("guest", "customer"):
        return NOBODY
    said = {"kind": who.kind, "id": who.id, "name": who.name, "source": origin.source}
    return json.dumps(said | {"address": origin.address, "request": request_id})


def _end(connection: Connection) -> None:
    connection.info.pop(_NAMED, None)


def _undone(connection: Connection, *_: object) -> None:
    # The setting is what it was when the savepoint was made, and nobody noted what that was.
    connection.info[_NAMED] = _UNKNOWN
