"""Stripe's test cards: what each number does, and the checks a card must pass first.

Numbers live here and nowhere else: what leaves `read_card` is brand, last four digits and expiry.
See https://docs.stripe.com/testing for the numbers.
"""

import hashlib
import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from tools.stripe.params import Params
from tools.stripe.refusals import CardRefused, Missing


@dataclass(frozen=True)
class Decline:
    """Why an issuer says no: Stripe's code, its decline code and the sentence for the buyer."""

    code: str
    decline_code: str | None
    message: str


DECLINES = {
    "generic_decline": Decline("card_declined", "generic_decline", "Your card was declined."),
    "insufficient_funds": Decline(
        "card_declined", "insufficient_funds", "Your card has insufficient funds."
    ),
    "lost_card": Decline("card_declined", "lost_card", "Your card was declined."),
    "stolen_card": Decline("card_declined", "stolen_card", "Your card was declined."),
    "expired_card": Decline("expired_card", "expired_card", "Your card has expired."),
    "incorrect_cvc": Decline(
        "incorrect_cvc", "incorrect_cvc", "Your card's security code is incorrect."
    ),
    "processing_error": Decline(
        "processing_error",
        "processing_error",
        "An error occurred while processing your card. Try again in a little bit.",
    ),
    "live_card": Decline(
        "card_declined",
        "test_mode_live_card",
        "Your card was declined. Your request was in test mode, but used a non test (live) card.",
    ),
    "payment_failed": Decline(
        "payment_intent_payment_attempt_failed",
        None,
        "The payment failed. You can provide another payment method.",
    ),
    "payment_expired": Decline(
        "payment_intent_payment_attempt_expired",
        None,
        "The payment attempt expired before it was completed. You can provide another payment "
        "method.",
    ),
    "volume_limit": Decline(
        "charge_exceeds_source_limit",
        None,
        "The payment exceeds the weekly limit of amounts of this bank account.",
    ),
    "transaction_limit": Decline(
        "charge_exceeds_transaction_limit",
        None,
        "The payment exceeds the limit of a single payment of this bank account.",
    ),
    "debit_insufficient_funds": Decline(
        "insufficient_funds", None, "The bank account has insufficient funds."
    ),
    "payment_method_customer_decline": Decline(
        "payment_method_customer_decline",
        None,
        "The customer declined the payment, or their request was not approved.",
    ),
    "payment_method_provider_decline": Decline(
        "payment_method_provider_decline", None, "The payment was declined by its provider."
    ),
    "debit_not_authorized": Decline(
        "debit_not_authorized", None, "The account holder says that this debit is not authorised."
    ),
}


@dataclass(frozen=True)
class Behaviour:
    """What will happen to a payment with this payment method.

    ``is_late``: its bank answers after three minutes instead of at once; ``is_never``: nobody pays.
    """

    decline: str | None = None
    three_d_secure: bool = False
    dispute: str | None = None
    refund: str | None = None
    is_late: bool = False
    is_never: bool = False


