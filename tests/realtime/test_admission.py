"""Who gets in, decided before the handshake."""

import urllib.error
import urllib.request

import pytest

from shop.realtime import tickets
from shop.realtime.app import origin
from tests.realtime.door import BASE_URL, Client, eventually, refusal


def test_page_of_shop_gets_in_and_is_greeted(door):
    with Client(door) as client:
        assert client.hello.pop("connection")
        assert client.hello == {"op": "hello", "heartbeat": 25}


@pytest.mark.parametrize(
    "foreign",
    [None, "null", "", "https://evil.example", f"{BASE_URL}.evil.example", f"{BASE_URL}/", "http://127.0.0.1:8001",
     "https://127.0.0.1:8000"],
)  # fmt: skip
def test_without_shops_own_origin_browser_is_refused(door, foreign):
    assert refusal(door, origin=foreign) == 403


def test_an_origin_is_what_browsers_send():
    assert origin("https://Shop.Example:443") == "https://shop.example"
    assert origin("http://localhost:80") == "http://localhost"
    assert origin("http://127.0.0.1:8000") == "http://127.0.0.1:8000"


def test_program_connects_once_by_ticket_without_an_origin(door, cast, our_redis):
    customer = cast.customer()
    ticket = tickets.issue_ticket("customer", customer.id)

    with Client(door, origin=None, ticket=ticket) as client:
        assert client.ask("customer")["op"] == "subscribed"

    assert refusal(door, origin=None, ticket=ticket) == 401


@pytest.mark.parametrize(
    "made_up", ["x", "A" * 32, "%00" * 20, "A" * 1000, "ab'--", "%F0%9F%98%80"]
)
def test_a_made_up_ticket_is_refused(door, made_up):
    assert refusal(door, origin=None, ticket=made_up) == 401


def test_empty_ticket_is_refused_also_on_shops_page(door):
    request = urllib.request.Request(f"http://127.0.0.1:{door.port}/ws?ticket=")
    for header in ("Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13"):
        request.add_header(*header.split(": "))

    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=5)

    assert refused.value.code == 401


def test_a_cookie_with_a_ticket_does_not_count(door, cast, our_redis):
    customer, other = cast.customer(), cast.customer()
    signed = {"customer_token": cast.sign_in(other)}
    order = cast.order(other)
    ticket = tickets.issue_ticket("customer", customer.id)

    with Client(door, ticket=ticket, signed=signed) as client:
        assert client.ask(f"order:{order.number}")["code"] == "forbidden"


def test_forged_or_ended_sign_in_makes_guest(door, cast):
    for token in ("made up", "", "\0"):
        with Client(door, signed={"customer_token": token}) as client:
            assert client.ask("customer")["code"] == "forbidden"


def test_compression_is_never_agreed_to(door):
    with Client(door, offers="Sec-WebSocket-Extensions: permessage-deflate") as client:
        assert "sec-websocket-extensions" not in client.socket.headers


def test_a_plain_request_is_no_socket(door):
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(f"http://127.0.0.1:{door.port}/ws", timeout=5)

    assert refused.value.code == 400


def test_sockets_per_address_are_limited_and_released(hasty_door):
    clients = [Client(hasty_door) for _ in range(4)]

    assert refusal(hasty_door) == 429
    assert refusal(hasty_door, origin=None) == 403

    for each in clients:
        each.socket.close()
    assert eventually(lambda: hasty_door.metrics()["connections"] == 0)
    assert refusal(hasty_door) == 101


def test_one_account_has_a_limited_number_of_sockets(hasty_door, cast):
    signed = {"customer_token": cast.sign_in(cast.customer())}
    with Client(hasty_door, signed=signed), Client(hasty_door, signed=signed):
        assert refusal(hasty_door, signed=signed) == 429
        assert refusal(hasty_door) == 101


def test_counters_are_for_this_machine_only(door):
    request = urllib.request.Request(f"http://127.0.0.1:{door.port}/metricsz")
    request.add_header("X-Forwarded-For", "203.0.113.9")

    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=5)

    assert refused.value.code == 404
