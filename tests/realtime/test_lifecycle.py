"""Heartbeats, ends of sign-ins, and processes that go and come back."""

import socket
import time
from collections.abc import Iterator

import pytest
from sqlalchemy import Engine, text
from websocket import ABNF

from shop.core import db, redis, tokens
from shop.realtime import tickets
from shop.realtime.callers import Caller
from shop.realtime.connection import Connection
from shop.realtime.hub import Hub
from shop.realtime.limits import Limits
from shop.realtime.presence import Presence
from shop.realtime.protocol import Protocol, Request
from tests.realtime.door import Client, eventually, refusal


def test_living_client_stays_and_dead_one_is_dropped(hasty_door):
    assert eventually(lambda: hasty_door.metrics()["connections"] == 0)
    with Client(hasty_door) as living, Client(hasty_door):  # the second never reads, so never pongs
        ends_at = time.monotonic() + 3.5
        while time.monotonic() < ends_at:
            living.hears_nothing(0.2)

        assert hasty_door.metrics()["connections"] == 1
        living.say(op="ping")
        assert living.hear() == {"op": "pong"}


def test_signing_out_closes_the_sockets_of_that_browser(hasty_door, cast, store):
    customer = cast.customer()
    ended, other = cast.sign_in(customer), cast.sign_in(customer)
    with (
        Client(hasty_door, signed={"customer_token": ended}) as here,
        Client(hasty_door, signed={"customer_token": other}) as elsewhere,
    ):
        store.execute(
            text("UPDATE sign_in SET ended_at = now() WHERE digest = :digest"),
            {"digest": tokens.digest(ended)},
        )
        store.commit()

        assert here.close_code() == 1008
        elsewhere.say(op="ping")
        assert elsewhere.hear() == {"op": "pong"}


def test_ticket_socket_ends_with_its_sign_in(hasty_door, cast, store, our_redis):
    customer = cast.customer()
    token = cast.sign_in(customer)
    ticket = tickets.issue_ticket("customer", customer.id, sign_in_token=token)
    with Client(hasty_door, origin=None, ticket=ticket) as client:
        store.execute(
            text("UPDATE sign_in SET ended_at = now() WHERE subject_id = :id"), {"id": customer.id}
        )
        store.commit()

        assert client.close_code() == 1008


def test_staff_lose_sockets_with_the_permission(hasty_door, cast, store):
    somebody = cast.staff("OrdersView")
    signed = {"staff_token": cast.sign_in(somebody)}
    with Client(hasty_door, signed=signed) as uses, Client(hasty_door, signed=signed) as idle:
        uses.ask("staff:orders")
        store.execute(text("UPDATE ab_user SET active = false WHERE id = :id"), {"id": somebody.id})
        store.commit()

        assert uses.close_code() == 1008
        assert idle.ask("staff:orders")["code"] == "forbidden"


def test_closing_client_is_answered_and_removed(door):
    before = door.metrics()["connections"]
    client = Client(door)
    client.socket.send_close(4000, b"bye")

    assert client.close_code() == 4000
    assert eventually(lambda: door.metrics()["connections"] == before)


def test_client_that_hangs_up_mid_message_is_removed(door):
    before = door.metrics()["connections"]
    client = Client(door)
    client.socket.send_frame(ABNF(0, 0, 0, 0, ABNF.OPCODE_TEXT, 1, b'{"op"'))
    client.socket.sock.close()

    assert eventually(lambda: door.metrics()["connections"] == before)


def test_everybody_reloads_after_redis_was_away(door, cast, publish, valkey):
    topic = f"product:{cast.product(1).id}"
    with Client(door) as client:
        client.ask(topic)
        client.ask("cart")

        valkey.stop()
        assert eventually(lambda: not door.metrics()["is_redis_connected"])
        client.say(op="ping")
        assert client.hear() == {"op": "pong"}
        valkey.start()

        assert [client.hear() for _ in range(2)] == [
            {"op": "resync", "topic": topic},
            {"op": "resync", "topic": "cart"},
        ]
        publish(cast.broadcast(topic, n=1))
        assert client.hear()["data"] == {"n": 1}


def test_listener_reloads_when_redis_missed_a_broadcast(door, cast, our_redis):
    topic = f"product:{cast.product(1).id}"
    with Client(door) as client:
        client.ask(topic)

        assert redis.publish_gap()

        assert client.hear() == {"op": "resync", "topic": topic}


def test_news_flow_while_the_database_is_away(door, cast, publish, engine, without_database):
    product = cast.product(1)
    topic = f"product:{product.id}"
    with Client(door) as follower, Client(door) as newcomer:
        follower.ask(topic)
        news = cast.broadcast(topic, n=1)
        before = len(door.complaints())
        with without_database():
            newcomer.say(op="subscribe", topic=topic)
            assert newcomer.close_code() == 1013
            assert refusal(door, signed={"customer_token": "anything"}) == 503
            publish(news)
            assert follower.hear()["data"] == {"n": 1}

        assert len(door.complaints()) == before + 2
    with Client(door) as client:
        assert client.ask(topic)["op"] == "subscribed"


def test_broadcast_without_news_costs_one_log_line(door, cast, publish, our_redis):
    topic = f"product:{cast.product(1).id}"
    with Client(door) as client:
        client.ask(topic)
        before = len(door.complaints())
        for nonsense in ("", "{", "[]", "null", '{"topic": "x"}', "[" * 100_000, b"\xff\xfe"):
            our_redis.publish("shop:broadcast", nonsense)

        publish(cast.broadcast(topic, n=1))

        assert client.hear()["data"] == {"n": 1}
        assert len(door.complaints()) == before + 7


def test_a_process_that_ends_says_so_to_everybody(open_door, cast):
    door = open_door("shop.realtime.wsgi:app")
    topic = f"product:{cast.product(1).id}"
    clients = [Client(door) for _ in range(20)]
    clients[0].ask(topic)

    began = time.monotonic()
    door.process.terminate()

    assert [client.close_code() for client in clients] == [1012] * 20
    for each in clients:
        each.socket.close()
    assert door.process.wait(10) == 0
    assert time.monotonic() - began < 5
    assert not door.complaints()


def test_a_process_that_drains_admits_nobody(open_door):
    door = open_door("shop.realtime.wsgi:app")
    with Client(door):
        door.process.terminate()
        time.sleep(0.2)

        with pytest.raises((AssertionError, OSError)):
            assert refusal(door) == 101
        assert door.process.wait(10) == 0


@pytest.fixture
def shops_session(engine: Engine) -> Iterator[None]:
    """Lets this process read the database of the doors."""
    before = db._engine
    db.use(engine)
    yield
    db.session.remove()
    if before is not None:
        db.use(before)


@pytest.mark.usefixtures("shops_session")
def test_socket_that_dies_while_subscribing_follows_nothing(cast):
    hub = Hub(Limits())
    protocol = Protocol(hub, Presence(hub))
    ours, theirs = socket.socketpair()
    caller = Caller()
    connection = Connection(
        ours.detach(), caller=caller, place=hub.reserve("::1", caller.person), hub=hub
    )
    hub.enter(connection)
    asked = Request("subscribe", f"product:{cast.product(1).id}")
    theirs.close()

    protocol._subscribe(connection, asked)

    assert not connection.is_open
    assert hub.rooms == {}
