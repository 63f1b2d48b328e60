"""Writing emails, one reaction each. All run inside the transaction that marks them done, and each
email has a key, so that an email is written exactly once per reason to write it.
"""

import logging
from datetime import timedelta
from typing import Any

from sqlalchemy import func, select, text
from sqlalchemy.dialects.postgresql import insert

from shop import customers, orders, payments, staff
from shop.core import clock, tokens
from shop.core.db import session
from shop.core.events import emit
from shop.customers.events import (
    CustomerRegistered,
    GuestOrdersRequested,
    PasswordResetRequested,
    RegistrationRepeated,
)
from shop.notifications import templates
from shop.notifications.events import MailQueued
from shop.notifications.models import EmailMessage
from shop.orders import OrderStatus, PaymentStatus
from shop.orders.events import (
    AddressChanged,
    LinesCancelled,
    OrderAuthorised,
    OrderCancelled,
    OrderDelivered,
    OrderExpired,
    OrderPaid,
    OrderShipped,
    TrackingCorrected,
)
from shop.payments.events import (
    LateCause,
    LatePaymentRefused,
    OrderRefunded,
    PaymentFailed,
    PaymentProcessing,
    VoucherIssued,
)
from shop.staff.events import StaffInvited, StaffPasswordChanged, StaffPasswordForgotten

log = logging.getLogger(__name__)

# Account emails for one mailbox, whoever asks for them: a mailbox is nobody's to fill. A device
# that has signed in to the account before has a few more, so that strangers cannot use up its own.
MAX_PER_HOUR = 5
MAX_PER_DAY = 10
KNOWN_DEVICE_EXTRA = 3
JOINING = ("confirm_link", "already_registered")
RESETTING = ("password_link",)
CLAIMING = ("orders_link",)
STAFF_RESETTING = ("staff_password_link",)
# These providers ignore dots: https://support.google.com/mail/answer/7436150
DOTLESS = {"gmail.com", "googlemail.com"}


def send_receipt(event: OrderPaid) -> None:
    """The order is paid, by the amount that was charged: less than its total if units were called
    off before, or if staff took less."""
    order = orders.by_id(event.order_id)
    cancelled_unpaid, tax = payments.cancelled_unpaid(order)
    owed = order.total_minor - cancelled_unpaid
    charged = payments.balance_of(order.id, order.currency).captured_minor
    _about_order(
        "receipt",
        f"receipt:{order.id}",
        order,
        owed_minor=owed,
        cancelled_unpaid=cancelled_unpaid,
        tax_minor=order.tax_minor - (tax if order.prices_include_tax else 0),
        charged=charged if charged < owed else None,
    )


def send_confirmed(event: OrderAuthorised) -> None:
    """The money is authorised; it is charged when staff capture it."""
    order = orders.by_id(event.order_id)
    _about_order("confirmed", f"confirmed:{order.id}", order, tax_minor=order.tax_minor)


def send_payment_processing(event: PaymentProcessing) -> None:
    """The customer has paid, and the money takes days; not sent once it is here or has failed, nor
    for an order that was cancelled since: another email says what becomes of its money."""
    order, payment = _about_payment(event.order_id, event.payment_id)
    if order.payment_status != PaymentStatus.PROCESSING or order.status != OrderStatus.PENDING:
        return
    _about_order(
        "payment_processing",
        f"payment_processing:{payment.id}:{order.version}",
        order,
        method=payments.facts_of(payment.method),
    )


def send_voucher(event: VoucherIssued) -> None:
    """How to pay with the voucher; not sent once it is paid or has ended."""
    order, payment = _about_payment(event.order_id, event.payment_id)
    if order.status != OrderStatus.PENDING or not payment.voucher_url:
        return
    _about_order(
        "voucher",
        f"voucher:{payment.id}:{tokens.digest(payment.voucher_url)[:24]}",
        order,
        payment=payment,
        method=payments.facts_of(payment.method),
        has_other_ways=bool(
            {*payments.ways_to_pay(order, capture=payment.capture)} - {payment.method}
        ),
    )


