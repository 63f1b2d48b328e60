"""PaymentIntents and what they bring about: payment methods, 3-D Secure, charges.

Promise: an intent is charged at most once, and its status only moves along Stripe's machine:
requires_payment_method, requires_confirmation, requires_action, processing, requires_capture,
succeeded or canceled (https://docs.stripe.com/payments/paymentintents/lifecycle).
"""

from urllib.parse import urlencode, urlsplit, urlunsplit

from tools.stripe import alerts, asked, methods, shapes
from tools.stripe.amounts import refuse_amount
from tools.stripe.attempts import Attempts, book
from tools.stripe.configurations import DEFAULT_ID, Configurations
from tools.stripe.faults import Faults
from tools.stripe.ledger import Json, Unit, now
from tools.stripe.params import Params
from tools.stripe.refusals import Invalid

EDITABLE = ("requires_payment_method", "requires_confirmation", "requires_action")
CANCELABLE = (
    "requires_payment_method",
    "requires_capture",
    "requires_confirmation",
    "requires_action",
)
AUTOMATIC = {"allow_redirects": "always", "enabled": True}


class Payments:
    """The operations on PaymentIntents. `faults` says whether settling takes a while."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self.attempts = Attempts(faults)
        self.configurations = Configurations(faults)

    def create(self, unit: Unit, params: Params) -> Json:
        """POST /v1/payment_intents, with `confirm=true` confirmed at once."""
        amount = asked.amount(params, required=True)
        currency = asked.currency(params, required=True)
        fields = asked.details(unit, params, {})
        choice = asked.method_choice(params)
        confirming = params.boolean("confirm")
        how = asked.confirmation(params)
        method = asked.payment_method(unit, params, customer=fields.get("customer"))
        params.close()
        if how and not confirming:
            raise Invalid(
                "The parameter return_url cannot be passed when creating a PaymentIntent unless "
                "confirm is set to true.",
                param="return_url",
            )
        options = fields.pop("payment_method_options", {})
        intent = shapes.payment_intent(amount=amount, currency=currency, **fields)
        intent |= self._method_types(unit, intent, choice)
        refuse_amount(amount, currency, intent["payment_method_types"])
        defaults = asked.default_options(intent["payment_method_types"])
        intent["payment_method_options"] = defaults | options
        unit.lock(intent["id"])
        if method is not None:
            _keep_method(unit, method)
            intent |= {"payment_method": method[0]["id"], "status": "requires_confirmation"}
        unit.put("payment_intent", intent)
        unit.emit("payment_intent.created", intent)
        return self.attempts.begin(unit, intent, how) if confirming else intent

    def update(self, unit: Unit, params: Params, intent_id: str) -> Json:
        """POST /v1/payment_intents/<id>."""
        before = unit.find("payment_intent", intent_id, param="intent")
        amount, currency = asked.amount(params), asked.currency(params)
        fields = asked.details(unit, params, before)
        choice = asked.method_choice(params)
        method = asked.payment_method(unit, params, customer=before["customer"])
        params.close()
        if amount is not None or currency is not None:
            wanted = amount or before["amount"], currency or before["currency"]
            refuse_amount(*wanted, choice.types or before["payment_method_types"])
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
        after = {**before, **fields, **changed}
        if choice.says_something or {"currency", "capture_method"} & {*changed, *fields}:
            if not choice.says_something:
                choice = _choice_of(before)
            fields |= self._method_types(unit, after, choice)
            defaults = asked.default_options(fields["payment_method_types"])
            fields["payment_method_options"] = defaults | after["payment_method_options"]
        return unit.change(before, **{**fields, **changed})

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
            unit.discard()
            raise _unexpected_state(
                intent,
                "You cannot confirm this PaymentIntent because it's missing a payment method. You "
                "can either update the PaymentIntent with a payment method and then confirm it "
                "again, or confirm it again directly with a payment method.",
            )
        return self.attempts.begin(unit, intent, how)

    def capture(self, unit: Unit, params: Params, intent_id: str) -> Json:
        """POST /v1/payment_intents/<id>/capture: take what was authorised, or a part of it.

        The rest is released without a refund, as since basil.
        """
        unit.find("payment_intent", intent_id, param="intent")
        amount = params.integer("amount_to_capture", least=1, most=10**14)
        if params.boolean("final_capture") is False:
            raise Invalid(
                "This PaymentIntent cannot be captured several times.", param="final_capture"
            )
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
        )
        charge = book(unit, charge, amount)
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
        if intent["status"] == "processing" and not self._may_cancel_processing(unit, intent):
            raise _unexpected_state(
                intent,
                "You cannot cancel this PaymentIntent because it has a status of processing. Only "
                "a PaymentIntent with one of the following statuses may be canceled: "
                f"{', '.join(CANCELABLE)}.",
            )
        if intent["status"] not in (*CANCELABLE, "processing"):
            raise _unexpected_state(
                intent,
                f"You cannot cancel this PaymentIntent because it has a status of "
                f"{intent['status']}. Only a PaymentIntent with one of the following statuses may "
                f"be canceled: {', '.join(CANCELABLE)}.",
            )
        intent = unit.change(
            intent,
            status="canceled",
            canceled_at=now(),
            cancellation_reason=reason,
            amount_capturable=0,
            next_action=None,
        )
        unit.emit("payment_intent.canceled", intent)
        alerts.follow_cancel(unit, intent)
        return unit.find("payment_intent", intent_id)

    def create_method(self, unit: Unit, params: Params) -> Json:
        """POST /v1/payment_methods: one on its own."""
        made = asked.new_method(params, customer=None)
        params.close()
        _keep_method(unit, made)
        return made[0]

    def authenticate(self, unit: Unit, intent_id: str, *, passed: bool) -> Json:
        """The buyer answered on the bank's page. A second answer changes nothing."""
        return self.attempts.authenticate(unit, intent_id, passed=passed)

    def settle(self, unit: Unit, intent_id: str) -> None:
        """A payment that was processing went through; anything else stays as it is."""
        unit.lock(intent_id)
        if unit.find("payment_intent", intent_id)["status"] == "processing":
            self.attempts.succeed(unit, intent_id)

    def offered_types(
        self, unit: Unit, *, currency: str, manual: bool, configuration: str | None
    ) -> list[str]:
        """Return what an Element offers that has no intent yet. Raises Missing."""
        return methods.offered(
            self.configurations.types(unit, configuration),
            currency=currency,
            manual=manual,
            redirects=True,
            excluded=[],
        )

    def _may_cancel_processing(self, unit: Unit, intent: Json) -> bool:
        if self._faults.settings.cancel_processing:
            return True
        method = unit.find("payment_method", intent["payment_method"])
        return method["type"] in methods.CANCELABLE_WHILE_PROCESSING

    def _method_types(self, unit: Unit, intent: Json, choice: asked.MethodChoice) -> Json:
        """The fields of an intent about its payment methods. Raises Invalid."""
        currency, manual = intent["currency"], intent["capture_method"] == "manual"
        if choice.types is not None:
            methods.refuse_types(choice.types, currency=currency, manual=manual)
            return {"payment_method_types": choice.types, "automatic_payment_methods": None}
        if choice.allowed is not None:
            # What does not fit is left out without a word; of an unknown type Stripe says so.
            known = [name for name in choice.allowed if name in methods.TYPES]
            if known != choice.allowed:
                methods.refuse_types(choice.allowed, currency=currency, manual=manual)
            fitting = methods.offered(
                known, currency=currency, manual=manual, redirects=True, excluded=[]
            )
            if not fitting:
                raise Invalid(
                    "No valid payment method types for this Payment Intent.",
                    param="allowed_payment_method_types",
                )
            return {
                "payment_method_types": fitting,
                "automatic_payment_methods": None,
                "allowed_payment_method_types": choice.allowed,
            }
        automatic = choice.automatic or AUTOMATIC
        types = methods.offered(
            self.configurations.types(unit, choice.configuration),
            currency=currency,
            manual=manual,
            redirects=automatic["allow_redirects"] == "always",
            excluded=list(choice.excluded),
        )
        if not types:
            raise Invalid(
                "No valid payment method types for this Payment Intent. Please ensure that you "
                f"have activated payment methods compatible with {currency} in your dashboard.",
                param="automatic_payment_methods",
            )
        configuration = choice.configuration or DEFAULT_ID
        return {
            "payment_method_types": types,
            "automatic_payment_methods": automatic,
            "excluded_payment_method_types": list(choice.excluded) or None,
            "payment_method_configuration_details": {"id": configuration, "parent": None},
        }


def _choice_of(intent: Json) -> asked.MethodChoice:
    """What was chosen when the intent was made."""
    automatic = intent["automatic_payment_methods"]
    if intent["allowed_payment_method_types"] is not None:
        return asked.MethodChoice(allowed=intent["allowed_payment_method_types"])
    if automatic is None:
        return asked.MethodChoice(types=intent["payment_method_types"])
    details = intent["payment_method_configuration_details"] or {"id": None}
    excluded = tuple(intent["excluded_payment_method_types"] or ())
    return asked.MethodChoice(None, None, automatic, details["id"], excluded)


def redirect_after(intent: Json, return_url: str) -> str:
    """Where the browser goes after a redirect: the shop's page with Stripe's three parameters."""
    outcomes = {
        "succeeded": "succeeded",
        "requires_capture": "succeeded",
        "processing": "pending",
        # A voucher that waits for its payer.
        "requires_action": "pending",
    }
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
