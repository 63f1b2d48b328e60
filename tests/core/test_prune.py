"""What may be forgotten is forgotten, and nothing else."""

from datetime import timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from shop.core import clock, idempotency, sessions
from shop.core.db import transaction
from shop.core.idempotency import IdempotencyKey


def test_keys_are_kept_for_a_week(session: Session) -> None:
    with transaction():
        for name, days in (("old", 8), ("new", 6)):
            idempotency.claim("scope", name, "hash")
            row = session.get_one(IdempotencyKey, ("scope", name))
            row.created_at = clock.now() - timedelta(days=days)

    idempotency.prune()

    assert session.scalars(select(IdempotencyKey.key)).all() == ["new"]


def test_an_open_sign_in_is_kept_and_one_that_ended_long_ago_is_not(session: Session) -> None:
    with clock.freeze(clock.now() - timedelta(days=40)), transaction():
        ended = sessions.start("customer", 1)
        sessions.end(ended)
    with transaction():
        opened = sessions.start("customer", 1)

    sessions.prune()

    assert sessions.subject("customer", opened) == 1
    assert len(session.scalars(select(sessions.SignIn.id)).all()) == 1
