"""The orders desk: the queue, one order with its next step, and every step that staff may take."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from flask import redirect, request
from flask_appbuilder import expose
from flask_appbuilder.security.decorators import has_access, permission_name
from markupsafe import Markup
from sqlalchemy import select

from shop import analytics, checkout, orders, payments
from shop.admin.framework import (
    Action,
    Amount,
    Code,
    DateRange,
    Listed,
    Moment,
    Number,
    Page,
    Relation,
    Status,
    Tab,
    Table,
    Text,
    TextIs,
)
from shop.admin.framework.formatters import badge
from shop.admin.framework.inputs import existing
from shop.admin.orders.money import QUANTITY, OrderMoney, money_facts, quantities_of
from shop.admin.orders.timeline import story
from shop.catalog.models import Product
from shop.core import clock
from shop.core.db import session
from shop.core.errors import NotFound
from shop.notifications import MailMessage
from shop.orders import FulfilmentStatus, Order, OrderStatus, PaymentStatus, ShipmentStatus
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
ORDER_WORDS = {
    OrderStatus.PENDING: ("warn", "Pending"),
    OrderStatus.CONFIRMED: ("good", "Confirmed"),
    OrderStatus.COMPLETED: ("good", "Completed"),
    OrderStatus.CANCELLED: ("mute", "Cancelled"),
    OrderStatus.EXPIRED: ("mute", "Expired"),
}
FULFILMENT_WORDS = {
    FulfilmentStatus.UNFULFILLED: ("mute", "Unfulfilled"),
    FulfilmentStatus.PARTLY_SHIPPED: ("info", "Partly shipped"),
    FulfilmentStatus.SHIPPED: ("good", "Shipped"),
    FulfilmentStatus.DELIVERED: ("good", "Delivered"),
}
CARRIERS = ("DHL", "DPD", "GLS", "Hermes", "UPS", "FedEx", "Deutsche Post", "Royal Mail")
LATE = timedelta(hours=24)
VERY_LATE = timedelta(hours=48)


@dataclass(frozen=True, slots=True)
class Step:
    """One place of the step bar."""

    label: str
    at: datetime | None
    is_done: bool


def _status(value: Any, row: Listed) -> Any:
    shown = orders.words(row.item)
    return badge(shown.label, shown.tone)


def _age(row: Listed) -> Any:
    """How long an order waits to leave, when that is long."""
    tone = age_tone(row.item)
    words = {"warn": "over a day", "bad": "over two days"}
    return Markup('<span class="late-{}">{}</span>').format(tone, words[tone]) if tone else ""


class OrdersView(OrderMoney):
    """Orders as staff work on them."""

    route_base = "/admin/orders"
    datamodel = Table(Order)
    noun = "order"
    pages = ()
    live = "staff:orders"
    columns = (
        Code("number", "Order"),
        Moment("placed_at", "Placed", aside=_age),
        Text(
            "customer_name",
            "Customer",
            show=lambda value, row: value or row["email"],
            aside=lambda row: row["email"] if row["customer_name"] else "",
        ),
        Status("status", words=ORDER_WORDS, show=_status, card="end"),
        Status("payment_status", "Payment", words=PAYMENT_WORDS),
        Status("fulfilment_status", "Fulfilment", words=FULFILMENT_WORDS, shown=False),
        Number("item_count", "Items"),
        Amount("total_minor", "Total"),
        Text("shipping_method_name", "Shipping method", shown=False),
        Text(
            "country",
            "Country",
            sql=Order.shipping_address["country"].astext,
            shown=False,
        ),
        Moment("paid_at", "Paid", shown=False),
        Moment("closed_at", "Closed", shown=False),
    )
    more_filters = (
        DateRange("placed_at", "Placed", sql=Order.placed_at, zone=lambda: checkout.terms().zone),
        Relation(
            "product",
            "Product",
            model=Product,
            searched=(Product.name,),
            matches=lambda pk: Order.id.in_(
                select(orders.OrderLine.order_id).where(orders.OrderLine.product_id == pk)
            ),
        ),
        TextIs("country", "Country (two letters)", sql=Order.shipping_address["country"].astext),
    )
    sort = "-placed_at"
    search = (orders.matches,)
    search_hint = "Number, email or name"
    tabs = (
        Tab("all", "All"),
        *(Tab(key, label, condition) for key, (label, condition) in orders.TABS.items()),
    )
    row_actions = (
        Action(
            "process",
            "Start processing",
            orders.start_processing,
            "is being processed.",
            confirm="Start processing the orders: {count}?",
            icon="package",
            single=False,
        ),
    )
    empty_words = ("No orders yet", "The first one appears here by itself.")
    list_template = "admin/orders/list.html"
    old_filters = {
        "payment": "payment_status",
        "placed.from": "placed_at.from",
        "placed.to": "placed_at.to",
    }
    old_sorts = {"newest": "", "oldest": "placed_at", "total": "-total_minor"}

    def hold(self, item: Order) -> None:
        orders.lock(item.id)

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

    # -- one order -------------------------------------------------------------------------------

    @expose("/show/<int:pk>")
    @has_access
    def show(self, pk: int) -> Page:
        """One order with everything that is known about it."""
        order = orders.by_id(existing(pk))
        above, below = self.neighbours(order.id)
        return self.page(
            "admin/orders/show.html",
            title=f"Order {order.number}",
            above=above,
            below=below,
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


def age_tone(order: Order) -> str:
    """How urgent an order is: ``warn`` after a day, ``bad`` after two, while it waits to leave."""
    waits = order.status == OrderStatus.CONFIRMED and order.fulfilment_status in {
        FulfilmentStatus.UNFULFILLED,
        FulfilmentStatus.PARTLY_SHIPPED,
    }
    if not waits:
        return ""
    age = clock.now() - order.placed_at
    return "bad" if age > VERY_LATE else "warn" if age > LATE else ""
