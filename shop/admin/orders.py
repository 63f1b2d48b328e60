"""The orders desk: the queue, one order with its next step, and every step that staff may take."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from flask import Response, flash, jsonify, redirect, request
from flask_appbuilder import expose
from flask_appbuilder.security.decorators import has_access, permission_name
from sqlalchemy import select

from shop import analytics, checkout, orders, payments
from shop.admin import errors
from shop.admin.base import Page
from shop.admin.desk import PER_PAGE, existing
from shop.admin.filters import Choice, Dates
from shop.admin.order_money import QUANTITY, OrderMoney, money_facts, quantities_of
from shop.admin.timeline import story
from shop.core import clock
from shop.core.db import session, transaction
from shop.core.errors import DomainError, NotFound
from shop.notifications import MailMessage
from shop.orders import FulfilmentStatus, OrderStatus, PaymentStatus, ShipmentStatus
from shop.payments import Payment

PAYMENT_WORDS = {
    PaymentStatus.UNPAID: ("warn", "Unpaid"),
    PaymentStatus.PROCESSING: ("info", "Processing"),
    PaymentStatus.AUTHORISED: ("info", "Authorised"),
    PaymentStatus.PARTLY_PAID: ("warn", "Partly paid"),
    PaymentStatus.PAID: ("good", "Paid"),
    PaymentStatus.OVERPAID: ("warn", "Overpaid"),
    PaymentStatus.PARTLY_REFUNDED: ("info", "Partly refunded"),
    PaymentStatus.REFUNDED: ("mute", "Refunded"),
    PaymentStatus.DISPUTED: ("bad", "Disputed"),
}
SORTS = {"newest": "Newest first", "oldest": "Oldest first", "total": "Largest first"}
CARRIERS = ("DHL", "DPD", "GLS", "Hermes", "UPS", "FedEx", "Deutsche Post", "Royal Mail")
LATE = timedelta(hours=24)
VERY_LATE = timedelta(hours=48)
MAX_AT_ONCE = 500
Ids = list[int]  # inside the class, ``list`` is the page


@dataclass(frozen=True, slots=True)
class Step:
    """One place of the step bar."""

    label: str
    at: datetime | None
    is_done: bool


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one order of a selection."""

    id: int
    number: str
    ok: bool
    sentence: str


