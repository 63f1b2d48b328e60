"""Who of the staff is at the same record: colleagues see it, in every process, until they leave."""

import time
from contextlib import ExitStack

import pytest
from websocket import WebSocketTimeoutException

from tests.realtime.door import Client, eventually


@pytest.fixture
def order_topic(cast):
    return f"staff:presence:order:{cast.order().id}"


@pytest.fixture
def colleague(cast, store):
    """Makes somebody with a name who may show orders and products, and what signs them in."""

    def make(first_name, *views, showing=("OrdersView", "ProductsView")):
        somebody = cast.staff(*views, showing=showing)
        somebody.first_name = first_name
        store.commit()
        return somebody, {"staff_token": cast.sign_in(somebody)}

    return make


@pytest.fixture
def second_door(open_door):
    return open_door("shop.realtime.wsgi:app")


def names(message):
    """The people in a snapshot or in news."""
    if message["op"] == "event":
        assert message["type"] == "presence.changed"
    seen = message["snapshot"] if message["op"] == "subscribed" else message["data"]
    return [person["name"] for person in seen["people"]]


def all_hear(people, topic, *clients):
    """Whether all clients, who listen all the while and obey ``resync``, hear of these people."""
    heard = {}

    def listen():
        for client in clients:
            try:
                message = client.hear(0.1)
            except WebSocketTimeoutException:
                continue
            if message["op"] == "resync":
                client.say(op="subscribe", topic=topic)
            else:
                heard[client] = names(message)
        return all(heard.get(client) == people for client in clients)

    return eventually(listen, within_s=20)


def test_two_people_see_each_other_come_and_go(door, colleague, order_topic):
    (ana, as_ana), (ben, as_ben) = colleague("Ana"), colleague("Ben")
    with Client(door, signed=as_ana) as one:
        first = one.ask(order_topic)
        with Client(door, signed=as_ben) as other:
            second = other.ask(order_topic)

            both = [{"name": "Ana Staff", "id": ana.id}, {"name": "Ben Staff", "id": ben.id}]
            assert first["snapshot"] == {"people": both[:1], "you": ana.id}
            assert second["snapshot"] == {"people": both, "you": ben.id}
            news = one.hear()
            assert (news["topic"], news["data"]) == (order_topic, {"people": both})
            assert news["seq"] == second["seq"] > first["seq"]

            other.say(op="unsubscribe", topic=order_topic)
            left = one.hear(6)
            assert names(left) == ["Ana Staff"]
            assert left["seq"] > news["seq"]
            assert other.hears_nothing()


def test_a_cut_line_is_an_absence(door, colleague, order_topic):
    (_, as_ana), (_, as_ben) = colleague("Ana"), colleague("Ben")
    with Client(door, signed=as_ana) as one:
        one.ask(order_topic)
        other = Client(door, signed=as_ben)
        other.ask(order_topic)
        assert names(one.hear()) == ["Ana Staff", "Ben Staff"]

        other.socket.sock.close()

        assert names(one.hear(6)) == ["Ana Staff"]


def test_unresponsive_peer_is_dropped_and_missed(hasty_door, colleague, order_topic):
    assert eventually(lambda: hasty_door.metrics()["connections"] == 0)
    (_, as_ana), (_, as_ben) = colleague("Ana"), colleague("Ben")
    with Client(hasty_door, signed=as_ana) as one, Client(hasty_door, signed=as_ben) as mute:
        one.ask(order_topic)
        mute.ask(order_topic)  # and never reads again, so never answers a ping
        assert names(one.hear()) == ["Ana Staff", "Ben Staff"]

        assert names(one.hear(9)) == ["Ana Staff"]


def test_two_tabs_of_one_person_count_once(door, colleague, order_topic):
    (_, as_ana), (_, as_ben) = colleague("Ana"), colleague("Ben")
    with Client(door, signed=as_ana) as one, ExitStack() as last:
        one.ask(order_topic)
        with Client(door, signed=as_ben) as first_tab:
            first_tab.ask(order_topic)
            assert names(one.hear()) == ["Ana Staff", "Ben Staff"]
            second_tab = last.enter_context(Client(door, signed=as_ben))
            assert names(second_tab.ask(order_topic)) == ["Ana Staff", "Ben Staff"]

        assert one.hears_nothing(3)
        last.close()
        assert names(one.hear(6)) == ["Ana Staff"]


