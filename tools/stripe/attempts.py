"""What becomes of a confirmed PaymentIntent: charged, declined, sent to a bank, paid later, ended.

Promise: an intent is charged at most once, and only the newest attempt decides about it.
"""

from urllib.parse import urlencode

from tools.stripe import alerts, shapes, vouchers
from tools.stripe.cards import BEHAVIOURS, DECLINES, Behaviour, Decline
from tools.stripe.faults import Faults
from tools.stripe.ledger import Json, Unit, now
from tools.stripe.methods import TYPES, Family
from tools.stripe.refusals import AuthenticationFailed, CardRefused, Invalid

AUTHENTICATION_FAILED = (
    "The provided PaymentMethod has failed authentication. You can provide payment_method_data or "
    "a new PaymentMethod to attempt to fulfill this PaymentIntent again."
)
# Reasons that a payment may be failed with through `/_control`, beside those of test values.
FAILURES = tuple(DECLINES)


class Attempts:
    """The course of attempts to pay. `faults` says how long banks take."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults

    def begin(self, unit: Unit, intent: Json, how: Json) -> Json:
        """Start paying with the intent's payment method. Raises CardRefused for a decline."""
        method = unit.find("payment_method", intent["payment_method"])
        if method["type"] not in intent["payment_method_types"]:
            unit.discard()
            raise Invalid(
                f"The PaymentMethod provided ({method['type']}) is not allowed for this "
                "PaymentIntent. Please attach a PaymentMethod of one of the following types: "
                f"{', '.join(intent['payment_method_types'])}.",
                code="payment_intent_invalid_parameter",
                param="payment_method",
            )
        if unit.get("challenge", intent["id"]) is not None:
            unit.drop("challenge", intent["id"])
        family = TYPES[method["type"]].family
        if family is Family.DEBIT:
            return self._debit(unit, intent, method)
        if family is Family.VOUCHER:
            return self._issue_voucher(unit, intent, method)
        if family is Family.REDIRECT:
            return self._redirect(unit, intent, how)
        if _behaviour(unit, intent).three_d_secure:
            return self._challenge(unit, intent, how)
        return self._charge(unit, intent, authenticated=False)

    def authenticate(self, unit: Unit, intent_id: str, *, passed: bool) -> Json:
        """The buyer answered on the bank's page. A second answer changes nothing."""
        unit.lock(intent_id)
        intent = unit.find("payment_intent", intent_id, param="intent")
        challenge = unit.get("challenge", intent_id) or {}
        if intent["status"] != "requires_action" or not challenge:
            return intent
        intent = {**intent, "next_action": None}
        if passed:
            try:
                return self._charge(unit, intent, authenticated=True)
            except CardRefused:
                return unit.find("payment_intent", intent_id)
        method = unit.find("payment_method", intent["payment_method"])
        error = AuthenticationFailed(
            AUTHENTICATION_FAILED,
            code="payment_intent_authentication_failure",
            payment_method=method,
        ).body()["error"]
        return _failed(unit, intent, error)

    def conclude(self, unit: Unit, attempt: str) -> None:
        """The time of an attempt, named `<intent>:<payment method>`, is over: it ends by itself."""
        intent_id, _, method_id = attempt.partition(":")
        unit.lock(intent_id)
        intent = unit.find("payment_intent", intent_id)
        if intent["payment_method"] != method_id or not self._faults.settings.timers:
            return
        if unit.get("challenge", intent_id) and intent["status"] == "requires_action":
            self.fail(unit, intent_id, "payment_expired")
            return
        behaviour = _behaviour(unit, intent)
        if behaviour.decline is None:
            self.succeed(unit, intent_id)
        else:
            self.fail(unit, intent_id, behaviour.decline)

    def succeed(self, unit: Unit, intent_id: str) -> Json:
        """The bank or the voucher's payer paid. Raises Invalid when nothing is under way."""
        intent = self._under_way(unit, intent_id)
        challenge = unit.get("challenge", intent_id) or {}
        if challenge and intent["status"] == "requires_action":
            return self.authenticate(unit, intent_id, passed=True)
        return self._take(unit, intent, authenticated=bool(challenge.get("authenticated")))

    def fail(self, unit: Unit, intent_id: str, reason: str) -> Json:
        """The attempt ended without money. ``reason``: one of `FAILURES`. Raises Invalid."""
        intent = self._under_way(unit, intent_id)
        decline = DECLINES[reason]
        method = unit.find("payment_method", intent["payment_method"])
        error: Json = {"payment_method": method}
        if intent["status"] == "processing":
            charge = shapes.charge(intent, method, authenticated=False, decline=decline)
            pending = _pending(unit, intent)
            if pending is not None:
                charge |= {"id": pending["id"], "created": pending["created"]}
            unit.put("charge", charge)
            unit.emit("charge.failed", charge)
            error["charge"] = charge["id"]
            intent = {**intent, "latest_charge": charge["id"]}
        kind = "card_error" if decline.decline_code else "invalid_request_error"
        refusal = CardRefused(decline.message, code=decline.code, **error)
        refusal.type = kind
        refusal.extra["decline_code"] = decline.decline_code
        return _failed(unit, intent, refusal.body()["error"])

    def expire(self, unit: Unit, intent_id: str) -> Json:
        """A voucher, a redirect or an authorisation came to its end. Raises Invalid otherwise."""
        if unit.find("payment_intent", intent_id, param="intent")["status"] == "requires_capture":
            return self.expire_authorisation(unit, intent_id)
        intent = self._under_way(unit, intent_id)
        if intent["status"] == "processing":
            raise Invalid("A payment that is processing does not expire: it succeeds or fails.")
        return self.fail(unit, intent_id, "payment_expired")

    def expire_authorisation(self, unit: Unit, intent_id: str) -> Json:
        """An authorisation that nobody captured ends. Raises Invalid when there is none.

        Since basil without a refund and with the reason ``expired``, formerly ``automatic``:
        https://docs.stripe.com/changelog/basil/2025-03-31 and
        https://support.stripe.com/questions/changes-to-balance-transaction-behavior-for-partial-capture-and-payment-cancellation-flows
        """
        unit.lock(intent_id)
        intent = unit.find("payment_intent", intent_id)
        if intent["status"] != "requires_capture":
            raise Invalid("Nothing is authorised.", code="payment_intent_unexpected_state")
        unit.emit("charge.expired", unit.find("charge", intent["latest_charge"]))
        intent = unit.change(
            intent,
            status="canceled",
            canceled_at=now(),
            cancellation_reason="expired",
            amount_capturable=0,
        )
        unit.emit("payment_intent.canceled", intent)
        alerts.follow_cancel(unit, intent)
        return unit.find("payment_intent", intent_id)

    def start_processing(self, unit: Unit, intent_id: str) -> Json:
        """A voucher was paid, and the money is on its way. Raises Invalid when it was not."""
        intent = self._under_way(unit, intent_id)
        if intent["status"] == "processing":
            return intent
        method = unit.find("payment_method", intent["payment_method"])
        return self._put_on_its_way(unit, intent, method)

    def _under_way(self, unit: Unit, intent_id: str) -> Json:
        unit.lock(intent_id)
        intent = unit.find("payment_intent", intent_id, param="intent")
        if intent["status"] not in ("processing", "requires_action"):
            raise Invalid(
                f"Nothing is under way: this PaymentIntent has a status of {intent['status']}.",
                code="payment_intent_unexpected_state",
            )
        return intent

    def _debit(self, unit: Unit, intent: Json, method: Json) -> Json:
        intent = self._put_on_its_way(unit, intent, method)
        self._conclude_later(unit, intent)
        return intent

    def _put_on_its_way(self, unit: Unit, intent: Json, method: Json) -> Json:
        charge = shapes.charge(intent, method, authenticated=False, decline=None, pending=True)
        unit.put("charge", charge)
        unit.emit("charge.pending", charge)
        intent = unit.change(
            intent,
            status="processing",
            latest_charge=charge["id"],
            last_payment_error=None,
            next_action=None,
        )
        unit.emit("payment_intent.processing", intent)
        return intent

    def _issue_voucher(self, unit: Unit, intent: Json, method: Json) -> Json:
        behaviour = _behaviour(unit, intent)
        action = vouchers.next_action(
            method["type"],
            intent["payment_method_options"].get(method["type"]) or {},
            origin=unit.origin,
            intent_id=intent["id"],
            expired=behaviour.decline is not None and not behaviour.is_late,
        )
        intent = unit.change(
            intent, status="requires_action", next_action=action, last_payment_error=None
        )
        unit.emit("payment_intent.requires_action", intent)
        if not behaviour.is_never:
            self._conclude_later(unit, intent)
        return intent

    def _redirect(self, unit: Unit, intent: Json, how: Json) -> Json:
        if "return_url" not in how:
            unit.discard()
            raise Invalid(
                "You must provide a return_url when confirming a PaymentIntent with a payment "
                "method that may redirect the customer.",
                code="parameter_missing",
                param="return_url",
            )
        settings = self._faults.settings
        if settings.timers:
            attempt = _attempt_of(intent)
            unit.later(settings.redirect_expires_s, "conclude", attempt)
        return _ask(unit, intent, how, f"{unit.origin}/redirect/{intent['id']}")

    def _challenge(self, unit: Unit, intent: Json, how: Json) -> Json:
        url = f"{unit.origin}/3ds/{intent['id']}"
        return _ask(unit, intent, how, url)

    def _conclude_later(self, unit: Unit, intent: Json) -> None:
        settings = self._faults.settings
        if settings.timers:
            is_late = _behaviour(unit, intent).is_late
            wait = settings.settle_late_s if is_late else settings.settle_s
            unit.later(wait, "conclude", _attempt_of(intent))

    def _charge(self, unit: Unit, intent: Json, *, authenticated: bool) -> Json:
        behaviour = _behaviour(unit, intent)
        if behaviour.decline is not None:
            raise _declined(unit, intent, DECLINES[behaviour.decline], authenticated=authenticated)
        wait = self._faults.settings.processing_s
        if wait <= 0:
            return self._take(unit, intent, authenticated=authenticated)
        challenge = unit.get("challenge", intent["id"]) or {"return_url": None}
        noted = {**challenge, "id": intent["id"], "authenticated": authenticated}
        unit.put("challenge", noted)
        intent = unit.change(intent, status="processing", last_payment_error=None, next_action=None)
        unit.emit("payment_intent.processing", intent)
        if self._faults.settings.timers:
            unit.later(wait, "conclude", _attempt_of(intent))
        return intent

    def _take(self, unit: Unit, intent: Json, *, authenticated: bool) -> Json:
        method = unit.find("payment_method", intent["payment_method"])
        hold = self._faults.settings.authorisation_s
        charge = shapes.charge(
            intent,
            method,
            authenticated=authenticated,
            decline=None,
            capture_before=now() + int(hold),
        )
        pending = _pending(unit, intent)
        if pending is not None:
            charge |= {"id": pending["id"], "created": pending["created"]}
        unit.put("charge", charge)
        amount = int(intent["amount"])
        done: Json = {
            "latest_charge": charge["id"],
            "last_payment_error": None,
            "next_action": None,
        }
        if intent["capture_method"] == "manual":
            done |= {"status": "requires_capture", "amount_capturable": amount}
            unit.emit("charge.succeeded", charge)
            intent = unit.change(intent, **done)
            unit.emit("payment_intent.amount_capturable_updated", intent)
            if self._faults.settings.timers:
                unit.later(hold, "expire_authorisation", intent["id"])
            return intent
        if intent["capture_method"] == "automatic":
            charge = book(unit, charge, amount)
        unit.emit("charge.succeeded", charge)
        intent = unit.change(intent, **done, status="succeeded", amount_received=amount)
        unit.emit("payment_intent.succeeded", intent)
        if intent["capture_method"] == "automatic_async":
            charge = book(unit, charge, amount)
            unit.emit("charge.updated", charge, previous={"balance_transaction": None})
        if _behaviour(unit, intent).dispute is not None:
            unit.later(self._faults.settings.dispute_after_s, "dispute", charge["id"])
        return intent


