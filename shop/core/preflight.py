"""What only the servers themselves can say before production starts: how much they let us do.

A role that may do everything turns one hole in the shop into the whole database server, and a
Redis that lets everybody in gives orders to workers. A server that does not answer is not judged:
the shop starts without it, as it does after any outage.
"""

import logging
import sys

import psycopg
from redis import Redis
from redis.connection import parse_url
from redis.exceptions import AuthenticationError, RedisError, ResponseError

log = logging.getLogger(__name__)

TIMEOUT_S = 3
# Superusers, who may become one (SET ROLE), and who may read, write or run files of the database's
# host: https://www.postgresql.org/docs/18/predefined-roles.html
_RIGHTS = """
SELECT rolsuper OR EXISTS (
    SELECT FROM pg_roles wide
    WHERE (wide.rolsuper OR wide.rolname IN (
        'pg_execute_server_program', 'pg_read_server_files', 'pg_write_server_files'
    )) AND pg_has_role(own.oid, wide.oid, 'member')
)
FROM pg_roles own WHERE own.rolname = session_user
"""


def end_if_unsafe(database_url: str, redis_url: str, exit_code: int) -> None:
    """End this process with a sentence for each server that must not be used like this."""
    problems = check(database_url, redis_url)
    if problems:
        sys.stderr.write(f"The shop cannot start: {' '.join(problems)}\n")
        sys.exit(exit_code)


def check(database_url: str, redis_url: str) -> list[str]:
    """Returns a sentence, which names the setting, for each server that is too open."""
    problems = []
    if _may_everything(database_url):
        problems.append(
            "DATABASE_URL uses a role that may do everything on the database server (a superuser):"
            " use one that owns the shop's database only."
        )
    if _lets_everybody_in(redis_url):
        problems.append(
            "REDIS_URL leads to a server that lets everybody in without a password: set"
            " requirepass, or switch its default user off."
        )
    return problems


def _may_everything(url: str) -> bool:
    try:
        with psycopg.connect(
            url.replace("postgresql+psycopg://", "postgresql://", 1), connect_timeout=TIMEOUT_S
        ) as connection:
            row = connection.execute(_RIGHTS).fetchone()
    except psycopg.Error as error:
        log.warning("role not checked", extra={"kind": type(error).__name__})
        return False
    return bool(row and row[0])


def _lets_everybody_in(url: str) -> bool:
    """Whether the server answers somebody who names no user and no password."""
    stranger = {
        name: value
        for name, value in parse_url(url).items()  # type: ignore[no-untyped-call]
        if name not in {"username", "password"}
    }
    tls = {"ssl": True} if url.startswith("rediss://") else {}
    if "path" in stranger:
        stranger["unix_socket_path"] = stranger.pop("path")
    stranger.pop("connection_class", None)
    options = {"socket_timeout": TIMEOUT_S, "socket_connect_timeout": TIMEOUT_S, **tls}
    try:
        with Redis(**(stranger | options)) as client:
            client.ping()
    except (AuthenticationError, ResponseError):
        return False
    except (RedisError, TypeError) as error:
        log.warning("Redis not checked", extra={"kind": type(error).__name__})
        return False
    return True
