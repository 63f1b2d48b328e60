"""The table: event → what follows. The only file that knows what follows what."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from shop import doctor, media, notifications, payments
from shop.cart.events import CartChanged
from shop.catalog.events import ProductChanged
from shop.core import reaction_runs
from shop.core.events import Event
from shop.core.reaction_runs import Reaction
from shop.customers.events import (
    CustomerRegistered,
    GuestOrdersRequested,
    PasswordResetRequested,
    RegistrationRepeated,
)
from shop.doctor.events import DoctorAnswered, DoctorAsked, FaultMended
from shop.inventory.events import StockChanged, StockLow
from shop.media.events import MediaStored
from shop.notifications import alerts, emails
from shop.notifications.events import MailQueued
from shop.orders.events import (
    AddressChanged,
    LinesCancelled,
    OrderAuthorised,
    OrderCancelled,
    OrderDelivered,
    OrderExpired,
    OrderPaid,
    OrderPlaced,
    OrderProcessing,
    OrderReopened,
    OrderShipped,
    TrackingCorrected,
)
from shop.payments.events import (
    ComparisonRequested,
    DisputeChanged,
    LatePaymentRefused,
    OrderRefunded,
    PaymentFailed,
    PaymentProcessing,
    PaymentVoided,
    RefundFailed,
    RefundRequested,
    TaskClosed,
    TaskOpened,
    UnitsReturned,
    VoidRequested,
    VoucherCancelled,
    VoucherIssued,
    WebhookReceived,
)
from shop.reviews.events import ReviewAdded
from shop.staff.events import StaffInvited, StaffPasswordChanged, StaffPasswordForgotten


def _apply_webhook(event: WebhookReceived) -> None:
    payments.apply_webhook(event.delivery_id)


def _close_intents(event: OrderCancelled | OrderExpired) -> None:
    payments.close_intents(event.order_id)


def _give_up_voucher(event: PaymentFailed) -> None:
    payments.give_up_voucher(event.payment_id)


def _send_refund(event: RefundRequested) -> None:
    payments.send_refund(event.refund_id)


def _void(event: VoidRequested) -> None:
    payments.void(event.payment_id)


def _compare(event: ComparisonRequested) -> None:
    payments.run_reconciliation(event.run_id)


def _deliver_mail(event: MailQueued) -> None:
    notifications.deliver(event.message_id)


def _make_renditions(event: MediaStored) -> None:
    media.make_renditions(event.media_id)


def _ask_doctor(event: DoctorAsked) -> None:
    doctor.execute_run(event.run_id)


# Reactions are stored under the names of these functions: they stay.
# Atomic ones run once, inside the transaction that marks them done; the others may repeat.
def _atomic(run: Callable[[Any], None]) -> Reaction:
    return Reaction(run.__name__, run)


def _outside(run: Callable[[Any], None]) -> Reaction:
    return Reaction(run.__name__.lstrip("_"), run, atomic=False)


def _slow(run: Callable[[Any], None], *, minutes: int) -> Reaction:
    """One that may take so many minutes, and is run again after them if its worker died."""
    return replace(_outside(run), slow=True, lease_s=60 * minutes)


REACTIONS: dict[type[Event], Sequence[Reaction]] = {
    OrderPaid: [_atomic(emails.send_receipt)],
    OrderShipped: [_atomic(emails.send_shipped)],
    TrackingCorrected: [_atomic(emails.send_tracking)],
    AddressChanged: [_atomic(emails.send_address)],
    OrderDelivered: [_atomic(emails.send_delivered)],
    OrderCancelled: [_atomic(emails.send_cancelled), _outside(_close_intents)],
    OrderExpired: [_atomic(emails.send_expired), _outside(_close_intents)],
    PaymentProcessing: [_atomic(emails.send_payment_processing)],
    VoucherIssued: [_atomic(emails.send_voucher)],
    PaymentFailed: [_atomic(emails.send_payment_failed), _outside(_give_up_voucher)],
    OrderRefunded: [_atomic(emails.send_refunded)],
    LatePaymentRefused: [_atomic(emails.send_late_payment)],
    RefundRequested: [_outside(_send_refund)],
    VoidRequested: [_outside(_void)],
    ComparisonRequested: [_slow(_compare, minutes=15)],
    OrderAuthorised: [_atomic(emails.send_confirmed)],
    LinesCancelled: [_atomic(emails.send_lines_cancelled)],
    StockLow: [_atomic(alerts.send_low_stock)],
    WebhookReceived: [_outside(_apply_webhook)],
    CustomerRegistered: [_atomic(emails.send_confirmation_link)],
    RegistrationRepeated: [_atomic(emails.send_already_registered)],
    PasswordResetRequested: [_atomic(emails.send_password_link)],
    GuestOrdersRequested: [_atomic(emails.send_orders_link)],
    StaffInvited: [_atomic(emails.send_staff_invitation)],
    StaffPasswordForgotten: [_atomic(emails.send_staff_password_link)],
    StaffPasswordChanged: [_atomic(emails.send_staff_password_changed)],
    MailQueued: [_outside(_deliver_mail)],
    MediaStored: [_slow(_make_renditions, minutes=2)],
    DoctorAsked: [_slow(_ask_doctor, minutes=15)],
    # At most sockets hear of these, but the relay must know every event it may meet.
    CartChanged: [],
    DisputeChanged: [],
    DoctorAnswered: [],
    FaultMended: [],
    OrderPlaced: [],
    OrderProcessing: [],
    OrderReopened: [],
    PaymentVoided: [],
    ProductChanged: [],
    RefundFailed: [],
    ReviewAdded: [],
    StockChanged: [],
    TaskClosed: [],
    TaskOpened: [],
    UnitsReturned: [],
    VoucherCancelled: [],
}
BY_NAME = {reaction.name: reaction for follows in REACTIONS.values() for reaction in follows}


def run(run_id: int) -> None:
    """Run a reaction if it is still due."""
    reaction_runs.run_reaction(run_id, BY_NAME)
