"""Why Stripe refuses, in words for staff. Pure: nothing here asks Stripe or the database.

Stripe's error codes are an open set (https://docs.stripe.com/error-codes); ``RefusalReason`` is
ours, and closed: a program can rely on it. What is not listed here keeps Stripe's own sentence.
"""

from enum import StrEnum

from shop.core.i18n import gettext as _
from shop.core.i18n import lazy_gettext


class RefusalReason(StrEnum):
    """Why Stripe refused to start, capture, cancel or refund a payment."""

    AUTHORISATION_EXPIRED = "authorisation_expired"
    PAYMENT_CHANGED = "payment_changed"
    ALREADY_CAPTURED = "already_captured"
    CARD_DECLINED = "card_declined"
    CARD_EXPIRED = "card_expired"
    CARD_CLOSED = "card_closed"
    CARD_INSUFFICIENT_FUNDS = "card_insufficient_funds"
    CARD_AUTHENTICATION = "card_authentication_required"
    ALREADY_REFUNDED = "already_refunded"
    NOT_REFUNDABLE = "not_refundable"
    PAYMENT_DISPUTED = "payment_disputed"
    BALANCE_TOO_LOW = "stripe_balance_too_low"
    AMOUNT_TOO_LARGE = "amount_too_large"
    AMOUNT_TOO_SMALL = "amount_too_small"
    NOT_AT_STRIPE = "not_found_at_stripe"
    WRONG_MODE = "wrong_stripe_mode"
    ACCOUNT_RESTRICTED = "stripe_account_restricted"
    PROCESSING_ERROR = "processing_error"
    OTHER = "payment_refused"


SENTENCES: dict[RefusalReason, str] = {
    RefusalReason.AUTHORISATION_EXPIRED: lazy_gettext(
        "The authorisation has expired, so this money can no longer be captured. Cancel the order,"
        " or ask the customer to pay again."
    ),
    RefusalReason.PAYMENT_CHANGED: lazy_gettext(
        "The payment has changed at Stripe, so this is no longer possible. Check the payment in"
        " the Stripe Dashboard."
    ),
    RefusalReason.ALREADY_CAPTURED: lazy_gettext("This money was captured already."),
    RefusalReason.CARD_DECLINED: lazy_gettext(
        "The card issuer declined. Ask the customer to contact their bank, or settle it another"
        " way."
    ),
    RefusalReason.CARD_EXPIRED: lazy_gettext(
        "The card has expired. Settle it with the customer another way."
    ),
    RefusalReason.CARD_CLOSED: lazy_gettext(
        "The card was cancelled, lost or stolen. Settle it with the customer another way."
    ),
    RefusalReason.CARD_INSUFFICIENT_FUNDS: lazy_gettext(
        "There is not enough money on the card. Ask the customer to pay another way."
    ),
    RefusalReason.CARD_AUTHENTICATION: lazy_gettext(
        "The card issuer asks the customer to authenticate. Ask the customer to pay again."
    ),
    RefusalReason.ALREADY_REFUNDED: lazy_gettext(
        "Stripe has refunded all of this payment already. Check its refunds in the Stripe"
        " Dashboard."
    ),
    RefusalReason.NOT_REFUNDABLE: lazy_gettext(
        "This payment cannot be refunded through Stripe. Pay the customer another way."
    ),
    RefusalReason.PAYMENT_DISPUTED: lazy_gettext(
        "The customer’s bank disputes this payment, and Stripe does not refund disputed payments."
        " Answer the dispute in the Stripe Dashboard."
    ),
    RefusalReason.BALANCE_TOO_LOW: lazy_gettext(
        "Your Stripe balance is too low for this refund. Add money to it in the Stripe Dashboard,"
        " then try again."
    ),
    RefusalReason.AMOUNT_TOO_LARGE: lazy_gettext(
        "The amount is more than what is left of this payment at Stripe."
    ),
    RefusalReason.AMOUNT_TOO_SMALL: lazy_gettext(
        "The amount is below the smallest that Stripe accepts."
    ),
    RefusalReason.NOT_AT_STRIPE: lazy_gettext(
        "This payment is not in the Stripe account whose key the shop uses. Check"
        " STRIPE_SECRET_KEY."
    ),
    RefusalReason.WRONG_MODE: lazy_gettext(
        "This payment was made in the other mode, test or live, than the shop’s Stripe key. Check"
        " STRIPE_SECRET_KEY."
    ),
    RefusalReason.ACCOUNT_RESTRICTED: lazy_gettext(
        "Your Stripe account may not do this at the moment. Check its notices in the Stripe"
        " Dashboard."
    ),
    RefusalReason.PROCESSING_ERROR: lazy_gettext(
        "The card issuer could not process this. Try again in a few minutes."
    ),
}

