"""What Stripe answers, as objects of ours: only what the shop uses, checked and typed.

Amounts are in minor units, currencies in capitals. Knows neither the network nor the database.
"""

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from shop.core import clock

# Why the shop cancels a PaymentIntent, of the reasons that Stripe takes
# (https://docs.stripe.com/api/payment_intents/cancel#cancel_payment_intent-cancellation_reason).
GIVEN_UP = "abandoned"
# No id of Stripe's is longer (https://docs.stripe.com/upgrades), and no index takes much more.
MAX_ID_LENGTH = 255


@dataclass(frozen=True, slots=True)
class Voucher:
    """What the customer pays with in a shop or at a bank; Stripe shows it at ``url``."""

    url: str
    reference: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Intent:
    """A PaymentIntent as far as we care. Amounts in minor units, currency in capitals.

    ``method`` is Stripe's type of the payment method, such as "card" or "sepa_debit", and
    ``failed_method`` that of the one which failed last. ``is_given_up``: the shop cancelled it
    because nobody is to pay by it. ``asked_at`` is when Stripe was asked: of two answers, the one
    asked for later is the newer one.
    """

    id: str
    status: str
    client_secret: str
    amount_minor: int
    received_minor: int
    currency: str
    capturable_minor: int
    capture_before: datetime | None
    charge_id: str
    charged_at: datetime
    card_brand: str
    card_last4: str
    failure: str
    failure_reference: str
    email: str
    metadata: dict[str, str]
    method: str = ""
    has_shipping: bool = False
    voucher: Voucher | None = None
    failed_method: str = ""
    is_given_up: bool = False
    asked_at: datetime = field(default_factory=clock.now)


@dataclass(frozen=True, slots=True)
class SentRefund:
    """A refund as Stripe sees it; ``status`` is pending, requires_action, succeeded, failed or
    canceled (https://docs.stripe.com/api/refunds/object#refund_object-status)."""

    id: str
    intent_id: str
    status: str
    amount_minor: int
    currency: str
    failure: str
    created: datetime
    metadata: dict[str, str]


@dataclass(frozen=True, slots=True)
class Movement:
    """A balance transaction: what left (below zero) or came to Stripe's balance; minor units.

    ``source`` is the id of the charge, refund or dispute behind it. ``fee_minor`` is below zero
    when a fee is returned. ``rate``: units of ``currency`` for one unit of the source's currency,
    None if nothing was converted. https://docs.stripe.com/api/balance_transactions/object
    """

    id: str
    source: str
    amount_minor: int
    fee_minor: int
    currency: str
    rate: Decimal | None
    created: datetime


@dataclass(frozen=True, slots=True)
class SentDispute:
    """A dispute as Stripe sees it. ``amount_minor`` of ``currency`` is what the bank claims, what
    it took and gave stands in ``movements``, oldest first. ``asked_at`` is when Stripe was asked:
    of two answers, the one asked for later is the newer one."""

    id: str
    intent_id: str
    charge_id: str
    status: str
    amount_minor: int
    currency: str
    reason: str
    due_by: datetime | None
    created: datetime
    is_charge_refundable: bool = False
    movements: tuple[Movement, ...] = ()
    asked_at: datetime = field(default_factory=clock.now)


@dataclass(frozen=True, slots=True)
class Charge:
    """What a PaymentIntent took: ``amount_minor`` is what was captured. ``movement`` is how it came
    to Stripe's balance, if it has."""

    id: str
    intent_id: str
    amount_minor: int
    currency: str
    movement: Movement | None


@dataclass(frozen=True, slots=True)
class FraudWarning:
    """A card network says that a payment may be fraud, before anybody disputes it.

    https://docs.stripe.com/api/radar/early_fraud_warnings/object
    """

    id: str
    intent_id: str
    charge_id: str
    fraud_type: str
    is_actionable: bool


@dataclass(frozen=True, slots=True)
class Review:
    """Stripe Radar asks a person to look at a payment.

    https://docs.stripe.com/api/radar/reviews/object
    """

    id: str
    intent_id: str
    charge_id: str
    reason: str
    is_open: bool


@dataclass(frozen=True, slots=True)
class Payout:
    """Money that Stripe sends to the bank account of the whole Stripe account; minor units.
    ``failed_at`` is when it came back, or None.

    https://docs.stripe.com/api/payouts/object
    """

    id: str
    status: str
    amount_minor: int
    currency: str
    failure: str
    created: datetime
    failed_at: datetime | None = None
