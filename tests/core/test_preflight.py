"""Production does not start on servers that let it, or everybody, do everything."""

import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from urllib.parse import urlsplit

import psycopg
import pytest
from redis import Redis

from shop.core import preflight
from tests.support.servers import Servers
from tests.test_config import IN_PRODUCTION

NOBODY = "127.0.0.1:1"


@pytest.fixture
def role(running: Servers) -> Iterator[str]:
    """A role without special rights. Returns the address of the database as that role."""
    name = f"plain_{uuid.uuid4().hex[:8]}"
    with psycopg.connect(running.postgres_url, autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'word'")
    yield psycopg.conninfo.make_conninfo(running.postgres_url, user=name, password="word")
    with psycopg.connect(running.postgres_url, autocommit=True) as connection:
        connection.execute(f"DROP ROLE IF EXISTS {name}_group")
        connection.execute(f"DROP ROLE {name}")


@pytest.fixture
def open_redis(running: Servers) -> Iterator[str]:
    """The test run's Valkey, which lets everybody in for a while. Yields a named user's address."""
    password = urlsplit(running.redis_url).password
    name = f"shop_{uuid.uuid4().hex[:8]}"
    with Redis.from_url(running.redis_url) as client:
        client.execute_command("ACL", "SETUSER", name, "on", ">word", "~*", "&*", "+@all")
        client.execute_command("ACL", "SETUSER", "default", "nopass")
        yield running.redis_url.replace(f":{password}@", f"{name}:word@")
        client.execute_command("ACL", "SETUSER", "default", "resetpass", f">{password}")
        client.execute_command("ACL", "DELUSER", name)


def test_superuser_and_open_redis_are_both_named(running: Servers, open_redis: str) -> None:
    problems = preflight.check(running.postgres_url, open_redis)

    assert [problem.split()[0] for problem in problems] == ["DATABASE_URL", "REDIS_URL"]


def test_plain_role_and_closed_redis_pass(running: Servers, role: str) -> None:
    assert preflight.check(role, running.redis_url) == []


@pytest.mark.parametrize("other", ["pg_execute_server_program", "postgres", "through a group"])
def test_role_that_may_become_superuser_counts_as_one(
    running: Servers, role: str, other: str
) -> None:
    name = psycopg.conninfo.conninfo_to_dict(role)["user"]
    with psycopg.connect(running.postgres_url, autocommit=True) as connection:
        superuser = connection.execute("SELECT current_user").fetchone()
        assert superuser
        other = other.replace("postgres", superuser[0])
        if other == "through a group":
            connection.execute(f"CREATE ROLE {name}_group")
            connection.execute(f'GRANT "{superuser[0]}" TO {name}_group')
            other = f"{name}_group"
        connection.execute(f'GRANT "{other}" TO {name}')

    assert "DATABASE_URL" in preflight.check(role, f"redis://:word@{NOBODY}")[0]


def test_servers_that_are_away_are_not_judged() -> None:
    assert preflight.check(f"postgresql://shop@{NOBODY}/shop", f"redis://:word@{NOBODY}") == []


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (["-m", "shop", "worker"], 2),
        (["-m", "gunicorn", "app:app", "--preload", "--no-control-socket"], 3),
        (["-m", "gunicorn", "shop.realtime.wsgi:app", "-k", "gevent", "--no-control-socket"], 3),
    ],
)
def test_no_process_starts_as_superuser(running: Servers, line: list[str], code: int) -> None:
    bind = ["--bind", "127.0.0.1:0"] if "gunicorn" in line else []
    given = {"DATABASE_URL": running.postgres_url, "REDIS_URL": f"redis://:word@{NOBODY}"}

    ended = subprocess.run(
        [sys.executable, *line, *bind],
        env=os.environ | IN_PRODUCTION | given,
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert ended.returncode == code
    assert "The shop cannot start: DATABASE_URL uses a role that may do everything" in ended.stderr
    assert "Traceback" not in ended.stderr
