"""A shop under random use: buyers, staff, card holders, banks, lost and doubled messages, crashes.

Every step runs the shop's own operations and procedures on Postgres. What a step may change is
given to the model as a list of transitions; a step that dies half-way must have left the database
after one of them: nothing in between. All of an example happens in one transaction that is rolled
back, so time is let pass by setting what waits to "due now".
"""

import pickle
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from sqlalchemy import Connection, Engine, text

from shop import cart as carts
from shop import catalog, checkout, discounts, inventory, orders, payments, reactions
from shop.core import db, relay
from shop.core.actor import SYSTEM, Actor, acting_as
from shop.core.db import session, transaction
from shop.core.errors import DomainError
from shop.core.reaction_runs import run_reaction
from shop.notifications.events import MailQueued
from shop.payments import (
    disputes,
    intents,
    reconciled_money,
    refund_news,
    stripe_client,
    stripe_gateway,
)
from shop.payments.models import DisputeStatus
from tests.cast import ADDRESS
from tests.properties import invariants
from tests.properties.bank import CARDS, Bank
from tests.properties.model import Giving, Level, Line, Model, Sale

# Emails are written, but no server is asked to send them.
REACTIONS = {
    event: follows for event, follows in reactions.REACTIONS.items() if event != MailQueued
}
ROUNDS = 12
KEPT = "money kept"
SNAPSHOT = """
SELECT jsonb_build_object(
    'levels', (SELECT coalesce(jsonb_object_agg(variant_id,
        jsonb_build_array(on_hand, reserved, committed)), '{}') FROM stock_level),
    'orders', (SELECT coalesce(jsonb_object_agg(o.id, jsonb_build_array(o.status,
        coalesce((SELECT sum(captured_minor) FROM payment WHERE order_id = o.id), 0),
        coalesce((SELECT sum(refunding_minor) FROM payment WHERE order_id = o.id), 0))), '{}')
        FROM "order" o),
    'lines', (SELECT coalesce(jsonb_object_agg(id,
        jsonb_build_array(quantity, shipped, cancelled, refunded)), '{}') FROM order_line),
    'refunds', (SELECT coalesce(jsonb_object_agg(id,
        jsonb_build_array(status, amount_minor, attempt)), '{}') FROM refund),
    'disputes', (SELECT coalesce(jsonb_object_agg(d.stripe_id, jsonb_build_array(d.status,
        (SELECT coalesce(sum(CASE e.kind WHEN 'dispute_withdrawn' THEN e.amount_minor
                                         WHEN 'dispute_reinstated' THEN -e.amount_minor END), 0)
         FROM payment_event e WHERE e.dispute_id = d.id))), '{}') FROM dispute d),
    'refund_keys', (SELECT coalesce(jsonb_object_agg(id, key), '{}') FROM refund))
"""
SPENT = """
SELECT coalesce(sum(key_attempt - 1), 0)::int
FROM (SELECT key_attempt FROM payment UNION ALL SELECT key_attempt FROM refund) k
"""
WAITED = text("""
UPDATE delivery SET due_at = now(), lease_until = NULL, attempts = least(attempts, 4)
WHERE state = 'due'
""")

WHO = st.integers(0, 2)
WHICH = st.integers(0, 11)
CODE = st.sampled_from([None, None, None, 0, 1, 2, 3])
CARD = st.sampled_from([*CARDS, "good", "good"])
CLAIM = st.sampled_from(["needs_response", "needs_response", "warning_needs_response", "prevented"])
CRASH = st.sampled_from([None] * 8 + [1, 2, 3, 4, 5, 6, 8])
AWAY = st.sampled_from([False] * 7 + [True])
BUYER = Actor("customer", None, "Buyer")
CALLER_OFF = st.sampled_from([SYSTEM, BUYER])
WRITES = (
    "/v1/payment_intents",
    "/v1/payment_intents/*/capture",
    "/v1/payment_intents/*/cancel",
    "/v1/refunds",
)
Transition = Callable[[], None]


class Crash(BaseException):
    """The process is gone."""


class Fuse:
    """Counts checkpoints (around commits and calls to Stripe) and ends the process at the nth."""

    def __init__(self) -> None:
        self.left: int | None = None

    def checkpoint(self, _name: str) -> None:
        if self.left is not None:
            self.left -= 1
            if self.left <= 0:
                self.left = None
                raise Crash


