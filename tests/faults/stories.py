"""What happens in the shop while a process dies at a failpoint, and how it has to end.

Each story passes by its steps for sure, presses again where a person would, and gives the state in
which its order must come to rest, by itself, whatever died.
"""

import signal
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from io import BytesIO
from typing import Any

from PIL import Image
from sqlalchemy import text, update

from shop import orders
from shop.core.db import session, transaction
from shop.orders.models import Order
from shop.payments import attempts
from tests.faults import books
from tests.faults.buyers import Errand, confirm, fill, insist, place, start
from tests.faults.rig import Rig
from tests.support.stack import eventually

REACH_S = 90.0


@dataclass(frozen=True)
class End:
    """Where an order must be in the end: its state and that of its money. No order: any."""

    order_id: int | None
    status: str = ""
    payment_status: str = ""

    def is_reached(self) -> bool:
        """Whether it is there."""
        if self.order_id is None:
            return True
        (found,) = books.ask(
            'SELECT status, payment_status FROM "order" WHERE id = :id', id=self.order_id
        )
        return (found.status, found.payment_status) == (self.status, self.payment_status)


class Actors:
    """The buyer and the staff of one story; ``name`` is also the buyer's address."""

    def __init__(self, rig: Rig, variant_id: int, product_id: int, name: str) -> None:
        self.rig = rig
        self.product_id = product_id
        self.name = name
        self.errand = Errand(rig.shop.base_url, rig.shop.stripe_url, variant_id)

    @cached_property
    def staff_headers(self) -> dict[str, str]:
        """Signed in as the owner, who may do anything."""
        status, pair = insist(
            f"{self.errand.base_url}/api/v1/auth/token", self.rig.shop.owner | {"audience": "staff"}
        )
        assert status == 200, pair
        return {"Authorization": f"Bearer {pair['access_token']}"}

    def order(self) -> dict[str, Any]:
        """Order one."""
        status, cart = fill(self.errand)
        assert status < 400, cart
        status, order = place(self.errand, cart, self.name)
        assert status < 400, order
        return order

    def begin_to_pay(self, order: dict[str, Any]) -> dict[str, Any]:
        """Get to the card form."""
        status, intent = start(self.errand, order)
        assert status < 400, intent
        return intent

    def pay(self, order: dict[str, Any]) -> int:
        """Pay it. Returns the order's id."""
        confirm(self.errand, self.begin_to_pay(order))
        return id_of(order)

    def cancel(self, order: dict[str, Any], *, by_staff: bool) -> None:
        """Call it off; who presses again after no answer reads that it is."""
        url = f"{self.errand.base_url}/api/v1/orders/{order['number']}/cancel"
        if by_staff:
            status, said = insist(url, {"reason": "other"}, self.staff_headers)
        else:
            status, said = insist(f"{url}?token={order['token']}", {})
        assert status == 200 or "cancelled" in said["detail"], said

    def decide(self, order: dict[str, Any], what: str, **how: object) -> None:
        """Let the staff do it, under a key, and again after no answer."""
        headers = self.staff_headers | {"Idempotency-Key": f"{self.name} {what}"}
        url = f"{self.errand.base_url}/api/v1/orders/{order['number']}/{what}"
        status, said = insist(url, how, headers)
        assert status < 400 or said["code"] == "wrong_state", said


def buy(who: Actors) -> End:
    """Order, pay, get the receipt."""
    return End(who.pay(who.order()), "confirmed", "paid")


def buy_past_a_saved_failure(who: Actors) -> End:
    """Buy while Stripe fails to begin a payment, and saves that: it is begun under a new key."""
    order = who.order()
    failure = {"path": "/v1/payment_intents", "error": "api_error"}
    insist(f"{who.errand.stripe_url}/_control", {"fail": failure})
    return End(who.pay(order), "confirmed", "paid")


def buy_and_cancel(who: Actors) -> End:
    """Pay, then staff cancel the order: the money is refunded."""
    order = who.order()
    reach(End(who.pay(order), "confirmed", "paid"))
    who.cancel(order, by_staff=True)
    return End(id_of(order), "cancelled", "refunded")


def begin_and_cancel(who: Actors) -> End:
    """Get to the card form, and think better of it."""
    order = who.order()
    who.begin_to_pay(order)
    who.cancel(order, by_staff=False)
    return End(id_of(order), "cancelled", "unpaid")


def begin_and_leave(who: Actors) -> End:
    """Get to the card form, and let the time run out."""
    order = who.order()
    who.begin_to_pay(order)
    with transaction():
        session.execute(
            update(Order)
            .where(Order.id == id_of(order))
            .values(expires_at=text("now() - interval '1 second'"))
        )
    return End(id_of(order), "expired", "unpaid")


def authorise_and_capture(who: Actors) -> End:
    """Authorise; the staff take the money."""
    order = authorised(who)
    who.decide(order, "capture")
    return End(id_of(order), "confirmed", "paid")


def authorise_and_release(who: Actors) -> End:
    """Authorise; the staff release the money, and call it off."""
    order = authorised(who)
    who.decide(order, "void")
    reach(End(id_of(order), "confirmed", "unpaid"))
    who.cancel(order, by_staff=True)
    return End(id_of(order), "cancelled", "unpaid")


def buy_and_get_some_back(who: Actors) -> End:
    """Pay, and get a little of it back."""
    order = who.order()
    reach(End(who.pay(order), "confirmed", "paid"))
    who.decide(order, "refunds", amount_minor=250, reason="goodwill")
    return End(id_of(order), "confirmed", "partly_refunded")


