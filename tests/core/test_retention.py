"""Expired rows are deleted, and nothing else."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlalchemy import delete, func, select, text
from sqlalchemy.orm import Session

from shop.admin.emails import failed_count
from shop.analytics import queries as analytics
from shop.api import metrics
from shop.cli.relay import SCHEDULE
from shop.core import (
    broadcasts,
    clock,
    events,
    idempotency,
    reaction_runs,
    relay,
    retention,
    sessions,
    tokens,
)
from shop.core.broadcasts import Broadcast
from shop.core.db import transaction
from shop.core.idempotency import IdempotencyKey
from shop.core.reaction_runs import ReactionRun
from shop.core.tokens import OneTimeToken
from shop.payments import prune_messages
from shop.payments.models import WebhookDelivery
from shop.realtime import replay

DAY = timedelta(days=1)


def tell(session: Session, *days: float) -> list[int]:
    """Broadcasts that were sent so many days ago, in this order. Returns their numbers."""
    session.execute(delete(Broadcast))
    rows = [
        Broadcast(topic="bell", type="bell.rang", data={}, at=clock.now() - DAY * ago)
        for ago in days
    ]
    for row in rows:
        session.add(row)
        session.flush()
    session.commit()
    return [row.seq for row in rows]


def runs(session: Session, *, many: int, **values: str) -> None:
    """An event each, dispatched long ago, and what became of it."""
    first = min(many, 1_000)
    for part in (first, many - first):
        session.execute(
            text(
                "WITH made AS (INSERT INTO event (type, payload, occurred_at, actor_kind,"
                " actor_name, request_id) SELECT 'OrderPlaced', '{\"order_id\": 1}', now(),"
                " 'system', '', '' FROM generate_series(1, :many) RETURNING id)"
                " INSERT INTO delivery (event_id, reaction, state, done_at)"
                " SELECT id, 'send_receipt', :state, now() - cast(:ago AS interval) FROM made"
            ),
            {"many": part, "state": "done", "ago": "0 days"} | values,
        )
        # Without it, Postgres thinks of an empty table and reads it whole for each foreign key.
        session.execute(text("ANALYZE event"))
    session.execute(delete(events.EventPending))
    session.commit()


def test_keys_are_kept_for_a_week(session: Session) -> None:
    with transaction():
        for name, days in (("old", 8), ("new", 6)):
            idempotency.claim("scope", name, "hash")
            row = session.get_one(IdempotencyKey, ("scope", name))
            row.created_at = clock.now() - timedelta(days=days)

    idempotency.prune()

    assert session.scalars(select(IdempotencyKey.key)).all() == ["new"]


def test_open_sign_ins_are_kept_and_old_deleted(session: Session) -> None:
    with clock.freeze(clock.now() - timedelta(days=40)), transaction():
        ended = sessions.start("customer", 1)
        sessions.end(ended)
    with transaction():
        opened = sessions.start("customer", 1)

    sessions.prune()

    assert sessions.subject("customer", opened) == 1
    assert len(session.scalars(select(sessions.SignIn.id)).all()) == 1


def test_socket_replays_one_missed_day_but_not_three(session: Session) -> None:
    numbers = tell(session, 4, 3, 1, 0)

    assert broadcasts.prune_broadcasts() == 2

    kept = replay.kept()
    assert (kept.first, kept.last) == (numbers[2], numbers[3])
    assert kept.covers(numbers[1]) and not kept.covers(numbers[0])


def test_no_broadcast_between_two_kept_ones_is_deleted(session: Session) -> None:
    numbers = tell(session, 3, 1, 3, 0)  # the third waited for its relay for three days

    broadcasts.prune_broadcasts()

    assert session.scalars(select(Broadcast.seq).order_by(Broadcast.seq)).all() == numbers[1:]


def test_newest_broadcast_stays_in_shop_where_nothing_happens(session: Session) -> None:
    numbers = tell(session, 30, 20, 10)

    broadcasts.prune_broadcasts()

    assert (replay.kept().first, replay.kept().last) == (numbers[2], numbers[2])


def test_done_runs_are_deleted_after_90_days(session: Session) -> None:
    session.execute(delete(ReactionRun))
    runs(session, many=3, ago="91 days")
    runs(session, many=1, ago="89 days")
    runs(session, many=1, ago="91 days", state="dead")

    assert reaction_runs.prune_runs() == 3

    states = session.scalars(select(ReactionRun.state).order_by(ReactionRun.id)).all()
    assert states == ["done", "dead"]
    assert relay.dispatch({}, lambda record: []) == ([], [], 0)


def test_expired_rows_are_deleted_in_batches_by_index(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "BATCH", 10)
    session.execute(delete(ReactionRun))
    runs(session, many=35, ago="91 days")
    runs(session, many=5000)
    read = text(
        "SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_xact_user_tables"
        " WHERE relname = 'delivery'"
    )
    session.execute(text("ANALYZE delivery"))
    before = session.scalar(read)

    assert reaction_runs.prune_runs() == 35

    assert session.scalar(read) - before < 500
    assert session.scalar(select(func.count()).select_from(ReactionRun)) == 5000


def test_expired_links_are_deleted_after_a_day(session: Session) -> None:
    session.execute(delete(OneTimeToken))
    with clock.freeze(clock.now() - 2 * DAY), transaction():
        used = tokens.issue("password", 1, minutes=30)
        tokens.redeem("password", used)
        tokens.issue("password", 2, minutes=30)
    with transaction():
        good = tokens.issue("password", 3, minutes=30)

    assert tokens.prune() == 2

    assert tokens.is_good("password", good)


def test_applied_webhooks_are_deleted_after_90_days(session: Session) -> None:
    session.execute(delete(WebhookDelivery))
    for name, ago in (("old", 91), ("new", 89), ("waits", None)):
        session.add(
            WebhookDelivery(
                stripe_event_id=name,
                type="charge.updated",
                object_id="ch_1",
                payload={},
                received_at=clock.now() - 91 * DAY,
                applied_at=None if ago is None else clock.now() - ago * DAY,
            )
        )
    session.commit()

    assert prune_messages() == 1

    left = session.scalars(select(WebhookDelivery.stripe_event_id).order_by(WebhookDelivery.id))
    assert left.all() == ["new", "waits"]


def test_schedule_deletes_all_that_expires() -> None:
    tasks = {task.run for task in SCHEDULE}

    prunes = {broadcasts.prune_broadcasts, reaction_runs.prune_runs, tokens.prune, prune_messages}
    assert tasks >= prunes


@pytest.mark.parametrize(
    ("look", "table"),
    [
        (failed_count, "mail_message"),
        (analytics.handling, "delivery"),
        (lambda: list(metrics._shop()), "delivery"),
        (lambda: reaction_runs.overdue(patience_s=0, reactions=["send_receipt"]), "delivery"),
    ],
    ids=["failed emails", "dashboard", "metrics", "relay"],
)
def test_twenty_thousand_done_runs_are_not_scanned(
    session: Session, look: Callable[[], object], table: str
) -> None:
    runs(session, many=20_000)
    session.execute(
        text(
            "INSERT INTO mail_message (key, kind, recipient, subject, text, html, state)"
            " SELECT 'test:' || n, 'receipt', 'a@example.com', '', '', '', 'sent'"
            " FROM generate_series(1, 20000) n"
        )
    )
    session.commit()
    session.execute(text("ANALYZE delivery, mail_message"))
    read = text(
        "SELECT coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0)"
        " FROM pg_stat_xact_user_tables WHERE relname = :table"
    )
    before = session.scalar(read, {"table": table}) or 0

    for _ in range(12):  # also when psycopg has prepared the statement
        look()

    assert session.scalar(read, {"table": table}) - before < 1000
