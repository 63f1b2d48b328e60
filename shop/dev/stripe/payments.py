"""PaymentIntents and what they bring about: payment methods, 3-D Secure, charges.

Promise: an intent is charged at most once, and its status only moves along Stripe's machine:
requires_payment_method, requires_confirmation, requires_action, processing, requires_capture,
succeeded or canceled (https://docs.stripe.com/payments/paymentintents/lifecycle).
"""

from urllib.parse import urlencode, urlsplit, urlunsplit

from shop.dev.stripe import asked, shapes
from shop.dev.stripe.cards import BEHAVIOURS, DECLINES, Behaviour
from shop.dev.stripe.faults import Faults
from shop.dev.stripe.ledger import Json, Unit, now
from shop.dev.stripe.params import Params
from shop.dev.stripe.refusals import AuthenticationFailed, CardRefused, Invalid

EDITABLE = ("requires_payment_method", "requires_confirmation", "requires_action")
CANCELABLE = (
    "requires_payment_method",
    "requires_capture",
    "requires_confirmation",
    "requires_action",
    "processing",
)
AUTOMATIC = {"allow_redirects": "always", "enabled": True}
AUTHENTICATION_FAILED = (
    "The provided PaymentMethod has failed authentication. You can provide payment_method_data or "
    "a new PaymentMethod to attempt to fulfill this PaymentIntent again."
)