class Ground:
    """A database with three things on sale and codes for them, committed once for all examples."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.fuse = Fuse()
        self.variants: list[int] = []
        self.codes = ("TENTH", "ONCE", "GIFT", "POST")
        self._stock()
        engine.dispose()
        self.connection = engine.connect()
        driver: Any = self.connection.connection.driver_connection
        driver.prepare_threshold = None  # else psycopg forgets ours with every rollback
        with self.connection.begin():
            invariants.prepare(self.connection)
            self.connection.exec_driver_sql(f"PREPARE snapshot AS {SNAPSHOT}")

    def _stock(self) -> None:
        goods = (
            ("Mug", 1999, 9, "standard"),
            ("Lamp", 8901, 3, "standard"),
            ("Tea", 333, 5, "reduced"),
        )
        with transaction():
            for name, price, stock, tax in goods:
                made = catalog.create_product(name, tax_class=tax)
                variant = catalog.add_variant(made, sku=name.upper(), price_minor=price)
                catalog.publish(made)
                session.flush()
                inventory.receive(variant.id, stock, reason="opening stock")
                self.variants.append(variant.id)
            variant.backorder_allowed = True
            inventory.allow_backorder(variant.id, True)
        offers = (
            (discounts.Draft("TENTH", "percentage", 1_000, limit_total=2), None),
            (discounts.Draft("ONCE", "fixed", 777, limit_per_customer=1, lane="last"), 2),
            (discounts.Draft("GIFT", "percentage", 10_000, limit_total=1, lane="first"), 1),
            (discounts.Draft("POST", "free_shipping", limit_total=3), None),
        )
        with transaction():
            for draft, limit in offers:
                discount = discounts.create_discount(draft, currency="EUR")
                discounts.add_code(discount, draft.name, limit=limit)

    @contextmanager
    def example(self) -> Iterator[Connection]:
        """Everything inside is undone."""
        outer = self.connection.begin()
        db.bind(self.connection)
        catalog.clear_cache()
        discounts.clear_cache()
        try:
            yield self.connection
        finally:
            self.fuse.left = None
            db.bind(self.engine)
            outer.rollback()

    def close(self) -> None:
        """Give the connection back."""
        self.connection.close()


class Shop(RuleBasedStateMachine):
    """The rules. ``ground`` is set by the test; ``tally`` says what came of all examples."""

    ground: ClassVar[Ground]
    tally: ClassVar[Counter[str]] = Counter()

    def __init__(self) -> None:
        super().__init__()
        self.fuse = self.ground.fuse
        self.bank = Bank(self.fuse.checkpoint)
        stripe_client._client = self.bank  # type: ignore[assignment]
        self._example = self.ground.example()
        self._example.__enter__()
        self.model = Model()
        self.carts: dict[int, int] = {}
        self.held_by: dict[int, int | None] = {}
        self.secrets: list[tuple[int, str]] = []
        self.letters: list[tuple[bytes, str]] = []
        self.read: list[tuple[Callable[[], Any], tuple[str, dict[str, Any]]]] = []

    def teardown(self) -> None:
        """Undo everything."""
        self.tally["examples"] += 1
        self.tally["keys spent"] += self.ground.connection.scalar(text(SPENT)) or 0
        self.tally.update(
            [f"order {sale.status}" for sale in self.model.sales.values()]
            + [f"refund {giving.status}" for giving in self.model.givings]
            + [
                f"refund {giving.status} made at Stripe"
                for giving in self.model.givings
                if giving.is_external
            ]
            + [f"payment {m.status}" for s in self.model.sales.values() for m in s.intents.values()]
            + [f"dispute {dispute['status']}" for dispute in self.bank.all("dispute")]
        )
        checkout.configure(replace(checkout.terms(), prices_include_tax=True))
        self._example.__exit__(None, None, None)

    @initialize(
        first=st.sampled_from([(3, 0, 1), (2, 2, 0), (1, 0, 0)]), manual=AWAY, net=st.booleans()
    )
    def open_the_shop(self, first: tuple[int, ...], manual: bool, net: bool) -> None:
        """What is on the shelves at first, whether prices are ``net``, and the first sale."""
        checkout.configure(replace(checkout.terms(), prices_include_tax=not net))
        snapshot = self._snapshot()
        backorder = self.ground.variants[2]
        for variant, (on_hand, _, _) in snapshot["levels"].items():
            level = Level(on_hand, backorder=int(variant) == backorder)
            self.model.levels[int(variant)] = level
        self.buy(who=0, units=first, code=None, manual=manual, card="good", far=4)

    # Buyers.

    @rule(
        who=WHO,
        units=st.tuples(st.integers(0, 3), st.integers(0, 2), st.integers(0, 3)),
        code=CODE,
        manual=AWAY,
        card=CARD,
        far=st.integers(0, 5),
    )
    def buy(
        self,
        who: int,
        units: tuple[int, ...],
        code: int | None,
        manual: bool,
        card: str,
        far: int,
    ) -> None:
        """A buyer goes from the shelf as far as ``far`` towards a synced payment, undisturbed."""
        cart = self._cart(who)
        for variant, quantity in zip(self.ground.variants, units, strict=True):
            if quantity:
                self.step(partial(_fill, cart, variant, quantity))
        if code is not None:
            self._use_code(cart, code)
        if far >= 1:
            self.place(who=who, crash=None)
        mine = [n for n, sale in self.model.sales.items() if sale.status == "pending"]
        if far >= 2 and mine:
            self.start_paying(which=0, manual=manual, crash=None, away=False)
        if far >= 3 and mine and self.secrets and self.secrets[-1][0] == mine[-1]:
            self.bank.confirm(self.secrets[-1][1], card)
            self.letters += self.bank.news()
            if far >= 4:
                self.step(lambda: payments.sync_order(mine[-1]), procedure=True)

    @rule(
        who=WHO,
        units=st.integers(1, 2),
        more=st.integers(3, 4),
        card=CARD,
        hears=st.booleans(),
        slowly=st.booleans(),
    )
    def pay_in_the_old_tab(
        self, who: int, units: int, more: int, card: str, hears: bool, slowly: bool
    ) -> None:
        """A buyer orders, changes the cart, orders again, and pays the first order after all."""
        self.buy(who=who, units=(units, 0, 0), code=None, manual=False, card=card, far=2)
        if not self.secrets:
            return
        first, intent = self.secrets[-1]
        self.change_cart(who=who, which=0, units=more, code=None)
        self.place(who=who, crash=None)
        self.bank.confirm(intent, card, slowly=slowly)
        self.letters += self.bank.news()
        if hears:
            self.step(lambda: payments.sync_order(first), procedure=True)

    @rule(who=WHO, which=WHICH, units=st.integers(0, 4), code=CODE)
    def change_cart(self, who: int, which: int, units: int, code: int | None) -> None:
        """A buyer changes their mind; none at all takes it out; or types a discount code."""
        cart_id = self._cart(who)

        def change() -> None:
            cart = carts.lock(cart_id)
            lines = carts.view(cart).lines
            if not lines:
                carts.add(cart, self.ground.variants[which % 3], units or 1)
            elif units:
                carts.set_quantity(cart, lines[which % len(lines)].item_id, units)
            else:
                carts.remove(cart, lines[which % len(lines)].item_id)

        if code is None:
            self.step(change)
        else:
            self._use_code(cart_id, code)

    @rule(who=WHO, crash=CRASH)
    @precondition(lambda self: self.carts)
    def place(self, who: int, crash: int | None) -> None:
        """A buyer orders what is in the cart (or presses again)."""
        cart_id = self._cart(who)
        view = carts.view(session.get_one(carts.Cart, cart_id))
        earlier = view.order_id
        session.remove()
        wanted = {line.variant_id: line.quantity for line in view.lines}
        before = self.model.live_before(earlier)

        def free(variant: int) -> bool:
            level = self.model.levels[variant]
            own = (
                sum(one.open for one in before.lines.values() if one.variant == variant)
                if before and before.status == "pending"
                else 0
            )
            return level.backorder or wanted[variant] <= level.free + own

        def ordered() -> None:
            for order_id, sale in self._unknown_orders():
                units: dict[int, int] = {}
                for line in sale.lines.values():
                    units[line.variant] = units.get(line.variant, 0) + line.quantity
                assert units == wanted, "what was ordered is not what was in the cart"
                assert all(map(free, units)), "sold what there is not"
                self.model.place(order_id, sale, instead_of=earlier)

        refused = self.step(lambda: checkout.place_order(cart_id), ordered, crash=crash)
        if wanted and isinstance(refused, inventory.OutOfStock | checkout.CartProblems):
            assert not all(map(free, wanted)), f"{refused}, while there is enough: {wanted}"

    @rule(which=WHICH, manual=st.booleans(), crash=CRASH, away=AWAY)
    @precondition(lambda self: self.model.sales)
    def start_paying(self, which: int, manual: bool, crash: int | None, away: bool) -> None:
        """A buyer opens the payment page."""
        order_id = self._sale(which)
        stripe_client._capture = "manual" if manual else "automatic"

        def begin() -> None:
            started = payments.start(order_id)
            self.secrets.append((order_id, started.client_secret.partition("_secret")[0]))

        self.step(begin, crash=crash, away=away, procedure=True)

    @rule(which=WHICH, card=CARD, slowly=AWAY)
    @precondition(lambda self: self.secrets)
    def pay(self, which: int, card: str, slowly: bool) -> None:
        """A card holder pays at Stripe, whatever the shop thinks of the order by then."""
        self.bank.confirm(self.secrets[which % len(self.secrets)][1], card, slowly=slowly)

    @rule(which=WHICH, by=st.sampled_from([-1, 1, 500]))
    @precondition(lambda self: self.secrets)
    def ask_for_another_amount(self, which: int, by: int) -> None:
        """Somebody changes at Stripe what an attempt asks for."""
        self.bank.change_amount(self.secrets[which % len(self.secrets)][1], by)

    @rule(which=WHICH)
    @precondition(lambda self: self.secrets)
    def bank_accepts(self, which: int) -> None:
        """A payment that was processing goes through."""
        self.bank.settle(self.secrets[which % len(self.secrets)][1])

    @rule(which=WHICH)
    @precondition(lambda self: self.secrets)
    def bank_refuses(self, which: int) -> None:
        """A payment that was processing fails after all."""
        self.bank.fail(self.secrets[which % len(self.secrets)][1])

    @rule(which=WHICH, crash=CRASH)
    @precondition(lambda self: self.model.sales)
    def come_back(self, which: int, crash: int | None) -> None:
        """The buyer returns from Stripe to the shop's page."""
        order_id = self._sale(which)
        self.step(lambda: payments.sync_order(order_id), crash=crash, procedure=True)

    # Staff.

    @rule(which=WHICH, who=CALLER_OFF, crash=CRASH)
    @precondition(lambda self: self.model.sales)
    def cancel(self, which: int, who: Actor, crash: int | None) -> None:
        """Somebody calls an order off."""
        order_id = self._sale(which)
        sale = self.model.sales[order_id]
        may = sale.status in {"pending", "confirmed"} and sale.is_unsent
        with acting_as(who):
            self.step(
                lambda: payments.cancel_order(orders.lock(order_id), reason="customer"),
                lambda: self.model.cancel(order_id, by_customer=who is BUYER),
                crash=crash,
                expected=may and not self._is_held_back(sale),
            )

    @rule(
        which=WHICH,
        first=st.integers(0, 3),
        second=st.integers(0, 3),
        who=CALLER_OFF,
        keep=AWAY,
        crash=CRASH,
    )
    @precondition(lambda self: self._with({"confirmed"}))
    def cancel_lines(
        self, which: int, first: int, second: int, who: Actor, keep: bool, crash: int | None
    ) -> None:
        """Units are taken out of a paid order; now and then staff ``keep`` their money."""
        order_id = self._sale(which, {"confirmed"})
        units = {n: q for n, q in self._units(order_id, (first, second)).items() if q}
        said = KEPT if keep else "customer"
        with acting_as(who):
            self.step(
                lambda: payments.cancel_lines(
                    orders.lock(order_id), units, reason=said, refund=not keep
                ),
                lambda: self.model.cancel_lines(
                    order_id, units, keep=keep, by_customer=who is BUYER
                ),
                crash=crash,
            )

    @rule(which=WHICH, first=st.integers(0, 3), second=st.integers(0, 3), crash=CRASH)
    @precondition(lambda self: self._with({"confirmed"}))
    def ship(self, which: int, first: int, second: int, crash: int | None) -> None:
        """A shipment leaves with some units, or with all that are open."""
        order_id = self._sale(which, {"confirmed"})
        sale = self.model.sales[order_id]
        units = self._units(order_id, (first, second))
        if not any(units.values()):
            units = {n: line.open for n, line in sale.lines.items() if line.open}

        def shipped() -> None:
            known = set(sale.fulfilments)
            new = session.scalars(
                text("SELECT id FROM fulfilment WHERE order_id = :id"), {"id": order_id}
            ).all()
            for fulfilment in set(new) - known:
                self.model.ship(order_id, units, fulfilment)

        authorised = any(money.status == "authorised" for money in sale.intents.values())
        paid = any(money.captured for money in sale.intents.values())
        paid = paid or (sale.is_free and not authorised)
        enough = all(self._here_for(order_id, sale.lines[n].variant) >= q for n, q in units.items())
        fits = all(0 <= q <= sale.lines[n].open for n, q in units.items()) and any(units.values())
        refused = self.step(lambda: orders.ship(orders.lock(order_id), units), shipped, crash=crash)
        if refused is not None:
            assert not (paid and enough and fits), f"cannot ship: {refused}"
        elif crash is None:
            assert paid, "sent before its money was captured"
            assert enough, "sent what belongs to orders that were paid before"

    @rule(which=WHICH)
    @precondition(lambda self: any(s.fulfilments for s in self.model.sales.values()))
    def arrive(self, which: int) -> None:
        """A shipment arrives."""
        fulfilments = [(n, p) for n, s in self.model.sales.items() for p in s.fulfilments]
        order_id, fulfilment = fulfilments[which % len(fulfilments)]
        self.step(
            lambda: orders.mark_delivered(orders.lock(order_id), fulfilment),
            lambda: self.model.deliver(order_id, fulfilment),
        )

    @rule(
        which=WHICH,
        first=st.integers(0, 3),
        second=st.integers(0, 2),
        shipping=st.sampled_from([0, 0, 1, 10_000]),
        amount=st.sampled_from([None, None, None, 1, 500, 100_000]),
        restock=st.sampled_from([(), (0,), (0, 1)]),
        had=st.booleans(),
        crash=CRASH,
    )
    @precondition(lambda self: self.taken())
    def refund(
        self,
        which: int,
        first: int,
        second: int,
        shipping: int,
        amount: int | None,
        restock: tuple[int, ...],
        had: bool,
        crash: int | None,
    ) -> None:
        """Staff give money back: units, shipping, an amount; with or without the goods."""
        taken = self.taken()
        order_id = taken[which % len(taken)]
        sale = self.model.sales[order_id]
        units = self._units(order_id, (first, second))
        ids = list(sale.lines)
        chosen = frozenset(ids[n] for n in restock if n < len(ids) and units.get(ids[n]))
        shipping = self.model.shipping_left(order_id) if shipping == 10_000 else shipping
        wanted = payments.Wanted(units, shipping, amount, chosen)
        self.step(
            lambda: payments.request_refund(
                orders.lock(order_id), wanted, reason="returned" if had else "not delivered"
            ),
            lambda: self.model.refund(order_id, units, shipping, amount, chosen, had=had),
            crash=crash,
        )

    @rule(which=WHICH, crash=CRASH)
    @precondition(lambda self: any(g.status == "failed" for g in self.model.givings))
    def retry_refund(self, which: int, crash: int | None) -> None:
        """Staff try a refund that failed again."""
        failed = [g for g in self.model.givings if g.status == "failed"]
        giving = failed[which % len(failed)]
        self.step(
            lambda: payments.retry_refund(giving.id or 0),
            lambda: self.model.retry(self._same(giving)),
            crash=crash,
        )

    @rule(which=WHICH, part=st.sampled_from([None, None, 1, 700]), crash=CRASH, away=AWAY)
    @precondition(lambda self: self.authorised())
    def capture(self, which: int, part: int | None, crash: int | None, away: bool) -> None:
        """Staff take money that was authorised, or a part of it."""
        authorised = self.authorised()
        payment = self._payment(authorised[which % len(authorised)]) or 0
        self.step(lambda: payments.capture(payment, part), crash=crash, away=away, procedure=True)

    @rule(which=WHICH, crash=CRASH)
    @precondition(lambda self: self.authorised())
    def void(self, which: int, crash: int | None) -> None:
        """Staff let go of money that was authorised."""
        authorised = self.authorised()
        payment = self._payment(authorised[which % len(authorised)]) or 0
        self.step(lambda: payments.void(payment), crash=crash, procedure=True)

    @rule(what=st.integers(0, 2), delta=st.sampled_from([-9, -3, -1, 1, 4]), crash=CRASH)
    def adjust(self, what: int, delta: int, crash: int | None) -> None:
        """Somebody broke or found something; most of it is a delivery."""
        variant = self.ground.variants[what]
        level = self.model.levels[variant]
        self.step(
            lambda: (
                inventory.adjust(variant, delta, reason="correction")
                if delta < 4
                else inventory.receive(variant, delta)
            ),
            lambda: self.model.move(variant, delta),
            crash=crash,
            expected=level.on_hand + delta >= 0
            and (delta > 0 or level.backorder or level.free + delta >= 0),
        )

    @rule(what=st.integers(0, 2), units=st.integers(0, 8))
    def count(self, what: int, units: int) -> None:
        """A stock take."""
        variant = self.ground.variants[what]
        self.step(
            lambda: inventory.count(variant, units),
            lambda: self.model.move(variant, units - self.model.levels[variant].on_hand),
        )

    # Stripe, and what people do there.

    @rule(which=WHICH, again=st.booleans(), crash=CRASH)
    @precondition(lambda self: self.letters)
    def message(self, which: int, again: bool, crash: int | None) -> None:
        """A message of Stripe's arrives: in any order, perhaps to come a second time."""
        at = which % len(self.letters)
        body, signature = self.letters[at]
        self.step(lambda: payments.record_webhook(body, signature), crash=crash, procedure=True)
        if not again:
            del self.letters[at]

    @rule(which=WHICH)
    @precondition(lambda self: self.secrets)
    def ask_and_fall_asleep(self, which: int) -> None:
        """A worker asks Stripe about a payment and its refunds, and is slow to write it down."""
        intent = self.secrets[which % len(self.secrets)][1]
        payment = self._payment(intent)
        if payment is None:
            return  # its id was not stored yet
        self.bank.heard.clear()
        said = stripe_gateway.fetch_intent(intent)
        hears = self.bank.heard.pop()[1:]
        self.read.append((partial(intents.apply_intent, payment, said), hears))
        for stripe_id, refund in self._known_refunds(payment):
            sent = stripe_gateway.fetch_refund(stripe_id)
            hears = self.bank.heard.pop()[1:]
            self.read.append((partial(refund_news.apply_refund, refund, sent), hears))
        for stripe_id in [n for n, one in self.model.claims.items() if one.intent == intent]:
            claim = stripe_gateway.fetch_dispute(stripe_id)
            hears = self.bank.heard.pop()[1:]
            self.read.append((partial(disputes.apply_dispute, payment, claim), hears))

    @rule(which=WHICH, crash=CRASH)
    @precondition(lambda self: self.read)
    def wake_up(self, which: int, crash: int | None) -> None:
        """It writes down what it read, however long ago."""
        write, (kind, said) = self.read.pop(which % len(self.read))
        self.step(write, lambda: self._hear("get", kind, said), crash=crash)

    @rule(which=WHICH)
    @precondition(lambda self: self.letters)
    def message_lost(self, which: int) -> None:
        """A message of Stripe's never arrives."""
        del self.letters[which % len(self.letters)]

    @rule(path=st.sampled_from(WRITES), is_done=st.booleans())
    def stripe_saves_a_failure(self, path: str, is_done: bool) -> None:
        """Stripe's next answer to such a call is a failure that it saves under the key."""
        self.bank.fail_next(path, is_done=is_done)

    @rule(which=WHICH, part=st.sampled_from([1, 300, None]))
    @precondition(lambda self: self.secrets)
    def refund_at_stripe(self, which: int, part: int | None) -> None:
        """Somebody refunds money in Stripe's dashboard."""
        intent = self.secrets[which % len(self.secrets)][1]
        amount = self.bank.left(intent) if part is None else part
        if amount > 0:
            self.bank.refund(intent, amount)

    @rule(which=WHICH)
    @precondition(lambda self: self.bank.unfinished_refunds())
    def refund_ends(self, which: int) -> None:
        """A bank says whether a refund reached the card."""
        waiting = self.bank.unfinished_refunds()
        self.bank.finish_refund(waiting[which % len(waiting)])

    @rule(which=WHICH, part=st.sampled_from([None, None, 100]), status=CLAIM)
    @precondition(lambda self: self.secrets)
    def dispute(self, which: int, part: int | None, status: str) -> None:
        """A card holder's bank asks for money or takes it, perhaps for the second time."""
        self.bank.dispute(self.secrets[which % len(self.secrets)][1], part, status)

    @rule(which=WHICH, status=st.sampled_from(list(DisputeStatus)))
    @precondition(lambda self: self.bank.all("dispute"))
    def decide(self, which: int, status: str) -> None:
        """The bank decides, or opens again what it had decided."""
        made = self.bank.all("dispute")
        self.bank.move_dispute(made[which % len(made)]["id"], status)

    # Time.

    @rule(which=WHICH, really=st.booleans(), crash=CRASH, away=AWAY)
    @precondition(lambda self: self.model.sales)
    def sweep(self, which: int, really: bool, crash: int | None, away: bool) -> None:
        """Unpaid orders whose time is up are closed; first an order's time is made to be up."""
        waiting = [n for n, sale in self.model.sales.items() if sale.status == "pending"]
        if waiting and really:
            self._let_expire(waiting[which % len(waiting)])
        self._expire(crash=crash, away=away)

    @rule(crash=CRASH, away=AWAY, which=st.integers(0, 2))
    @precondition(lambda self: self.secrets)
    def reconcile(self, crash: int | None, away: bool, which: int) -> None:
        """The schedule reconciles with Stripe."""
        job = (
            payments.reconcile,
            payments.reconcile_refunds,
            lambda: payments.reconcile_all(days=30),
        )[which]
        self.step(job, crash=crash, away=away, procedure=True)

    @rule(seed=st.randoms(use_true_random=False), most=st.integers(1, 6), crash=CRASH, away=AWAY)
    def work(self, seed: Any, most: int, crash: int | None, away: bool) -> None:
        """Relay and worker do some of what waits, in any order."""

        def run() -> None:
            due = self._due()
            seed.shuffle(due)
            for run_id in due[:most]:
                run_reaction(run_id, reactions.BY_NAME)

        self.step(run, crash=crash, away=away, procedure=True)

    @rule()
    @precondition(lambda self: self.model.sales)
    def quiet(self) -> None:
        """Nothing new happens for a while, and everybody finishes: the shop and Stripe agree."""
        self.bank.recover()
        for _, intent in self.secrets:
            self.bank.settle(intent)
        for _ in range(ROUNDS):
            for refund in self.bank.unfinished_refunds():
                self.bank.finish_refund(refund)
            due = self.step(self._due, procedure=True, gives=True)
            for run_id in due:
                self.step(partial(run_reaction, run_id, reactions.BY_NAME), procedure=True)
            self._expire()
            self.step(payments.reconcile, procedure=True)
            self.step(payments.reconcile_refunds, procedure=True)
            run = self.step(lambda: payments.reconcile_all(days=30), procedure=True, gives=True)
            waits = self._due() or self.bank.unfinished_refunds()
            if not due and not run.differences and not waits:
                break
        else:
            raise AssertionError(f"never quiet: {run.differences} {self._failures()}")
        self._agree()

    # What must hold.

    @invariant()
    def holds(self) -> None:
        """All rules of ``invariants``."""
        broken = invariants.broken(self.ground.connection)
        assert not broken, broken

    # How a step is taken.

    def step(
        self,
        do: Callable[[], Any],
        *then: Transition,
        crash: int | None = None,
        away: bool = False,
        procedure: bool = False,
        expected: bool | None = None,
        gives: bool = False,
    ) -> Any:
        """Run one thing and compare. Returns the refusal if the shop refused, with ``gives`` the
        result. ``procedure``: it opens its own transactions."""
        transitions: list[Transition] = list(then)
        ended, result, refused = self._run(do, crash, away, procedure)
        if refused is None or procedure:
            transitions += [partial(self._hear, *one) for one in _as_applied(self.bank.heard)]
        elif ended == "refused":
            transitions = []
        if expected is not None and ended != "crashed":
            assert expected == (refused is None), f"expected={expected}, said: {refused}"
        self._compare(transitions, crashed=ended == "crashed")
        return result if gives else refused

    def _run(
        self, do: Callable[[], Any], crash: int | None, away: bool, procedure: bool
    ) -> tuple[str, Any, DomainError | None]:
        self.tally["steps"] += 1
        self.bank.heard.clear()
        self.fuse.left, self.bank.is_away = crash, away
        try:
            if procedure:
                result = do()
            else:
                with transaction():
                    result = do()
            return "done", result, None
        except Crash:
            self.tally["crashes"] += 1
            return "crashed", None, None
        except DomainError as error:
            self.tally[f"refused: {str(error)[:60]}"] += 1
            return "refused", None, error
        finally:
            self.fuse.left, self.bank.is_away = None, False
            session.remove()
            self.letters += self.bank.news()

    def _compare(self, transitions: list[Transition], *, crashed: bool) -> None:
        seen = self._snapshot()
        keys = seen.pop("refund_keys")
        expected: list[Any] = []
        if crashed and self._matches(seen, keys):
            return
        for position, transition in enumerate(transitions):
            transition()
            if crashed and position < len(transitions) - 1 and self._matches(seen, keys):
                return
        if not self._matches(seen, keys):
            expected = [self.model.snapshot()]
            raise AssertionError(_difference(expected[0], seen))

    def _matches(self, seen: dict[str, Any], keys: dict[str, str]) -> bool:
        """Whether the model agrees; refunds that the shop made by itself get their ids first."""
        saved = pickle.dumps(self.model)
        known = {giving.id for giving in self.model.givings}
        fresh = sorted(int(n) for n in seen["refunds"] if int(n) not in known)
        for giving in self.model.givings:
            if giving.id is None and fresh:
                giving.id = fresh.pop(0)
                giving.key = keys[str(giving.id)]
        if self.model.snapshot() == seen:
            return True
        self.model = pickle.loads(saved)
        return False

    def _hear(self, method: str, kind: str, said: dict[str, Any]) -> None:
        if method == "post refused":
            if kind == "refunds":
                self.model.hear_refusal(said)
        elif kind == "refunds" and said.get("object") == "list":
            for one in said["data"]:  # disputes that differ are asked about one by one
                self._hear("get", f"{kind}/", one)
        elif kind.startswith("payment_intents") and said.get("object") == "payment_intent":
            self.model.hear_intent(said)
        elif kind.startswith("refunds") and said.get("object") == "refund":
            self.model.hear_refund(said)
        elif kind.startswith("disputes") and said.get("object") == "dispute":
            self.model.hear_dispute(said)

    def _expire(self, *, crash: int | None = None, away: bool = False) -> None:
        due = session.execute(
            text("""
            SELECT o.id, EXISTS (SELECT FROM payment p WHERE p.order_id = o.id AND p.status IN
                                 ('started', 'authorised') AND p.intent_id IS NOT NULL)
            FROM "order" o WHERE o.status = 'pending' AND o.expires_at <= now()
              AND o.payment_status <> 'processing'
            ORDER BY o.expires_at""")
        ).all()
        session.remove()
        ended, _, _ = self._run(payments.expire_unpaid, crash, away, True)
        transitions: list[Transition] = []
        for order_id, is_known in due:
            number = self.model.sales[order_id].number
            for method, kind, said in self.bank.heard:
                if (said.get("metadata") or {}).get("order") == number:
                    transitions.append(partial(self._hear, method, kind, said))
            if not (away and is_known):
                transitions.append(partial(self._expired, order_id))
        self._compare(transitions, crashed=ended == "crashed")

    def _expired(self, order_id: int) -> None:
        sale = self.model.sales[order_id]
        if sale.status == "pending" and sale.is_due:
            self.model.close(order_id, "expired")

    def _let_expire(self, order_id: int) -> None:
        with transaction():
            session.execute(
                text("UPDATE \"order\" SET expires_at = now() - interval '1 s' WHERE id = :id"),
                {"id": order_id},
            )
        session.remove()
        self.model.sales[order_id].is_due = True

    def _due(self) -> list[int]:
        """Time passes, the relay looks: what a worker can do now."""
        with transaction():
            session.execute(WAITED)
        while relay.dispatch(REACTIONS, lambda _record: ())[2]:
            pass
        due = session.scalars(text("SELECT id FROM delivery WHERE state = 'due' ORDER BY id")).all()
        session.remove()
        return list(due)

    def _failures(self) -> list[Any]:
        return list(
            session.execute(
                text("SELECT reaction, error FROM delivery WHERE state <> 'done'")
            ).all()
        )

    def _agree(self) -> None:
        """Stripe and the shop, each asked for itself."""
        ours = {
            intent: (captured, status)
            for intent, captured, status in session.execute(
                text("SELECT intent_id, captured_minor, status FROM payment")
            )
        }
        for intent in self.bank.all("payment_intent"):
            assert intent["id"] in ours, f"{intent['id']} is not known here"
            captured, status = ours[intent["id"]]
            assert captured == intent["amount_received"], (intent["id"], captured)
            assert status == reconciled_money.STATUS.get(intent["status"], "started")
        known = {
            refund: (status, amount)
            for refund, status, amount in session.execute(
                text(
                    "SELECT stripe_id, status, amount_minor FROM refund WHERE stripe_id IS NOT NULL"
                )
            )
        }
        for refund in self.bank.all("refund"):
            gone = refund["status"] == "succeeded"
            if refund["id"] in known:
                status, amount = known[refund["id"]]
                assert (status == "done", amount) == (gone, refund["amount"]), refund["id"]
            else:  # an attempt that failed and was made again
                assert refund["status"] == "failed", f"{refund['id']} is not known here"
        waiting = session.scalars(
            text("SELECT id FROM refund WHERE status IN ('requested', 'sent')")
        ).all()
        assert not waiting, f"refunds without an end: {waiting}"
        session.remove()

    # Small things.

    def _cart(self, who: int) -> int:
        """The open cart of a buyer, who makes one if there is none."""
        with transaction():
            cart = carts.lock(self.carts[who]) if who in self.carts else None
            if cart is None or cart.status != "open":
                cart = carts.open_cart(None)
                checkout.set_contact(cart, email=f"buyer{who % 2}@example.com", address=ADDRESS)
                checkout.set_method(cart, "standard")
        session.remove()
        self.carts[who] = cart.id
        return cart.id

    def _use_code(self, cart: int, code: int) -> None:
        self.step(lambda: checkout.apply_code(carts.lock(cart), self.ground.codes[code]))

    def _unknown_orders(self) -> list[tuple[int, Sale]]:
        rows = session.execute(
            text("""
            SELECT o.id, o.number, o.total_minor, l.id AS line_id, l.variant_id, l.quantity,
                   l.total_minor + net * l.tax_minor AS gross,
                   o.shipping_minor + net * o.shipping_tax_minor AS shipping_minor
            FROM "order" o JOIN order_line l ON l.order_id = o.id
            CROSS JOIN LATERAL (SELECT CASE WHEN o.prices_include_tax THEN 0 ELSE 1 END AS net) n
            WHERE NOT o.id = ANY(:known) ORDER BY o.id, l.id"""),
            {"known": list(self.model.sales)},
        ).all()
        session.remove()
        made: dict[int, Sale] = {}
        for row in rows:
            sale = made.setdefault(
                row.id, Sale(row.number, row.total_minor, row.shipping_minor, {})
            )
            sale.lines[row.line_id] = Line(row.variant_id, row.quantity, row.gross)
        return list(made.items())

    def _snapshot(self) -> dict[str, Any]:
        return dict(self.ground.connection.exec_driver_sql("EXECUTE snapshot").scalar_one())

    def _payment(self, intent: str) -> int | None:
        found = session.scalar(text("SELECT id FROM payment WHERE intent_id = :id"), {"id": intent})
        session.remove()
        return found

    def _known_refunds(self, payment: int) -> list[tuple[str, int]]:
        rows = session.execute(
            text(
                "SELECT stripe_id, id FROM refund WHERE payment_id = :id AND stripe_id IS NOT NULL"
            ),
            {"id": payment},
        ).all()
        session.remove()
        return [(row[0], row[1]) for row in rows]

    def _with(self, states: set[str]) -> list[int]:
        return [n for n, sale in self.model.sales.items() if sale.status in states]

    def _sale(self, which: int, states: set[str] | None = None) -> int:
        """The newest first, so that small numbers are of interest."""
        known = self._with(states) if states else list(self.model.sales)
        return known[-1 - which % len(known)]

    def _units(self, order_id: int, wanted: tuple[int, ...]) -> dict[int, int]:
        return dict(zip(self.model.sales[order_id].lines, wanted, strict=False))

    def _here_for(self, order_id: int, variant: int) -> int:
        """What is on hand and does not belong to orders that were paid before."""
        paid = {
            row.id: (row.paid_at, row.id)
            for row in session.execute(
                text('SELECT id, paid_at FROM "order" WHERE paid_at IS NOT NULL')
            )
        }
        session.rollback()
        before = [
            sale
            for n, sale in self.model.sales.items()
            if n != order_id and sale.status == "confirmed" and n in paid
            and (order_id not in paid or paid[n] < paid[order_id])
        ]  # fmt: skip
        owed = sum(
            line.open for sale in before for line in sale.lines.values() if line.variant == variant
        )
        return self.model.levels[variant].on_hand - owed

    def _same(self, giving: Giving) -> Giving:
        return next(one for one in self.model.givings if one.id == giving.id)

    def _is_held_back(self, sale: Sale) -> bool:
        return any(self.model.is_blocked(intent) for intent in sale.intents)

    def taken(self) -> list[int]:
        """Orders for which money came."""
        return [
            n
            for n, sale in self.model.sales.items()
            if any(money.captured for money in sale.intents.values())
        ]

    def authorised(self) -> list[str]:
        """Intents whose money is only authorised, as far as the shop knows."""
        return [
            intent
            for sale in self.model.sales.values()
            for intent, money in sale.intents.items()
            if money.status == "authorised"
        ]


def _fill(cart: int, variant: int, quantity: int) -> None:
    carts.add(carts.lock(cart), variant, quantity)


def _as_applied(heard: list[Any]) -> list[Any]:
    """Whoever hears of a refund or dispute before its money asks about the money, and applies that
    first."""
    hears = list(heard)
    for n in range(len(hears) - 1):
        about, after = hears[n][2], hears[n + 1][2]
        if after.get("object") == "payment_intent" and about.get("payment_intent") == after["id"]:
            hears[n], hears[n + 1] = hears[n + 1], hears[n]
    return hears


def _difference(expected: dict[str, Any], seen: dict[str, Any]) -> str:
    parts = []
    for name in expected:
        for key in sorted(expected[name].keys() | seen[name].keys()):
            one, other = expected[name].get(key), seen[name].get(key)
            if one != other:
                parts.append(f"{name} {key}: expected {one}, found {other}")
    return "; ".join(parts)