_BY_CODE = {
    "charge_expired_for_capture": RefusalReason.AUTHORISATION_EXPIRED,
    "capture_charge_authorization_expired": RefusalReason.AUTHORISATION_EXPIRED,
    "capture_unauthorized_payment": RefusalReason.AUTHORISATION_EXPIRED,
    "payment_intent_unexpected_state": RefusalReason.PAYMENT_CHANGED,
    "intent_invalid_state": RefusalReason.PAYMENT_CHANGED,
    "charge_already_captured": RefusalReason.ALREADY_CAPTURED,
    "card_declined": RefusalReason.CARD_DECLINED,
    "card_decline_rate_limit_exceeded": RefusalReason.CARD_DECLINED,
    "payment_method_customer_decline": RefusalReason.CARD_DECLINED,
    "payment_method_provider_decline": RefusalReason.CARD_DECLINED,
    "expired_card": RefusalReason.CARD_EXPIRED,
    "expired_payment_method": RefusalReason.CARD_EXPIRED,
    "account_closed": RefusalReason.CARD_CLOSED,
    "authentication_required": RefusalReason.CARD_AUTHENTICATION,
    "charge_already_refunded": RefusalReason.ALREADY_REFUNDED,
    "charge_not_refundable": RefusalReason.NOT_REFUNDABLE,
    "charge_disputed": RefusalReason.PAYMENT_DISPUTED,
    "refund_disputed_payment": RefusalReason.PAYMENT_DISPUTED,
    "balance_insufficient": RefusalReason.BALANCE_TOO_LOW,
    "insufficient_funds": RefusalReason.BALANCE_TOO_LOW,
    "financial_account_balance_does_not_support_currency": RefusalReason.BALANCE_TOO_LOW,
    "amount_too_large": RefusalReason.AMOUNT_TOO_LARGE,
    "charge_exceeds_source_limit": RefusalReason.AMOUNT_TOO_LARGE,
    "charge_exceeds_transaction_limit": RefusalReason.AMOUNT_TOO_LARGE,
    "amount_too_small": RefusalReason.AMOUNT_TOO_SMALL,
    "resource_missing": RefusalReason.NOT_AT_STRIPE,
    "no_account": RefusalReason.NOT_AT_STRIPE,
    "livemode_mismatch": RefusalReason.WRONG_MODE,
    "testmode_charges_only": RefusalReason.WRONG_MODE,
    "account_invalid": RefusalReason.ACCOUNT_RESTRICTED,
    "capability_not_active": RefusalReason.ACCOUNT_RESTRICTED,
    "action_blocked": RefusalReason.ACCOUNT_RESTRICTED,
    "request_blocked": RefusalReason.ACCOUNT_RESTRICTED,
    "processing_error": RefusalReason.PROCESSING_ERROR,
}
# https://docs.stripe.com/declines/codes, and the reasons for which a refund fails later:
# https://docs.stripe.com/api/refunds/object#refund_object-failure_reason
_BY_DECLINE = {
    "expired_card": RefusalReason.CARD_EXPIRED,
    "insufficient_funds": RefusalReason.CARD_INSUFFICIENT_FUNDS,
    "withdrawal_count_limit_exceeded": RefusalReason.CARD_INSUFFICIENT_FUNDS,
    "lost_card": RefusalReason.CARD_CLOSED,
    "stolen_card": RefusalReason.CARD_CLOSED,
    "pickup_card": RefusalReason.CARD_CLOSED,
    "restricted_card": RefusalReason.CARD_CLOSED,
    "invalid_account": RefusalReason.CARD_CLOSED,
    "new_account_information_available": RefusalReason.CARD_CLOSED,
    "authentication_required": RefusalReason.CARD_AUTHENTICATION,
    "processing_error": RefusalReason.PROCESSING_ERROR,
    "issuer_not_available": RefusalReason.PROCESSING_ERROR,
    "try_again_later": RefusalReason.PROCESSING_ERROR,
    "reenter_transaction": RefusalReason.PROCESSING_ERROR,
}
# As they are stored: English, not from gettext.
_FAILURES = {
    "lost_or_stolen_card": "The card was lost or stolen. Pay the customer another way.",
    "expired_or_canceled_card": "The card has expired or was cancelled. Pay the customer another"
    " way.",
    "charge_for_pending_refund_disputed": "The customer’s bank disputed the payment before the"
    " refund was sent. Answer the dispute in the Stripe Dashboard.",
    "insufficient_funds": str(SENTENCES[RefusalReason.BALANCE_TOO_LOW]),
    "declined": "The customer’s bank declined the refund. Pay the customer another way.",
    "merchant_request": "The refund was cancelled in the Stripe Dashboard.",
    "unknown": "The customer’s bank gave no reason. Pay the customer another way.",
}


def reason_of(code: str, decline_code: str = "", *, kind: str = "") -> RefusalReason:
    """Returns our reason for Stripe's error ``code``, ``decline_code`` and error type ``kind``."""
    if decline_code in _BY_DECLINE and (kind == "card_error" or code == "card_declined"):
        return _BY_DECLINE[decline_code]
    if kind == "card_error" and code == "insufficient_funds":
        return RefusalReason.CARD_INSUFFICIENT_FUNDS
    if code in _BY_CODE:
        return _BY_CODE[code]
    # Some refund failures are also answered as error codes.
    if code in {"lost_or_stolen_card", "expired_or_canceled_card"}:
        return RefusalReason.CARD_CLOSED
    return RefusalReason.CARD_DECLINED if kind == "card_error" else RefusalReason.OTHER


def sentence_of(reason: RefusalReason, message: str) -> str:
    """Returns the sentence for staff; ``message`` is Stripe's own, for reasons without one."""
    if reason in SENTENCES:
        return str(SENTENCES[reason])
    if message:
        return _("Stripe refused: %(reason)s", reason=message)
    return _("Stripe refused this request.")


def failure_of(failure_reason: str) -> str:
    """Returns why a refund failed, in words for staff; "" while Stripe names no reason. It is
    stored with the refund, so it is English."""
    return _FAILURES.get(failure_reason, failure_reason.replace("_", " "))
