"""Fixtures for every test: real Postgres and Valkey, a rolled-back session, the named cast.

``session`` gives each test the migrated database inside a transaction that is rolled back.
``live_database`` gives a database of its own, with real commits, for threads and processes.
``--faults`` runs the long form of the fault suite and nothing else; ``--seed`` repeats a run.
``bin/test`` runs two processes side by side, each with servers of its own.
"""

import random
import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from flask import Flask
from flask_migrate import upgrade
from sqlalchemy import Engine, event
from sqlalchemy.orm import Session

from shop import audit, catalog, checkout, cli, discounts
from shop.config import Settings
from shop.core import db, mail, redis
from shop.factory import create_app
from tests.cast import Cast
from tests.support import servers

PROJECT = Path(__file__).parents[1]
TEMPLATE = "shop_template"
# They keep a shop in processes of its own busy. They come first, so that at the end of a run no
# process waits for the other's last long test.
HEAVY = ("faults", "journeys", "properties")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--faults", action="store_true", help="run the fault suite in its long form")
    parser.addoption(
        "--seed", type=int, default=random.randrange(10_000), help="what chance decides in faults"
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "faults: only in the long form of the fault suite")


def pytest_report_header(config: pytest.Config) -> str:
    return f"seed of the faults: {config.getoption('seed')}"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    is_long = config.getoption("faults")
    chosen: list[pytest.Item] = []
    left: list[pytest.Item] = []
    items.sort(key=lambda item: _part(item) not in HEAVY)
    for item in items:
        if is_long:
            wanted = item.path.is_relative_to(PROJECT / "tests" / "faults")
        else:
            wanted = item.get_closest_marker("faults") is None
        (chosen if wanted else left).append(item)
    if left:
        config.hook.pytest_deselected(items=left)
        items[:] = chosen


def _part(item: pytest.Item) -> str:
    return item.path.relative_to(PROJECT / "tests").parts[0]


@pytest.fixture(scope="session")
def seed(pytestconfig: pytest.Config) -> int:
    """What chance decides, to be repeated with ``--seed``."""
    given: int = pytestconfig.getoption("seed")
    return given


@pytest.fixture(scope="session")
def is_long(pytestconfig: pytest.Config) -> bool:
    """Whether this is the long form of the fault suite."""
    given: bool = pytestconfig.getoption("faults")
    return given


def _url(postgres_url: str, database: str) -> str:
    head, _, query = postgres_url.partition("?")
    return f"{head.rpartition('/')[0]}/{database}" + (f"?{query}" if query else "")


def make_settings(database_url: str, redis_url: str, var: Path, **more: str) -> Settings:
    """Settings for tests, from an environment that is wholly ours."""
    return Settings.from_env(
        {
            "SHOP_ENV": "test",
            "SECRET_KEY": "only-for-tests-" + "0123456789abcdef" * 2,
            "DATABASE_URL": database_url,
            "REDIS_URL": redis_url,
            "BASE_URL": "http://localhost",
            "STRIPE_SECRET_KEY": "sk_test_standin",
            "STRIPE_PUBLISHABLE_KEY": "pk_test_standin",
            "STRIPE_WEBHOOK_SECRET": "whsec_tests",
            "STRIPE_API_BASE": "http://127.0.0.1:9",
            "SHOP_VAR": str(var),
            "RATE_LIMITS": "off",
        }
        | more
    )


@pytest.fixture(scope="session")
def running() -> servers.Servers:
    """The Postgres and the Valkey of this run."""
    return servers.start()


@pytest.fixture(scope="session")
def app(running: servers.Servers, tmp_path_factory: pytest.TempPathFactory) -> Flask:
    """The whole shop. Making it also makes the migrated template that test databases copy."""
    with psycopg.connect(running.postgres_url, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {TEMPLATE} WITH (FORCE)")
        connection.execute(f"CREATE DATABASE {TEMPLATE}")
    var = tmp_path_factory.mktemp("var")
    url = _url(running.postgres_url, TEMPLATE)
    made = create_app(make_settings(url, running.redis_url, var))
    made.testing = True
    cli.init_app(made)
    with made.app_context():
        upgrade(directory=str(PROJECT / "migrations"))
        with db.transaction():
            checkout.install_defaults()
        made.extensions["staff"].install()
        audit.seal()
    db.session.remove()
    db.engine().dispose()
    return made


def _fresh(running: servers.Servers) -> tuple[str, str]:
    name = f"shop_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(running.postgres_url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE}")
    url = _url(running.postgres_url, name)
    return name, url.replace("postgresql://", "postgresql+psycopg://")


def _drop(running: servers.Servers, name: str) -> None:
    with psycopg.connect(running.postgres_url, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


@pytest.fixture(scope="session")
def shared_engine(running: servers.Servers, app: Flask) -> Iterator[Engine]:
    """The database of all rolled-back tests of this run."""
    name, url = _fresh(running)
    engine = db.configure(url)
    yield engine
    engine.dispose()
    _drop(running, name)


def start_afresh() -> None:
    """Let this process know nothing of the last test: caches of its database, its mail server."""
    catalog.clear_cache()
    checkout.clear_cache()
    discounts.clear_cache()
    mail.configure("", "Ember & Oak <shop@example.com>")


@pytest.fixture
def session(shared_engine: Engine) -> Iterator[Session]:
    """The shop's session inside a transaction that is rolled back; commits become savepoints."""
    db.use(shared_engine)
    connection = shared_engine.connect()
    outer = connection.begin()
    db.bind(connection)
    start_afresh()
    try:
        yield db.session()
    finally:
        db.bind(shared_engine)
        outer.rollback()
        connection.close()
        start_afresh()


@pytest.fixture
def live_database(running: servers.Servers, app: Flask) -> Iterator[str]:
    """A database of this test's own, with real commits; Valkey emptied. Returns its address."""
    name, url = _fresh(running)
    engine = db.configure(url, pool_size=20)
    redis.client().flushall()
    start_afresh()
    yield url
    db.session.remove()
    engine.dispose()
    _drop(running, name)


@pytest.fixture
def cast(session: Session) -> Cast:
    """The named cast, made on first use."""
    return Cast()


@pytest.fixture
def statements(session: Session) -> Iterator[list[str]]:
    """Every SQL statement that the test sends while it looks."""
    seen: list[str] = []

    def note(_conn: object, _cursor: object, statement: str, *_: object) -> None:
        if not statement.startswith(("SAVEPOINT", "RELEASE", "ROLLBACK")):
            seen.append(statement)

    event.listen(db.engine(), "before_cursor_execute", note)
    yield seen
    event.remove(db.engine(), "before_cursor_execute", note)
