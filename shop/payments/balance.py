"""What the money events of an order add up to. Pure: no database, no clock; minor units."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from shop.orders import PaymentStatus
from shop.payments.states import MoneyEventKind


@dataclass(frozen=True, slots=True)
class Balance:
    """Sums over money events of one currency; minor units.

    ``authorised_minor`` can still be captured. ``disputed_minor`` and ``lost_minor`` were withdrawn
    by disputes and not reinstated: by those that are open and by those that are closed. Captured −
    refunded − disputed − lost is what Stripe's balance says. ``open_disputes`` counts those that
    are open, also while no money has moved; inquiries are not among them. Fees may be in another
    currency than the order: only those in its own are counted.
    """

    authorised_minor: int = 0
    captured_minor: int = 0
    refunded_minor: int = 0
    disputed_minor: int = 0
    lost_minor: int = 0
    fees_minor: int = 0
    open_disputes: int = 0

    @property
    def kept_minor(self) -> int:
        """What came and stayed, disputes that are not decided yet included."""
        return self.captured_minor - self.refunded_minor - self.lost_minor


def of_events(
    sums: Iterable[Mapping[str, int]], *, disputed_minor: int = 0, open_disputes: int = 0
) -> Balance:
    """The balance of an order from the sums by kind of each of its payments.

    ``disputed_minor``: how much of what disputes withdrew belongs to those that are still open.
    """
    authorised = captured = refunded = withdrawn = fees = 0
    for by_kind in sums:
        get = by_kind.get
        captured += get(MoneyEventKind.CAPTURED, 0)
        if get(MoneyEventKind.AUTHORISED, 0):
            ended = get(MoneyEventKind.CAPTURED, 0) + get(MoneyEventKind.CANCELLED, 0)
            authorised += max(0, get(MoneyEventKind.AUTHORISED, 0) - ended)
        refunded += get(MoneyEventKind.REFUNDED, 0) - get(MoneyEventKind.REFUND_FAILED, 0)
        withdrawn += withdrawn_of(by_kind)
        fees += get(MoneyEventKind.FEE, 0) - get(MoneyEventKind.FEE_RETURNED, 0)
    return Balance(
        authorised_minor=authorised,
        captured_minor=captured,
        refunded_minor=refunded,
        disputed_minor=disputed_minor,
        lost_minor=withdrawn - disputed_minor,
        fees_minor=fees,
        open_disputes=open_disputes,
    )


def withdrawn_of(by_kind: Mapping[str, int]) -> int:
    """What disputes took of a payment and did not bring back, from its sums by kind."""
    get = by_kind.get
    moved = get(MoneyEventKind.DISPUTE_WITHDRAWN, 0) - get(MoneyEventKind.DISPUTE_REINSTATED, 0)
    # As it was counted until November 2026.
    lost = get(MoneyEventKind.DISPUTE_LOST, 0)
    held = get(MoneyEventKind.DISPUTE_OPENED, 0) - get(MoneyEventKind.DISPUTE_WON, 0) - lost
    return moved + lost + max(0, held)


def status_of(owed_minor: int, balance: Balance) -> PaymentStatus:
    """The payment status of an order for which ``owed_minor`` is to be paid."""
    if balance.open_disputes:
        return PaymentStatus.DISPUTED
    if balance.captured_minor == 0:
        if owed_minor == 0:
            return PaymentStatus.PAID
        return PaymentStatus.AUTHORISED if balance.authorised_minor else PaymentStatus.UNPAID
    if balance.kept_minor <= 0:
        return PaymentStatus.REFUNDED
    if balance.kept_minor >= owed_minor:
        return PaymentStatus.OVERPAID if balance.kept_minor > owed_minor else PaymentStatus.PAID
    has_left = balance.kept_minor < balance.captured_minor
    return PaymentStatus.PARTLY_REFUNDED if has_left else PaymentStatus.PARTLY_PAID


def status_to_keep(
    total_minor: int, balance: Balance, *, never_owed_minor: int, is_processing: bool
) -> PaymentStatus:
    """The payment status that an order keeps.

    What was cancelled before the order was paid for was never owed: it counts as paid without it.
    An unpaid order is ``processing`` while the money of a payment is on its way.
    """
    status = status_of(total_minor - never_owed_minor, balance)
    if status == PaymentStatus.UNPAID and is_processing:
        return PaymentStatus.PROCESSING
    return status


def gross_of(amount_minor: int, tax_minor: int, *, prices_include_tax: bool) -> int:
    """What something costs the customer, its tax included."""
    return amount_minor + (0 if prices_include_tax else tax_minor)


def worth(whole_minor: int, units: int, *, of: int) -> int:
    """What ``units`` of ``of`` equal units come to that cost ``whole_minor`` together."""
    return part_due(whole_minor, units, of=of, before_minor=0)


def part_due(whole_minor: int, units: int, *, of: int, before_minor: int) -> int:
    """What is due for the first ``units`` of ``of`` equal units that cost ``whole_minor`` together,
    when ``before_minor`` of it was given before.

    Rounds down, and the last unit takes the rest, so that any order of parts adds up to the whole.
    """
    return max(0, whole_minor * units // of - before_minor)
