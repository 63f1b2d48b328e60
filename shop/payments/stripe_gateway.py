"""Everything that is said to Stripe, and nothing else. The only importer of ``stripe``.

No database transaction is open while a function here runs. Every create carries a deterministic
idempotency key, so that a repeat after a lost answer finds the same object
(https://docs.stripe.com/api/idempotent_requests).
"""

import json
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, TypeVar
from urllib.parse import quote_plus

import stripe

from shop.core import clock, failpoints
from shop.core.errors import DomainError, Unavailable

log = logging.getLogger(__name__)

# A customer waits meanwhile: twice this, at worst. What fails is tried again later anyway.
TIMEOUT_S = 8
STRIPE_JS = "https://js.stripe.com"
_VOUCHER = "_display_details"


@dataclass(frozen=True, slots=True)
class Voucher:
    """What the customer pays with in a shop or at a bank; Stripe shows it at ``url``."""

    url: str
    reference: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Intent:
    """A PaymentIntent as far as we care. Amounts in minor units, currency in capitals.

    ``method`` is Stripe's type of the payment method, such as "card" or "sepa_debit". ``asked_at``
    is when Stripe was asked: of two answers, the one asked for later is the newer one.
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
    voucher: Voucher | None = None
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
    """What a PaymentIntent took. ``movement`` is how it came to Stripe's balance, if it has."""

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

    https://docs.stripe.com/api/payouts/object
    """

    id: str
    status: str
    amount_minor: int
    currency: str
    failure: str
    created: datetime


class BadSignature(DomainError):
    """A webhook that Stripe did not sign."""

    code = "bad_signature"


class Refused(DomainError):
    """Stripe understood and said no; asking again in the same way will not help."""

    code = "payment_refused"


class NoSuchObject(Refused):
    """Stripe has no object with this id: deleted, or of another account or mode."""


class Unreadable(DomainError):
    """An object of Stripe's that is not as its API says: fields missing, of another type, or too
    big. ``reference``, ``intent_id`` and ``metadata`` say whose it is, as far as they can be
    read."""

    code = "unreadable"

    def __init__(self, kind: str, given: Any, reason: str) -> None:
        data = given if isinstance(given, dict) else {}
        self.kind, self.reference = kind, _text(data.get("id"))
        self.intent_id = _reference(data.get("payment_intent"))
        self.metadata = metadata_of(data)
        super().__init__(f"Stripe's {kind} {self.reference} cannot be read: {reason}.")


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
Read = TypeVar("Read")

_client: stripe.StripeClient | None = None
_is_live = False
_publishable_key = ""
_capture = "automatic"
_script_base = STRIPE_JS
_webhook_secrets: tuple[str, ...] = ()


def configure(
    *,
    secret_key: str,
    publishable_key: str,
    webhook_secrets: tuple[str, ...],
    api_base: str,
    capture: str = "automatic",
) -> None:
    """Point this process at Stripe, or at the stand-in when ``api_base`` is set.

    ``capture``: "manual" only authorises, and staff capture the money later.
    """
    global _client, _publishable_key, _webhook_secrets, _capture, _script_base, _is_live
    _script_base = api_base or STRIPE_JS
    _publishable_key, _webhook_secrets, _capture = publishable_key, webhook_secrets, capture
    _client, _is_live = None, "_live_" in secret_key
    if secret_key:
        _client = stripe.StripeClient(
            secret_key,
            max_network_retries=1,
            http_client=stripe.RequestsClient(timeout=TIMEOUT_S),
            **({"base_addresses": {"api": api_base}} if api_base else {}),  # type: ignore[arg-type]
        )


def publishable_key() -> str:
    """The key that the browser may know."""
    return _publishable_key


def is_live() -> bool:
    """Whether our key is one of Stripe's live mode. Objects and messages of the other mode are not
    about this shop (https://docs.stripe.com/keys#test-live-modes)."""
    return _is_live


def script_url() -> str:
    """Returns the address of the Stripe.js that belongs to the SDK's API version.

    Each major release has its own: https://docs.stripe.com/sdks/stripejs-versioning
    """
    release = stripe.api_version.rpartition(".")[2]
    return f"{_script_base}/{release}/stripe.js"


def script_origin() -> str:
    """Returns the origin that serves Stripe.js and the frames which it opens."""
    return _script_base


def capture_method() -> str:
    """How a new payment takes its money: automatic or manual."""
    return _capture


def create_intent(
    *,
    key: str,
    amount_minor: int,
    currency: str,
    capture: str,
    methods: Sequence[str],
    description: str,
    shipping: dict[str, Any],
    metadata: dict[str, str],
) -> Intent:
    """Make a PaymentIntent, or find the one that was made with the same ``key``.

    ``methods``: the kinds that it may be paid with. Since 2026-09-30.endive Stripe refuses
    ``payment_method_types`` and filters ``allowed_payment_method_types`` by amount and currency:
    https://docs.stripe.com/changelog/endive/2026-09-30/removes-the-payment-method-types-parameter-from-payment-intents-and-setup-intents

    It has no ``receipt_email``: Stripe would mail a receipt of its own, whatever its settings say
    (https://docs.stripe.com/api/payment_intents/create#create_payment_intent-receipt_email).
    """
    return _intent(
        _call(
            "create-intent",
            "post",
            "payment_intents",
            idempotency_key=key,
            amount=amount_minor,
            currency=currency.lower(),
            capture_method=capture,
            allowed_payment_method_types=list(methods),
            description=description,
            shipping=shipping,
            metadata=metadata,
        )
    )


def fetch_intent(intent_id: str) -> Intent:
    """The PaymentIntent as it is now, with its latest charge."""
    asked_at = clock.now()
    found = _call(
        "fetch-intent",
        "get",
        f"payment_intents/{_part(intent_id)}",
        expand=["latest_charge"],
    )
    return replace(_intent(found), asked_at=asked_at)


def cancel_intent(intent_id: str) -> Intent:
    """Cancel a PaymentIntent; gives it as it is then, also when it could not be cancelled."""
    try:
        return _intent(
            _call(
                "cancel-intent",
                "post",
                f"payment_intents/{_part(intent_id)}/cancel",
                expand=["latest_charge"],
            )
        )
    except Refused:
        return fetch_intent(intent_id)


def capture_intent(intent_id: str, *, key: str, amount_minor: int) -> Intent:
    """Take authorised money; what is left of it is released. Raises ``Refused``.

    https://docs.stripe.com/api/payment_intents/capture
    """
    return _intent(
        _call(
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
    """Send money back. Raises ``Refused`` when Stripe does not allow it."""
    return _refund(
        _call(
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
    return _refund(_call("fetch-refund", "get", f"refunds/{_part(stripe_id)}"))


def fetch_dispute(stripe_id: str) -> SentDispute:
    """The dispute as it is now, with all that it moved."""
    asked_at = clock.now()
    return _dispute(_call("fetch-dispute", "get", f"disputes/{_part(stripe_id)}"), asked_at)


def fetch_charge(charge_id: str) -> Charge:
    """A charge with its balance transaction, which tells the rate at which it was converted."""
    return _read(
        _charge,
        "charge",
        _call(
            "fetch-charge",
            "get",
            f"charges/{_part(charge_id)}",
            expand=["balance_transaction"],
        ),
    )


def fetch_fraud_warning(stripe_id: str) -> FraudWarning:
    """The early fraud warning as it is now."""
    path = f"radar/early_fraud_warnings/{_part(stripe_id)}"
    return _read(_fraud_warning, "early fraud warning", _call("fetch-warning", "get", path))


def fetch_review(stripe_id: str) -> Review:
    """The review as it is now."""
    return _read(_review, "review", _call("fetch-review", "get", f"reviews/{_part(stripe_id)}"))


def fetch_payout(stripe_id: str) -> Payout:
    """The payout as it is now."""
    return _read(_payout, "payout", _call("fetch-payout", "get", f"payouts/{_part(stripe_id)}"))


def refunds_of(intent_id: str) -> list[SentRefund]:
    """All refunds of a PaymentIntent, also those that others made."""
    return [_refund(one) for one in _all("refunds", {"payment_intent": intent_id})]


def intents_since(moment: datetime) -> Iterator[Intent | Unreadable]:
    """PaymentIntents made since then, newest first. One that cannot be read is said in its place,
    here and in the lists below."""
    return _each(_intent, "payment_intents", _since(moment) | {"expand": ["data.latest_charge"]})


def refunds_since(moment: datetime) -> Iterator[SentRefund | Unreadable]:
    """Refunds made since then, newest first."""
    return _each(_refund, "refunds", _since(moment))


def disputes_since(moment: datetime) -> Iterator[SentDispute | Unreadable]:
    """Disputes opened since then, newest first."""
    return _each(_dispute, "disputes", _since(moment))


def movements_since(moment: datetime) -> Iterator[Movement | Unreadable]:
    """What moved in Stripe's balance since then, newest first."""
    return _each(_movement, "balance_transactions", _since(moment))


def _since(moment: datetime) -> dict[str, Any]:
    return {"created": {"gte": int(moment.timestamp())}}


def verify(payload: bytes, signature: str) -> dict[str, Any]:
    """The event in a webhook's raw body. Raises ``BadSignature``.

    Several secrets are accepted while one is being replaced
    (https://docs.stripe.com/webhooks#verify-official-libraries); stamps older than 300 s are not.
    """
    for secret in _webhook_secrets:
        try:
            stripe.WebhookSignature.verify_header(payload.decode(), signature, secret, 300)
        except (stripe.SignatureVerificationError, UnicodeDecodeError):
            continue
        try:
            event = json.loads(payload)
        except ValueError:
            break
        if isinstance(event, dict):
            return event
    raise BadSignature("This is not a message of Stripe's.")


def _part(identifier: str) -> str:
    return quote_plus(identifier)


def _call(step: str, method: str, path: str, **params: Any) -> dict[str, Any]:
    """Ask for plain data: building the library's objects costs as much as half of the call."""
    if _client is None:
        raise Unavailable("Payments are not set up: STRIPE_SECRET_KEY is missing.")
    try:
        with failpoints.around(step):
            answer: dict[str, Any] = _client.raw_request(method, f"/v1/{path}", **params).data
        return answer
    except stripe.InvalidRequestError as error:
        if error.http_status == 404 or error.code == "resource_missing":
            raise NoSuchObject(error.user_message or "Stripe does not know this.") from error
        raise Refused(error.user_message or "Stripe refused this request.") from error
    except (stripe.AuthenticationError, stripe.PermissionError) as error:
        log.error("stripe does not accept our key", extra={"reason": str(error)})
        raise Unavailable("Payments are not available at the moment.") from error
    except stripe.StripeError as error:
        log.warning("stripe did not answer", extra={"reason": str(error)})
        raise Unavailable("The payment service does not answer. Please try again.") from error


def _all(kind: str, params: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Page by page (https://docs.stripe.com/api/pagination), a hundred at a time."""
    after: dict[str, str] = {}
    while True:
        page = _call("fetch-page", "get", kind, **params, limit=100, **after)
        yield from page["data"]
        if not page["has_more"] or not page["data"]:
            return
        after = {"starting_after": page["data"][-1]["id"]}


def _each(
    read: Callable[[dict[str, Any]], Read], kind: str, params: dict[str, Any]
) -> Iterator[Read | Unreadable]:
    for one in _all(kind, params):
        try:
            yield read(one)
        except Unreadable as error:
            yield error


def _read(read: Callable[[dict[str, Any]], Read], kind: str, data: dict[str, Any]) -> Read:
    try:
        return read(data)
    except _MISREADINGS as error:
        raise Unreadable(kind, data, _text(f"{type(error).__name__}: {error}")) from error


def _refund(data: dict[str, Any]) -> SentRefund:
    return _read(
        lambda data: SentRefund(
            id=_id(data["id"]),
            intent_id=_reference(data.get("payment_intent")),
            status=_text(data.get("status")) or "pending",
            amount_minor=_whole(data["amount"]),
            currency=_currency(data["currency"]),
            failure=_text(data.get("failure_reason")).replace("_", " "),
            created=_moment(data["created"]),
            metadata=metadata_of(data),
        ),
        "refund",
        data,
    )


def _dispute(data: dict[str, Any], asked_at: datetime | None = None) -> SentDispute:
    return _read(
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
                    (_movement(one) for one in data.get("balance_transactions") or []),
                    key=lambda one: (one.created, one.id),
                )
            ),
            asked_at=asked_at or clock.now(),
        ),
        "dispute",
        data,
    )


def _movement(data: dict[str, Any]) -> Movement:
    def read(data: dict[str, Any]) -> Movement:
        amount, fee = _whole(data["amount"]), _whole(data.get("fee") or 0)
        # A fee of its own, not one beside an amount: both leave the balance as a fee.
        if data.get("type") in {"stripe_fee", "stripe_fx_fee", "tax_fee"}:
            amount, fee = 0, fee - amount
        rate = data.get("exchange_rate")
        return Movement(
            id=_id(data["id"]),
            source=_reference(data.get("source")),
            amount_minor=amount,
            fee_minor=fee,
            currency=_currency(data["currency"]),
            rate=Decimal(str(rate)) if rate else None,
            created=_moment(data["created"]),
        )

    return _read(read, "balance transaction", data)


def _charge(data: dict[str, Any]) -> Charge:
    movement = data.get("balance_transaction")
    return Charge(
        id=_id(data["id"]),
        intent_id=_reference(data.get("payment_intent")),
        amount_minor=_whole(data["amount"]),
        currency=_currency(data["currency"]),
        movement=_movement(movement) if isinstance(movement, dict) else None,
    )


def _fraud_warning(data: dict[str, Any]) -> FraudWarning:
    return FraudWarning(
        id=_id(data["id"]),
        intent_id=_reference(data.get("payment_intent")),
        charge_id=_reference(data.get("charge")),
        fraud_type=_text(data.get("fraud_type")).replace("_", " "),
        is_actionable=_yes_or_no(data["actionable"]),
    )


def _review(data: dict[str, Any]) -> Review:
    return Review(
        id=_id(data["id"]),
        intent_id=_reference(data.get("payment_intent")),
        charge_id=_reference(data.get("charge")),
        reason=_text(data.get("reason")).replace("_", " "),
        is_open=_yes_or_no(data["open"]),
    )


def _payout(data: dict[str, Any]) -> Payout:
    return Payout(
        id=_id(data["id"]),
        status=_id(data["status"]),
        amount_minor=_whole(data["amount"]),
        currency=_currency(data["currency"]),
        failure=_text(data.get("failure_message") or data.get("failure_code")).replace("_", " "),
        created=_moment(data["created"]),
    )


def _intent(data: dict[str, Any]) -> Intent:
    return _read(_intent_read, "payment", data)


def _intent_read(data: dict[str, Any]) -> Intent:
    charge = data.get("latest_charge")
    charge = charge if isinstance(charge, dict) else {"id": charge or ""}
    details = charge.get("payment_method_details") or {}
    card = details.get("card") or {}
    error = data.get("last_payment_error") or {}
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
        failure_reference=_reference(error.get("charge")) or _reference(charge.get("id")),
        email=_payer(data, charge),
        metadata=metadata_of(data),
        method=_text(details.get("type")) or _waiting_method(data) or _only_method(data),
        voucher=_voucher(data.get("next_action") or {}),
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
    if not isinstance(value, str) or not value:
        raise ValueError(f"{value!r} is not a word")
    return _text(value)


def _reference(value: Any) -> str:
    """The id of another object, which Stripe may give in its place; empty without one."""
    return _text(value.get("id") if isinstance(value, dict) else value)


def _whole(value: Any) -> int:
    """A whole number of minor units, or of seconds."""
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) > MAX_WHOLE:
        raise ValueError(f"{value!r} is not a whole number of 64 bits")
    return value


def _yes_or_no(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"{value!r} is neither true nor false")
    return value


def _currency(value: Any) -> str:
    """A currency in capitals."""
    return _id(value).upper()


def _moment_or_none(stamp: Any) -> datetime | None:
    return _moment(stamp) if stamp else None


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


def _moment(stamp: int) -> datetime:
    return datetime.fromtimestamp(_whole(stamp), UTC)
