"""A client that reads slowly, or not at all, costs only itself."""

import time

from tests.realtime.door import Client, eventually


def test_message_bigger_than_sockets_buffers_arrives_whole(door, cast, publish):
    topic = f"product:{cast.product(1).id}"
    with Client(door, receive_buffer=8192) as client:
        client.ask(topic)
        publish(cast.broadcast(topic, text="x" * 4_000_000))
        time.sleep(0.5)
        client.say(op="ping")
        client.socket.ping("hello")
        time.sleep(0.5)

        assert client.hear()["data"] == {"text": "x" * 4_000_000}
        assert client.hear() == {"op": "pong"}
        publish(cast.broadcast(topic, text="next"))
        assert client.hear()["data"] == {"text": "next"}


def test_slow_reader_is_cut_and_nobody_else_notices(door, cast, publish):
    topic = f"product:{cast.product(1).id}"
    cut_before = door.metrics()["cut"]
    with Client(door, receive_buffer=4096) as asleep, Client(door) as awake:
        asleep.ask(topic)
        awake.ask(topic)
        slowest = 0.0
        sent = 0
        while door.metrics()["cut"] == cut_before and sent < 400:
            news = [cast.broadcast(topic, n=sent + n, text="x" * 20_000) for n in range(10)]
            for each in news:
                began = time.monotonic()
                publish(each)
                assert awake.hear()["data"]["n"] == sent
                slowest = max(slowest, time.monotonic() - began)
                sent += 1

        assert door.metrics()["cut"] == cut_before + 1
        assert slowest < 0.5
        # What it does read is whole, and ends with the reason.
        assert asleep.close_code() == 1013


def test_who_was_cut_and_stays_silent_is_dropped(door, cast, publish):
    topic = f"product:{cast.product(1).id}"
    before = door.metrics()
    with Client(door, receive_buffer=4096) as asleep:
        asleep.ask(topic)
        while door.metrics()["cut"] == before["cut"]:
            publish(*[cast.broadcast(topic, text="x" * 50_000) for _ in range(10)])

        assert eventually(
            lambda: door.metrics()["connections"] == before["connections"], within_s=8
        )
