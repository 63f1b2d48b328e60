"""A shop with orders in every state, made by operations, and a Stripe that agrees with it."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from shop import catalog, checkout, media, orders, payments, reactions, reviews
from shop.cart import operations as carts
from shop.catalog.models import Product
from shop.core import clock, idempotency, relay, sessions
from shop.core.db import session, transaction
from shop.payments import disputes, intents, webhooks
from shop.payments import stripe_gateway as gateway
from shop.payments.models import Payment, Refund
from shop.payments.stripe_errors import Refused
from shop.payments.stripe_objects import Intent, Movement, SentDispute, SentRefund
from shop.realtime import broadcasts
from tests import cast as people
from tests.cast import Cast
from tests.discounts.offers import offer
from tests.media.images import image


class Stripe:
    """Knows what was stored in it; cancels and refunds what it is asked to."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.intents: dict[str, Intent] = {}
        self.refunds: dict[str, SentRefund] = {}
        self.disputes: dict[str, SentDispute] = {}
        self.refuses = False
        self.answers(patch)

    def answers(self, patch: pytest.MonkeyPatch) -> None:
        """Stand where the real one does."""
        for name in ("fetch_intent", "cancel_intent", "create_refund", "refunds_of"):
            patch.setattr(gateway, name, getattr(self, name))
        for name in ("intents", "refunds", "disputes"):
            patch.setattr(
                gateway, f"{name}_since", lambda _, n=name: list(getattr(self, n).values())
            )
        patch.setattr(gateway, "movements_since", lambda _: self.movements())
        for name in ("fraud_warnings", "reviews", "payouts"):
            patch.setattr(gateway, f"{name}_since", lambda _: [])

    def movements(self) -> list[Movement]:
        """What its balance says: one entry for each charge and refund, and those of disputes."""
        taken = [
            _booked(one.charge_id, one.received_minor, one.currency)
            for one in self.intents.values()
            if one.status == "succeeded"
        ]
        given = [
            _booked(one.id, -one.amount_minor, one.currency)
            for one in self.refunds.values()
            if one.status == "succeeded"
        ]
        disputed = [one for dispute in self.disputes.values() for one in dispute.movements]
        return [*taken, *given, *disputed]

    def fetch_intent(self, intent_id: str) -> Intent:
        if intent_id not in self.intents:
            raise Refused("No such payment_intent.")
        return self.intents[intent_id]

    def cancel_intent(self, intent_id: str) -> Intent:
        payment = session.scalars(select(Payment).where(Payment.intent_id == intent_id)).one()
        kept = self.intents.get(intent_id)
        if kept is None or kept.status in {"requires_payment_method", "requires_capture"}:
            self.intents[intent_id] = people.intent(payment, "canceled")
        return self.intents[intent_id]

    def refunds_of(self, intent_id: str) -> list[SentRefund]:
        return [one for one in self.refunds.values() if one.intent_id == intent_id]

    def create_refund(self, *, metadata: dict[str, str], **_: Any) -> SentRefund:
        if self.refuses:
            raise Refused("The card is closed.")
        row = session.scalars(select(Refund).where(Refund.key == metadata["refund"])).one()
        return self.refunds.setdefault(f"re_{row.id}", people.sent(row))

    def hears(self, payment: Payment, status: str = "succeeded", **changes: Any) -> str:
        """Something happened to an intent there, and we hear of it."""
        intent = people.intent(payment, status, **changes)
        self.intents[intent.id] = intent
        with transaction():
            return intents.apply_intent(payment.id, intent)

    def disputes_it(self, payment: Payment) -> None:
        """The cardholder's bank asks for the money."""
        sent = SentDispute(
            id=f"du_{payment.id}",
            intent_id=payment.intent_id or "",
            status="needs_response",
            amount_minor=payment.amount_minor,
            currency=payment.currency,
            reason="product_not_received",
            due_by=clock.now() + timedelta(days=9),
            created=clock.now(),
            charge_id=f"ch_{payment.id}",
            movements=(
                Movement(
                    id=f"txn_{payment.id}",
                    source=f"du_{payment.id}",
                    amount_minor=-payment.amount_minor,
                    fee_minor=1500,
                    currency=payment.currency,
                    rate=None,
                    created=clock.now(),
                ),
            ),
        )
        self.disputes[sent.id] = sent
        with transaction():
            disputes.apply_dispute(payment.id, sent)


def _booked(source: str, amount_minor: int, currency: str) -> Movement:
    return Movement(f"txn_{source}", source, amount_minor, 0, currency, None, clock.now())


