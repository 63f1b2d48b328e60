"""What happens to an order in its life: place, pay, process, ship, deliver, cancel."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import uuid4

from sqlalchemy import Select, select, text, update
from sqlalchemy.orm import selectinload

from shop import discounts, inventory
from shop.core import clock, tokens
from shop.core.db import session
from shop.core.errors import Invalid, NotFound
from shop.core.events import emit
from shop.discounts import Quote
from shop.orders.errors import TransitionRefused
from shop.orders.events import (
    LinesCancelled,
    OrderAuthorised,
    OrderCancelled,
    OrderDelivered,
    OrderExpired,
    OrderNoted,
    OrderPaid,
    OrderPlaced,
    OrderProcessing,
    OrderReopened,
    OrderShipped,
)
from shop.orders.models import Fulfilment, FulfilmentLine, Order, OrderLine
from shop.orders.queries import waiting
from shop.orders.sales import count_sales, record_sales
from shop.orders.states import (
    FULFILMENT,
    LIVE,
    ORDER,
    FulfilmentStatus,
    OrderStatus,
    PaymentStatus,
    ShipmentStatus,
)

CANCEL_REASONS = {
    "customer": "The customer asked for it",
    "out of stock": "We cannot deliver it",
    "fraud": "Suspected fraud",
    "mistake": "Ordered by mistake",
    "other": "Another reason",
}


# Why an unpaid order was closed in favour of another one of its chain; no person cancelled it.
REPLACED = "replaced by a newer order"
SUPERSEDED = "another order of the same cart was paid"
REPLACEMENTS = frozenset({REPLACED, SUPERSEDED})


@dataclass(frozen=True, slots=True)
class Chain:
    """An order, and the other orders of its cart that were placed in each other's place."""

    order: "Order"
    others: tuple["Order", ...]

    @property
    def rival(self) -> "Order | None":
        """The live order of the chain, if that is another one."""
        return next((one for one in self.others if one.status in LIVE), None)

    @property
    def is_cancelled(self) -> bool:
        """Whether a person cancelled the order, or one that came in its place."""
        return self.order.status != OrderStatus.PENDING and any(
            was_cancelled(one) for one in (self.order, *self.others) if one.id >= self.order.id
        )


@dataclass(frozen=True, slots=True)
class Item:
    """One thing to be ordered, with the words and price that the customer saw."""

    variant_id: int
    product_id: int
    name: str
    variant_title: str
    sku: str
    slug: str
    image_key: str
    tax_class: str
    quantity: int
    unit_price_minor: int


@dataclass(frozen=True, slots=True)
class Details:
    """Who orders, where it goes and how."""

    email: str
    shipping_address: Mapping[str, str]
    billing_address: Mapping[str, str] | None
    shipping_method: str
    shipping_method_name: str
    customer_id: int | None = None
    cart_id: int | None = None
    cart_version: int | None = None
    placed_from: str = ""


