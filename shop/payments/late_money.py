"""Whether money that has come, or will, can still pay its order."""

from collections.abc import Callable

from shop import orders
from shop.core.db import session
from shop.core.events import emit
from shop.inventory import OutOfStock
from shop.orders import OrderStatus, PaymentStatus
from shop.payments.events import LateCause, VoidRequested
from shop.payments.models import Payment


def claim(chain: orders.Chain, mark: Callable[..., None]) -> LateCause | None:
    """Let the money of a payment pay its order: ``mark`` is the verb of orders that says so.

    Returns why it cannot, and then nothing has changed; None when it does.
    """
    cause = _why_unusable(chain)
    if cause is None and not _is_in_time(chain, mark):
        return LateCause.SOLD_OUT
    return cause


def _why_unusable(chain: orders.Chain) -> LateCause | None:
    """Why the money of this payment cannot be used, whatever there is in stock; None if it can.

    Of the orders of one cart one is paid: the first whose money is here or on its way. One that is
    only waiting for its money makes room (https://docs.stripe.com/payments/paymentintents/lifecycle
    for what "processing" promises).
    """
    order, rival = chain.order, chain.rival
    if order.status in {OrderStatus.CONFIRMED, OrderStatus.COMPLETED}:
        return LateCause.PAID_TWICE
    if rival is not None and (
        rival.status != OrderStatus.PENDING or rival.payment_status == PaymentStatus.PROCESSING
    ):
        return LateCause.PAID_TWICE
    return LateCause.CANCELLED if chain.is_cancelled else None


def _is_in_time(chain: orders.Chain, mark: Callable[..., None]) -> bool:
    """Commit the stock. False when the order was closed before and its goods are gone.

    An order that waits for its money has its stock reserved: only a closed one can come too late.
    """
    order, rival = chain.order, chain.rival
    if order.status == OrderStatus.PENDING:
        mark(order)
        return True
    try:
        with session.begin_nested():
            mark(order, rival=rival)
    except OutOfStock:
        for one in (order, rival) if rival else (order,):
            session.refresh(one)
        return False
    return True


def ask_to_void(order: orders.Order, payment: Payment) -> None:
    """Have money that nobody wants released, or stopped on its way if its method can be."""
    emit(VoidRequested(order_id=order.id, payment_id=payment.id))
