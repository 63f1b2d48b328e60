"""Every change of what staff can edit leaves an entry: who, from where, before and after."""

from collections.abc import Iterator

import pytest
from flask_appbuilder.security.sqla import models as fab
from sqlalchemy import Column, Integer, MetaData, Table, Text, select, text, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from shop import catalog, tables
from shop.audit import AuditAction, AuditEntry, install_triggers, record
from shop.audit.coverage import IGNORED, NOT_AUDITED, PART_OF, PERSONAL, SECRET, covered
from shop.audit.models import AuditPersonal
from shop.catalog.models import Product
from shop.core import actor
from shop.core.db import transaction
from tests import cast as people
from tests.cast import Cast

ADA = actor.Actor("staff", 7, "Ada Lovelace")


@pytest.fixture(autouse=True)
def ada() -> Iterator[None]:
    """Ada of the staff acts, in the admin."""
    actor.set_request_id("req1")
    actor.set_origin(actor.Origin("admin", "192.0.2.1"))
    with actor.acting_as(ADA):
        yield
    actor.set_origin(None)
    actor.set_request_id("")


def entries(session: Session, *about: str) -> list[AuditEntry]:
    """The entries about records of these types, oldest first."""
    chosen = select(AuditEntry).where(AuditEntry.record_type.in_(about)).order_by(AuditEntry.id)
    return list(session.scalars(chosen))


def test_a_change_names_who_where_and_what(session: Session) -> None:
    with transaction():
        product = catalog.create_product("Tidal mug")
    with transaction():
        catalog.update_product(product, name="Tidal cup")

    created, updated = entries(session, "product")

    assert created.action is AuditAction.CREATE
    assert created.changes["name"] == [None, "Tidal mug"]
    assert (updated.action, updated.record_id) == (AuditAction.UPDATE, str(product.id))
    assert updated.changes["name"] == ["Tidal mug", "Tidal cup"]
    assert set(updated.fields) == set(updated.changes)
    assert (updated.actor_kind, updated.actor_id, updated.actor_name) == ("staff", 7, ADA.name)
    assert (updated.source, updated.address, updated.request_id) == ("admin", "192.0.2.1", "req1")
    assert updated.label == "Tidal cup"


def test_bulk_and_plain_statements_are_seen_row_by_row(session: Session) -> None:
    with transaction():
        for name in ("One", "Two"):
            catalog.create_product(name)
    with transaction():
        session.execute(update(Product).values(tagline="New"))
    with transaction():
        session.execute(text("WITH gone AS (DELETE FROM product RETURNING id) SELECT 1 FROM gone"))

    seen = [(entry.action.value, entry.label) for entry in entries(session, "product")]

    assert seen[2:] == [
        ("update", "One"), ("update", "Two"), ("delete", "One"), ("delete", "Two"),
    ]  # fmt: skip
    assert {entry.actor_id for entry in entries(session, "product")} == {7}


def test_nothing_changed_is_no_entry(session: Session) -> None:
    with transaction():
        product = catalog.create_product("Mug")
    with transaction():
        session.execute(text("UPDATE product SET name = name, sold_count = sold_count + 1"))

    assert [entry.action for entry in entries(session, "product")] == [AuditAction.CREATE]
    assert product.id


def test_what_customers_do_is_no_entry(session: Session, cast: Cast) -> None:
    variant = cast.mug
    before = session.scalars(select(AuditEntry.id)).all()

    with actor.acting_as(actor.GUEST):
        people.order(variant)

    assert session.scalars(select(AuditEntry.id)).all() == before


def test_secrets_are_masked_and_personal_data_is_kept_apart(session: Session) -> None:
    with transaction():
        session.execute(
            text(
                "INSERT INTO customer (email, name, password_hash, created_at)"
                " VALUES ('ada@example.com', 'Ada', 'scrypt:1', now())"
            )
        )

    (entry,) = entries(session, "customer")
    kept = session.execute(
        select(AuditPersonal.field, AuditPersonal.before, AuditPersonal.after).order_by("field")
    ).all()

    assert entry.changes["password_hash"] == "secret"
    assert entry.changes["email"] == entry.changes["name"] == "personal"
    assert [tuple(row) for row in kept] == [
        ("email", None, "ada@example.com"), ("name", None, "Ada"),
    ]  # fmt: skip
    everything = session.scalar(text("SELECT string_agg(e::text, '') FROM audit_entry e"))
    assert "ada@example.com" not in (everything or "") and "scrypt:1" not in (everything or "")


