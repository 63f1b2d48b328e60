"""The named cast: a mug, a lamp, Ada, and the orders they lead to. Made by operations."""

from datetime import timedelta
from decimal import Decimal
from functools import cached_property
from typing import Any

from shop import cart as carts
from shop import catalog, checkout, customers, inventory, orders
from shop.catalog.models import Product, Variant
from shop.core import clock
from shop.core.db import session, transaction
from shop.customers.models import Customer
from shop.payments import attempts, intents
from shop.payments.models import Payment, Refund
from shop.payments.stripe_objects import Intent, Movement, SentDispute, SentRefund

PASSWORD = "correct horse battery"
ADDRESS = {
    "name": "Ada Lovelace",
    "line1": "Unter den Linden 1",
    "city": "Berlin",
    "postal_code": "10117",
    "country": "DE",
}


def product(name: str, *, price_minor: int = 1900, stock: int = 10, **details: Any) -> Variant:
    """A product on sale with one variant. Returns the variant."""
    # Since yesterday: inside one long test transaction the database's now() stands still.
    with clock.freeze(clock.now() - timedelta(days=1)), transaction():
        made: Product = catalog.create_product(name, **details)
        variant = catalog.add_variant(
            made, sku=name.upper().replace(" ", "-"), price_minor=price_minor
        )
        catalog.publish(made)
        session.flush()
        if stock:
            inventory.receive(variant.id, stock, reason="opening stock")
    return variant


def customer(email: str, name: str) -> Customer:
    """Somebody with a confirmed account and the password ``PASSWORD``."""
    with transaction():
        customers.register(email, PASSWORD, name)
        found = session.query(Customer).filter_by(email=email).one()
        found.confirmed_at = clock.now()
    return found


def filled_cart(
    variant: Variant,
    quantity: int = 1,
    *,
    customer_id: int | None = None,
    email: str = "ada@example.com",
) -> carts.Cart:
    """A cart that is ready to order: contact, address and method are given."""
    with transaction():
        cart = carts.open_cart(customer_id)
        carts.add(cart, variant.id, quantity)
        checkout.set_contact(cart, email=email, address=ADDRESS)
        checkout.set_method(cart, "standard")
    return cart


def order(variant: Variant, quantity: int = 1, *, customer_id: int | None = None) -> orders.Order:
    """An unpaid order that reserves its stock."""
    cart = filled_cart(variant, quantity, customer_id=customer_id)
    with transaction():
        return checkout.place_order(cart.id)


def attempt(of: orders.Order, *, capture: str = "automatic") -> Payment:
    """A started payment, as after a visit to Stripe."""
    with transaction():
        payment = attempts.open_payment(orders.lock(of.id), capture=capture)
        attempts.attach_intent(payment.id, intent(payment, "requires_payment_method"))
    return payment


def intent(payment: Payment, status: str = "succeeded", **changes: Any) -> Intent:
    """What Stripe would say of this payment."""
    authorised = status == "requires_capture"
    facts: dict[str, Any] = {
        "id": f"pi_{payment.id}",
        "status": status,
        "client_secret": f"pi_{payment.id}_secret",
        "amount_minor": payment.amount_minor,
        "received_minor": payment.amount_minor if status == "succeeded" else 0,
        "currency": payment.currency,
        "capturable_minor": payment.amount_minor if authorised else 0,
        "capture_before": clock.now() + timedelta(days=7) if authorised else None,
        "charge_id": f"ch_{payment.id}" if authorised or status == "succeeded" else "",
        "charged_at": clock.now(),
        "card_brand": "visa",
        "card_last4": "4242",
        "failure": "",
        "failure_reference": "",
        "email": "ada@example.com",
        "metadata": {"payment": payment.key},
    }
    return Intent(**facts | changes)


def sent(refund: Refund, status: str = "succeeded", **changes: Any) -> SentRefund:
    """What Stripe would say of this refund."""
    facts: dict[str, Any] = {
        "id": refund.stripe_id or f"re_{refund.id}",
        "intent_id": f"pi_{refund.payment_id}",
        "status": status,
        "amount_minor": refund.amount_minor,
        "currency": refund.currency,
        "failure": "",
        "created": clock.now(),
        "metadata": {"refund": refund.key, "attempt": str(refund.attempt)},
    }
    return SentRefund(**facts | changes)


Moved = tuple[str, int, int]  # id, amount, fee


def moved(given: Moved, currency: str = "EUR", rate: str | None = None) -> Movement:
    """What a dispute moved in Stripe's balance: below zero what it took."""
    stripe_id, amount, fee = given
    return Movement(
        id=stripe_id,
        source="du_1",
        amount_minor=amount,
        fee_minor=fee,
        currency=currency,
        rate=Decimal(rate) if rate else None,
        created=clock.now(),
    )


def dispute(payment: Payment, status: str, *facts: Moved, **changes: Any) -> SentDispute:
    """What Stripe would say of a dispute that moved these; all of its amount unless given."""
    amount = changes.get("amount_minor", payment.amount_minor)
    if not facts and not status.startswith("warning") and status != "prevented":
        back = (("txn_back", amount, 0),) if status == "won" else ()
        facts = (("txn_out", -amount, 1500), *back)
    values: dict[str, Any] = {
        "id": "du_1",
        "intent_id": payment.intent_id or "",
        "charge_id": f"ch_{payment.id}",
        "status": status,
        "amount_minor": payment.amount_minor,
        "currency": "EUR",
        "reason": "product_not_received",
        "due_by": clock.now() + timedelta(days=9),
        "created": clock.now(),
        "is_charge_refundable": status.startswith("warning"),
        "movements": tuple(moved(fact) for fact in facts),
    }
    return SentDispute(**values | changes)


def pay(of: orders.Order) -> Payment:
    """Pay an order, as Stripe's message would."""
    payment = attempt(of)
    with transaction():
        intents.apply_intent(payment.id, intent(payment))
    return payment


def expire(of: orders.Order) -> None:
    """Nobody pays it in time."""
    with clock.freeze(of.expires_at + timedelta(seconds=1)), transaction():
        orders.expire(orders.lock(of.id))


class Cast:
    """Everybody by name; each is made when first asked for."""

    @cached_property
    def mug(self) -> Variant:
        return product("Tidal mug", price_minor=1900, stock=10)

    @cached_property
    def lamp(self) -> Variant:
        return product("Pebble lamp", price_minor=8900, stock=2)

    @cached_property
    def ada(self) -> Customer:
        return customer("ada@example.com", "Ada Lovelace")

    @cached_property
    def bruno(self) -> Customer:
        return customer("bruno@example.com", "Bruno Latour")

    @cached_property
    def unpaid_order(self) -> orders.Order:
        return order(self.mug, 2)

    @cached_property
    def paid_order(self) -> orders.Order:
        made = order(self.mug, 2)
        pay(made)
        return made