def send_payment_failed(event: PaymentFailed) -> None:
    """A payment failed after days, and the order can be paid again. Whoever is at the payment page
    reads it there and gets no email; nor does anybody whose order is closed or being paid again."""
    order, payment = _about_payment(event.order_id, event.payment_id)
    can_pay = order.status == OrderStatus.PENDING and order.payment_status == PaymentStatus.UNPAID
    if not event.later or not can_pay or payment.is_on_its_way:
        return
    _about_order(
        "payment_failed",
        f"payment_failed:{payment.id}:{order.version}",
        order,
        method=payments.facts_of(payment.method),
        reason=payments.failure_for_customer(event.reason),
        pay_path=f"/checkout/payment?order={order.number}&token={order.token}",
    )


def send_expired(event: OrderExpired) -> None:
    """The payment never arrived. Not sent for an order whose customer left without paying."""
    order = orders.by_id(event.order_id)
    if order.status == OrderStatus.EXPIRED and _was_on_its_way(order):
        _about_order("expired", f"expired:{order.id}:{order.version}", order)


def send_shipped(event: OrderShipped) -> None:
    """A shipment is on its way."""
    if not event.notify:
        return
    order = orders.by_id(event.order_id)
    fulfilment = next(f for f in order.fulfilments if f.id == event.fulfilment_id)
    rest = any(line.open_quantity for line in order.lines)
    _about_order("shipped", f"shipped:{fulfilment.id}", order, fulfilment=fulfilment, rest=rest)


def send_tracking(event: TrackingCorrected) -> None:
    """A shipment has another carrier or tracking number than we said; only if staff want it so."""
    if not event.notify:
        return
    order = orders.by_id(event.order_id)
    fulfilment = next(f for f in order.fulfilments if f.id == event.fulfilment_id)
    _about_order(
        "tracking", f"tracking:{fulfilment.id}:{event.version}", order, fulfilment=fulfilment
    )


def send_address(event: AddressChanged) -> None:
    """Staff changed where the order goes: its customer must know, who perhaps did not ask."""
    order = orders.by_id(event.order_id)
    _about_order(
        "address", f"address:{order.id}:{event.version}", order, address=order.shipping_address
    )


def send_delivered(event: OrderDelivered) -> None:
    """A shipment arrived."""
    order = orders.by_id(event.order_id)
    _about_order("delivered", f"delivered:{event.fulfilment_id}", order)


def send_cancelled(event: OrderCancelled) -> None:
    """The order was cancelled; not sent when another order of the same cart took its place, unless
    its customer has a voucher that must not be paid any more."""
    order, paid = orders.by_id(event.order_id), None
    if event.reason in orders.REPLACEMENTS:
        if not _was_on_its_way(order):
            return
        paid = orders.live_of(order)
    _about_order(
        "cancelled",
        f"cancelled:{order.id}",
        order,
        paid=paid,
        has_voucher=_had_voucher(order),
        was_charged=order.paid_at is not None
        and order.total_minor > payments.cancelled_unpaid(order)[0],
        is_on_its_way=order.paid_at is None and _was_on_its_way(order),
        goes_back=event.goes_back,
    )


def send_lines_cancelled(event: LinesCancelled) -> None:
    """Some units will not come."""
    order = orders.by_id(event.order_id)
    _about_order(
        "lines_cancelled",
        f"lines_cancelled:{order.id}:{event.version or order.version}",
        order,
        cancelled=event.lines,
        goes_back=event.goes_back,
    )


def send_refunded(event: OrderRefunded) -> None:
    """Money went back."""
    order = orders.by_id(event.order_id)
    refund = session.get_one(payments.Refund, event.refund_id)
    parts_minor = refund.shipping_minor + sum(part.amount_minor for part in refund.lines)
    _about_order(
        "refunded",
        f"refunded:{refund.id}",
        order,
        refund=refund,
        is_sum=refund.amount_minor == parts_minor,
    )


