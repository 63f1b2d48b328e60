"""The orders desk: the queue, one order with its next step, and every step that staff may take."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from flask import flash, redirect, request
from flask import session as browser
from flask_appbuilder import expose
from flask_appbuilder.security.decorators import has_access, permission_name
from markupsafe import Markup
from sqlalchemy import ColumnElement, select
from werkzeug.wrappers import Response as WerkzeugResponse

from shop import analytics, checkout, customers, orders, payments
from shop.admin.emails import STATES as EMAIL_STATES
from shop.admin.framework import (
    Action,
    Amount,
    Choice,
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
    list_state,
    listing,
)
from shop.admin.framework.formatters import badge
from shop.admin.framework.inputs import existing
from shop.admin.framework.screens import once_a_request
from shop.admin.orders.money import QUANTITY, OrderMoney, money_facts, quantities_of
from shop.admin.orders.timeline import story
from shop.catalog.models import Product
from shop.checkout.models import ShippingMethod
from shop.core import clock
from shop.core.db import session
from shop.core.errors import NotFound
from shop.core.i18n import gettext as _
from shop.core.i18n import lazy_gettext, lazy_ngettext, ngettext
from shop.notifications import EmailMessage
from shop.orders import FulfilmentStatus, Order, OrderStatus, PaymentStatus, ShipmentStatus
from shop.payments import Payment, Task

PAYMENT_WORDS = {
    PaymentStatus.UNPAID: ("warn", lazy_gettext("Unpaid")),
    PaymentStatus.PROCESSING: ("info", lazy_gettext("Processing")),
    PaymentStatus.AUTHORISED: ("info", lazy_gettext("Authorised")),
    PaymentStatus.PARTLY_PAID: ("warn", lazy_gettext("Partly paid")),
    PaymentStatus.PAID: ("good", lazy_gettext("Paid")),
    PaymentStatus.OVERPAID: ("warn", lazy_gettext("Overpaid")),
    PaymentStatus.PARTLY_REFUNDED: ("info", lazy_gettext("Partly refunded")),
    PaymentStatus.REFUNDED: ("mute", lazy_gettext("Refunded")),
    PaymentStatus.DISPUTED: ("bad", lazy_gettext("Disputed")),
}
ORDER_WORDS = {
    OrderStatus.PENDING: ("warn", lazy_gettext("Pending")),
    OrderStatus.CONFIRMED: ("good", lazy_gettext("Confirmed")),
    OrderStatus.COMPLETED: ("good", lazy_gettext("Completed")),
    OrderStatus.CANCELLED: ("mute", lazy_gettext("Cancelled")),
    OrderStatus.EXPIRED: ("mute", lazy_gettext("Expired")),
}
FULFILMENT_WORDS = {
    FulfilmentStatus.UNFULFILLED: ("mute", lazy_gettext("Unfulfilled")),
    FulfilmentStatus.PARTLY_SHIPPED: ("info", lazy_gettext("Partly shipped")),
    FulfilmentStatus.SHIPPED: ("good", lazy_gettext("Shipped")),
    FulfilmentStatus.DELIVERED: ("good", lazy_gettext("Delivered")),
}
CARRIERS = (*(carrier.name for carrier in orders.CARRIERS), "Deutsche Post")
# Where a browser keeps the carrier that was used last.
LAST_CARRIER = "last_carrier"
# Tabs that are looked at now and then stand last.
RARE_TABS = ("payment_processing", "delivered", "closed")
NEEDS_ATTENTION = Order.id.in_(
    select(Task.order_id).where(Task.closed_at.is_(None), Task.order_id.is_not(None))
)
LATE = timedelta(hours=24)
VERY_LATE = timedelta(hours=48)


@dataclass(frozen=True, slots=True)
class Step:
    """One place of the step bar."""

    label: str
    at: datetime | None
    is_done: bool


class SkuIs(TextIs):
    """Orders of exactly this SKU."""

    def condition(self, value: str) -> ColumnElement[bool]:
        return orders.with_sku(value)


def _status(value: Any, row: Listed) -> Any:
    shown = orders.words(row.item)
    return badge(shown.label, shown.tone)


def _age(row: Listed) -> Any:
    """How long an order waits to leave, when that is long."""
    tone = age_tone(row.item)
    words = {"warn": _("over a day"), "bad": _("over two days")}
    return Markup('<span class="late-{}">{}</span>').format(tone, words[tone]) if tone else ""


class OrdersView(OrderMoney):
    """Orders as staff work on them."""

    route_base = "/admin/orders"
    datamodel = Table(Order)
    noun = lazy_gettext("order")
    plural = lazy_gettext("Orders")
    pages = ()
    live = "staff:orders"
    columns = (
        Code("number", lazy_gettext("Order")),
        Moment("placed_at", lazy_gettext("Placed"), aside=_age),
        Text(
            "customer_name",
            lazy_gettext("Customer"),
            show=lambda value, row: value or row["email"],
            aside=lambda row: row["email"] if row["customer_name"] else "",
        ),
        Status("status", words=ORDER_WORDS, show=_status, card="end"),
        Status("payment_status", lazy_gettext("Payment"), words=PAYMENT_WORDS),
        Status(
            "fulfilment_status", lazy_gettext("Fulfilment"), words=FULFILMENT_WORDS, shown=False
        ),
        Number("item_count", lazy_gettext("Items")),
        Amount("total_minor", lazy_gettext("Total")),
        Text("shipping_method_name", lazy_gettext("Shipping method"), shown=False),
        Text(
            "country",
            lazy_gettext("Country"),
            sql=Order.shipping_address["country"].astext,
            shown=False,
        ),
        Moment("paid_at", lazy_gettext("Paid"), shown=False),
        Moment("closed_at", lazy_gettext("Closed"), shown=False),
    )
    more_filters = (
        DateRange(
            "placed_at",
            lazy_gettext("Placed"),
            sql=Order.placed_at,
            zone=lambda: checkout.terms().zone,
        ),
        Relation(
            "product",
            lazy_gettext("Product"),
            model=Product,
            searched=(Product.name,),
            matches=lambda pk: Order.id.in_(
                select(orders.OrderLine.order_id).where(orders.OrderLine.product_id == pk)
            ),
        ),
        TextIs(
            "country",
            lazy_gettext("Country (two letters)"),
            sql=Order.shipping_address["country"].astext,
        ),
        SkuIs("sku", lazy_gettext("SKU")),
        Relation(
            "shipping_method",
            lazy_gettext("Shipping method"),
            model=ShippingMethod,
            searched=(ShippingMethod.name,),
            matches=lambda pk: (
                Order.shipping_method
                == select(ShippingMethod.code).where(ShippingMethod.id == pk).scalar_subquery()
            ),
        ),
        Choice(
            "attention",
            lazy_gettext("Needs attention"),
            options={"yes": lazy_gettext("An open task"), "no": lazy_gettext("No open task")},
            conditions={"yes": NEEDS_ATTENTION, "no": ~NEEDS_ATTENTION},
        ),
    )
    sort = "-placed_at"
    search = ("searched",)  # see search_condition
    search_hint = lazy_gettext("Number, email, name, SKU, tracking number or postal code")
    tabs = (
        Tab("all", lazy_gettext("All")),
        *(
            Tab(key, label, condition)
            for key, (label, condition) in orders.TABS.items()
            if key not in RARE_TABS
        ),
        Tab("attention", lazy_gettext("Needs attention"), NEEDS_ATTENTION),
        *(Tab(key, *orders.TABS[key]) for key in RARE_TABS),
    )
    row_actions = (
        Action(
            "process",
            lazy_gettext("Start processing"),
            orders.start_processing,
            lazy_gettext("%(name)s is being processed."),
            lazy_ngettext(
                "%(num)s order is being processed.", "%(num)s orders are being processed."
            ),
            confirm=lazy_gettext("Start processing the orders: {count}?"),
            icon="package",
            single=False,
        ),
    )
    empty_words = (lazy_gettext("No orders yet"), lazy_gettext("The first order will appear here."))
    list_template = "admin/orders/list.html"
    old_filters = {
        "payment": "payment_status",
        "placed.from": "placed_at.from",
        "placed.to": "placed_at.to",
    }
    old_sorts = {"newest": "", "oldest": "placed_at", "total": "-total_minor"}

    def search_condition(self, text: str) -> ColumnElement[bool]:
        return once_a_request(f"orders with {text}", lambda: orders.matches(text))

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
            title=_("Order %(number)s", number=order.number),
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
        return self._change(pk, orders.start_processing, _("%(number)s is being processed."))

    @expose("/<int:pk>/ship", methods=["GET", "POST"])
    @has_access
    @permission_name("ship")
    def ship(self, pk: int) -> Page:
        """Hand over a shipment with all or some of the lines."""

        def ship(order: orders.Order) -> None:
            has_chosen = any(name.startswith(QUANTITY) for name in request.form)
            orders.ship(
                order,
                quantities_of(request.form) if has_chosen else None,
                carrier=request.form.get("carrier", ""),
                tracking_number=request.form.get("tracking_number", ""),
            )

        done = _("Shipped. %(email)s gets an email about this shipment.")
        answer = self._answer(pk, "ship", ship, done)
        if not isinstance(answer, WerkzeugResponse) or answer.status_code not in {200, 303}:
            return answer
        browser[LAST_CARRIER] = request.form.get("carrier", "").strip()[:60]
        wants_next = request.form.get("then") == "next" and answer.status_code == 303
        return redirect(self._next_to_pack(pk), code=303) if wants_next else answer

    def _next_to_pack(self, pk: int) -> str:
        """The address of the next order to pack in the list that the person came from: below this
        one, else from the top; the list itself, with a word, when there is none."""
        try:
            state = list_state.read(self, self.list_arguments())
        except list_state.BadAddress:
            return self.address("list")
        found = listing.next_one(self, state, pk, orders.can_be_packed())
        if found is not None:
            return self.address("show", pk=found, **self.list_arguments())
        flash(_("No other order of this list can be packed now."), "info")
        return self.list_address()

    @expose("/<int:pk>/tracking/<int:fulfilment_id>", methods=["GET", "POST"])
    @has_access
    @permission_name("ship")
    def tracking(self, pk: int, fulfilment_id: int) -> Page:
        """Correct the carrier and the tracking number of a shipment."""
        existing(fulfilment_id)

        def work(order: orders.Order) -> str:
            is_told = "notify" in request.form
            orders.correct_tracking(
                order,
                fulfilment_id,
                carrier=request.form.get("carrier", ""),
                tracking_number=request.form.get("tracking_number", ""),
                notify=is_told,
            )
            return _("Corrected. %(email)s gets an email.") if is_told else _("Corrected.")

        return self._answer(pk, "tracking", work, "")

    @expose("/<int:pk>/shipping-address", methods=["GET", "POST"])
    @has_access
    @permission_name("address")
    def shipping_address(self, pk: int) -> Page:
        """Send what is not shipped yet to another address."""

        def work(order: orders.Order) -> None:
            checkout.change_address(order, request.form)

        return self._answer(
            pk, "address", work, _("The shipping address is changed. %(email)s gets an email.")
        )

    @expose("/<int:pk>/deliver/<int:fulfilment_id>", methods=["POST"])
    @has_access
    @permission_name("deliver")
    def deliver(self, pk: int, fulfilment_id: int) -> Page:
        """A shipment arrived."""
        existing(fulfilment_id)
        return self._change(
            pk,
            lambda order: orders.mark_delivered(order, fulfilment_id),
            _("The shipment is delivered."),
        )

    @expose("/<int:pk>/note", methods=["POST"])
    @has_access
    @permission_name("note")
    def note(self, pk: int) -> Page:
        """Write a remark that only staff read."""
        text = request.form.get("text", "")
        return self._change(pk, lambda order: orders.note(order, text), _("Your note is saved."))

    # -- inside ----------------------------------------------------------------------------------

    def _form_facts(self, order: orders.Order, money: Iterable[Payment]) -> dict[str, Any]:
        waiting = orders.waiting(order)
        view_args = request.view_args or {}
        return money_facts(order, money, self.may) | {
            "may_ship": self.may("can_ship") and may_ship(order),
            "carriers": CARRIERS,
            "last_carrier": browser.get(LAST_CARRIER, ""),
            "may_correct": self.may("can_ship"),
            "fulfilment": next(
                (f for f in order.fulfilments if f.id == view_args.get("fulfilment_id")), None
            ),
            "may_readdress": self.may("can_address") and may_readdress(order),
            "countries": _countries(order),
            "waiting": waiting,
            "ready": {
                line.id: line.open_quantity - waiting.get(line.id, 0) for line in order.lines
            },
        }

    def _facts(self, order: orders.Order) -> dict[str, Any]:
        money = payments.of_order(order.id)
        entries = orders.timeline(order.id)
        emails = session.execute(
            select(
                EmailMessage.id, EmailMessage.subject, EmailMessage.state, EmailMessage.created_at
            )
            .where(EmailMessage.order_id == order.id)
            .order_by(EmailMessage.id)
        ).all()
        step = next_step(order, self.may)
        forms = self._form_facts(order, money)
        return {
            "order": order,
            "words": orders.words(order),
            "payment_words": PAYMENT_WORDS,
            "steps": steps(order),
            "next_step": step,
            "next_words": next_words(order, step, forms["waiting_words"]),
            "ship_to": _label(order.shipping_address),
            "bill_to": _label(order.billing_address),
            "open_fulfilments": [
                f for f in order.fulfilments if f.status == ShipmentStatus.SHIPPED
            ],
            "redeemed": orders.redeemed(order),
            "regular": analytics.regular(order.email, order.customer_id),
            "story": story(entries, order),
            "emails": emails,
            "email_words": {state: words for state, (_tone, words) in EMAIL_STATES.items()},
            "may": self.may,
            "reasons": orders.CANCEL_REASONS,
            "typed": {},
            "fault": None,
            **forms,
        }


def _label(address: dict[str, Any] | None) -> list[str]:
    """An address as it is written on a parcel, with the telephone number."""
    if address is None:
        return []
    lines = customers.address_lines(address, for_label=True)
    return [*lines, *filter(None, [address.get("phone")])]


def _countries(order: orders.Order) -> dict[str, str]:
    """Where the shop sends to, and where this order goes, by code in the order of their names."""
    names = customers.country_names()
    codes = {*checkout.countries(), order.shipping_address.get("country", "")} & names.keys()
    return {code: names[code] for code in sorted(codes, key=names.__getitem__)}


def may_readdress(order: orders.Order) -> bool:
    """Whether something of the order can still go to another address."""
    return order.open_units > 0 and order.status in {OrderStatus.PENDING, OrderStatus.CONFIRMED}


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


def next_words(order: orders.Order, step: str, waiting: str) -> str:
    """What has to happen now, or how the order ended; ``waiting``: what an unpaid one waits for."""
    label, payment = orders.words(order).label, order.payment_status
    if step == "process" and payment == PaymentStatus.AUTHORISED:
        return _("Authorised: capture the money before you ship.")
    if step in {"process", "ship"} and payment == PaymentStatus.REFUNDED:
        return _("Fully refunded: cancel what was not shipped, unless it is a gift.")
    if step == "process":
        return _("Paid and waiting to be packed.")
    if step == "ship":
        return _(
            "%(left)s of %(count)s items left to ship.",
            left=order.open_units,
            count=order.item_count,
        )
    if step == "deliver":
        sent = sum(one.status == ShipmentStatus.SHIPPED for one in order.fulfilments)
        return ngettext("In transit.", "In transit in %(num)s shipments.", sent)
    if order.status == OrderStatus.PENDING:
        return waiting
    if order.status == OrderStatus.COMPLETED:
        return _("Everything arrived; nothing is left to do.")
    reason = order.close_reason
    if order.status in {OrderStatus.CANCELLED, OrderStatus.EXPIRED} and reason:
        return f"{label}: {str(orders.CANCEL_REASONS.get(reason, reason)).lower()}."
    return f"{label}."


def steps(order: orders.Order) -> list[Step]:
    """The way of an order; one that was cancelled ends where it was."""
    fulfilments = order.fulfilments
    shipped = order.fulfilment_status in {FulfilmentStatus.SHIPPED, FulfilmentStatus.DELIVERED}
    way = [
        Step(_("Placed"), order.placed_at, True),
        Step(_("Paid"), order.paid_at, order.paid_at is not None),
    ]
    if order.status in {OrderStatus.CANCELLED, OrderStatus.EXPIRED}:
        ended = [step for step in way if step.is_done]
        return [*ended, Step(order.status.capitalize(), order.closed_at, True)]
    last_sent = max((f.shipped_at for f in fulfilments), default=None)
    arrived = [f.delivered_at for f in fulfilments if f.delivered_at is not None]
    delivered = order.fulfilment_status == FulfilmentStatus.DELIVERED
    partly = bool(fulfilments) and not shipped
    return [
        *way,
        Step(_("Processing"), order.processing_at, order.processing_at is not None),
        Step(_("Partly shipped") if partly else _("Shipped"), last_sent, bool(fulfilments)),
        Step(_("Delivered"), max(arrived) if delivered and arrived else None, delivered),
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
