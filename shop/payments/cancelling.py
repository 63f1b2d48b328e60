"""Cancelling an order, or units of it, together with the refund of what they cost."""

from sqlalchemy import func, select

from shop import orders
from shop.core import actor
from shop.core.db import session
from shop.core.errors import WrongState
from shop.core.events import emit
from shop.core.money import Money
from shop.orders import OrderStatus, PaymentStatus
from shop.payments import refundable, refunds, returns
from shop.payments.events import VoidRequested
from shop.payments.models import Payment
from shop.payments.records import balance_of
from shop.payments.states import AttemptStatus, RefundSource
from shop.payments.tasks import open_task


def cancel_order(order: orders.Order, *, reason: str, refund: bool = True) -> None:
    """Cancel the order and, in the same step, refund what was paid for it.

    Staff give all that is left, what they kept of units cancelled before included; a customer gets
    what the rest of the order cost. Without ``refund`` the money stays, for staff to decide. Money
    that was only authorised is released in any case, by what follows the event.
    """
    source = _source()
    if refund:
        _refuse_while_disputed(order)
    wanted = (
        refunds.the_rest(order) if source == RefundSource.CUSTOMER else refunds.everything(order)
    )
    goes_back = refund and bool(wanted.amount_minor)
    orders.cancel(order, reason=reason, goes_back=goes_back)
    if goes_back:
        refunds.request_refund(order, wanted, reason="cancelled", source=source)
        if source == RefundSource.CUSTOMER:
            _report_left(order)
    elif refund:
        _report_kept(order)


def cancel_lines(
    order: orders.Order, quantities: dict[int, int], *, reason: str, refund: bool = True
) -> None:
    """Take units out of a paid order and, in the same step, refund what they cost.

    When nothing is left of the order, it is cancelled as by ``cancel_order``. Raises as
    ``orders.cancel_lines`` and ``request_refund`` do; then nothing is changed.
    """
    if order.status == OrderStatus.CONFIRMED and orders.is_all_of(order, quantities):
        cancel_order(order, reason=reason, refund=refund)
        return
    if refund:
        _refuse_while_disputed(order)
    wanted = refunds.worth_of(order, quantities)
    goes_back = refund and bool(wanted.amount_minor)
    orders.cancel_lines(order, quantities, reason=reason, goes_back=goes_back)
    if goes_back:
        refunds.request_refund(order, wanted, reason="cancelled", source=_source())
    elif refund:
        _count_worthless(order, wanted)
        _report_kept(order)
    _release_if_free(order)


def _source() -> RefundSource:
    kind = actor.current().kind
    by_actor = {"staff": RefundSource.STAFF, "system": RefundSource.SYSTEM}
    return by_actor.get(kind, RefundSource.CUSTOMER)


def _refuse_while_disputed(order: orders.Order) -> None:
    """Whoever cancels to have money refunded has to wait while a bank decides about it."""
    if refusal := refundable.refusal_while_disputed(Payment.order_id == order.id):
        raise WrongState(refusal)


def _report_left(order: orders.Order) -> None:
    """Money of an order that its customer cancelled is still here: somebody refunded less than its
    items cost, or nothing, when a part of it was cancelled before. A person says whether it stays.
    """
    session.flush()
    left = session.scalar(
        select(func.sum(Payment.captured_minor - Payment.refunding_minor)).where(
            Payment.order_id == order.id
        )
    )
    if left:
        open_task(
            "money_left",
            str(order.id),
            f"The customer cancelled order {order.number}, and"
            f" {Money(int(left), order.currency).format()} of its money is still here: less was"
            " refunded before than the items cost.",
            order_id=order.id,
        )


def _report_kept(order: orders.Order) -> None:
    """A bank took part of the money: the rest cannot go back by Stripe, so a person sends it."""
    balance = balance_of(order.id, order.currency)
    if balance.lost_minor and balance.kept_minor > 0:
        kept = Money(balance.kept_minor, order.currency).format()
        open_task(
            "kept_after_dispute",
            f"{order.id}:{order.version}",
            f"Part of order {order.number} was cancelled. {kept} of its money is still here,"
            " and Stripe refunds nothing of a payment that a bank has charged back.",
            order_id=order.id,
        )


def _count_worthless(order: orders.Order, wanted: refunds.Wanted) -> None:
    """Count cancelled units whose part of the price rounds to nothing as refunded: with the next
    ones they come to something."""
    priced = {line.id for line in order.lines if refundable.gross(line)}
    lines = {line_id: units for line_id, units in wanted.lines.items() if line_id in priced}
    if not (lines and refundable.was_sold(order)):
        return
    given = refundable.given_of(order)[0]
    if not any(part.amount_minor for part in refunds.parts_of(order, lines, given)):
        returns.record_return(order, lines, reason="cancelled", source=_source())


def _release_if_free(order: orders.Order) -> None:
    """When only free items are left of an order whose money is authorised, release the money: the
    order counts as paid then, and can be shipped."""
    if order.status != OrderStatus.CONFIRMED or order.payment_status != PaymentStatus.AUTHORISED:
        return
    authorised = session.scalar(
        select(Payment)
        .where(Payment.order_id == order.id, Payment.status == AttemptStatus.AUTHORISED)
        .limit(1)
    )
    if authorised is not None and refundable.owed(order, authorised) <= 0:
        emit(VoidRequested(order_id=order.id, payment_id=authorised.id))