def send_late_payment(event: LatePaymentRefused) -> None:
    """Money came that cannot be used: what was captured is refunded, the rest released."""
    order = orders.by_id(event.order_id)
    paid = orders.live_of(order) if event.cause == LateCause.PAID_TWICE else None
    _about_order(
        "late_payment",
        f"late_payment:{event.payment_id}",
        order,
        paid=paid,
        replaced_by=paid if paid and paid.id != order.id else None,
        is_paid_twice=event.cause == LateCause.PAID_TWICE,
        is_cancelled=event.cause == LateCause.CANCELLED,
        is_released=not session.get_one(payments.Payment, event.payment_id).captured_minor,
    )


def send_confirmation_link(event: CustomerRegistered) -> None:
    """Finish the registration."""
    _link("confirm", event.customer_id, "/account/confirm/", among=JOINING)


def send_already_registered(event: RegistrationRepeated) -> None:
    """You have an account already."""
    customer = customers.by_id(event.customer_id)
    if customer is not None and _has_room(customer.email, JOINING):
        queue(
            "already_registered",
            f"already_registered:{customer.id}:{tokens.new_token()}",
            customer.email,
            mailbox=mailbox_of(customer.email),
            name=customer.name,
        )


def send_password_link(event: PasswordResetRequested) -> None:
    """Choose a new password; nothing when the address was nobody's."""
    if event.customer_id:
        extra = KNOWN_DEVICE_EXTRA if event.from_known_device else 0
        _link("password", event.customer_id, "/account/password/", among=RESETTING, extra=extra)


def send_orders_link(event: GuestOrdersRequested) -> None:
    """Add your guest orders to your account."""
    _link("orders", event.customer_id, "/account/claim/", among=CLAIMING)


def send_staff_invitation(event: StaffInvited) -> None:
    """You are invited to work here; nothing once the invitation was accepted, revoked or sent
    again."""
    found = staff.invited(event.invitation_id)
    if found is not None:
        _staff_link(
            staff.INVITATION,
            f"{staff.INVITATION}:{found.id}",
            found.id,
            found.email,
            "/admin/invitation/",
            name=found.name,
            invited_by=found.invited_by,
            roles=", ".join(found.roles),
            until=found.expires_at,
        )


def send_staff_password_link(event: StaffPasswordForgotten) -> None:
    """Choose a new password for the admin; nothing when the address was nobody's."""
    found = staff.person(event.staff_id) if event.staff_id else None
    extra = KNOWN_DEVICE_EXTRA if event.from_known_device else 0
    if found is not None and _has_room(found.email, STAFF_RESETTING, extra=extra):
        _staff_link(
            staff.PASSWORD,
            f"{staff.PASSWORD}:{tokens.new_token()}",
            found.id,
            found.email,
            "/admin/forgotten/",
            name=found.name,
            minutes=staff.LINK_MINUTES[staff.PASSWORD],
        )


def send_staff_password_changed(event: StaffPasswordChanged) -> None:
    """Your password for the admin was changed."""
    found = staff.person(event.staff_id)
    if found is not None:
        queue(
            "staff_password_changed",
            f"staff_password_changed:{tokens.new_token()}",
            found.email,
            name=found.name,
        )


def mailbox_of(email: str) -> str:
    """Returns the mailbox behind an address: without case, tag (``+news``) and Gmail's dots."""
    local, _, domain = email.strip().casefold().rpartition("@")
    local = local.partition("+")[0]
    if domain in DOTLESS:
        local, domain = local.replace(".", ""), "gmail.com"
    return f"{local}@{domain}"


def _has_room(email: str, kinds: tuple[str, ...], *, extra: int = 0) -> bool:
    """Whether this mailbox may get one more email of these kinds. Locks the mailbox."""
    mailbox = mailbox_of(email)
    session.execute(
        text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))"),
        {"name": f"mailbox:{mailbox}"},
    )
    now = clock.now()
    past_hour = EmailMessage.created_at > now - timedelta(hours=1)
    row = session.execute(
        select(func.count().filter(past_hour), func.count()).where(
            EmailMessage.mailbox == mailbox,
            EmailMessage.created_at > now - timedelta(days=1),
            EmailMessage.kind.in_(kinds),
        )
    ).one()
    has_room = row[0] < MAX_PER_HOUR + extra and row[1] < MAX_PER_DAY + extra
    if not has_room:
        log.warning("email not written: its mailbox got enough", extra={"kind": kinds[0]})
    return has_room


