"""Everything that is said to Stripe, one function for each thing that is asked.

No database transaction is open while a function here runs. Every create carries an idempotency key
that its caller keeps in the database, so that a repeat after a lost answer finds the same object;
when a key is spent, the caller looks for the object before using a new one.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from itertools import islice
from typing import Any
from urllib.parse import quote_plus

from shop.core import clock
from shop.payments.stripe_client import call_stripe, each_of, pages_of
from shop.payments.stripe_errors import KeySpent, Refused
from shop.payments.stripe_objects import (
    GIVEN_UP,
    Charge,
    FraudWarning,
    Intent,
    Movement,
    Payout,
    Review,
    SentDispute,
    SentRefund,
)
from shop.payments.stripe_reading import (
    Unreadable,
    metadata_of,
    read_charge,
    read_dispute,
    read_fraud_warning,
    read_intent,
    read_movement,
    read_object,
    read_payout,
    read_refund,
    read_review,
)

# So many PaymentIntents are looked through for one whose answer was lost, newest first.
MAX_LOOKED_THROUGH = 2000


def create_intent(
    *,
    key: str,
    amount_minor: int,
    currency: str,
    capture: str,
    methods: Sequence[str],
    description: str,
    shipping: dict[str, Any] | None,
    metadata: dict[str, str],
) -> Intent:
    """Create a PaymentIntent, or get the one that was created under the same ``key``.

    ``methods``: the kinds that it may be paid with. Since 2026-09-30.endive Stripe refuses
    ``payment_method_types`` and filters ``allowed_payment_method_types`` by amount and currency:
    https://docs.stripe.com/changelog/endive/2026-09-30/removes-the-payment-method-types-parameter-from-payment-intents-and-setup-intents

    It has no ``receipt_email``: Stripe would email a receipt of its own, whatever its settings say
    (https://docs.stripe.com/api/payment_intents/create#create_payment_intent-receipt_email).

    Raises ``Refused``, ``KeySpent`` and ``Unavailable``.
    """
    return read_intent(
        call_stripe(
            "create-intent",
            "post",
            "payment_intents",
            idempotency_key=key,
            amount=amount_minor,
            currency=currency.lower(),
            capture_method=capture,
            allowed_payment_method_types=list(methods),
            description=description,
            **({"shipping": shipping} if shipping else {}),
            metadata=metadata,
        )
    )


def find_intent(payment_key: str, *, since: datetime) -> Intent | None:
    """Returns the PaymentIntent whose metadata names this payment, or None.

    Lists those created since then: Stripe's search would find it only after a while
    (https://docs.stripe.com/search#data-freshness).
    """
    params = {"created": {"gte": int(since.timestamp())}, "expand": ["data.latest_charge"]}
    found = [
        one
        for one in islice(pages_of("payment_intents", params), MAX_LOOKED_THROUGH)
        if metadata_of(one).get("payment") == payment_key
    ]
    # Oldest first, but one that can still be paid before one that is over.
    found.sort(key=lambda one: (one.get("status") == "canceled", one.get("created") or 0))
    return read_intent(found[0]) if found else None


def fetch_intent(intent_id: str) -> Intent:
    """The PaymentIntent as it is now, with its latest charge."""
    asked_at = clock.now()
    found = call_stripe(
        "fetch-intent",
        "get",
        f"payment_intents/{_part(intent_id)}",
        expand=["latest_charge"],
    )
    return replace(read_intent(found), asked_at=asked_at)


def cancel_intent(intent_id: str) -> Intent:
    """Cancel a PaymentIntent; returns it as it is then, also when it could not be cancelled.

    Each try has a key of its own: a PaymentIntent ends once, whoever asks again. Raises ``Refused``
    for one that Stripe does not know, and ``Unavailable``.
    """
    path = f"payment_intents/{_part(intent_id)}/cancel"
    for _ in range(2):
        try:
            return read_intent(
                call_stripe(
                    "cancel-intent",
                    "post",
                    path,
                    cancellation_reason=GIVEN_UP,
                    expand=["latest_charge"],
                )
            )
        except Refused:
            return fetch_intent(intent_id)
        except KeySpent as spent:
            failure = spent
            intent = fetch_intent(intent_id)
            if intent.status in {"canceled", "succeeded"}:
                return intent
    raise failure


def capture_intent(intent_id: str, *, key: str, amount_minor: int) -> Intent:
    """Take authorised money; what is left of it is released.

    Raises ``Refused``, ``KeySpent`` and ``Unavailable``.
    https://docs.stripe.com/api/payment_intents/capture
    """
    return read_intent(
        call_stripe(
            "capture-intent",
            "post",
            f"payment_intents/{_part(intent_id)}/capture",
            idempotency_key=key,
            amount_to_capture=amount_minor,
            expand=["latest_charge"],
        )
    )


def create_refund(
    *, key: str, intent_id: str, amount_minor: int, metadata: dict[str, str]
) -> SentRefund:
    """Refund a payment in part or whole. Raises ``Refused``, ``KeySpent`` and ``Unavailable``."""
    return read_refund(
        call_stripe(
            "create-refund",
            "post",
            "refunds",
            idempotency_key=key,
            payment_intent=intent_id,
            amount=amount_minor,
            metadata=metadata,
        )
    )


def fetch_refund(stripe_id: str) -> SentRefund:
    """The refund as it is now."""
    return read_refund(call_stripe("fetch-refund", "get", f"refunds/{_part(stripe_id)}"))


def fetch_dispute(stripe_id: str) -> SentDispute:
    """The dispute as it is now, with all that it moved."""
    asked_at = clock.now()
    return read_dispute(
        call_stripe("fetch-dispute", "get", f"disputes/{_part(stripe_id)}"), asked_at
    )


def fetch_charge(charge_id: str) -> Charge:
    """A charge with its balance transaction, which tells the rate at which it was converted."""
    return read_object(
        read_charge,
        "charge",
        call_stripe(
            "fetch-dispute",
            "get",
            f"charges/{_part(charge_id)}",
            expand=["balance_transaction"],
        ),
    )


def fetch_fraud_warning(stripe_id: str) -> FraudWarning:
    """The early fraud warning as it is now."""
    path = f"radar/early_fraud_warnings/{_part(stripe_id)}"
    return read_object(
        read_fraud_warning, "early fraud warning", call_stripe("fetch-warning", "get", path)
    )


def fetch_review(stripe_id: str) -> Review:
    """The review as it is now."""
    return read_object(
        read_review, "review", call_stripe("fetch-review", "get", f"reviews/{_part(stripe_id)}")
    )


def fetch_payout(stripe_id: str) -> Payout:
    """The payout as it is now, with the moment at which it came back."""
    found = call_stripe(
        "fetch-payout",
        "get",
        f"payouts/{_part(stripe_id)}",
        expand=["failure_balance_transaction"],
    )
    return read_object(read_payout, "payout", found)


def refunds_of(intent_id: str) -> Iterator[SentRefund | Unreadable]:
    """All refunds of a PaymentIntent, also those that others made. One that cannot be read is said
    in its place, here and in the lists below."""
    return each_of(read_refund, "refunds", {"payment_intent": intent_id})


def intents_since(moment: datetime) -> Iterator[Intent | Unreadable]:
    """PaymentIntents made since then, newest first."""
    return each_of(
        read_intent, "payment_intents", _since(moment) | {"expand": ["data.latest_charge"]}
    )


def refunds_since(moment: datetime) -> Iterator[SentRefund | Unreadable]:
    """Refunds made since then, newest first."""
    return each_of(read_refund, "refunds", _since(moment))


def disputes_since(moment: datetime) -> Iterator[SentDispute | Unreadable]:
    """Disputes opened since then, newest first."""
    return each_of(read_dispute, "disputes", _since(moment))


def movements_since(moment: datetime) -> Iterator[Movement | Unreadable]:
    """What moved in Stripe's balance since then, newest first."""
    return each_of(read_movement, "balance_transactions", _since(moment))


def fraud_warnings_since(moment: datetime) -> Iterator[FraudWarning | Unreadable]:
    """Early fraud warnings of since then, newest first."""
    read = partial(read_object, read_fraud_warning, "early fraud warning")
    return each_of(read, "radar/early_fraud_warnings", _since(moment))


def reviews_since(moment: datetime) -> Iterator[Review | Unreadable]:
    """Reviews that were opened since then and are open, newest first: Stripe lists no others.

    https://docs.stripe.com/api/radar/reviews/list
    """
    return each_of(partial(read_object, read_review, "review"), "reviews", _since(moment))


def payouts_since(moment: datetime, *, status: str = "failed") -> Iterator[Payout | Unreadable]:
    """Payouts that were begun since then and are in this status, newest first."""
    params = {"status": status, "expand": ["data.failure_balance_transaction"]}
    return each_of(partial(read_object, read_payout, "payout"), "payouts", _since(moment) | params)


def _since(moment: datetime) -> dict[str, Any]:
    return {"created": {"gte": int(moment.timestamp())}}


def _part(identifier: str) -> str:
    return quote_plus(identifier)
