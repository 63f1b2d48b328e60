"""Reading what Stripe answers. Whatever an account holds can be read or is ``Unreadable``, by name:
fields that are missing, of another type or too big never end in another error.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, TypeVar

from shop.core import clock
from shop.core.errors import DomainError
from shop.payments.refusals import failure_of
from shop.payments.stripe_objects import (
    GIVEN_UP,
    MAX_ID_LENGTH,
    Charge,
    FraudWarning,
    Intent,
    Movement,
    Payout,
    Review,
    SentDispute,
    SentRefund,
    Voucher,
)

_VOUCHER = "_display_details"
# What reading an object that is not as its API says can raise.
_MISREADINGS = (
    ArithmeticError,
    AttributeError,
    IndexError,
    KeyError,
    OSError,
    OverflowError,
    TypeError,
    ValueError,
)
MAX_WHOLE = 2**63 - 1
MAX_STAMP = 4_102_444_800  # the beginning of 2100
# Between two minor units of any two currencies.
MIN_RATE, MAX_RATE = Decimal("1e-9"), Decimal("1e9")
Read = TypeVar("Read")


class Unreadable(DomainError):
    """An object of Stripe's that is not as its API says: fields missing, of another type, or too
    big. ``reference``, ``intent_id`` and ``metadata`` say whose it is, as far as they can be
    read."""

    code = "unreadable"

    def __init__(self, kind: str, given: Any, reason: str) -> None:
        data = given if isinstance(given, dict) else {}
        self.kind, self.reference = kind, _text(data.get("id"))[:MAX_ID_LENGTH]
        self.intent_id = _text(_id_of(data.get("payment_intent")))[:MAX_ID_LENGTH]
        self.metadata = metadata_of(data)
        super().__init__(f"Stripe's {kind} {self.reference} cannot be read: {reason}.")


def read_intent(data: dict[str, Any]) -> Intent:
    """A PaymentIntent."""
    return read_object(_intent_read, "payment", data)


def _intent_read(data: dict[str, Any]) -> Intent:
    charge = data.get("latest_charge")
    charge = charge if isinstance(charge, dict) else {"id": charge or ""}
    details = charge.get("payment_method_details") or {}
    card = details.get("card") or {}
    error = data.get("last_payment_error") or {}
    tried = error.get("payment_method") or {}
    has_failed = data["status"] in {"requires_payment_method", "canceled"}
    failed_method = _text(tried.get("type")) if has_failed else ""
    return Intent(
        id=_id(data["id"]),
        status=_id(data["status"]),
        client_secret=_text(data.get("client_secret")),
        amount_minor=_whole(data["amount"]),
        received_minor=_whole(data.get("amount_received") or 0),
        currency=_currency(data["currency"]),
        capturable_minor=_whole(data.get("amount_capturable") or 0),
        capture_before=_moment_or_none(card.get("capture_before")),
        charge_id=_reference(charge.get("id")),
        charged_at=_moment(charge.get("created") or data["created"]),
        card_brand=_text(card.get("brand")),
        card_last4=_text(card.get("last4")),
        failure=_text(error.get("message")),
        failure_reference=(
            _reference(error.get("charge")) or _reference(tried) or _reference(charge.get("id"))
        ),
        email=_payer(data, charge),
        metadata=metadata_of(data),
        # What is tried now, or failed last, says more than a charge of before.
        method=(
            _waiting_method(data)
            or failed_method
            or _text(details.get("type"))
            or _only_method(data)
        ),
        has_shipping=bool(data.get("shipping")),
        voucher=_voucher(data.get("next_action") or {}),
        failed_method=failed_method,
        is_given_up=data.get("cancellation_reason") == GIVEN_UP,
    )


def _payer(data: dict[str, Any], charge: dict[str, Any]) -> str:
    """Who paid, for a person who has to find them: an address, or else a name."""
    details = charge.get("billing_details") or {}
    shipping = data.get("shipping") or {}
    return _text(
        details.get("email")
        or data.get("receipt_email")
        or details.get("name")
        or shipping.get("name")
    )


def _waiting_method(data: dict[str, Any]) -> str:
    """The method whose voucher waits to be paid: before that there is no charge to name it."""
    kind = str((data.get("next_action") or {}).get("type") or "")
    return kind.removesuffix(_VOUCHER) if kind.endswith(_VOUCHER) else ""


def _only_method(data: dict[str, Any]) -> str:
    offered = data.get("payment_method_types") or []
    return offered[0] if len(offered) == 1 else ""


def _voucher(action: dict[str, Any]) -> Voucher | None:
    """The voucher that the customer has to pay, if that is what is next.

    https://docs.stripe.com/api/payment_intents/object#payment_intent_object-next_action: OXXO has
    ``expires_after``, the others ``expires_at``.
    """
    kind = action.get("type") or ""
    shown = action.get(kind) or {}
    ends = shown.get("expires_at") or shown.get("expires_after")
    if not kind.endswith(_VOUCHER) or not shown.get("hosted_voucher_url") or not ends:
        return None
    parts = [str(shown[name]) for name in ("entity", "reference", "number") if shown.get(name)]
    return Voucher(shown["hosted_voucher_url"], " ".join(parts), _moment(ends))


def read_refund(data: dict[str, Any]) -> SentRefund:
    """A refund."""
    return read_object(
        lambda data: SentRefund(
            id=_id(data["id"]),
            intent_id=_reference(data.get("payment_intent")),
            status=_text(data.get("status")) or "pending",
            amount_minor=_whole(data["amount"]),
            currency=_currency(data["currency"]),
            failure=failure_of(_text(data.get("failure_reason"))),
            created=_moment(data["created"]),
            metadata=metadata_of(data),
        ),
        "refund",
        data,
    )


def read_dispute(data: dict[str, Any], asked_at: datetime | None = None) -> SentDispute:
    """A dispute with its balance transactions."""
    return read_object(
        lambda data: SentDispute(
            id=_id(data["id"]),
            intent_id=_reference(data.get("payment_intent")),
            charge_id=_reference(data.get("charge")),
            status=_id(data["status"]),
            amount_minor=_whole(data["amount"]),
            currency=_currency(data["currency"]),
            reason=_text(data.get("reason")),
            due_by=_moment_or_none((data.get("evidence_details") or {}).get("due_by")),
            created=_moment(data["created"]),
            is_charge_refundable=data.get("is_charge_refundable") is True,
            movements=tuple(
                sorted(
                    (read_movement(one) for one in data.get("balance_transactions") or []),
                    key=lambda one: (one.created, one.id),
                )
            ),
            asked_at=asked_at or clock.now(),
        ),
        "dispute",
        data,
    )


def read_movement(data: dict[str, Any]) -> Movement:
    """A balance transaction."""

    def read(data: dict[str, Any]) -> Movement:
        amount, fee = _whole(data["amount"]), _whole(data.get("fee") or 0)
        # A fee of its own, not one beside an amount: both leave the balance as a fee.
        if data.get("type") in {"stripe_fee", "stripe_fx_fee", "tax_fee"}:
            amount, fee = 0, fee - amount
        return Movement(
            id=_id(data["id"]),
            source=_reference(data.get("source")),
            amount_minor=amount,
            fee_minor=fee,
            currency=_currency(data["currency"]),
            rate=_rate_or_none(data.get("exchange_rate")),
            created=_moment(data["created"]),
        )

    return read_object(read, "balance transaction", data)


def read_charge(data: dict[str, Any]) -> Charge:
    """A charge, with its balance transaction if it is expanded."""
    movement = data.get("balance_transaction")
    captured = data.get("amount_captured")
    return Charge(
        id=_id(data["id"]),
        intent_id=_reference(data.get("payment_intent")),
        amount_minor=_whole(data["amount"] if captured is None else captured),
        currency=_currency(data["currency"]),
        movement=read_movement(movement) if isinstance(movement, dict) else None,
    )


def read_fraud_warning(data: dict[str, Any]) -> FraudWarning:
    """An early fraud warning."""
    return FraudWarning(
        id=_id(data["id"]),
        intent_id=_reference(data.get("payment_intent")),
        charge_id=_reference(data.get("charge")),
        fraud_type=_text(data.get("fraud_type")).replace("_", " "),
        is_actionable=_yes_or_no(data["actionable"]),
    )


def read_review(data: dict[str, Any]) -> Review:
    """A review."""
    return Review(
        id=_id(data["id"]),
        intent_id=_reference(data.get("payment_intent")),
        charge_id=_reference(data.get("charge")),
        reason=_text(data.get("reason")).replace("_", " "),
        is_open=_yes_or_no(data["open"]),
    )


def read_payout(data: dict[str, Any]) -> Payout:
    """A payout."""
    back = data.get("failure_balance_transaction")
    return Payout(
        id=_id(data["id"]),
        status=_id(data["status"]),
        amount_minor=_whole(data["amount"]),
        currency=_currency(data["currency"]),
        failure=_text(data.get("failure_message") or data.get("failure_code")).replace("_", " "),
        created=_moment(data["created"]),
        failed_at=_moment(back["created"]) if isinstance(back, dict) else None,
    )


def read_object(read: Callable[[dict[str, Any]], Read], kind: str, data: dict[str, Any]) -> Read:
    """Read an object with ``read``. Raises ``Unreadable`` for one that is not as its API says."""
    try:
        return read(data)
    except Unreadable as error:  # a part of it, which does not say whose it is
        raise Unreadable(kind, data, error.sentence.rstrip(".")) from error
    except _MISREADINGS as error:
        raise Unreadable(kind, data, _text(f"{type(error).__name__}: {error}")) from error


def metadata_of(data: dict[str, Any]) -> dict[str, str]:
    """The key-value pairs of an object; what is none, or has other types, is left out or said as
    text."""
    given = data.get("metadata")
    if not isinstance(given, dict):
        return {}
    return {_text(name): _text(value) for name, value in given.items()}


def _text(value: Any) -> str:
    """Text that the database can keep: it takes no NUL and no half of a character."""
    text = "" if value is None else str(value)
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode()


def _id(value: Any) -> str:
    """A word that must be there."""
    if not isinstance(value, str) or not 0 < len(value) <= MAX_ID_LENGTH:
        raise ValueError(f"{str(value)[:MAX_ID_LENGTH]!r} is not a word")
    return _text(value)


def _reference(value: Any) -> str:
    """The id of another object, which Stripe may give in its place; empty without one."""
    text = _text(_id_of(value))
    return _id(text) if text else ""


def _id_of(value: Any) -> Any:
    return value.get("id") if isinstance(value, dict) else value


def _whole(value: Any) -> int:
    """A whole number of minor units, or of seconds."""
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) > MAX_WHOLE:
        raise ValueError(f"{value!r} is not a whole number of 64 bits")
    return value


def _rate_or_none(value: Any) -> Decimal | None:
    """A rate of exchange."""
    if not value:
        return None
    rate = Decimal(str(value))
    if not rate.is_finite() or not MIN_RATE < rate < MAX_RATE:
        raise ValueError(f"{value!r} is not a rate")
    return rate


def _yes_or_no(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"{value!r} is neither true nor false")
    return value


def _currency(value: Any) -> str:
    """A currency in capitals."""
    return _id(value).upper()


def _moment_or_none(stamp: Any) -> datetime | None:
    return _moment(stamp) if stamp else None


def _moment(stamp: int) -> datetime:
    """A moment that can be shown in any time zone."""
    if not 0 <= _whole(stamp) < MAX_STAMP:
        raise ValueError(f"{stamp!r} is not a moment between 1970 and 2100")
    return datetime.fromtimestamp(stamp, UTC)