class Shop:
    """The orders by what happened to them; numbers are ids."""

    def __init__(self, stripe: Stripe) -> None:
        self.stripe = stripe
        self.orders: dict[str, int] = {}
        self.cast = cast = Cast()
        self.mug, self.lamp = cast.mug, cast.lamp
        self.vase = people.product("Moss vase", price_minor=2450, stock=50)
        with transaction():
            product = session.get_one(Product, self.mug.product_id)
            reviews.add(product, rating=5, title="Lovely", text="A good mug.", author="Kim")
            top = catalog.create_category("Kitchen")
            session.flush()
            catalog.create_category("Cups", parent=top)
        self.image = media.store_upload(image(400, 300), "mug.jpg").id
        self.discount = offer("Welcome", code="WELCOME10", limit_total=50, limit_per_customer=40).id
        self._tell()
        self._messages()
        self.wait_until_idle()

    def _tell(self) -> None:
        stripe = self.stripe
        self._new("pending")
        self._paid("paid")
        self._paid("processing")
        with transaction():
            orders.start_processing(orders.lock(self.orders["processing"]))
        self._paid("partly shipped", 3)
        self._ship("partly shipped", 1)
        self._paid("shipped", 2)
        self._ship("shipped")
        self._paid("delivered", 2)
        fulfilment = self._ship("delivered")
        with transaction():
            orders.mark_delivered(orders.lock(self.orders["delivered"]), fulfilment)
        self._new("cancelled unpaid")
        people.attempt(self.order("cancelled unpaid"))
        with transaction():
            payments.cancel_order(orders.lock(self.orders["cancelled unpaid"]), reason="customer")
        self._paid("cancelled paid")
        with transaction():
            payments.cancel_order(orders.lock(self.orders["cancelled paid"]), reason="customer")
        self._paid("cancelled in part", 3)
        with transaction():
            order = orders.lock(self.orders["cancelled in part"])
            payments.cancel_lines(order, {order.lines[0].id: 1}, reason="out of stock")
        long_ago = clock.now() - timedelta(hours=2)
        for name in ("expired", "paid late"):
            with clock.freeze(long_ago):
                self._new(name)
                late = people.attempt(self.order(name))
            with transaction():
                orders.expire(orders.lock(self.orders[name]))
        stripe.hears(late)
        self._paid("sent back", 2)
        self._ship("sent back")
        with transaction():
            order = orders.lock(self.orders["sent back"])
            line = order.lines[0].id
            wanted = payments.Wanted({line: 1}, shipping_minor=100, restock=frozenset({line}))
            payments.request_refund(order, wanted, reason="returned")
        self.wait_until_idle()
        self._paid("refused")
        with transaction():
            order = orders.lock(self.orders["refused"])
            payments.request_refund(order, payments.Wanted(amount_minor=100), reason="goodwill")
        stripe.refuses = True
        self.wait_until_idle()
        stripe.refuses = False
        stripe.disputes_it(self._paid("disputed"))
        self._new("authorised")
        stripe.hears(people.attempt(self.order("authorised"), capture="manual"), "requires_capture")
        self._new("captured later")
        authorised = people.attempt(self.order("captured later"), capture="manual")
        stripe.hears(authorised, "requires_capture")
        stripe.hears(authorised)
        self._new("amount differs")
        stripe.hears(people.attempt(self.order("amount differs")), received_minor=1)
        with transaction():
            cart = carts.open_cart(None)
            carts.add(cart, self.vase.id, 3)
            checkout.set_contact(cart, email="ada@example.com", address=people.ADDRESS)
            checkout.set_method(cart, "standard")
            checkout.apply_code(cart, "WELCOME10")
        with transaction():
            self.orders["discounted"] = checkout.place_order(cart.id).id
        stripe.hears(people.attempt(self.order("discounted")))

    def _messages(self) -> None:
        payment = payments.of_order(self.orders["paid"])[0]
        event = {
            "id": "evt_1",
            "type": "payment_intent.succeeded",
            "data": {"object": {"id": payment.intent_id}},
        }
        ada = self.cast.ada
        with transaction():
            webhooks.record_verified(event)
            sessions.start("customer", ada.id)
            sessions.start("staff", 1)
        with transaction():
            claimed = idempotency.claim("caller", "key-1", idempotency.request_hash({"a": 1}))
        assert isinstance(claimed, idempotency.Claim)
        with transaction():
            idempotency.store(claimed, 201, {"number": "EO-1"})

    def order(self, name: str) -> orders.Order:
        return orders.by_id(self.orders[name])

    def wait_until_idle(self) -> None:
        """Relay and workers do all that is due."""
        while True:
            due_runs, _, claimed = relay.dispatch(reactions.REACTIONS, broadcasts.messages)
            for due in due_runs:
                reactions.run(due.run_id)
            if not claimed:
                return

    def _new(self, name: str, quantity: int = 1) -> None:
        self.orders[name] = people.order(self.vase, quantity).id

    def _paid(self, name: str, quantity: int = 1) -> Payment:
        self._new(name, quantity)
        payment = people.attempt(self.order(name))
        self.stripe.hears(payment)
        return payment

    def _ship(self, name: str, quantity: int | None = None) -> int:
        with transaction():
            order = orders.lock(self.orders[name])
            wanted = {order.lines[0].id: quantity} if quantity else None
            return orders.ship(order, wanted, carrier="DHL", tracking_number="0034").id