def place(
    items: Sequence[Item],
    quote: Quote,
    details: Details,
    *,
    hold_minutes: int,
    instead_of: Order | None = None,
) -> Order:
    """Write the order down and hold its stock until ``hold_minutes`` from now.

    ``instead_of`` is the buyer's order before this one, whose chain this one continues; an unpaid
    one was just cancelled for it, in this transaction. Raises ``OutOfStock`` or ``UsedUp``, and
    then nothing is ordered. The stock statement comes last, so that its row locks are held for the
    shortest time.
    """
    if not items:
        raise Invalid("There is nothing to order.")
    now = clock.now()
    order = Order(
        token=tokens.new_token(),
        cart_id=details.cart_id,
        cart_version=details.cart_version,
        chain_id=instead_of.chain_id if instead_of else uuid4(),
        customer_id=details.customer_id,
        email=details.email,
        customer_name=details.shipping_address["name"],
        currency=quote.currency,
        prices_include_tax=quote.prices_include_tax,
        subtotal_minor=quote.subtotal_minor,
        discount_minor=quote.discount_minor,
        shipping_minor=quote.shipping_minor,
        shipping_discount_minor=quote.shipping_discount_minor,
        shipping_tax_minor=quote.shipping_tax_minor,
        tax_minor=quote.tax_minor,
        total_minor=quote.total_minor,
        item_count=sum(item.quantity for item in items),
        shipping_method=details.shipping_method,
        shipping_method_name=details.shipping_method_name,
        shipping_address=dict(details.shipping_address),
        billing_address=dict(details.billing_address) if details.billing_address else None,
        placed_from=details.placed_from,
        placed_at=now,
        expires_at=now + timedelta(minutes=hold_minutes),
        lines=[
            OrderLine(
                variant_id=item.variant_id,
                product_id=item.product_id,
                name=item.name,
                variant_title=item.variant_title,
                sku=item.sku,
                slug=item.slug,
                image_key=item.image_key,
                quantity=item.quantity,
                unit_price_minor=item.unit_price_minor,
                discount_minor=taxed.discount_minor,
                total_minor=taxed.total_minor,
                tax_class=item.tax_class,
                tax_rate=taxed.tax_rate,
                tax_minor=taxed.tax_minor,
            )
            for item, taxed in zip(items, quote.lines, strict=True)
        ],
    )
    session.add(order)
    session.flush()
    discounts.redeem(
        order.id,
        quote.discounts,
        customer_id=details.customer_id,
        email=details.email,
        currency=quote.currency,
    )
    emit(OrderPlaced(order_id=order.id))
    was_held = instead_of is not None and instead_of.close_reason == REPLACED
    replaced = _open_lines(instead_of) if instead_of and was_held else ()
    inventory.reserve(order.id, _open_lines(order), replaced=replaced)
    return order


def lock(order_id: int, *, whole: bool = True) -> Order:
    """The order with its lines, its row locked until the transaction ends. Raises ``NotFound``.

    Whoever changes an order, its payments or its stock locks the order first. Unless ``whole``,
    lines and parcels are read only when they are asked for.
    """
    order = session.scalar(_locked(whole=whole).where(Order.id == order_id))
    if order is None:
        raise NotFound("There is no such order.")
    return order


def lock_chain(order_id: int) -> Chain:
    """The order and the others of its chain, all locked, in the order of their ids.

    Whoever may make an order live again, or decides which of two is, locks its chain; the cart, if
    there is one, comes before. Raises ``NotFound``.
    """
    chain_id = select(Order.chain_id).where(Order.id == order_id).scalar_subquery()
    found = session.scalars(_locked(whole=False).where(Order.chain_id == chain_id)).all()
    order = next((one for one in found if one.id == order_id), None)
    if order is None:
        raise NotFound("Order not found.")
    return Chain(order, tuple(one for one in found if one is not order))


def lock_all(order_ids: Iterable[int]) -> list[Order]:
    """All orders of the chains of these orders, locked, in the order of their ids."""
    chains = select(Order.chain_id).where(Order.id.in_(list(order_ids)))
    return list(session.scalars(_locked(whole=False).where(Order.chain_id.in_(chains))))


def was_cancelled(order: Order) -> bool:
    """Whether a person cancelled the order, so that no money brings it back to life."""
    return order.status == OrderStatus.CANCELLED and order.close_reason not in REPLACEMENTS


def unite(kept: Order, other: Order) -> None:
    """Make one chain of two, when the carts that they come from become one.

    The caller has locked both chains and left at most one live order in them.
    """
    session.flush()
    session.execute(
        update(Order).where(Order.chain_id == other.chain_id).values(chain_id=kept.chain_id)
    )


def _locked(*, whole: bool) -> Select[Order]:
    parts = [selectinload(Order.lines), selectinload(Order.fulfilments)] if whole else []
    return (
        select(Order)
        .options(*parts)
        .order_by(Order.id)
        .with_for_update(of=Order)
        .execution_options(populate_existing=True)
    )


def mark_paid(order: Order, *, rival: Order | None = None) -> None:
    """The money is captured: commit the stock, unless it was committed when it was authorised.

    A closed order reserves its stock again first, and its unpaid ``rival`` of the same chain is
    closed for it; raises ``OutOfStock`` when the stock is gone: the caller rolls back then.
    """
    is_committed = order.status in {OrderStatus.CONFIRMED, OrderStatus.COMPLETED}
    order.version += 1
    order.paid_at = order.paid_at or clock.now()
    if is_committed:
        record_sales(order)
    else:
        _confirm(order, rival)
    emit(OrderPaid(order_id=order.id))