def _link(
    kind: str, customer_id: int, path: str, *, among: tuple[str, ...], extra: int = 0
) -> None:
    """Write an email with a one-time link. Its token is issued when the email is sent."""
    customer = customers.by_id(customer_id)
    if customer is None or not _has_room(customer.email, among, extra=extra):
        return
    mark = _new_mark()
    queue(
        f"{kind}_link",
        f"{kind}:{tokens.new_token()}",
        customer.email,
        customer_id=customer.id,
        mailbox=mailbox_of(customer.email),
        secret=mark,
        mark=mark,
        name=customer.name,
        path=path + mark,
        minutes=customers.LINK_MINUTES,
    )


def _staff_link(kind: str, key: str, about: int, email: str, path: str, **facts: Any) -> None:
    """Write an email with a one-time link for somebody of the staff."""
    mark = _new_mark()
    queue(
        f"{kind}_link",
        key,
        email,
        staff_link_id=about,
        mailbox=mailbox_of(email),
        secret=mark,
        mark=mark,
        path=path + mark,
        **facts,
    )


def _about_payment(order_id: int, payment_id: int) -> tuple[orders.Order, payments.Payment]:
    return orders.by_id(order_id), session.get_one(payments.Payment, payment_id)


def _was_on_its_way(order: orders.Order) -> bool:
    """Whether the customer had done their part, or had a voucher to do it with."""
    event_types = {PaymentProcessing.__name__, VoucherIssued.__name__}
    return any(
        entry.type in event_types
        or (entry.type == PaymentFailed.__name__ and entry.payload.get("later") is True)
        for entry in orders.timeline(order.id)
    )


def _had_voucher(order: orders.Order) -> bool:
    """Whether the customer may still hold a voucher for this order."""
    return order.paid_at is None and any(
        entry.type == VoucherIssued.__name__ for entry in orders.timeline(order.id)
    )


def _about_order(kind: str, key: str, order: orders.Order, **facts: Any) -> None:
    queue(
        kind,
        key,
        order.email,
        order_id=order.id,
        secret=order.token,
        order=order,
        redeemed=orders.redeemed(order),
        path=f"/orders/{order.number}?token={order.token}",
        **facts,
    )


def queue(
    kind: str,
    key: str,
    recipient: str,
    *,
    order_id: int | None = None,
    customer_id: int | None = None,
    staff_link_id: int | None = None,
    mailbox: str = "",
    secret: str = "",
    mark: str = "",
    **facts: Any,
) -> None:
    """Write an email of this kind down, unless there is one with this key.

    ``secret`` is what nobody but the recipient may read: wherever it was rendered, the random
    ``mark`` is stored instead. Random, or a name that somebody typed could contain it.
    """
    if session.scalar(select(EmailMessage.id).where(EmailMessage.key == key)):
        return
    rendered = templates.render(kind, **facts)
    mark = mark or (_new_mark() if secret else "")

    def without(body: str) -> str:
        return body.replace(secret, mark) if secret else body

    message_id = session.scalar(
        insert(EmailMessage)
        .values(
            key=key,
            kind=kind,
            recipient=recipient,
            subject=without(rendered.subject),
            text=without(rendered.text),
            html=without(rendered.html),
            order_id=order_id,
            customer_id=customer_id,
            staff_link_id=staff_link_id,
            secret_mark=mark,
            mailbox=mailbox,
        )
        .on_conflict_do_nothing(index_elements=["key"])
        .returning(EmailMessage.id)
    )
    if message_id is not None:
        emit(MailQueued(message_id=message_id))


def _new_mark() -> str:
    return f"hidden_{tokens.new_token()}"
