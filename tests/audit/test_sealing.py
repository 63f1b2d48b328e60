"""The chain of seals: made after the commit, checked by the doctor, broken by any change."""

import re
import threading
from datetime import timedelta

import pytest
from sqlalchemy import text

from shop.audit import AuditAction, record, seal
from shop.core import clock, db
from shop.core.db import session, transaction
from shop.doctor.audit import CHECKS
from shop.doctor.checks import Scope, find_faults


@pytest.fixture(autouse=True)
def sealed(live_database: str) -> tuple[int, int]:
    """A new shop, all sealed. Its last entry and its last seal."""
    seal()
    entry, last = session.execute(
        text("SELECT (SELECT max(id) FROM audit_entry), (SELECT max(id) FROM audit_seal)")
    ).one()
    return int(entry), int(last)


def wrong() -> list[tuple[str, str]]:
    """What the doctor's checks of the audit find: name and fact."""
    session.rollback()
    with db.engine().connect() as connection:
        return [
            (fault.name, fault.fact)
            for check in CHECKS
            for fault in find_faults(connection, check, Scope(clock.now()))[1]
        ]


def write(count: int = 3) -> None:
    """Write some entries, sealed in one seal each time."""
    for number in range(count):
        with transaction():
            record(AuditAction.EXPORT, record_type="order", details={"rows": number})


def past_the_guards(statement: str) -> None:
    """Change what the database would refuse to change."""
    with transaction():
        session.execute(text("SET LOCAL session_replication_role = 'replica'"))
        session.execute(text(statement))


def test_entries_are_sealed_once(sealed: tuple[int, int]) -> None:
    entry, last = sealed
    write(3)
    assert seal() == 3
    write(2)
    assert (seal(), seal()) == (2, 0)

    links = session.execute(
        text("SELECT id, entry_ids FROM audit_seal WHERE id > :last ORDER BY id"), {"last": last}
    ).all()
    assert [(row.id - last, [one - entry for one in row.entry_ids]) for row in links] == [
        (1, [1, 2, 3]),
        (2, [4, 5]),
    ]
    assert wrong() == []


@pytest.mark.parametrize(
    ("statement", "found"),
    [
        (
            "UPDATE audit_entry SET actor_name = 'Nobody' WHERE id = {entry} + 4",
            ("entry 4", "was changed after seal 2"),
        ),
        (
            "DELETE FROM audit_entry WHERE id = {entry} + 2",
            ("entry 2", "is gone; it was in seal 1"),
        ),
        (
            "INSERT INTO audit_entry (id, action, actor_kind) OVERRIDING SYSTEM VALUE"
            " VALUES ({entry} + 99, 'export', 'staff')",
            ("entry 99", "is in no seal and does not wait for one"),
        ),
        ("DELETE FROM audit_seal WHERE id = {seal} + 2", ("seal 3", "seal 2 is gone")),
        (
            "UPDATE audit_seal SET entry_ids = '{{1,2,9}}' WHERE id = {seal} + 1",
            ("seal 1", "was changed"),
        ),
    ],
)
def test_doctor_names_what_was_tampered_with(
    sealed: tuple[int, int], statement: str, found: tuple[str, str]
) -> None:
    entry, last = sealed
    for _ in range(3):
        write(3)
        seal()

    past_the_guards(statement.format(entry=entry, seal=last))

    def renumber(words: str) -> str:
        kind = {"entry": entry, "seal": last}
        return re.sub(
            r"(entry|seal) (\d+)", lambda one: f"{one[1]} {int(one[2]) - kind[one[1]]}", words
        )

    assert found in [(renumber(name), renumber(fact)) for name, fact in wrong()]


def test_an_entry_that_waits_for_its_seal_is_named_after_ten_minutes(
    sealed: tuple[int, int],
) -> None:
    write(1)
    assert wrong() == []

    with clock.freeze(clock.now() + timedelta(minutes=11)):
        assert [name for name, _ in wrong()] == [f"entry {sealed[0] + 1}"]


def test_entries_that_commit_late_are_sealed_too() -> None:
    may_commit, is_written = threading.Event(), threading.Event()

    def write_slowly() -> None:
        with transaction():
            record(AuditAction.EXPORT)
            session.flush()
            is_written.set()
            may_commit.wait(10)
        session.remove()

    slow = threading.Thread(target=write_slowly)
    slow.start()
    is_written.wait(10)
    write(2)
    assert seal() == 2
    may_commit.set()
    slow.join()

    assert seal() == 1
    assert wrong() == []


def test_two_at_once_seal_each_entry_once() -> None:
    write(30)
    counts: list[int] = []

    def one() -> None:
        counts.append(seal())
        session.remove()

    both = [threading.Thread(target=one) for _ in range(4)]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join()

    assert sum(counts) == 30
    assert wrong() == []