def mark_authorised(order: Order, *, rival: Order | None = None) -> None:
    """The money is authorised: commit the stock. Takes and raises what ``mark_paid`` does."""
    order.version += 1
    _confirm(order, rival)
    emit(OrderAuthorised(order_id=order.id))


def keep_waiting(order: Order, *, rival: Order | None = None) -> None:
    """The money is on its way: a closed order becomes pending again. As ``mark_paid`` otherwise."""
    if order.status == OrderStatus.PENDING:
        return
    _reopen(order, rival)
    order.version += 1
    order.status = ORDER.move(order.status, to=OrderStatus.PENDING)
    order.closed_at, order.close_reason = None, ""
    emit(OrderReopened(order_id=order.id))


def set_payment_status(order: Order, status: PaymentStatus) -> None:
    """What the money events add up to; only payments knows."""
    if order.payment_status != status:
        order.payment_status = status
        order.version += 1


def start_processing(order: Order) -> None:
    """Somebody packs it now."""
    if (
        order.status != OrderStatus.CONFIRMED
        or order.fulfilment_status != FulfilmentStatus.UNFULFILLED
    ):
        raise TransitionRefused("Only a paid order that was not shipped yet can be processed.")
    if order.processing_at is not None:
        raise TransitionRefused("This order is being processed already.")
    order.processing_at = clock.now()
    order.version += 1
    emit(OrderProcessing(order_id=order.id))


def ship(
    order: Order,
    quantities: Mapping[int, int] | None = None,
    *,
    carrier: str = "",
    tracking_number: str = "",
    notify: bool = True,
) -> Fulfilment:
    """Hand over a parcel: all that is open, or ``quantities`` by order line id.

    The customer gets a mail unless ``notify`` is false. Raises ``TransitionRefused`` for an order
    that is not paid, ``Invalid`` for quantities that are not open any more, or that wait for stock.
    """
    if order.status != OrderStatus.CONFIRMED:
        raise TransitionRefused(
            "Only a paid order can be shipped."
            if order.status == OrderStatus.PENDING
            else f"This order is {order.status}, so nothing can be shipped."
        )
    if order.payment_status == PaymentStatus.AUTHORISED:
        raise TransitionRefused("The money is only authorised. Capture it before you ship.")
    if order.payment_status == PaymentStatus.UNPAID:
        raise TransitionRefused("The authorised money was let go, so nothing is paid. Do not ship.")
    carrier, tracking_number = _short(carrier, 60), _short(tracking_number, 80)
    wanted = _parcel(order, quantities)
    _check_is_here(order, wanted)
    fulfilment = Fulfilment(
        order=order,
        carrier=carrier,
        tracking_number=tracking_number,
        shipped_at=clock.now(),
        lines=[
            FulfilmentLine(order_line=line, quantity=quantity) for line, quantity in wanted.items()
        ],
    )
    session.add(fulfilment)
    for line, quantity in wanted.items():
        line.shipped += quantity
    order.processing_at = order.processing_at or clock.now()
    _follow_parcels(order)
    order.version += 1
    session.flush()
    inventory.ship(
        order.id, [inventory.Line(line.variant_id, quantity) for line, quantity in wanted.items()]
    )
    emit(OrderShipped(order_id=order.id, fulfilment_id=fulfilment.id, notify=notify))
    return fulfilment


def mark_delivered(order: Order, fulfilment_id: int) -> None:
    """A parcel arrived; with the last one the order is complete."""
    parcel = next((f for f in order.fulfilments if f.id == fulfilment_id), None)
    if parcel is None:
        raise NotFound("There is no such parcel.")
    parcel.status = FULFILMENT.move(parcel.status, to=ShipmentStatus.DELIVERED)
    parcel.delivered_at = clock.now()
    _follow_parcels(order)
    order.version += 1
    emit(OrderDelivered(order_id=order.id, fulfilment_id=parcel.id))


