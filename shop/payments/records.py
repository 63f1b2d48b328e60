"""The rows of money: locking them, adding a fact once, and what the facts add up to."""

from collections import defaultdict
from datetime import datetime

from sqlalchemy import ScalarSelect, func, select
from sqlalchemy.dialects.postgresql import insert

from shop import orders
from shop.core import clock
from shop.core.db import session, table
from shop.core.errors import NotFound
from shop.core.i18n import gettext as _
from shop.orders import PaymentStatus
from shop.payments import balance as sums
from shop.payments import refundable
from shop.payments.balance import Balance
from shop.payments.models import CLOSED_DISPUTES, INQUIRIES, Dispute, Payment, PaymentEvent, Refund
from shop.payments.states import AttemptStatus, MoneyEventKind

# What an event of a dispute that is open does to the money that is held back.
SIGNS = {
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
    rows = session.execute(
        select(
            PaymentEvent.payment_id,
            PaymentEvent.kind,
            func.coalesce(_IS_OPEN, False).label("is_open"),
            func.sum(PaymentEvent.amount_minor),
            _open_disputes(order_id),
        )
        .join(Payment, Payment.id == PaymentEvent.payment_id)
        .outerjoin(Dispute, Dispute.id == PaymentEvent.dispute_id)
        .where(Payment.order_id == order_id, PaymentEvent.currency == currency)
        .group_by(PaymentEvent.payment_id, PaymentEvent.kind, "is_open")
    )
    by_payment: dict[int, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    disputed = open_disputes = 0
    for payment_id, kind, is_open, amount, open_now in rows:
        by_payment[payment_id][kind] += int(amount)
        disputed += SIGNS.get(kind, 0) * int(amount) if is_open else 0
        open_disputes = open_now
    return sums.of_events(by_payment.values(), disputed_minor=disputed, open_disputes=open_disputes)


def _open_disputes(order_id: int) -> ScalarSelect[int]:
    """How many disputes of an order's payments are open; inquiries are none."""
    return (
        select(func.count())
        .select_from(Dispute)
        .join(Payment, Payment.id == Dispute.payment_id)
        .where(Payment.order_id == order_id, _IS_OPEN, Dispute.status.not_in(INQUIRIES))
        .scalar_subquery()
    )


def recount(order: orders.Order) -> Balance:
    """Set the order's payment status to what its money events say. Gives what they add up to.

    What was cancelled before the order was paid for was never owed: it counts as paid without it.
    An unpaid order is ``processing`` while the money of a payment is on its way.
    """
    balance = balance_of(order.id, order.currency)
    owed = order.total_minor
    if balance.captured_minor or order.paid_at is not None:
        owed -= refundable.never_owed(order)
    status = sums.status_of(owed, balance)
    if status == PaymentStatus.UNPAID and _is_processing(order.id):
        status = PaymentStatus.PROCESSING
    orders.set_payment_status(order, status)
    return balance


def _is_processing(order_id: int) -> bool:
    on_its_way = select(Payment.id).where(
        Payment.order_id == order_id, Payment.status == AttemptStatus.PROCESSING
    )
    return session.scalar(on_its_way.limit(1)) is not None
