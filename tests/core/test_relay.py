"""From event to reaction: nothing is lost, and what must happen once happens once."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta

import pytest
from redis import Redis
from sqlalchemy import delete, func, select, text
from sqlalchemy.orm import Session

from shop.cli.relay import BroadcastPublisher
from shop.core import clock, events, queue, reaction_runs, redis, relay
from shop.core.broadcasts import Broadcast, SocketMessage
from shop.core.db import session, transaction
from shop.core.events import Event, EventPending, emit
from shop.core.reaction_runs import Reaction, ReactionRun, run_reaction
from shop.customers.models import Customer
from shop.media.workshop import SECONDS_PER_JOB
from shop.reactions import BY_NAME


@dataclass(frozen=True, kw_only=True)
class BellRang(Event):
    """An event of these tests."""

    number: int


def add_customer(event: BellRang) -> None:
    session.add(Customer(email=f"c{event.number}@example.com", password_hash="x"))


def fail(event: BellRang) -> None:
    add_customer(event)
    raise RuntimeError("the worker had a bad day")


ONCE: dict[type[Event], list[Reaction]] = {BellRang: [Reaction("add_customer", add_customer)]}


def tell(record: events.EventRecord) -> list[SocketMessage]:
    return [SocketMessage("bell", "bell.rang", {"number": record.payload["number"]})]


def customers() -> int:
    return session.scalar(select(func.count()).select_from(Customer)) or 0


def ring(number: int) -> None:
    with transaction():
        emit(BellRang(number=number))


def test_a_rolled_back_event_never_happened(session: object) -> None:
    with pytest.raises(ZeroDivisionError), transaction():
        emit(BellRang(number=1))
        raise ZeroDivisionError

    assert relay.dispatch(ONCE, tell) == ([], [], 0)


def test_events_are_dispatched_once_and_in_order(session: object) -> None:
    for number in range(3):
        ring(number)

    due_runs, messages, claimed = relay.dispatch(ONCE, tell)

    assert (len(due_runs), claimed) == (3, 3)
    assert [row["data"]["number"] for row in messages] == [0, 1, 2]
    assert [row["seq"] for row in messages] == sorted(row["seq"] for row in messages)
    assert relay.dispatch(ONCE, tell)[2] == 0


def test_atomic_reaction_runs_once_however_often_enqueued(session: object) -> None:
    ring(1)
    due_runs, _, _ = relay.dispatch(ONCE, tell)
    by_name = {"add_customer": ONCE[BellRang][0]}

    states = [run_reaction(due_runs[0].run_id, by_name) for _ in range(3)]

    assert states == ["done", "skipped", "skipped"]
    assert customers() == 1


def test_failing_reaction_rolls_back_and_dies_eventually(
    session: object,
) -> None:
    ring(1)
    failing = Reaction("fail", fail)
    due_runs, _, _ = relay.dispatch({BellRang: [failing]}, tell)
    run_id = due_runs[0].run_id

    states = []
    for _ in range(reaction_runs.MAX_ATTEMPTS):
        with transaction() as current:
            row = current.get_one(ReactionRun, run_id, populate_existing=True)
            row.due_at = func.now()
        states.append(run_reaction(run_id, {"fail": failing}))

    assert states == ["due"] * 7 + ["dead"]
    assert customers() == 0
    with transaction() as current:
        row = current.get_one(ReactionRun, run_id, populate_existing=True)
        assert row.error == "RuntimeError: the worker had a bad day"
        reaction_runs.retry(run_id)
    assert run_reaction(run_id, {"fail": Reaction("fail", add_customer)}) == "done"


def test_email_outage_of_hours_kills_no_run() -> None:
    assert sum(reaction_runs.WAITS_S) >= 12 * 3600


def test_failure_after_a_lost_lease_undoes_nothing(session: object) -> None:
    ring(1)
    due_runs, _, _ = relay.dispatch(ONCE, tell)
    run_id = due_runs[0].run_id

    def stall_and_fail(_event: BellRang) -> None:
        with transaction() as current:  # the lease runs out, and another worker does it
            row = current.get_one(ReactionRun, run_id, populate_existing=True)
            row.lease_until = None
        again = {"add_customer": Reaction("add_customer", add_customer)}
        assert run_reaction(run_id, again) == "done"
        raise RuntimeError("too late")

    slow = {"add_customer": Reaction("add_customer", stall_and_fail, atomic=False)}
    assert run_reaction(run_id, slow) == "skipped"

    with transaction() as current:
        row = current.get_one(ReactionRun, run_id, populate_existing=True)
        assert (row.state, row.error) == ("done", None)
    assert customers() == 1


def test_slow_reaction_has_a_longer_lease_than_others(session: Session) -> None:
    leased = {}

    def look(event: BellRang) -> None:
        row = session.scalars(select(ReactionRun).order_by(ReactionRun.id.desc()).limit(1)).one()
        session.refresh(row)
        assert row.lease_until is not None
        leased[event.number] = row.lease_until - session.scalars(select(func.now())).one()

    for number, reaction in enumerate(
        [
            Reaction("look", look, atomic=False),
            Reaction("look", look, atomic=False, slow=True, lease_s=900),
        ]
    ):
        ring(number)
        ((run_id, _),) = relay.dispatch({BellRang: [reaction]}, tell)[0]
        assert run_reaction(run_id, {"look": reaction}) == "done"

    assert timedelta(0) < leased[0] <= timedelta(seconds=60)
    assert timedelta(minutes=14) < leased[1] <= timedelta(minutes=15)


def test_worker_is_stopped_before_another_begins_same(session: object) -> None:
    slow = {name: one.lease_s for name, one in BY_NAME.items() if one.slow}

    assert slow == {"compare": 900, "ask_doctor": 900, "make_renditions": 120}
    assert 13 * 60 < queue.TIMEOUT_S[queue.SLOW] < 900
    assert slow["make_renditions"] > SECONDS_PER_JOB


def test_event_of_newer_release_waits_and_stops_nobody(
    session: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    ring(1)
    with transaction() as current:
        current.execute(
            text(
                "INSERT INTO event (type, payload, occurred_at, actor_kind, actor_name, request_id)"
                " VALUES ('GiftWrapped', '{}', now(), 'system', '', '')"
            )
        )
    ring(2)

    assert relay.dispatch(ONCE, tell)[2] == 2
    assert relay.dispatch(ONCE, tell)[2] == 0
    monkeypatch.setitem(Event.registry, "GiftWrapped", BellRang)
    assert relay.dispatch({}, lambda record: [])[2] == 1


def test_relay_batch_does_not_read_old_dispatched_events(session: Session) -> None:
    session.execute(
        text(
            "INSERT INTO event (type, payload, occurred_at, actor_kind, actor_name, request_id)"
            " SELECT :type, '{\"number\": 1}', now(), 'system', 'shop', ''"
            " FROM generate_series(1, 2000)"
        ),
        {"type": BellRang.__name__},
    )
    session.execute(text("ANALYZE event, event_pending"))  # while the queue is long
    last = select(func.max(EventPending.event_id) - 10).scalar_subquery()
    session.execute(delete(EventPending).where(EventPending.event_id <= last))
    read = text(
        "SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_xact_user_tables WHERE relname = 'event'"
    )
    before = session.scalar(read)

    found = session.scalars(relay.pending_event_ids()).all()
    relay.lag_s()

    assert len(found) == 10
    assert session.scalar(read) - before <= 20


def test_reactions_run_when_the_broadcast_fails(session: object) -> None:
    def stumble(record: events.EventRecord) -> list[SocketMessage]:
        raise TypeError("a payload of another release")

    ring(1)
    due_runs, messages, claimed = relay.dispatch(ONCE, stumble)

    assert (len(due_runs), messages, claimed) == (1, [], 1)


def test_leased_run_is_skipped(session: object) -> None:
    ring(1)
    due_runs, _, _ = relay.dispatch(ONCE, tell)
    with transaction() as current:
        row = current.get_one(ReactionRun, due_runs[0].run_id)
        row.lease_until = func.now() + func.make_interval(0, 0, 0, 0, 0, 1)

    assert run_reaction(due_runs[0].run_id, {"add_customer": ONCE[BellRang][0]}) == "skipped"
    assert reaction_runs.overdue(patience_s=0, reactions=["add_customer"]) == []


def test_reaction_that_kills_its_worker_dies_too(session: object) -> None:
    ring(1)
    due_runs, _, _ = relay.dispatch(ONCE, tell)
    with transaction() as current:
        current.get_one(ReactionRun, due_runs[0].run_id).attempts = reaction_runs.MAX_ATTEMPTS

    assert run_reaction(due_runs[0].run_id, {"add_customer": ONCE[BellRang][0]}) == "dead"
    assert customers() == 0


def test_overdue_run_is_enqueued_again(session: object) -> None:
    ring(1)
    due_runs, _, _ = relay.dispatch(ONCE, tell)

    assert reaction_runs.overdue(patience_s=0, reactions=["add_customer"]) == due_runs
    assert reaction_runs.overdue(patience_s=60, reactions=["add_customer"]) == []


def test_four_relays_and_late_commits_lose_nothing(live_database: str) -> None:
    writers_done = threading.Event()
    claimed: list[int] = []

    def write(start: int) -> None:
        for number in range(start, start + 50):
            with transaction():
                emit(BellRang(number=number))
                session.flush()
                session.execute(select(func.pg_sleep(0.002)))
        session.remove()

    def dispatch() -> None:
        while True:
            was_done = writers_done.is_set()
            taken = relay.dispatch(ONCE, tell)[2]
            claimed.append(taken)
            if was_done and not taken:
                break
        session.remove()

    writers = [threading.Thread(target=write, args=(n * 1000,)) for n in range(4)]
    relays = [threading.Thread(target=dispatch) for _ in range(4)]
    for thread in writers + relays:
        thread.start()
    for thread in writers:
        thread.join()
    writers_done.set()
    for thread in relays:
        thread.join()

    assert sum(claimed) == 200
    assert session.scalar(select(func.count()).select_from(EventPending)) == 0
    assert session.scalar(select(func.count()).select_from(ReactionRun)) == 200
    assert session.scalar(select(func.count(Broadcast.seq.distinct()))) == 200


@pytest.fixture
def heard(live_database: str) -> Iterator[Callable[[], list[str]]]:
    """What was published since the last look."""
    listener = redis.client().pubsub(ignore_subscribe_messages=True)
    listener.subscribe(redis.CHANNEL)
    listener.get_message(timeout=2)

    def look() -> list[str]:
        found = []
        while message := listener.get_message(timeout=0.2):
            found.append(message["data"])
        return found

    yield look
    listener.close()


def test_missed_broadcasts_are_repaired_when_redis_is_back(
    heard: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    news = {"topic": "bell", "seq": 1, "type": "bell.rang", "data": {}, "at": clock.now()}
    publisher = BroadcastPublisher()
    publisher.publish([])  # a relay that starts cannot know what the one before it left unsaid
    publisher.publish([])
    assert heard() == [redis.READ_AGAIN]

    with monkeypatch.context() as away:
        away.setattr(redis, "_client", Redis(port=1))
        publisher.publish([news])
        publisher.publish([])
    publisher.publish([news])
    publisher.publish([])

    messages = heard()
    assert [line == redis.READ_AGAIN for line in messages] == [False, True]