class Payments:
    """The operations on PaymentIntents. `faults` says whether settling takes a while."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults

    def create(self, unit: Unit, params: Params) -> Json:
        """POST /v1/payment_intents, with `confirm=true` confirmed at once."""
        amount = asked.amount(params, required=True)
        currency = asked.currency(params, required=True)
        fields = asked.details(unit, params, {}) | asked.method_choice(params)
        if "payment_method_types" not in fields:
            fields.setdefault("automatic_payment_methods", AUTOMATIC)
        confirming = params.boolean("confirm")
        how = asked.confirmation(params)
        method = asked.payment_method(unit, params, customer=fields.get("customer"))
        params.close()
        asked.refuse_small(amount, currency)
        if how and not confirming:
            raise Invalid(
                "The parameter return_url cannot be passed when creating a PaymentIntent unless "
                "confirm is set to true.",
                param="return_url",
            )
        intent = shapes.payment_intent(amount=amount, currency=currency, **fields)
        unit.lock(intent["id"])
        if method is not None:
            _keep_method(unit, method)
            intent |= {"payment_method": method[0]["id"], "status": "requires_confirmation"}
        unit.put("payment_intent", intent)
        unit.emit("payment_intent.created", intent)
        return self._attempt(unit, intent, how) if confirming else intent

    def update(self, unit: Unit, params: Params, intent_id: str) -> Json:
        """POST /v1/payment_intents/<id>."""
        before = unit.find("payment_intent", intent_id, param="intent")
        amount, currency = asked.amount(params), asked.currency(params)
        fields = asked.details(unit, params, before) | asked.method_choice(params)
        method = asked.payment_method(unit, params, customer=before["customer"])
        params.close()
        if amount is not None or currency is not None:
            asked.refuse_small(amount or before["amount"], currency or before["currency"])
        unit.lock(intent_id)
        before = unit.find("payment_intent", intent_id, param="intent")
        money = {"amount": amount, "currency": currency, "payment_method": method}
        changed = {name: value for name, value in money.items() if value is not None}
        if changed and before["status"] not in EDITABLE:
            name = next(iter(changed))
            raise _unexpected_state(
                before,
                f"This PaymentIntent's {name} could not be updated because it has a status of "
                f"{before['status']}. You may only update the {name} of a PaymentIntent with one "
                f"of the following statuses: {', '.join(EDITABLE)}.",
                param=name,
            )
        if method is not None:
            _keep_method(unit, method)
            changed["payment_method"] = method[0]["id"]
        if changed and (method is not None or before["status"] == "requires_action"):
            # What the buyer authenticated was another payment: ask again.
            changed |= {"status": "requires_confirmation", "next_action": None}
        if params.raw("metadata") is not None:
            fields["metadata"] = params.metadata(before["metadata"])
        return unit.change(before, **fields, **changed)

    def confirm(self, unit: Unit, params: Params, intent_id: str) -> Json:
        """POST /v1/payment_intents/<id>/confirm. Raises CardRefused when the card is declined."""
        intent = unit.find("payment_intent", intent_id, param="intent")
        fields = asked.details(unit, params, intent)
        how = asked.confirmation(params)
        method = asked.payment_method(unit, params, customer=intent["customer"])
        params.close()
        unit.lock(intent_id)
        intent = unit.find("payment_intent", intent_id, param="intent")
        if intent["status"] not in EDITABLE:
            raise _unexpected_state(intent, _why_not_confirm(intent["status"]))
        if method is not None:
            _keep_method(unit, method)
            fields["payment_method"] = method[0]["id"]
        intent = unit.change(intent, **fields)
        if intent["payment_method"] is None:
            unit.forget()
            raise _unexpected_state(
                intent,
                "You cannot confirm this PaymentIntent because it's missing a payment method. You "
                "can either update the PaymentIntent with a payment method and then confirm it "
                "again, or confirm it again directly with a payment method.",
            )
        return self._attempt(unit, intent, how)

    def capture(self, unit: Unit, params: Params, intent_id: str) -> Json:
        """POST /v1/payment_intents/<id>/capture: take what was authorised, or a part of it."""
        unit.find("payment_intent", intent_id, param="intent")
        amount = params.integer("amount_to_capture", least=1)
        params.raw("metadata")
        params.close()
        unit.lock(intent_id)
        intent = unit.find("payment_intent", intent_id, param="intent")
        if intent["status"] != "requires_capture":
            raise _unexpected_state(
                intent,
                "This PaymentIntent could not be captured because it has a status of "
                f"{intent['status']}. Only a PaymentIntent with one of the following statuses may "
                "be captured: requires_capture.",
            )
        if amount is None:
            amount = int(intent["amount_capturable"])
        if amount > intent["amount_capturable"]:
            raise Invalid(
                f"The amount to capture ({amount}) is greater than the capturable amount "
                f"({intent['amount_capturable']}) of this PaymentIntent.",
                code="amount_too_large",
                param="amount_to_capture",
            )
        charge = unit.find("charge", intent["latest_charge"])
        charge = unit.change(
            charge,
            captured=True,
            amount_captured=amount,
            amount_refunded=charge["amount"] - amount,
        )
        charge = _settle(unit, charge, amount)
        intent = unit.change(
            intent,
            status="succeeded",
            amount_capturable=0,
            amount_received=amount,
            metadata=params.metadata(intent["metadata"]),
        )
        unit.emit("charge.captured", charge)
        unit.emit("payment_intent.succeeded", intent)
        return intent

    def cancel(self, unit: Unit, params: Params, intent_id: str) -> Json:
        """POST /v1/payment_intents/<id>/cancel: nobody can pay it any more."""
        unit.find("payment_intent", intent_id, param="intent")
        reason = params.choice(
            "cancellation_reason",
            ("duplicate", "fraudulent", "requested_by_customer", "abandoned"),
        )
        params.close()
        unit.lock(intent_id)
        intent = unit.find("payment_intent", intent_id, param="intent")
        if intent["status"] not in CANCELABLE:
            raise _unexpected_state(
                intent,
                f"You cannot cancel this PaymentIntent because it has a status of "
                f"{intent['status']}. Only a PaymentIntent with one of the following statuses may "
                f"be canceled: {', '.join(CANCELABLE)}.",
            )
        if intent["status"] == "requires_capture":
            charge = unit.find("charge", intent["latest_charge"])
            charge = unit.change(charge, amount_refunded=charge["amount"], refunded=True)
            unit.emit("charge.refunded", charge)
        intent = unit.change(
            intent,
            status="canceled",
            canceled_at=now(),
            cancellation_reason=reason,
            amount_capturable=0,
            next_action=None,
        )
        unit.emit("payment_intent.canceled", intent)
        return intent

    def create_method(self, unit: Unit, params: Params) -> Json:
        """POST /v1/payment_methods: a card on its own."""
        made = asked.new_method(params, customer=None)
        params.close()
        _keep_method(unit, made)
        return made[0]

    def authenticate(self, unit: Unit, intent_id: str, *, passed: bool) -> Json:
        """The cardholder answered on the 3-D Secure page. A second answer changes nothing."""
        unit.lock(intent_id)
        intent = unit.find("payment_intent", intent_id, param="intent")
        if intent["status"] != "requires_action":
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

    def settle(self, unit: Unit, intent_id: str) -> None:
        """A payment that was processing went through."""
        unit.lock(intent_id)
        intent = unit.find("payment_intent", intent_id)
        if intent["status"] == "processing":
            challenge = unit.get("challenge", intent_id) or {}
            self._take(unit, intent, authenticated=bool(challenge.get("authenticated")))

    def _attempt(self, unit: Unit, intent: Json, how: Json) -> Json:
        behaviour = _behaviour(unit, intent)
        if behaviour.three_d_secure:
            unit.put(
                "challenge",
                {"id": intent["id"], "return_url": how.get("return_url"), "authenticated": False},
            )
            intent = unit.change(
                intent,
                status="requires_action",
                next_action=_next_action(unit.origin, intent["id"], how),
                last_payment_error=None,
            )
            unit.emit("payment_intent.requires_action", intent)
            return intent
        return self._charge(unit, intent, authenticated=False)

    def _charge(self, unit: Unit, intent: Json, *, authenticated: bool) -> Json:
        behaviour = _behaviour(unit, intent)
        if behaviour.decline is not None:
            raise _declined(unit, intent, behaviour.decline, authenticated=authenticated)
        wait = self._faults.settings.processing_s
        if wait <= 0:
            return self._take(unit, intent, authenticated=authenticated)
        unit.put(
            "challenge", {"id": intent["id"], "return_url": None, "authenticated": authenticated}
        )
        intent = unit.change(intent, status="processing", last_payment_error=None, next_action=None)
        unit.emit("payment_intent.processing", intent)
        unit.later(wait, "settle", intent["id"])
        return intent

    def _take(self, unit: Unit, intent: Json, *, authenticated: bool) -> Json:
        method = unit.find("payment_method", intent["payment_method"])
        charge = shapes.charge(intent, method, authenticated=authenticated, decline=None)
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
            return intent
        if intent["capture_method"] == "automatic":
            charge = _settle(unit, charge, amount)
        unit.emit("charge.succeeded", charge)
        intent = unit.change(intent, **done, status="succeeded", amount_received=amount)
        unit.emit("payment_intent.succeeded", intent)
        if intent["capture_method"] == "automatic_async":
            charge = _settle(unit, charge, amount)
            unit.emit("charge.updated", charge, previous={"balance_transaction": None})
        if _behaviour(unit, intent).dispute is not None:
            unit.later(self._faults.settings.dispute_after_s, "dispute", charge["id"])
        return intent


def redirect_after(intent: Json, return_url: str) -> str:
    """Where the browser goes after 3-D Secure: the shop's page with Stripe's three parameters."""
    outcomes = {"succeeded": "succeeded", "requires_capture": "succeeded", "processing": "pending"}
    parts = urlsplit(return_url)
    extra = urlencode(
        {
            "payment_intent": intent["id"],
            "payment_intent_client_secret": intent["client_secret"],
            "redirect_status": outcomes.get(intent["status"], "failed"),
        }
    )
    query = f"{parts.query}&{extra}" if parts.query else extra
    return urlunsplit(parts._replace(query=query))


def _keep_method(unit: Unit, made: asked.MadeMethod) -> None:
    method, behaviour = made
    unit.put("payment_method", method)
    unit.put("behaviour", {"id": method["id"], "name": behaviour})


def _behaviour(unit: Unit, intent: Json) -> Behaviour:
    return BEHAVIOURS[str(unit.find("behaviour", intent["payment_method"])["name"])]


def _next_action(origin: str, intent_id: str, how: Json) -> Json:
    url = f"{origin}/3ds/{intent_id}"
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


def _settle(unit: Unit, charge: Json, amount: int) -> Json:
    """Book the money: 2.9 % and 30 cents go to Stripe."""
    movement = shapes.balance_transaction(
        kind="charge",
        source=charge["id"],
        amount=amount,
        currency=charge["currency"],
        fee=min(amount, (amount * 29 + 500) // 1000 + 30),
        description=charge["description"] or "",
    )
    unit.put("balance_transaction", movement)
    return unit.change(charge, balance_transaction=movement["id"])


def _declined(unit: Unit, intent: Json, reason: str, *, authenticated: bool) -> CardRefused:
    decline = DECLINES[reason]
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


def _why_not_confirm(status: str) -> str:
    if status == "succeeded":
        return (
            "You cannot confirm this PaymentIntent because it has already succeeded after being "
            "previously confirmed."
        )
    return (
        f"You cannot confirm this PaymentIntent because it has a status of {status}. Only a "
        f"PaymentIntent with one of the following statuses may be confirmed: "
        f"{', '.join(EDITABLE)}."
    )


def _unexpected_state(intent: Json, message: str, *, param: str | None = None) -> Invalid:
    return Invalid(
        message, code="payment_intent_unexpected_state", param=param, payment_intent=intent
    )
