"""How a connection to the database is made, and noticed when it is dead."""

import time
from typing import Any

import psycopg
from sqlalchemy import Engine, create_engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import InvalidatePoolError
from sqlalchemy.pool import ConnectionPoolEntry

SETTINGS = {
    # Nobody is named yet whose changes would be audited (``shop.audit``).
    "shop.actor": "none",
    "statement_timeout": "5s",
    "lock_timeout": "2s",
    "idle_in_transaction_session_timeout": "15s",
}
# A host that is gone without a word ends a wait after ten seconds, not after TCP's quarter of an
# hour: tcp_user_timeout (ms, Linux) for what was sent, keepalives for what is waited for.
LINE: dict[str, Any] = {
    "connect_timeout": 5,
    "tcp_user_timeout": 10_000,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
}
# A connection that rested this long is asked whether it still lives before it is used.
RESTED_S = 1.0


def make_engine(url: str, *, pool_size: int, name: str) -> Engine:
    """Returns an engine for ``url``; ``name`` is what Postgres shows for its connections."""
    options = " ".join(f"-c {key}={value}" for key, value in SETTINGS.items())
    made = create_engine(
        url,
        pool_size=pool_size,
        max_overflow=pool_size,
        pool_timeout=10,
        hide_parameters=True,  # an error's text gets to logs and to the staff's list of jobs
        connect_args={"options": options, "application_name": name, **LINE},
    )

    def replace_if_dead(
        connection: DBAPIConnection, record: ConnectionPoolEntry, _proxy: object
    ) -> None:
        _check_alive(made, connection, record)

    event.listen(made, "connect", _used)
    event.listen(made, "checkin", _used)
    event.listen(made, "checkout", replace_if_dead)
    return made


def _used(_connection: object, record: ConnectionPoolEntry) -> None:
    record.info["used"] = time.monotonic()


def _check_alive(made: Engine, connection: DBAPIConnection, record: ConnectionPoolEntry) -> None:
    """As ``pool_pre_ping``, but a busy process need not ask before every request. Raises
    ``InvalidatePoolError`` for a connection that is dead: it is replaced."""
    if time.monotonic() - record.info["used"] <= RESTED_S:
        return
    try:
        made.dialect.do_ping(connection)
    except psycopg.Error as error:
        raise InvalidatePoolError from error