def cancel(order: Order, *, reason: str, goes_back: bool = False) -> None:
    """Call the order off before anything was shipped; frees what it held.

    Giving money back is for payments, in the same step; the customer is told if it ``goes_back``.
    """
    if order.fulfilment_status != FulfilmentStatus.UNFULFILLED:
        raise TransitionRefused("Something of this order was shipped, so it cannot be cancelled.")
    was_paid = order.status == OrderStatus.CONFIRMED
    _close(order, OrderStatus.CANCELLED, reason)
    discounts.give_back(order.id)
    inventory.release(order.id, _open_lines(order), committed=was_paid)
    if was_paid:
        count_sales(order, {line: -line.open_quantity for line in order.lines})
    emit(OrderCancelled(order_id=order.id, reason=reason, was_paid=was_paid, goes_back=goes_back))


def is_all_of(order: Order, quantities: Mapping[int, int]) -> bool:
    """Whether without these units, by order line id, nothing is left of an order of which nothing
    was sent."""
    return order.fulfilment_status == FulfilmentStatus.UNFULFILLED and all(
        quantities.get(line.id, 0) == line.open_quantity for line in order.lines
    )


def cancel_lines(
    order: Order, quantities: Mapping[int, int], *, reason: str, goes_back: bool = False
) -> None:
    """Take units out of a paid order before they are sent; ``quantities`` by order line id.

    With the last ones, an order of which nothing was sent is cancelled as a whole. Giving money
    back is for payments, as in ``cancel``. Raises ``TransitionRefused``, ``Invalid``.
    """
    if order.status != OrderStatus.CONFIRMED:
        raise TransitionRefused(
            "Single lines can only be cancelled when the order is paid; cancel all of it instead."
            if order.status == OrderStatus.PENDING
            else f"This order is {order.status}, so nothing of it can be cancelled."
        )
    wanted = _units(order, quantities, to="cancel")
    if is_all_of(order, quantities):
        cancel(order, reason=reason, goes_back=goes_back)
        return
    for line, quantity in wanted.items():
        line.cancelled += quantity
    _follow_parcels(order)
    order.version += 1
    session.flush()
    inventory.release(
        order.id,
        [inventory.Line(line.variant_id, quantity) for line, quantity in wanted.items()],
        committed=True,
    )
    count_sales(order, {line: -quantity for line, quantity in wanted.items()})
    emit(
        LinesCancelled(
            order_id=order.id,
            reason=reason,
            lines=[
                {"line_id": line.id, "name": line.name, "title": line.variant_title, "quantity": n}
                for line, n in wanted.items()
            ],
            version=order.version,
            goes_back=goes_back,
        )
    )


def expire(order: Order) -> None:
    """Nobody paid in time; frees what was held."""
    if order.status == OrderStatus.PENDING and order.expires_at > clock.now():
        raise TransitionRefused("This order can still be paid.")
    _close(order, OrderStatus.EXPIRED, "not paid in time")
    discounts.give_back(order.id)
    inventory.release(order.id, _open_lines(order))
    emit(OrderExpired(order_id=order.id))


def extend_hold(order: Order, *, until: datetime) -> None:
    """Keep an unpaid order and its reserved stock until then, at least."""
    if order.status == OrderStatus.PENDING:
        order.expires_at = max(order.expires_at, until)


def set_deadline(order: Order, *, until: datetime) -> None:
    """Let an unpaid order be paid until exactly then."""
    if order.status == OrderStatus.PENDING:
        order.expires_at = until
        order.version += 1


def adopt(customer_id: int, email: str) -> int:
    """Give a customer the orders that were placed with this address without an account. Returns how
    many.

    Only for an address that was proven just now, by following a link that was mailed to it.
    """
    adopted = session.scalars(
        update(Order)
        .where(Order.email == email, Order.customer_id.is_(None))
        .values(customer_id=customer_id)
        .returning(Order.id)
    )
    return len(adopted.all())


def note(order: Order, text: str) -> None:
    """Add a remark for staff to the timeline."""
    words = text.strip()
    if not 1 <= len(words) <= 2000:
        raise Invalid("A note has 1 to 2000 characters.", field="text")
    emit(OrderNoted(order_id=order.id, text=words))


def _close(order: Order, status: OrderStatus, reason: str) -> None:
    order.status = ORDER.move(order.status, to=status)
    order.closed_at = clock.now()
    order.close_reason = reason
    order.version += 1