class OrdersView(OrderMoney):
    """Orders as staff work on them."""

    route_base = "/admin/orders"
    default_view = "list"
    search_hint = "Number, e-mail or name"
    filters = (
        Choice("payment", "Payment", {key: words for key, (_, words) in PAYMENT_WORDS.items()}),
        Dates("placed", "Placed"),
    )

    # -- the queue -------------------------------------------------------------------------------

    @expose("/list/")
    @has_access
    def list(self) -> Page:
        """The queue, narrowed by tab, search box and filters. Five statements."""
        asked = self._asked(page=self.page_number())
        found = orders.desk(asked)
        labels = {"": "All"} | {key: label for key, (label, _) in orders.TABS.items()}
        return self.page(
            "admin/orders/list.html",
            title="Orders",
            found=found,
            tabs=self.tab_links(labels, orders.tab_counts(), asked.tab),
            tab=asked.tab,
            sort=asked.sort,
            sorts=SORTS,
            links=self.page_links(found.pages),
            is_narrowed=bool(self.chips() or asked.q),
            may_process=self.may("can_process"),
            query=self._query(),
            age=age_tone,
        )

    @expose("/row/<int:pk>")
    @has_access
    @permission_name("list")
    def row(self, pk: int) -> Page:
        """One line of the queue, for the live list: empty when the order is not in this view."""
        number = orders.by_id(existing(pk)).number
        asked = self._asked(page=1)
        found = orders.desk(_with_number(asked, number))
        if not found.rows:
            return Response("", 204)
        return self.page(
            "admin/orders/_row.html",
            order=found.rows[0],
            may_process=self.may("can_process"),
            query=self._query(),
            age=age_tone,
        )

    @expose("/find")
    @has_access
    @permission_name("list")
    def find(self) -> Page:
        """Jump to the order of a number; anything else becomes a search."""
        asked = request.args.get("q", "").strip()[:200]
        number = f"EO-{asked}" if asked.isdecimal() else asked.upper()
        try:
            return redirect(self.address("show", pk=orders.by_number(number).id))
        except NotFound:
            return redirect(self.address("list", q=asked))

    @expose("/process", methods=["POST"])
    @has_access
    @permission_name("process")
    def process_many(self) -> Page:
        """Start processing the selected orders, or all that match; says what became of each."""
        results = [self._process_one(pk) for pk in self._selected()]
        done = sum(result.ok for result in results)
        if errors.wants_json():
            return jsonify(results=[_as_json(result) for result in results], done=done)
        if done:
            flash(f"{done} {'order is' if done == 1 else 'orders are'} being processed.", "success")
        for result in results:
            if not result.ok:
                flash(f"{result.number}: {result.sentence}", "warning")
        if not results:
            flash("Select at least one order first.", "warning")
        return redirect(errors.back(self.address("list")), code=303)

    # -- one order -------------------------------------------------------------------------------

    @expose("/show/<int:pk>")
    @has_access
    def show(self, pk: int) -> Page:
        """One order with everything that is known about it."""
        order = orders.by_id(existing(pk))
        above, below = orders.neighbours(order.id, self._asked(page=1))
        return self.page(
            "admin/orders/show.html",
            title=f"Order {order.number}",
            above=above,
            below=below,
            query=self._query(),
            **self._facts(order),
        )

    @expose("/part/<int:pk>")
    @has_access
    @permission_name("show")
    def part(self, pk: int) -> Page:
        """What changes on the order's page, to be put in place when somebody else did something."""
        order = orders.by_id(existing(pk))
        return self.page("admin/orders/_order.html", **self._facts(order))

    @expose("/<int:pk>/process", methods=["POST"])
    @has_access
    @permission_name("process")
    def process(self, pk: int) -> Page:
        """Somebody packs it now."""
        return self._change(pk, orders.start_processing, "{number} is being processed.")

    @expose("/<int:pk>/ship", methods=["GET", "POST"])
    @has_access
    @permission_name("ship")
    def ship(self, pk: int) -> Page:
        """Hand over a parcel with all or some of the lines."""

        def ship(order: orders.Order) -> None:
            has_chosen = any(name.startswith(QUANTITY) for name in request.form)
            orders.ship(
                order,
                quantities_of(request.form) if has_chosen else None,
                carrier=request.form.get("carrier", ""),
                tracking_number=request.form.get("tracking_number", ""),
            )

        done = "Shipped. {email} gets an e-mail about this parcel."
        return self._answer(pk, "ship", ship, done)

    @expose("/<int:pk>/deliver/<int:parcel>", methods=["POST"])
    @has_access
    @permission_name("deliver")
    def deliver(self, pk: int, parcel: int) -> Page:
        """A parcel arrived."""
        existing(parcel)
        return self._change(
            pk, lambda order: orders.mark_delivered(order, parcel), "The parcel is delivered."
        )

    @expose("/<int:pk>/note", methods=["POST"])
    @has_access
    @permission_name("note")
    def note(self, pk: int) -> Page:
        """Write a remark that only staff read."""
        text = request.form.get("text", "")
        return self._change(pk, lambda order: orders.note(order, text), "Your note is saved.")

    # -- inside ----------------------------------------------------------------------------------

    def _process_one(self, pk: int) -> Result:
        number = f"Order {pk}"
        try:
            with transaction():
                order = orders.lock(pk)
                number = order.number
                orders.start_processing(order)
        except DomainError as refusal:
            return Result(pk, number, False, refusal.sentence)
        return Result(pk, number, True, "Being processed.")

    def _selected(self) -> Ids:
        if request.form.get("all"):
            asked = self._asked(page=1, per_page=MAX_AT_ONCE)
            return [row.id for row in orders.desk(asked).rows]
        chosen = request.form.getlist("rowid")[:MAX_AT_ONCE]
        return [existing(int(pk)) for pk in chosen if pk.isdecimal() and len(pk) < 19]

    def _asked(self, *, page: int, per_page: int = PER_PAGE) -> orders.OrderFilters:
        first, last = self.filters[1].read(request.args) or (None, None)
        return orders.OrderFilters(
            tab=self.asked("tab", orders.TABS),
            q=self.quick_text(),
            payment_status=self.filters[0].read(request.args) or "",
            placed_from=first,
            placed_to=last,
            zone=str(checkout.terms().zone),
            sort=self.asked("sort", SORTS) or "newest",
            page=page,
            per_page=per_page,
        )

    def _query(self) -> dict[str, str]:
        """What an order's page must know of the queue, so that its arrows stay in it."""
        kept = ("tab", "q", "payment", "placed.from", "placed.to", "sort")
        return {name: request.args[name] for name in kept if request.args.get(name)}

    def _form_facts(self, order: orders.Order, money: Iterable[Payment]) -> dict[str, Any]:
        return money_facts(order, money, self.may) | {
            "may_ship": self.may("can_ship") and may_ship(order),
            "carriers": CARRIERS,
            "waiting": orders.waiting(order),
        }

    def _facts(self, order: orders.Order) -> dict[str, Any]:
        money = payments.of_order(order.id)
        entries = orders.timeline(order.id)
        mails = session.execute(
            select(MailMessage.id, MailMessage.subject, MailMessage.state, MailMessage.created_at)
            .where(MailMessage.order_id == order.id)
            .order_by(MailMessage.id)
        ).all()
        return {
            "order": order,
            "words": orders.words(order),
            "payment_words": PAYMENT_WORDS,
            "steps": steps(order),
            "next_step": next_step(order, self.may),
            "open_parcels": [f for f in order.fulfilments if f.status == ShipmentStatus.SHIPPED],
            "redeemed": orders.redeemed(order),
            "regular": analytics.regular(order.email, order.customer_id),
            "story": story(entries, order),
            "mails": mails,
            "may": self.may,
            "reasons": orders.CANCEL_REASONS,
            "typed": {},
            "fault": None,
            **self._form_facts(order, money),
        }