def test_who_subscribes_again_or_reloads_was_never_away(door, colleague, order_topic):
    (_, as_ana), (_, as_ben) = colleague("Ana"), colleague("Ben")
    with Client(door, signed=as_ana) as one:
        one.ask(order_topic)
        with Client(door, signed=as_ben) as other, Client(door, signed=as_ben) as reloaded:
            seq = other.ask(order_topic)["seq"]
            one.hear()
            again = other.ask(order_topic, since=seq)
            assert (again["op"], names(again)) == ("subscribed", ["Ana Staff", "Ben Staff"])
            assert again["seq"] > seq
            other.socket.close()
            time.sleep(0.3)
            reloaded.ask(order_topic)

            assert one.hears_nothing(3)


def test_each_record_has_its_own_people(door, colleague, cast):
    (_, as_ana), (_, as_ben) = colleague("Ana"), colleague("Ben")
    order, product = cast.order(), cast.product(1)
    with Client(door, signed=as_ana) as one, Client(door, signed=as_ben) as other:
        one.ask(f"staff:presence:order:{order.id}")

        for topic in (f"staff:presence:order:{order.id}0", f"staff:presence:product:{product.id}"):
            assert names(other.ask(topic)) == ["Ben Staff"]
        assert one.hears_nothing(1.5)


@pytest.mark.parametrize(
    ("showing", "allowed"),
    [
        ((), set()),
        (("OrdersView",), {"order"}),
        (("ProductsView",), {"product"}),
        (("InventoryView",), set()),
        (("OrdersView", "ProductsView"), {"order", "product"}),
    ],
)
def test_presence_needs_role_that_may_show_such_record(door, colleague, showing, allowed):
    # Who may list them all but show none is not there either.
    _, signed = colleague("Ana", "OrdersView", "ProductsView", showing=showing)
    with Client(door, signed=signed) as client:
        answers = {kind: client.ask(f"staff:presence:{kind}:1") for kind in ("order", "product")}

    assert {kind for kind, answer in answers.items() if answer["op"] == "subscribed"} == allowed
    assert all(answer.get("code", "forbidden") == "forbidden" for answer in answers.values())


def test_guests_customers_and_former_staff_are_never_there(door, cast, order_topic):
    former = cast.staff(is_active=False, showing=("OrdersView",))
    for signed in (
        None,
        {"customer_token": cast.sign_in(cast.customer())},
        {"staff_token": cast.sign_in(former)},
    ):
        with Client(door, signed=signed) as client:
            assert client.ask(order_topic)["code"] == "forbidden"


@pytest.mark.parametrize(
    "rest",
    ["", ":", "order", "order:", "order:0", "order:-1", "order:abc", "order:EO-1", "order:1 ",
     "order:１", "order:1:2", "order:9999999999999999999", "cart:1", "customer:1", "Order:1",
     "order'):1"],
)  # fmt: skip
def test_kinds_and_records_that_cannot_be_are_unknown(door, colleague, rest):
    _, signed = colleague("Ana", "OrdersView")
    with Client(door, signed=signed) as client:
        assert client.ask(f"staff:presence:{rest}")["code"] == "unknown_topic"


def test_viewer_without_permission_leaves_presence(hasty_door, colleague, store, order_topic):
    (ana, as_ana), (_, as_ben) = colleague("Ana"), colleague("Ben")
    with Client(hasty_door, signed=as_ana) as one, Client(hasty_door, signed=as_ben) as other:
        other.ask(order_topic)
        one.ask(order_topic)
        assert names(other.hear()) == ["Ana Staff", "Ben Staff"]

        ana.roles[0].permissions = []
        store.commit()

        assert one.close_code() == 1008
        assert names(other.hear(6)) == ["Ben Staff"]


