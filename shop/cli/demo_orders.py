"""Tells the story of sixty days of orders, so that lists and the dashboard are alive.

Each order is placed, paid at the Stripe stand-in, shipped and so on by the shop's own operations,
with the clock set to when it happened. Orders that are there already are left alone.
"""

import json
import random
import secrets
from contextlib import suppress
from datetime import datetime, timedelta
from urllib.error import URLError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

from sqlalchemy import select

from shop import cart as carts
from shop import checkout, customers, inventory, orders, payments
from shop.catalog.models import Product, Variant
from shop.catalog.sale import is_on_sale
from shop.core import clock
from shop.core.actor import GUEST, SYSTEM, Actor, acting_as
from shop.core.db import session, transaction
from shop.core.errors import DomainError
from shop.customers.models import Customer
from shop.inventory.models import StockLevel

DAYS = 60
SEED = 7
# Orders above this share of luck come back.
EXPIRED = 0.05
CANCELLED = 0.10
RETURNED = 0.96
# One buyer of so many makes an account.
EVERY = 7
LATELY = timedelta(days=2, hours=12)
WELCOME, WITH_CODE = "WELCOME10", 0.2
PACKER = Actor("staff", None, "Mara Lindt")
PEOPLE = (
    ("Noah de Vries", "Prinsengracht 263", "1016 GV", "Amsterdam", "NL"),
    ("Freja Lund", "Nyhavn 12", "1051", "København", "DK"),
    ("Luca Moretti", "Via Garibaldi 9", "20121", "Milano", "IT"),
    ("Aoife Byrne", "12 Camden Street", "D02 X285", "Dublin", "IE"),
    ("Jonas Weber", "Sternstraße 41", "20357", "Hamburg", "DE"),
    ("Ines Duarte", "Rua das Flores 80", "4050-262", "Porto", "PT"),
    ("Clara Novak", "Vinohradská 52", "120 00", "Praha", "CZ"),
    ("Emil Sandström", "Götgatan 15", "116 46", "Stockholm", "SE"),
    ("Marie Dubois", "12 rue de la Paix", "75002", "Paris", "FR"),
    ("Paul Gruber", "Mariahilfer Straße 7", "1060", "Wien", "AT"),
    ("Sofia Herrera", "Calle Mayor 21", "28013", "Madrid", "ES"),
    ("Lena Fischer", "Schillerplatz 3", "01309", "Dresden", "DE"),
)
CARRIERS = (("DHL", "00340434"), ("DPD", "0150534"), ("GLS", "5062"))


def load(stripe_api_base: str) -> str:
    """Load the orders that are missing. Returns a sentence saying how many.

    Needs the Stripe stand-in at ``stripe_api_base`` to pay at: nothing is ever invented at Stripe.
    """
    if not stripe_api_base:
        return (
            "Demo orders are left out: they are paid at the Stripe stand-in, which is not set up."
        )
    chance = random.Random(SEED)
    now = clock.now()
    loaded = 0
    for number, placed_at in enumerate(_moments(chance, now), start=1):
        story = random.Random(f"{SEED}:{number}")
        if _is_loaded(number):
            continue
        try:
            _simulate(story, number, placed_at, now, stripe_api_base)
        except URLError:
            return f"{loaded} demo orders were made; then the Stripe stand-in did not answer."
        loaded += 1
    loaded += _leave_one_unpaid(now)
    return f"{loaded} demo orders."


def _moments(chance: random.Random, now: datetime) -> list[datetime]:
    """When people ordered: more often lately, and by day more than by night."""
    moments = []
    for days_ago in range(DAYS, -1, -1):
        for _ in range(chance.choice((1, 1, 2, 2, 3)) + (days_ago < 20)):
            hour = min(23, max(0, round(chance.gauss(15, 4))))
            moment = (now - timedelta(days=days_ago)).replace(
                hour=hour, minute=chance.randrange(60), second=chance.randrange(60)
            )
            if moment < now - timedelta(minutes=20):
                moments.append(moment)
    return sorted(moments)


def _email(number: int) -> str:
    name = PEOPLE[number % len(PEOPLE)][0].split()[0].lower()
    return f"{name}.{number}@example.org"


def _is_loaded(number: int) -> bool:
    with transaction():
        return bool(
            session.scalar(select(orders.Order.id).where(orders.Order.email == _email(number)))
        )


def _simulate(
    story: random.Random, number: int, placed_at: datetime, now: datetime, api_base: str
) -> None:
    """One order from placing to where it would be by now."""
    with clock.freeze(placed_at), acting_as(GUEST), transaction():
        order = _place(story, number)
        ending = story.random()
        if ending >= EXPIRED:
            # A running relay would expire it before this story pays for it.
            orders.extend_reservation(order, until=now + timedelta(hours=1))
    if ending < EXPIRED:
        with clock.freeze(placed_at + timedelta(hours=1)), acting_as(SYSTEM), transaction():
            orders.expire(orders.lock(order.id))
        return
    with clock.freeze(placed_at + timedelta(minutes=2)), acting_as(GUEST):
        started = payments.start(order.id)
        _confirm(api_base, started)
        payments.sync_payment(started.payment_id)
    age = now - placed_at
    if ending < CANCELLED:
        cancelled_at = placed_at + timedelta(hours=3)
        if cancelled_at < now:
            with clock.freeze(cancelled_at), acting_as(PACKER):
                with transaction():
                    payments.cancel_order(orders.lock(order.id), reason="customer")
                _send_refunds(order.id)
        return
    if number % EVERY == 0:
        with clock.freeze(placed_at + timedelta(minutes=9)):
            _make_account(order)
    arrived_at = _fulfil(story, order.id, placed_at, age)
    returned_at = arrived_at + timedelta(days=2) if arrived_at else now
    if ending > RETURNED and returned_at < now:
        with clock.freeze(returned_at), acting_as(PACKER):
            with transaction():
                kept = orders.lock(order.id)
                line = kept.lines[0].id
                back = payments.Wanted(lines={line: 1}, restock=frozenset({line}))
                payments.request_refund(
                    kept, back, reason="returned", source=payments.RefundSource.STAFF
                )
            _send_refunds(order.id)