def may_ship(order: orders.Order) -> bool:
    """Whether something of the order can leave the house."""
    return order.status == OrderStatus.CONFIRMED and any(line.open_quantity for line in order.lines)


def next_step(order: orders.Order, may: Callable[[str], bool]) -> str:
    """The one action that the page offers first: process, ship, deliver, or none."""
    if may_ship(order):
        fresh = (
            order.processing_at is None and order.fulfilment_status == FulfilmentStatus.UNFULFILLED
        )
        if fresh and may("can_process"):
            return "process"
        return "ship" if may("can_ship") else ""
    if any(f.status == ShipmentStatus.SHIPPED for f in order.fulfilments) and may("can_deliver"):
        return "deliver"
    return ""


def steps(order: orders.Order) -> list[Step]:
    """The way of an order; one that was called off ends where it was."""
    parcels = order.fulfilments
    shipped = order.fulfilment_status in {FulfilmentStatus.SHIPPED, FulfilmentStatus.DELIVERED}
    way = [
        Step("Placed", order.placed_at, True),
        Step("Paid", order.paid_at, order.paid_at is not None),
    ]
    if order.status in {OrderStatus.CANCELLED, OrderStatus.EXPIRED}:
        ended = [step for step in way if step.is_done]
        return [*ended, Step(order.status.capitalize(), order.closed_at, True)]
    last_sent = max((f.shipped_at for f in parcels), default=None)
    arrived = [f.delivered_at for f in parcels if f.delivered_at is not None]
    delivered = order.fulfilment_status == FulfilmentStatus.DELIVERED
    partly = bool(parcels) and not shipped
    return [
        *way,
        Step("Processing", order.processing_at, order.processing_at is not None),
        Step("Partly shipped" if partly else "Shipped", last_sent, bool(parcels)),
        Step("Delivered", max(arrived) if delivered and arrived else None, delivered),
    ]


def age_tone(order: orders.OrderRow) -> str:
    """How urgent an order is: ``warn`` after a day, ``bad`` after two, while it waits to leave."""
    waits = order.status == OrderStatus.CONFIRMED and order.fulfilment_status in {
        FulfilmentStatus.UNFULFILLED,
        FulfilmentStatus.PARTLY_SHIPPED,
    }
    if not waits:
        return ""
    age = clock.now() - order.placed_at
    return "bad" if age > VERY_LATE else "warn" if age > LATE else ""


def _with_number(asked: orders.OrderFilters, number: str) -> orders.OrderFilters:
    return replace(asked, q=f"{number} {asked.q}", page=1, per_page=1)


def _as_json(result: Result) -> dict[str, Any]:
    return {
        "id": result.id,
        "number": result.number,
        "ok": result.ok,
        "sentence": result.sentence,
    }