def buy_and_dispute(who: Actors) -> End:
    """Pay, and tell the bank that one did not."""
    order = who.order()
    reach(End(who.pay(order), "confirmed", "paid"))
    (paid,) = books.ask("SELECT intent_id FROM payment WHERE order_id = :id", id=id_of(order))
    insist(f"{who.errand.stripe_url}/_control/dispute", {"payment_intent": paid.intent_id})
    return End(id_of(order), "confirmed", "disputed")


def buy_and_be_warned(what: str) -> Callable[[Actors], End]:
    """Pay; then Stripe warns the shop of something."""

    def story(who: Actors) -> End:
        end, intent_id = paid(who)
        body = {} if what == "payout" else {"payment_intent": intent_id}
        insist(f"{who.errand.stripe_url}/_control/{what}", body)
        return end

    return story


def buy_and_have_an_odd_review(who: Actors) -> End:
    """Pay; then Stripe tells of something that nobody can read, and of the same as it should be."""
    end, intent_id = paid(who)
    control = f"{who.errand.stripe_url}/_control"
    odd = {"object": "review", "payment_intent": intent_id, "open": "perhaps"}
    status, said = insist(control, {"put": odd, "emit": "review.opened"})
    assert status == 200, said
    review_id = said["objects"][0]["id"]
    asked = "SELECT closed_at FROM task WHERE kind = 'stripe_refused' AND reference = :id"
    eventually(lambda: books.ask(asked, id=review_id), within_s=REACH_S, what="somebody is asked")
    closed = {"id": review_id, "open": False, "closed_reason": "approved", "reason": "approved"}
    insist(control, {"change": closed, "emit": "review.closed"})
    eventually(
        lambda: books.ask(f"{asked} AND closed_at IS NOT NULL", id=review_id),
        within_s=REACH_S,
        what="nobody is asked any more",
    )
    return end


def paid(who: Actors) -> tuple[End, str]:
    """An order that is paid, and its PaymentIntent."""
    order = who.order()
    end = End(who.pay(order), "confirmed", "paid")
    reach(end)
    (found,) = books.ask("SELECT intent_id FROM payment WHERE order_id = :id", id=id_of(order))
    return end, str(found.intent_id)


def reconcile(who: Actors) -> End:
    """Buy, and reconcile with Stripe, again if that died."""
    end = buy(who)
    while who.rig.flask("reconcile", "--days", "1").returncode == -signal.SIGKILL:
        pass
    return end


def upload(who: Actors) -> End:
    """Add an image to the product, and again if no answer came."""
    image = BytesIO()
    Image.new("RGB", (64, 64), "teal").save(image, "PNG")
    url = f"{who.errand.base_url}/api/v1/products/{who.product_id}/images"

    def is_taken() -> bool:
        try:
            with urllib.request.urlopen(form(url, image.getvalue(), who.staff_headers)) as answer:
                return answer.status == 201
        except OSError:
            return False

    eventually(is_taken, within_s=REACH_S, what="the image is stored")
    return End(None)


STORIES: dict[str, Callable[[Actors], End]] = {
    "change-order": buy_and_cancel,
    "change-key": buy_past_a_saved_failure,
    "create-refund": buy_and_get_some_back,
    "fetch-refund": buy_and_get_some_back,
    "apply-refund": buy_and_cancel,
    "cancel-intent": begin_and_cancel,
    "close-attempt": begin_and_cancel,
    "expire-order": begin_and_leave,
    "capture-intent": authorise_and_capture,
    "apply-capture": authorise_and_capture,
    "apply-void": authorise_and_release,
    "fetch-dispute": buy_and_dispute,
    "apply-dispute": buy_and_dispute,
    "refuse-object": buy_and_have_an_odd_review,
    "fetch-warning": buy_and_be_warned("fraud_warning"),
    "fetch-review": buy_and_be_warned("review"),
    "fetch-payout": buy_and_be_warned("payout"),
    "fetch-page": reconcile,
    "write-image": upload,
    "store-image": upload,
    "finish-image": upload,
}


def story_of(place: str) -> Callable[[Actors], End]:
    """The story that passes by a place; most are passed by whoever buys."""
    return STORIES.get(place.partition("-")[2], buy)


def reach(end: End) -> None:
    """Wait for a state in the middle of a story."""
    eventually(end.is_reached, within_s=200, what=f"order {end.order_id} is {end.status}")


def authorised(who: Actors) -> dict[str, Any]:
    """An order whose money is authorised on the card."""
    order = who.order()
    with transaction():
        attempts.open_payment(orders.lock(id_of(order)), capture="manual")
    reach(End(who.pay(order), "confirmed", "authorised"))
    return order


def id_of(order: dict[str, Any]) -> int:
    """The number of the row."""
    (found,) = books.ask('SELECT id FROM "order" WHERE number = :number', number=order["number"])
    return int(found.id)


def form(url: str, image: bytes, headers: dict[str, str]) -> urllib.request.Request:
    """A multipart request with one image."""
    boundary = "between-the-parts"
    head = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="picture"; filename="p.png"\r\n'
        "Content-Type: image/png\r\n\r\n"
    )
    body = head.encode() + image + f"\r\n--{boundary}--\r\n".encode()
    kind = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
    return urllib.request.Request(url, body, headers | kind, method="POST")
