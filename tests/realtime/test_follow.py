"""What can be followed, by whom, and what is heard."""

import pytest

from shop.realtime import tickets
from shop.realtime.messages import cart_topic
from tests.realtime.door import Client


def test_product_tells_its_variants_as_page_shows_them(door, cast):
    product = cast.product(0, 2, 3, 4)
    ids = [str(variant.id) for variant in product.variants]

    with Client(door) as client:
        answer = client.ask(f"product:{product.id}")

    assert answer["op"] == "subscribed"
    assert answer["snapshot"] == {
        "variants": {
            ids[0]: {"state": "sold_out", "left": None, "price_minor": 1900},
            ids[1]: {"state": "low", "left": 2, "price_minor": 1900},
            ids[2]: {"state": "low", "left": 3, "price_minor": 1900},
            ids[3]: {"state": "in_stock", "left": None, "price_minor": 1900},
        }
    }


def test_news_reach_who_follows_and_nobody_else(door, cast, publish):
    product = cast.product(1)
    with Client(door) as follower, Client(door) as other, Client(door) as former:
        topic = follower.ask(f"product:{product.id}")["topic"]
        former.ask(topic)
        former.say(op="unsubscribe", topic=topic)
        former.say(op="ping")
        assert former.hear() == {"op": "pong"}

        news = cast.broadcast(topic, left=0)
        publish(news)

        assert follower.hear() == {
            "op": "event",
            "topic": topic,
            "seq": news.seq,
            "type": "tested",
            "data": {"left": 0},
            "at": news.at.isoformat(),
        }
        assert other.hears_nothing()
        assert former.hears_nothing()


def test_following_twice_means_hearing_once(door, cast, publish):
    product = cast.product(1)
    with Client(door) as client:
        topic = client.ask(f"product:{product.id}")["topic"]
        client.ask(topic)

        publish(cast.broadcast(topic, n=1))
        publish(cast.broadcast(topic, n=2))

        assert [client.hear()["data"]["n"] for _ in range(2)] == [1, 2]
        assert client.hears_nothing()


@pytest.mark.parametrize(
    "topic",
    ["product:99999999999999999999", "product:999999999999999999", "product:abc", "product:",
     "product:0", "product:-1", "product:1 ", "product:1\n", "product:１", "order:'", "order:",
     "order:\0", "staff:", "staff:everything", "cart:1", "customer:1", "*", "topic"],
)  # fmt: skip
def test_what_is_unknown_cannot_be_followed(door, topic):
    with Client(door) as client:
        assert client.ask(topic) == {"op": "error", "code": "unknown_topic", "topic": topic}


@pytest.mark.parametrize(
    "details", [{"status": "draft"}, {"status": "archived"}, {"published_at": None}]
)
def test_product_that_is_not_on_sale_is_unknown(door, cast, details):
    product = cast.product(1, **details)
    with Client(door) as client:
        assert client.ask(f"product:{product.id}")["code"] == "unknown_topic"


def test_guest_follows_cart_of_their_browser_only(door, cast, publish):
    product = cast.product(5)
    mine, other = (cast.cart(product.variants[0]) for _ in range(2))
    with Client(door, cart=mine.token) as client:
        assert client.ask("cart")["snapshot"] == {"version": 7, "count": 3}

        publish(cast.broadcast(f"cart:{other.id}", count=9))
        publish(cast.broadcast(f"cart:{mine.id}", count=4))

        heard = client.hear()
        assert (heard["topic"], heard["data"]) == ("cart", {"count": 4})
        assert client.hears_nothing()


def test_customer_cart_is_followed_without_its_token(door, cast):
    customer = cast.customer()
    cart = cast.cart(cast.product(5).variants[0], customer)
    signed = {"customer_token": cast.sign_in(customer)}

    with Client(door, signed=signed) as device, Client(door, cart=cart.token) as stranger:
        assert device.ask("cart")["snapshot"]["count"] == 3
        assert stranger.ask("cart")["snapshot"] == {"version": 0, "count": 0}


def test_customer_without_cart_hears_of_first_one(door, cast, publish):
    customer = cast.customer()
    with Client(door, signed={"customer_token": cast.sign_in(customer)}) as device:
        assert device.ask("cart")["snapshot"] == {"version": 0, "count": 0}

        cart = cast.cart(cast.product(5).variants[0], customer)
        publish(cast.broadcast(cart_topic(cart.id, customer.id), count=3))

        heard = device.hear()
        assert (heard["topic"], heard["data"]) == ("cart", {"count": 3})