def test_parts_name_their_whole(session: Session) -> None:
    with transaction():
        product = catalog.create_product("Mug")
        catalog.add_variant(product, sku="MUG-1", price_minor=100)

    (variant,) = entries(session, "variant")

    assert (variant.parent_type, variant.parent_id) == ("product", str(product.id))
    assert variant.label == "MUG-1"


def test_the_actor_may_change_within_a_connection(session: Session) -> None:
    with transaction():
        product = catalog.create_product("Mug")
    with actor.acting_as(actor.SYSTEM), transaction():
        catalog.update_product(product, name="Cup")
    with actor.acting_as(actor.GUEST), transaction():
        session.execute(update(Product).values(tagline="New"))
    with transaction():
        catalog.update_product(product, name="Bowl")

    assert [entry.actor_kind for entry in entries(session, "product")] == [
        "staff", "system", "staff",
    ]  # fmt: skip


def test_a_failed_part_of_a_transaction_loses_no_actor(session: Session) -> None:
    with transaction():
        with pytest.raises(RuntimeError), session.begin_nested():
            catalog.create_product("Mug")
            session.flush()
            raise RuntimeError
        catalog.create_product("Cup")

    assert [entry.label for entry in entries(session, "product")] == ["Cup"]
    assert entries(session, "product")[0].actor_id == 7


def test_entries_cannot_be_changed(session: Session) -> None:
    with transaction():
        record(AuditAction.EXPORT, record_type="order", details={"rows": 3})

    for statement in (
        "UPDATE audit_entry SET actor_name = 'Nobody'",
        "DELETE FROM audit_entry",
        "TRUNCATE audit_entry CASCADE",
    ):
        with pytest.raises(DBAPIError), session.begin_nested():
            session.execute(text(statement))


METADATA = (tables.metadata, fab.Model.metadata)


def test_every_table_is_audited_or_has_a_reason(session: Session) -> None:
    statement = "SELECT tgrelid::regclass::text FROM pg_trigger WHERE tgname = 'audit_capture'"
    found = {name.strip('"') for name in session.scalars(text(statement))}

    known = {name for one in METADATA for name in one.tables}

    assert found == known - NOT_AUDITED.keys()
    assert NOT_AUDITED.keys() <= known


def test_rules_name_columns_that_exist() -> None:
    columns = {
        name: set(table.columns.keys()) for one in METADATA for name, table in one.tables.items()
    }

    for rules in (IGNORED, SECRET, PERSONAL):
        for name, chosen in rules.items():
            assert chosen <= columns[name], name
    for name, column in PART_OF.items():
        assert column in columns[name], name
    assert {one.table for one in covered(*METADATA)} >= PART_OF.keys()


@pytest.mark.parametrize("suspect", ["password", "secret", "token", "digest", "hash"])
def test_columns_named_like_secrets_are_never_kept(suspect: str) -> None:
    for one in covered(*METADATA):
        for column in columns_of(one.table):
            if suspect in column:
                assert column in (*one.secret, *one.ignored), f"{one.table}.{column}"


def columns_of(table: str) -> list[str]:
    """The columns of a table of ours."""
    return next(one.tables[table].columns.keys() for one in METADATA if table in one.tables)


def test_a_new_table_is_audited_without_a_word(session: Session) -> None:
    fresh = MetaData()
    made = Table("banner", fresh, Column("id", Integer, primary_key=True), Column("text", Text))
    made.create(session.connection())

    touched = install_triggers(session.connection(), *METADATA, fresh)
    with transaction():
        session.execute(text("INSERT INTO banner VALUES (1, 'Sale')"))

    assert touched == ["banner"]
    assert [entry.changes for entry in entries(session, "banner")] == [
        {"id": [None, 1], "text": [None, "Sale"]}
    ]
    assert install_triggers(session.connection(), *METADATA) == ["banner"]