def test_name_of_any_letters_arrives_without_the_address(door, colleague, order_topic):
    name = 'Zoë "%1" ]}} 王'
    somebody, signed = colleague(name)
    _, as_ana = colleague("Ana")
    with Client(door, signed=as_ana) as one, Client(door, signed=signed) as other:
        one.ask(order_topic)
        other.ask(order_topic)

        news = one.hear()
        assert names(news) == ["Ana Staff", f"{name} Staff"]
        assert somebody.email not in str(news)


def test_two_processes_know_the_same_people(door, second_door, colleague, order_topic):
    (_, as_ana), (_, as_ben) = colleague("Ana"), colleague("Ben")
    with Client(door, signed=as_ana) as one:
        one.ask(order_topic)
        with Client(second_door, signed=as_ben) as other:
            assert names(other.ask(order_topic)) == ["Ana Staff", "Ben Staff"]
            assert names(one.hear()) == ["Ana Staff", "Ben Staff"]

        assert names(one.hear(6)) == ["Ana Staff"]


def test_a_killed_process_takes_its_people_with_it(door, open_door, colleague, order_topic):
    (_, as_ana), (_, as_ben) = colleague("Ana"), colleague("Ben")
    doomed = open_door("shop.realtime.wsgi:app")
    with Client(door, signed=as_ana) as one, Client(doomed, signed=as_ben) as other:
        one.ask(order_topic)
        other.ask(order_topic)
        assert names(one.hear()) == ["Ana Staff", "Ben Staff"]

        doomed.process.kill()

        assert names(one.hear(22)) == ["Ana Staff"]


def test_present_people_outlast_their_redis_expiry(door, colleague, order_topic, our_redis):
    (_, as_ana), (_, as_ben) = colleague("Ana"), colleague("Ben")
    with Client(door, signed=as_ana) as one, Client(door, signed=as_ben) as other:
        one.ask(order_topic)
        other.ask(order_topic)
        one.hear()
        key = f"shop:presence:{order_topic}"
        before = our_redis.zrange(key, 0, -1, withscores=True)
        assert len(before) == 2
        assert 0 < our_redis.ttl(key) <= 15

        def is_renewed():
            assert one.hears_nothing(0.1)
            assert other.hears_nothing(0.1)
            return all(our_redis.zscore(key, tab) > score for tab, score in before)

        assert eventually(is_renewed, within_s=14)


def test_an_emptied_redis_is_full_again_soon(door, second_door, colleague, order_topic, our_redis):
    (_, as_ana), (_, as_ben), (_, as_cleo) = map(colleague, ("Ana", "Ben", "Cleo"))
    with Client(door, signed=as_ana) as one, Client(second_door, signed=as_ben) as other:
        one.ask(order_topic)
        other.ask(order_topic)
        assert names(one.hear()) == ["Ana Staff", "Ben Staff"]

        our_redis.flushall()

        assert all_hear(["Ana Staff", "Ben Staff"], order_topic, one, other)
        with Client(door, signed=as_cleo) as third:
            everybody = ["Ana Staff", "Ben Staff", "Cleo Staff"]
            assert names(third.ask(order_topic)) == everybody
            assert all_hear(everybody, order_topic, one, other)


def test_sockets_survive_a_redis_outage(door, second_door, colleague, order_topic, valkey):
    (_, as_ana), (_, as_ben), (_, as_cleo) = map(colleague, ("Ana", "Ben", "Cleo"))
    with (
        Client(door, signed=as_ana) as one,
        Client(door, signed=as_ben) as other,
        Client(second_door, signed=as_cleo) as elsewhere,
    ):
        one.ask(order_topic)
        elsewhere.ask(order_topic)
        assert names(one.hear()) == ["Ana Staff", "Cleo Staff"]

        valkey.stop()
        assert eventually(lambda: not door.metrics()["is_redis_connected"])
        began = time.monotonic()
        alone = other.ask(order_topic)
        assert time.monotonic() - began < 1
        assert (alone["seq"], names(alone)) == (0, ["Ana Staff", "Ben Staff"])
        time.sleep(2)
        one.say(op="ping")
        assert one.hear() == {"op": "pong"}
        valkey.start()

        everybody = ["Ana Staff", "Ben Staff", "Cleo Staff"]
        assert all_hear(everybody, order_topic, one, other, elsewhere)