def _confirm(order: Order, rival: Order | None) -> None:
    status = ORDER.move(order.status, to=OrderStatus.CONFIRMED)
    if order.status in {OrderStatus.EXPIRED, OrderStatus.CANCELLED}:
        _reopen(order, rival)
    order.status = status
    order.closed_at, order.close_reason = None, ""
    inventory.commit(order.id, _open_lines(order))
    count_sales(order, {line: line.open_quantity for line in order.lines})


def _reopen(order: Order, rival: Order | None) -> None:
    """Reserve a closed order's stock and count its discounts again; its rival is closed for it."""
    replaced: Sequence[inventory.Line] = ()
    if rival is not None:
        replaced = _open_lines(rival)
        discounts.lock_of((order.id, rival.id))
        inventory.lock({line.variant_id for line in (*order.lines, *rival.lines)})
        cancel(rival, reason=SUPERSEDED)
        session.flush()  # of a chain, two orders are never live at once, not even for a moment
    discounts.redeem_again(order.id)
    inventory.reserve(order.id, _open_lines(order), replaced=replaced)


def _follow_parcels(order: Order) -> None:
    """Set how far the order is on its way, from its lines and parcels."""
    if any(line.open_quantity for line in order.lines):
        order.fulfilment_status = (
            FulfilmentStatus.PARTLY_SHIPPED if order.fulfilments else FulfilmentStatus.UNFULFILLED
        )
    elif all(parcel.status == ShipmentStatus.DELIVERED for parcel in order.fulfilments):
        order.fulfilment_status = FulfilmentStatus.DELIVERED
        order.status = ORDER.move(order.status, to=OrderStatus.COMPLETED)
    else:
        order.fulfilment_status = FulfilmentStatus.SHIPPED


def _parcel(order: Order, quantities: Mapping[int, int] | None) -> dict[OrderLine, int]:
    if quantities is not None:
        return _units(order, quantities, to="ship")
    wanted = {line: line.open_quantity for line in order.lines if line.open_quantity}
    if not wanted:
        raise TransitionRefused("Everything of this order was shipped already.")
    return wanted


def _check_is_here(order: Order, wanted: Mapping[OrderLine, int]) -> None:
    missing = waiting(order)
    for line, quantity in wanted.items():
        here = line.open_quantity - missing.get(line.id, 0)
        if quantity > here:
            raise Invalid(
                f"{line.name}: {here or 'none'} of {line.open_quantity} can be sent now. The others"
                " wait for a delivery, which goes to orders in the order of their payment.",
                field="lines",
            )


def _units(order: Order, quantities: Mapping[int, int], *, to: str) -> dict[OrderLine, int]:
    """What is named, as far as it is still open. Raises ``Invalid``."""
    lines = {line.id: line for line in order.lines}
    wanted = {}
    for line_id, quantity in quantities.items():
        if line_id not in lines:
            raise Invalid("This line is not part of the order.", field="lines")
        line = lines[line_id]
        if isinstance(quantity, bool) or not 0 <= quantity <= line.open_quantity:
            raise Invalid(
                f"{line.name}: {line.open_quantity} left to {to}, not {quantity}.", field="lines"
            )
        if quantity:
            wanted[line] = quantity
    if not wanted:
        raise Invalid(f"Choose at least one thing to {to}.", field="lines")
    return wanted


def _open_lines(order: Order) -> list[inventory.Line]:
    return [
        inventory.Line(line.variant_id, line.open_quantity)
        for line in order.lines
        if line.open_quantity
    ]


def pass_number(number: str) -> None:
    """Give out no order number up to this one any more: somebody outside has it, from an order
    that a restored backup does not know. A number that is none of ours, or far away, is left."""
    session.execute(_PASS, {"number": number})


# Only ever forwards, whoever takes a number meanwhile.
_PASS = text("""
SELECT count(nextval('order_number')) FROM order_number s, generate_series(
    CASE WHEN s.is_called THEN s.last_value + 1 ELSE s.last_value END,
    least(substring(:number FROM '^EO-([0-9]{1,15})$')::bigint, s.last_value + 100000))
WHERE substring(:number FROM '^EO-([0-9]{1,15})$')::bigint <= s.last_value + 100000
""")


def _short(value: str, longest: int) -> str:
    cleaned = " ".join(value.split())
    if len(cleaned) > longest:
        raise Invalid(f"This is too long: {longest} characters are the most.")
    return cleaned
