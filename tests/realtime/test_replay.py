"""Who comes back hears what was missed, or reads everything again."""

import pytest
from sqlalchemy import text

from tests.realtime.door import Client


def test_missed_broadcasts_are_replayed_in_order_once(door, cast, publish):
    topic = f"product:{cast.product(1).id}"
    known = cast.broadcast(topic, n=0)
    missed = [cast.broadcast(topic, n=n) for n in (1, 2, 3)]
    cast.broadcast("product:1", n=4)

    with Client(door) as client:
        answer = client.ask(topic, since=known.seq)
        heard = [client.hear() for _ in missed]
        # The relay may publish late what the database already has.
        publish(*missed)
        publish(later := cast.broadcast(topic, n=5))

        assert (answer["op"], answer["seq"]) == ("subscribed", known.seq)
        assert [each["seq"] for each in heard] == [each.seq for each in missed]
        assert heard[0]["data"] == {"n": 1}
        assert client.hear()["seq"] == later.seq
        assert client.hears_nothing()


def test_who_missed_nothing_hears_nothing(door, cast):
    topic = f"product:{cast.product(1).id}"
    newest = cast.broadcast(topic, n=0).seq

    with Client(door) as client:
        assert client.ask(topic)["seq"] == newest
        assert client.ask(topic, since=newest)["seq"] == newest
        assert client.hears_nothing()


@pytest.mark.parametrize("since", [0, 2**62])
def test_an_unknown_sequence_number_means_reloading(door, cast, store, since):
    topic = f"product:{cast.product(1).id}"
    first = cast.broadcast(topic, n=0).seq
    newest = cast.broadcast(topic, n=1).seq
    store.execute(text("DELETE FROM broadcast WHERE seq <= :first"), {"first": first})
    store.commit()

    with Client(door) as client:
        assert client.ask(topic, since=since)["seq"] == newest
        assert client.hear() == {"op": "resync", "topic": topic}


def test_over_a_hundred_missed_broadcasts_mean_reloading(door, cast, store):
    topic = f"product:{cast.product(1).id}"
    known = cast.broadcast(topic, n=0).seq
    store.execute(
        text(
            "INSERT INTO broadcast (topic, type, data, at)"
            " SELECT :topic, 'tested', '{}', now() FROM generate_series(1, 101)"
        ),
        {"topic": topic},
    )
    store.commit()

    with Client(door) as client:
        client.ask(topic, since=known)
        assert client.hear() == {"op": "resync", "topic": topic}
        client.ask(topic, since=known + 1)
        assert [client.hear()["op"] for _ in range(100)] == ["event"] * 100
        assert client.hears_nothing()
