"""What a client may ask for, and what it hears when it asks for more."""

import json
import os
import time

import pytest
from websocket import ABNF

from tests.realtime.door import Client


def subscribe(**fields: object) -> str:
    return json.dumps({"op": "subscribe", "topic": "cart"} | fields)


@pytest.mark.parametrize(
    "message",
    ["", "nonsense", "{", "[]", "1", "null", '"ping"', "{}", '{"op": null}', '{"op": "explode"}',
     '{"op": ["ping"]}', '{"op": {"op": "ping"}}', '{"op": "subscribe"}', subscribe(topic=1),
     subscribe(topic=""), subscribe(topic=["cart"]), subscribe(topic="x" * 101),
     subscribe(since="1"), subscribe(since=-1), subscribe(since=True), subscribe(since=1.5),
     subscribe(since=2**63), subscribe(since=float("nan")), subscribe(token=1),
     subscribe(token="x" * 201), subscribe(since=0).replace("0", "9" * 5000), "[" * 16000,
     '{"a":' * 3000],
)  # fmt: skip
def test_bad_message_is_answered_and_socket_lives(door, message):
    before = len(door.complaints())
    with Client(door) as client:
        client.socket.send(message)
        assert client.hear() == {"op": "error", "code": "bad_message"}

        client.say(op="ping")
        assert client.hear() == {"op": "pong"}
    assert len(door.complaints()) == before


def test_a_binary_message_is_a_bad_one(door):
    with Client(door) as client:
        client.socket.send_binary(b'{"op":"ping"}')
        assert client.hear() == {"op": "error", "code": "bad_message"}


def test_message_may_have_16_kilobytes_and_no_more(door):
    with Client(door) as client:
        client.socket.send('{"op":"ping"}'.ljust(16 * 1024))
        assert client.hear() == {"op": "pong"}

        client.socket.send('{"op":"ping"}'.ljust(16 * 1024 + 1))
        assert client.close_code() == 1009


@pytest.mark.parametrize("opcode", [ABNF.OPCODE_TEXT, ABNF.OPCODE_BINARY])
def test_a_message_of_five_megabytes_closes_the_socket(door, opcode):
    with Client(door) as client:
        client.socket.send(b" " * 5_000_000, opcode)
        assert client.close_code() == 1009


def test_message_in_too_many_frames_closes_the_socket(door):
    with Client(door) as client:
        client.socket.send_frame(ABNF(0, 0, 0, 0, ABNF.OPCODE_TEXT, 1, b" "))
        for _ in range(100):
            client.socket.send_frame(ABNF(0, 0, 0, 0, ABNF.OPCODE_CONT, 1, b""))
        assert client.close_code() == 1009


def test_fragmented_message_is_reassembled(door):
    with Client(door) as client:
        client.socket.send_frame(ABNF(0, 0, 0, 0, ABNF.OPCODE_TEXT, 1, b'{"op":'))
        client.socket.ping("in between")
        client.socket.send_frame(ABNF(1, 0, 0, 0, ABNF.OPCODE_CONT, 1, b'"ping"}'))
        assert client.hear() == {"op": "pong"}


def test_a_frame_against_the_rules_closes_the_socket(door):
    for broken, code in {
        b"\x81\x02{}": 1002,  # not masked
        b"\x83\x80\0\0\0\0": 1002,  # no such opcode
        b"\xc1\x80\0\0\0\0": 1002,  # a reserved bit
        b"\x81\x82\0\0\0\0\xff\xfe": 1007,  # not UTF-8
        b"\x80\x80\0\0\0\0": 1002,  # the rest of nothing
    }.items():
        with Client(door) as client:
            client.socket.sock.sendall(broken + os.urandom(100))
            assert client.close_code() == code, broken


def test_twenty_messages_second_then_warning_then_end(door):
    with Client(door) as client:
        for _ in range(25):
            client.say(op="ping")
        heard = [client.hear() for _ in range(25)]
        assert heard.count({"op": "error", "code": "rate_limited"}) in range(3, 6)

        for _ in range(60):
            client.say(op="ping")
        assert client.close_code() == 1008


def test_who_slows_down_is_forgiven(door):
    with Client(door) as client:
        for _ in range(3):
            for _ in range(24):
                client.say(op="ping")
            time.sleep(1.2)
        client.say(op="ping")
        heard = [client.hear() for _ in range(73)]
        assert heard[-1] == {"op": "pong"}


def test_a_flood_of_pings_closes_the_socket(door):
    with Client(door) as client:
        for _ in range(60):
            client.socket.ping()
        assert client.close_code() == 1008


def test_a_socket_follows_fifty_topics(door, cast):
    products = [cast.product(1) for _ in range(51)]
    with Client(door) as client:
        for product in products[:50]:
            assert client.ask(f"product:{product.id}")["op"] == "subscribed"
            time.sleep(0.05)

        one_more = client.ask(f"product:{products[50].id}")
        assert (one_more["op"], one_more["code"]) == ("error", "too_many")
        assert client.ask(f"product:{products[0].id}")["op"] == "subscribed"

        client.say(op="unsubscribe", topic=f"product:{products[0].id}")
        assert client.ask(f"product:{products[50].id}")["op"] == "subscribed"


def test_many_messages_at_once_are_answered_in_order(door, cast):
    product = cast.product(1)
    with Client(door) as client:
        client.say(op="subscribe", topic=f"product:{product.id}")
        client.say(op="ping")
        client.say(op="subscribe", topic="nonsense")
        client.socket.send("{")

        heard = [client.hear() for _ in range(4)]

        assert [h.get("code", h["op"]) for h in heard] == [
            "subscribed",
            "pong",
            "unknown_topic",
            "bad_message",
        ]
