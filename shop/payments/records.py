"""The rows of money: locking them, adding a fact once, and what the facts add up to."""

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import ColumnElement, Select, Text, func, select, type_coerce
from sqlalchemy.dialects.postgresql import insert

from shop import orders
from shop.core import clock
from shop.core.db import session, table
from shop.core.errors import NotFound
from shop.core.i18n import gettext as _
from shop.payments import balance as sums
from shop.payments import refundable
from shop.payments.balance import Balance
from shop.payments.models import CLOSED_DISPUTES, INQUIRIES, Dispute, Payment, PaymentEvent, Refund
from shop.payments.states import AttemptStatus, MoneyEventKind

# What an event of a dispute that is open does to the money that is held back.
SIGNS: dict[str, int] = {
    MoneyEventKind.DISPUTE_WITHDRAWN: 1,
    MoneyEventKind.DISPUTE_REINSTATED: -1,
    MoneyEventKind.DISPUTE_OPENED: 1,
    MoneyEventKind.DISPUTE_WON: -1,
}
_IS_OPEN = Dispute.status.not_in(CLOSED_DISPUTES)
_NOTE = insert(table(PaymentEvent)).on_conflict_do_nothing().returning(table(PaymentEvent).c.id)


def locked(payment_id: int) -> Payment:
    """The payment, its row locked; whoever wants it has locked its order before."""
    payment = session.get(Payment, payment_id, with_for_update=True, populate_existing=True)
    if payment is None:
        raise NotFound(_("Payment not found."))
    return payment


def locked_refund(refund_id: int) -> Refund:
    """The refund, its row locked; whoever wants it has locked its payment before."""
    return session.get_one(Refund, refund_id, with_for_update=True, populate_existing=True)


def order_of(payment_id: int) -> int:
    """The id of the order that a payment is for. Raises ``NotFound``."""
    order_id = session.scalar(select(Payment.order_id).where(Payment.id == payment_id))
    if order_id is None:
        raise NotFound(_("Payment not found."))
    return order_id


def note(
    payment: Payment,
    kind: MoneyEventKind,
    amount_minor: int,
    reference: str,
    *,
    currency: str = "",
    occurred_at: datetime | None = None,
    dispute_id: int | None = None,
) -> bool:
    """Write a money event down once; False if it is known. Without a currency, the payment's."""
    session.flush()
    now = clock.now()
    noted = session.scalar(
        _NOTE,
        {
            "payment_id": payment.id,
            "kind": kind,
            "amount_minor": amount_minor,
            "currency": currency or payment.currency,
            "reference": reference,
            "dispute_id": dispute_id,
            "at": now,
            "occurred_at": occurred_at or now,
        },
    )
    return noted is not None


def balance_of(order_id: int, currency: str) -> Balance:
    """What all attempts to pay an order add up to, in its currency. One statement."""
    disputes = open_disputes(Payment.order_id == order_id).subquery()
    number = select(func.count()).select_from(disputes).scalar_subquery()
    rows = session.execute(
        sum_events()
        .add_columns(number.label("open_disputes"))
        .where(Payment.order_id == order_id, PaymentEvent.currency == currency)
    ).all()
    parts = ((r.payment_id, r.kind, r.is_open, r.amount_minor) for r in rows)
    return add_up(parts, disputes=rows[0].open_disputes if rows else 0)


def sum_events() -> Select[int, int, str, bool, int]:
    """Returns what the events of each payment add up to, by kind and by whether their dispute is
    open; the caller says of which orders and in which currency."""
    is_open = func.coalesce(_IS_OPEN, False).label("is_open")
    return (
        select(
            Payment.order_id,
            PaymentEvent.payment_id,
            # As it is stored: to make members of the set takes longer than the sums.
            type_coerce(PaymentEvent.kind, Text).label("kind"),
            is_open,
            func.sum(PaymentEvent.amount_minor).label("amount_minor"),
        )
        .join(Payment, Payment.id == PaymentEvent.payment_id)
        .outerjoin(Dispute, Dispute.id == PaymentEvent.dispute_id)
        .group_by(Payment.order_id, PaymentEvent.payment_id, PaymentEvent.kind, is_open)
    )


def open_disputes(which: ColumnElement[bool]) -> Select[int]:
    """Returns the orders of the disputes that are open, of ``which`` payments, as often as they
    have one; inquiries are none."""
    return (
        select(Payment.order_id)
        .join(Dispute, Dispute.payment_id == Payment.id)
        .where(_IS_OPEN, Dispute.status.not_in(INQUIRIES), which)
    )


def add_up(rows: Iterable[tuple[int, str, bool, int]], *, disputes: int) -> Balance:
    """The balance of an order from its number of open disputes and its rows of ``sum_events``:
    payment, kind, whether a dispute is open, and amount."""
    by_payment: dict[int, dict[str, int]] = {}
    disputed = 0
    for payment_id, kind, is_open, amount in rows:
        kinds = by_payment.setdefault(payment_id, {})
        kinds[kind] = kinds.get(kind, 0) + amount
        if is_open:
            disputed += SIGNS.get(kind, 0) * amount
    return sums.of_events(by_payment.values(), disputed_minor=disputed, open_disputes=disputes)


def recount(order: orders.Order) -> Balance:
    """Set the order's payment status to what its money events say. Returns what they add up to."""
    balance = balance_of(order.id, order.currency)
    was_paid = balance.captured_minor or order.paid_at is not None
    never_owed = refundable.never_owed(order) if was_paid else 0
    has_nothing = not (balance.captured_minor or balance.authorised_minor)
    orders.set_payment_status(
        order,
        sums.status_to_keep(
            order.total_minor,
            balance,
            never_owed_minor=never_owed,
            is_processing=has_nothing and _is_processing(order.id),
        ),
    )
    return balance


def _is_processing(order_id: int) -> bool:
    return session.scalar(processing().where(Payment.order_id == order_id).limit(1)) is not None


def processing() -> Select[int]:
    """Returns the orders of the payments whose money is on its way."""
    return select(Payment.order_id).where(Payment.status == AttemptStatus.PROCESSING)