BEHAVIOURS = {
    "works": Behaviour(),
    "declined": Behaviour(decline="generic_decline"),
    "insufficient_funds": Behaviour(decline="insufficient_funds"),
    "lost": Behaviour(decline="lost_card"),
    "stolen": Behaviour(decline="stolen_card"),
    "expired": Behaviour(decline="expired_card"),
    "wrong_cvc": Behaviour(decline="incorrect_cvc"),
    "processing_error": Behaviour(decline="processing_error"),
    "live_card": Behaviour(decline="live_card"),
    "three_d_secure": Behaviour(three_d_secure=True),
    "three_d_secure_declined": Behaviour(three_d_secure=True, decline="generic_decline"),
    "three_d_secure_poor": Behaviour(three_d_secure=True, decline="insufficient_funds"),
    "disputed": Behaviour(dispute="fraudulent"),
    "not_received": Behaviour(dispute="product_not_received"),
    "refund_pending": Behaviour(refund="pending"),
    "refund_fails": Behaviour(refund="failed"),
    "redirect": Behaviour(),
    "debit_success": Behaviour(refund="pending"),
    "debit_successDelayed": Behaviour(refund="pending", is_late=True),
    "debit_failed": Behaviour(decline="payment_failed"),
    "debit_failedDelayed": Behaviour(decline="payment_failed", is_late=True),
    "debit_disputed": Behaviour(dispute="debit_not_authorized", refund="pending"),
    "debit_exceedsWeeklyVolumeLimit": Behaviour(decline="volume_limit"),
    "debit_exceedsWeeklyTransactionLimit": Behaviour(decline="transaction_limit"),
    "debit_insufficientFunds": Behaviour(decline="debit_insufficient_funds"),
    "voucher_succeed": Behaviour(is_late=True),
    "voucher_succeed_immediately": Behaviour(),
    "voucher_expire_immediately": Behaviour(decline="payment_expired"),
    "voucher_expire_with_delay": Behaviour(decline="payment_expired", is_late=True),
    "voucher_fill_never": Behaviour(is_never=True),
}

NUMBERS = {
    "4242424242424242": "works",
    "4000056655665556": "works",
    "5555555555554444": "works",
    "2223003122003222": "works",
    "378282246310005": "works",
    "6011111111111117": "works",
    "4000000000000002": "declined",
    "4000000000009995": "insufficient_funds",
    "4000000000009987": "lost",
    "4000000000009979": "stolen",
    "4000000000000069": "expired",
    "4000000000000127": "wrong_cvc",
    "4000000000000119": "processing_error",
    "4000002500003155": "three_d_secure",
    "4000000000003220": "three_d_secure",
    "4000002760003184": "three_d_secure",
    "4000008400001629": "three_d_secure_declined",
    "4000008260003178": "three_d_secure_poor",
    "4000000000000259": "disputed",
    "4000000000002685": "not_received",
    "4000000000007726": "refund_pending",
    "4000000000005126": "refund_fails",
}

TEST_METHODS = {
    "pm_card_visa": "4242424242424242",
    "pm_card_visa_debit": "4000056655665556",
    "pm_card_mastercard": "5555555555554444",
    "pm_card_amex": "378282246310005",
    "pm_card_discover": "6011111111111117",
    "pm_card_chargeDeclined": "4000000000000002",
    "pm_card_visa_chargeDeclined": "4000000000000002",
    "pm_card_chargeDeclinedInsufficientFunds": "4000000000009995",
    "pm_card_visa_chargeDeclinedInsufficientFunds": "4000000000009995",
    "pm_card_chargeDeclinedExpiredCard": "4000000000000069",
    "pm_card_chargeDeclinedIncorrectCvc": "4000000000000127",
    "pm_card_chargeDeclinedProcessingError": "4000000000000119",
    "pm_card_authenticationRequired": "4000002760003184",
    "pm_card_authenticationRequiredOnSetup": "4000002500003155",
    "pm_card_threeDSecure2Required": "4000000000003220",
    "pm_card_threeDSecureRequired": "4000000000003220",
    "pm_card_createDispute": "4000000000000259",
    "pm_card_createDisputeProductNotReceived": "4000000000002685",
    "pm_card_pendingRefund": "4000000000007726",
    "pm_card_refundFail": "4000000000005126",
}

WALLETS = {"tok_applePay": "apple_pay", "tok_googlePay": "google_pay"}


@dataclass(frozen=True)
class Card:
    """A checked card without its number."""

    brand: str
    last4: str
    exp_month: int
    exp_year: int
    funding: str
    fingerprint: str
    cvc_given: bool
    behaviour: str
    wallet: str | None = None