def _make_account(order: orders.Order) -> None:
    """The buyer chose a password on the order's page, and followed the emailed link."""
    with transaction():
        customers.register(order.email, secrets.token_urlsafe(), order.customer_name)
        found = session.scalars(select(Customer).where(Customer.email == order.email)).one()
        found.created_at = found.confirmed_at = clock.now()
        orders.adopt(found.id, found.email)


def _send_refunds(order_id: int) -> None:
    """Send refunds right away: a worker would date them today."""
    for refund in payments.refunds_of(order_id):
        payments.send_refund(refund.id)


def _leave_one_unpaid(now: datetime) -> int:
    """Somebody who is looking for the card just now; the reservation expires."""
    if _is_loaded(0):
        return 0
    with clock.freeze(now - timedelta(minutes=2)), acting_as(GUEST), transaction():
        _place(random.Random(SEED), 0)
    return 1


def _fulfil(
    story: random.Random, order_id: int, placed_at: datetime, age: timedelta
) -> datetime | None:
    """Pack, ship and deliver as far as it would be by now. Returns when all of it arrived."""
    packed = timedelta(hours=story.randrange(4, 30))
    shipped = packed + timedelta(hours=story.randrange(1, 20))
    delivered = shipped + timedelta(days=story.randrange(2, 5))
    carrier, prefix = story.choice(CARRIERS)
    if age > packed:
        with clock.freeze(placed_at + packed), acting_as(PACKER), transaction():
            orders.start_processing(orders.lock(order_id))
    if age > shipped:
        with clock.freeze(placed_at + shipped), acting_as(PACKER), transaction():
            order = orders.lock(order_id)
            # Of a late order with several items one went ahead, and the rest waits.
            goes_ahead = age < LATELY and order.item_count > 1
            fulfilment = orders.ship(
                order,
                {order.lines[0].id: 1} if goes_ahead else None,
                carrier=carrier,
                tracking_number=f"{prefix}{story.randrange(10**9, 10**10)}",
            )
        if goes_ahead:
            return None
    if age > delivered:
        with clock.freeze(placed_at + delivered), acting_as(PACKER), transaction():
            orders.mark_delivered(orders.lock(order_id), fulfilment.id)
        return placed_at + delivered
    return None


def _place(story: random.Random, number: int) -> orders.Order:
    name, line1, postal_code, city, country = PEOPLE[number % len(PEOPLE)]
    cart = carts.open_cart()
    offered = _on_sale()
    kinds = min(story.choice((1, 1, 1, 2, 2, 3)), len(offered))
    for variant_id in story.sample(offered, kinds):
        quantity = story.choice((1, 1, 1, 2))
        # What the story sells was delivered for it, so that today's stock is the catalogue's.
        with acting_as(PACKER):
            inventory.receive(variant_id, quantity, reason="delivery")
        carts.add(cart, variant_id, quantity)
    if story.random() < WITH_CODE:
        with suppress(DomainError):  # the cart may be too small for it
            checkout.apply_code(cart, WELCOME)
    checkout.set_contact(
        cart,
        email=_email(number),
        address={
            "name": name,
            "line1": line1,
            "postal_code": postal_code,
            "city": city,
            "country": country,
        },
    )
    checkout.set_method(cart, "standard" if country in {"DE", "AT"} else "europe")
    return checkout.place_order(cart.id)


def _on_sale() -> list[int]:
    """Variants that were never out of stock, by SKU; the story leaves sold-out ones sold out."""
    return list(
        session.scalars(
            select(Variant.id)
            .join(Product, Product.id == Variant.product_id)
            .join(StockLevel, StockLevel.variant_id == Variant.id)
            .where(is_on_sale(clock.now()))
            .where(Variant.archived_at.is_(None), StockLevel.on_hand > 0)
            .order_by(Variant.sku)
        )
    )


def _confirm(api_base: str, started: payments.Started) -> None:
    """Pay as a browser would, with the stand-in's card that always works."""
    intent_id = started.client_secret.partition("_secret")[0]
    form = {
        "key": started.publishable_key,
        "client_secret": started.client_secret,
        "payment_method_data[type]": "card",
        "payment_method_data[card][number]": "4242424242424242",
        "payment_method_data[card][exp_month]": "12",
        "payment_method_data[card][exp_year]": "2034",
        "payment_method_data[card][cvc]": "123",
        "return_url": "http://localhost/",
    }
    request = Request(
        f"{api_base}/v1/payment_intents/{intent_id}/confirm", urlencode(form).encode()
    )
    with urlopen(request, timeout=15) as answer:
        json.load(answer)
