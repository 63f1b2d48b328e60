"""Requests that only show: no transaction around their reads, no change without one."""

from collections.abc import Iterator

import psycopg
import pytest
from sqlalchemy import text

from shop.core import connections, db
from shop.customers.models import Customer


@pytest.fixture
def reading(live_database: str) -> Iterator[str]:
    """This test as a request that only shows."""
    db.only_reads(True)
    yield live_database
    db.only_reads(False)


def test_reads_leave_no_transaction_open(reading: str) -> None:
    pid = db.session.scalar(text("SELECT pg_backend_pid()"))
    with psycopg.connect(reading.replace("+psycopg", "")) as other:
        row = other.execute("SELECT state FROM pg_stat_activity WHERE pid = %s", [pid]).fetchone()
    assert row == ("idle",)


def test_a_change_needs_a_transaction(reading: str) -> None:
    db.session.add(Customer(email="ada@example.com", password_hash="-"))
    with pytest.raises(RuntimeError, match="only shows"):
        db.session.flush()


def test_a_transaction_after_reads_commits_and_rolls_back(reading: str) -> None:
    count = text("SELECT count(*) FROM customer")
    assert db.session.scalar(count) == 0
    with db.transaction() as session:
        session.add(Customer(email="ada@example.com", password_hash="-"))
    assert db.session.scalar(count) == 1
    with pytest.raises(ZeroDivisionError), db.transaction() as session:
        session.add(Customer(email="eve@example.com", password_hash="-"))
        session.flush()
        raise ZeroDivisionError
    assert db.session.scalar(count) == 1


def test_connection_that_died_while_it_rested_is_replaced(
    live_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "RESTED_S", -1.0)
    pid = db.session.scalar(text("SELECT pg_backend_pid()"))
    db.session.remove()
    with psycopg.connect(live_database.replace("+psycopg", ""), autocommit=True) as other:
        other.execute("SELECT pg_terminate_backend(%s)", [pid])
    assert db.session.scalar(text("SELECT pg_backend_pid()")) != pid


def test_vanished_host_ends_every_wait(live_database: str) -> None:
    with db.engine().connect() as connection:
        raw = connection.connection.driver_connection
        assert isinstance(raw, psycopg.Connection)
        said = raw.info.get_parameters()

    assert int(said["tcp_user_timeout"]) <= 10_000
    silence_s = sum(int(said[f"keepalives_{name}"]) for name in ("idle", "interval"))
    assert silence_s * int(said["keepalives_count"]) <= 30
