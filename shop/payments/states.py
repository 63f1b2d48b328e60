"""Closed sets of words of payments and refunds, as their tables hold them."""

from enum import StrEnum


class AttemptStatus(StrEnum):
    """Where an attempt to pay is."""

    CREATED = "created"
    STARTED = "started"
    PROCESSING = "processing"
    AUTHORISED = "authorised"
    SUCCEEDED = "succeeded"
    CANCELLED = "cancelled"


class CaptureMode(StrEnum):
    """Whether money is taken when it is authorised, or by staff later."""

    AUTOMATIC = "automatic"
    MANUAL = "manual"


class MoneyEventKind(StrEnum):
    """What happened to the money of a payment.

    ``dispute_opened``, ``dispute_won`` and ``dispute_lost`` were written until November 2026.
    """

    AUTHORISED = "authorised"
    CAPTURED = "captured"
    FAILED = "failed"
    CANCELLED = "cancelled"
    REFUNDED = "refunded"
    REFUND_FAILED = "refund_failed"
    DISPUTE_OPENED = "dispute_opened"
    DISPUTE_WON = "dispute_won"
    DISPUTE_LOST = "dispute_lost"
    FEE = "fee"
    DISPUTE_WITHDRAWN = "dispute_withdrawn"
    DISPUTE_REINSTATED = "dispute_reinstated"
    FEE_RETURNED = "fee_returned"


class RefundStatus(StrEnum):
    """Where a refund is; ``requested`` until Stripe has answered."""

    REQUESTED = "requested"
    SENT = "sent"
    DONE = "done"
    FAILED = "failed"


class RefundSource(StrEnum):
    """Who decided a refund; ``external`` at Stripe, past the shop."""

    STAFF = "staff"
    CUSTOMER = "customer"
    SYSTEM = "system"
    EXTERNAL = "external"


class SyncOutcome(StrEnum):
    """What came of asking Stripe about a payment and applying the answer."""

    KNOWN = "known"
    WAITING = "waiting"
    VOUCHER = "voucher"
    PROCESSING = "processing"
    AUTHORISED = "authorised"
    PAID = "paid"
    FAILED = "failed"
    CANCELLED = "cancelled"
    LATE = "late"
    PAID_TWICE = "paid twice"
    UNWANTED = "unwanted"
    AMOUNT_DIFFERS = "amount differs"