@pytest.mark.parametrize("token", ["", "made-up", "'", "a" * 500, "%00"])
def test_a_made_up_cart_is_an_empty_one(door, token):
    with Client(door, cart=token) as client:
        assert client.ask("cart")["snapshot"] == {"version": 0, "count": 0}


def test_owner_link_and_staff_follow_an_order(door, cast):
    owner, stranger = cast.customer(), cast.customer()
    order = cast.order(owner)
    desk, stock = cast.staff("OrdersView"), cast.staff("InventoryView")
    topic = f"order:{order.number}"
    answers = {}
    for name, signed in {
        "owner": {"customer_token": cast.sign_in(owner)},
        "stranger": {"customer_token": cast.sign_in(stranger)},
        "desk": {"staff_token": cast.sign_in(desk)},
        "stock": {"staff_token": cast.sign_in(stock)},
        "guest": None,
        # A sign-in of one kind does not pass for the other, even with the same number.
        "mixed up": {"staff_token": cast.sign_in(owner)},
    }.items():
        with Client(door, signed=signed) as client:
            answers[name] = client.ask(topic).get("code", "allowed")
    with Client(door) as client:
        secret = client.ask(topic, token=order.token)

    assert answers == {
        "owner": "allowed",
        "stranger": "forbidden",
        "desk": "allowed",
        "stock": "forbidden",
        "guest": "forbidden",
        "mixed up": "forbidden",
    }
    assert secret["snapshot"] == {
        "number": order.number,
        "version": 1,
        "status_label": "Pending",
        "status": "pending",
        "fulfilment_status": "unfulfilled",
        "payment_status": "unpaid",
    }


@pytest.mark.parametrize("secret", ["", " ", "wrong", "é", "\ud800", "\0", None])
def test_wrong_secret_and_missing_order_look_the_same(door, cast, secret):
    order = cast.order()
    with Client(door) as client:
        assert client.ask(f"order:{order.number}", token=secret)["code"] == "forbidden"
        assert client.ask("order:EO-99999999", token=secret)["code"] == "forbidden"


def test_a_customer_hears_of_their_own_account_only(door, cast, publish):
    mine, other = cast.customer(), cast.customer()
    with Client(door, signed={"customer_token": cast.sign_in(mine)}) as client:
        assert client.ask("customer")["snapshot"] == {}

        publish(cast.broadcast(f"customer:{other.id}", n=1))
        publish(cast.broadcast(f"customer:{mine.id}", n=2))

        heard = client.hear()
        assert (heard["topic"], heard["data"]) == ("customer", {"n": 2})


STAFF_TOPICS = ("staff:orders", "staff:stock", "staff:metrics", "staff:tasks")


@pytest.mark.parametrize(
    ("views", "allowed"),
    [
        ((), set()),
        (("OrdersView",), {"staff:orders", "staff:tasks"}),
        (("InventoryView",), {"staff:stock"}),
        (("DashboardView",), {"staff:metrics"}),
        (("OrdersView", "InventoryView", "DashboardView"), set(STAFF_TOPICS)),
    ],
)
def test_staff_follow_what_their_role_may_open(door, cast, our_redis, views, allowed):
    somebody = cast.staff(*views)

    by_cookie = Client(door, signed={"staff_token": cast.sign_in(somebody)})
    by_ticket = Client(door, origin=None, ticket=tickets.issue_ticket("staff", somebody.id))
    for client in (by_cookie, by_ticket):
        answers = {topic: client.ask(topic) for topic in STAFF_TOPICS}
        client.socket.close()
        assert {
            topic for topic, answer in answers.items() if answer["op"] == "subscribed"
        } == allowed
        assert all(answer.get("code", "forbidden") == "forbidden" for answer in answers.values())


def test_customers_and_former_staff_follow_no_staff_topics(door, cast):
    former = cast.staff("OrdersView", is_active=False)
    customer = cast.customer()
    for signed in (
        None,
        {"customer_token": cast.sign_in(customer)},
        {"staff_token": cast.sign_in(former)},
    ):
        with Client(door, signed=signed) as client:
            assert {client.ask(topic)["code"] for topic in STAFF_TOPICS} == {"forbidden"}