def read_card(params: Params) -> Card:
    """Check number, expiry and CVC as Stripe does. Raises CardRefused naming the field."""
    token = params.text("token")
    if token is not None:
        params.close()
        return token_card(token, param=params.name("token"))
    number = re.sub(r"[ -]", "", params.required("number"))
    if not re.fullmatch(r"[0-9]{12,19}", number):
        raise CardRefused(
            "The card number is not a valid credit card number.",
            code="invalid_number",
            param="number",
        )
    if not _passes_luhn(number):
        raise CardRefused("Your card number is incorrect.", code="incorrect_number", param="number")
    month, year = _read_expiry(params)
    brand = brand_of(number)
    cvc = params.text("cvc")
    if cvc is not None and not re.fullmatch(r"[0-9]{4}" if brand == "amex" else r"[0-9]{3}", cvc):
        raise CardRefused("Your card's security code is invalid.", code="invalid_cvc", param="cvc")
    params.close()
    return _card(number, month, year, cvc_given=cvc is not None)


def token_card(token: str, *, param: str) -> Card:
    """Return the card behind a token: `tok_visa` and the like, or what a wallet handed over.

    `tok_applePay` and `tok_googlePay` are the stand-in's own, for the wallets of its Stripe.js.
    Raises Missing for another name.
    """
    if token in WALLETS:
        return replace(test_card("pm_card_visa", param=param), wallet=WALLETS[token])
    number = TEST_METHODS.get(token.replace("tok_", "pm_card_", 1))
    if number is None or not token.startswith("tok_"):
        raise Missing("token", token, param=param)
    return _card(number, 12, datetime.now(UTC).year + 4, cvc_given=True)


def test_card(method_id: str, *, param: str) -> Card:
    """The card behind one of Stripe's `pm_card_…` names. Raises Missing for another name."""
    number = TEST_METHODS.get(method_id)
    if number is None:
        raise Missing("PaymentMethod", method_id, param=param)
    return _card(number, 12, datetime.now(UTC).year + 4, cvc_given=True)


def brand_of(number: str) -> str:
    """The network a number belongs to, by its first digits."""
    if number.startswith("4"):
        return "visa"
    if re.match(r"5[1-5]|2[2-7]", number):
        return "mastercard"
    if re.match(r"3[47]", number):
        return "amex"
    if re.match(r"6011|65|64[4-9]", number):
        return "discover"
    return "unknown"


def _read_expiry(params: Params) -> tuple[int, int]:
    month_text, year_text = params.required("exp_month"), params.required("exp_year")
    if not re.fullmatch(r"[0-9]{1,2}", month_text) or not 1 <= int(month_text) <= 12:
        raise CardRefused(
            "Your card's expiration month is invalid.",
            code="invalid_expiry_month",
            param="exp_month",
        )
    if not re.fullmatch(r"[0-9]{2}|[0-9]{4}", year_text):
        raise CardRefused(
            "Your card's expiration year is invalid.", code="invalid_expiry_year", param="exp_year"
        )
    month, year = int(month_text), int(year_text)
    year += 2000 if year < 100 else 0
    today = datetime.now(UTC)
    if not today.year <= year <= today.year + 50:
        raise CardRefused(
            "Your card's expiration year is invalid.", code="invalid_expiry_year", param="exp_year"
        )
    if (year, month) < (today.year, today.month):
        raise CardRefused(
            "Your card's expiration month is invalid.",
            code="invalid_expiry_month",
            param="exp_month",
        )
    return month, year


def _passes_luhn(number: str) -> bool:
    total = 0
    for index, digit in enumerate(reversed(number)):
        value = int(digit) * (2 if index % 2 else 1)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


def _card(number: str, month: int, year: int, *, cvc_given: bool) -> Card:
    return Card(
        brand=brand_of(number),
        last4=number[-4:],
        exp_month=month,
        exp_year=year,
        funding="debit" if number == "4000056655665556" else "credit",
        # Only test numbers get a fingerprint of their own: a hash of a live number could be undone.
        fingerprint=_fingerprint(number) if number in NUMBERS else "live",
        cvc_given=cvc_given,
        behaviour=NUMBERS.get(number, "live_card"),
    )


def _fingerprint(number: str) -> str:
    return hashlib.sha256(f"fingerprint:{number}".encode()).hexdigest()[:16]