def book(unit: Unit, charge: Json, amount: int) -> Json:
    """Enter a charge's money in the balance, in minor units: 2.9 % and 30 cents go to Stripe."""
    movement = shapes.balance_transaction(
        kind="charge" if charge["id"].startswith("ch_") else "payment",
        source=charge["id"],
        amount=amount,
        currency=charge["currency"],
        fee=min(amount, (amount * 29 + 500) // 1000 + 30),
        description=charge["description"] or "",
    )
    unit.put("balance_transaction", movement)
    return unit.change(charge, balance_transaction=movement["id"])


def _pending(unit: Unit, intent: Json) -> Json | None:
    """The charge that a bank has not answered yet."""
    charge = unit.get("charge", intent["latest_charge"] or "")
    return charge if charge is not None and charge["status"] == "pending" else None


def _attempt_of(intent: Json) -> str:
    return f"{intent['id']}:{intent['payment_method']}"


def _behaviour(unit: Unit, intent: Json) -> Behaviour:
    return BEHAVIOURS[str(unit.find("behaviour", intent["payment_method"])["name"])]


def _ask(unit: Unit, intent: Json, how: Json, url: str) -> Json:
    """Send the buyer to a page of the bank's."""
    unit.put(
        "challenge",
        {"id": intent["id"], "return_url": how.get("return_url"), "authenticated": False},
    )
    intent = unit.change(
        intent,
        status="requires_action",
        next_action=_next_action(url, how),
        last_payment_error=None,
    )
    unit.emit("payment_intent.requires_action", intent)
    return intent


def _next_action(url: str, how: Json) -> Json:
    if "return_url" in how:
        url += "?" + urlencode({"return_url": how["return_url"]})
    if how.get("use_stripe_sdk") or "return_url" not in how:
        return {
            "type": "use_stripe_sdk",
            "use_stripe_sdk": {"type": "three_d_secure_redirect", "stripe_js": url},
        }
    return {
        "type": "redirect_to_url",
        "redirect_to_url": {"return_url": how["return_url"], "url": url},
    }


def _declined(unit: Unit, intent: Json, decline: Decline, *, authenticated: bool) -> CardRefused:
    method = unit.find("payment_method", intent["payment_method"])
    charge = shapes.charge(intent, method, authenticated=authenticated, decline=decline)
    unit.put("charge", charge)
    refusal = CardRefused(
        decline.message,
        code=decline.code,
        keeps_changes=True,
        charge=charge["id"],
        decline_code=decline.decline_code,
        payment_method=method,
    )
    unit.emit("charge.failed", charge)
    refusal.extra["payment_intent"] = _failed(
        unit, {**intent, "latest_charge": charge["id"]}, refusal.body()["error"]
    )
    return refusal


def _failed(unit: Unit, intent: Json, error: Json) -> Json:
    intent = unit.change(
        intent,
        status="requires_payment_method",
        payment_method=None,
        next_action=None,
        last_payment_error=error,
    )
    unit.emit("payment_intent.payment_failed", intent)
    return intent
