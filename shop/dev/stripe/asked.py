"""What callers ask of a PaymentIntent: parameters read, and refused as Stripe refuses them."""

import re
from typing import Any
from urllib.parse import urlsplit

from shop.dev.stripe import shapes
from shop.dev.stripe.cards import read_card, refuse_type, test_card
from shop.dev.stripe.ledger import Json, Unit
from shop.dev.stripe.params import Params
from shop.dev.stripe.refusals import Invalid, Missing

CAPTURE_METHODS = ("automatic", "automatic_async", "manual")
LEAST_AMOUNT = {"usd": 50, "eur": 50, "gbp": 30, "chf": 50, "cad": 50, "aud": 50, "jpy": 50}

# A payment method, and the name of how its card behaves.
MadeMethod = tuple[Json, str]


def readable_return_url(value: str | None) -> str | None:
    """The address if it is one a browser may be sent to. Raises Invalid otherwise."""
    if value is None:
        return None
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise Invalid("Not a valid URL", code="url_invalid", param="return_url")
    return value


def amount(params: Params, *, required: bool = False) -> Any:
    """The amount in minor units, or None. Raises ``Invalid``."""
    if required:
        params.required("amount")
    return params.integer("amount", least=1)


def currency(params: Params, *, required: bool = False) -> Any:
    """The currency in small letters, or None. Raises ``Invalid``."""
    value = params.required("currency") if required else params.text("currency")
    if value is not None and not re.fullmatch(r"[A-Za-z]{3}", value):
        raise Invalid(
            f"Invalid currency: {value[:20]}. Stripe takes three-letter ISO codes.",
            param="currency",
        )
    return value.lower() if value else None


def refuse_small(amount: int, currency: str) -> None:
    """Raise ``Invalid`` for less than Stripe takes in this currency."""
    least = LEAST_AMOUNT.get(currency, 1)
    if amount < least:
        raise Invalid(
            f"Amount must be at least {shapes.spoken(least, currency)}.",
            code="amount_too_small",
            param="amount",
        )


def details(unit: Unit, params: Params, before: Json) -> Json:
    """The descriptive fields that create, update and confirm share; only those that were sent."""
    fields: Json = {}
    for name, limit in (
        ("description", 1000),
        ("receipt_email", 512),
        ("transfer_group", 255),
        ("statement_descriptor", 22),
        ("statement_descriptor_suffix", 22),
    ):
        if name in params:
            fields[name] = params.text(name, limit=limit)
    if fields.get("receipt_email") and "@" not in str(fields["receipt_email"]):
        raise Invalid(
            f"Invalid email address: {fields['receipt_email']}",
            code="email_invalid",
            param="receipt_email",
        )
    if "metadata" in params:
        fields["metadata"] = params.metadata(before.get("metadata", {}))
    if "shipping" in params:
        fields["shipping"] = _shipping(params)
    if "customer" in params:
        customer = params.text("customer")
        fields["customer"] = (
            unit.find("customer", customer, param="customer")["id"] if (customer) else None
        )
    if "setup_future_usage" in params:
        fields["setup_future_usage"] = params.choice(
            "setup_future_usage", ("on_session", "off_session")
        )
    if "capture_method" in params:
        fields["capture_method"] = params.choice("capture_method", CAPTURE_METHODS)
    if "confirmation_method" in params:
        fields["confirmation_method"] = params.choice("confirmation_method", ("automatic",))
    options = params.group("payment_method_options")
    if options is not None:
        refuse = [name for name in options if name != "card"]
        if refuse:
            raise Invalid("This stand-in takes cards only.", param=options.name(refuse[0]))
    return {
        name: value
        for name, value in fields.items()
        if value is not None or name not in ("capture_method", "confirmation_method")
    }


def _shipping(params: Params) -> Json | None:
    group = params.group("shipping")
    if group is None:
        return None
    shipping = {
        "address": group.address("address"),
        "carrier": group.text("carrier"),
        "name": group.required("name"),
        "phone": group.text("phone"),
        "tracking_number": group.text("tracking_number"),
    }
    group.close()
    if shipping["address"] is None:
        raise Invalid(
            "Missing required param: shipping[address].",
            code="parameter_missing",
            param="shipping[address]",
        )
    return shipping


def method_choice(params: Params) -> Json:
    """Which kinds of payment the intent is open for; nothing if nothing was said."""
    automatic = params.group("automatic_payment_methods")
    allowed = params.words("allowed_payment_method_types")
    if params.words("payment_method_types") is not None:
        # https://docs.stripe.com/changelog/endive/2026-09-30/removes-the-payment-method-types-parameter-from-payment-intents-and-setup-intents
        raise Invalid(
            "payment_method_types is no longer supported. Use allowed_payment_method_types.",
            code="payment_method_types_no_longer_supported",
            param="payment_method_types",
        )
    if automatic is not None and allowed is not None:
        raise Invalid(
            "You may only specify one of these parameters: automatic_payment_methods, "
            "allowed_payment_method_types.",
            param="automatic_payment_methods",
        )
    if allowed is not None:
        # What does not fit is left out without a word.
        fitting = [name for name in allowed if name in ("card", "link")]
        if not fitting:
            raise Invalid(
                "No allowed payment method types fit this payment.",
                param="allowed_payment_method_types",
            )
        return {"payment_method_types": fitting}
    if automatic is None:
        return {}
    wanted = {
        "allow_redirects": automatic.choice("allow_redirects", ("always", "never")) or "always",
        "enabled": automatic.boolean("enabled"),
    }
    automatic.close()
    return {"automatic_payment_methods": wanted if wanted["enabled"] else None}


def confirmation(params: Params) -> Json:
    """How the buyer comes back after 3-D Secure, and what else only confirming takes."""
    how: Json = {}
    return_url = readable_return_url(params.text("return_url"))
    if return_url:
        how["return_url"] = return_url
    if params.boolean("use_stripe_sdk"):
        how["use_stripe_sdk"] = True
    for ignored in (
        "mandate_data",
        "off_session",
        "radar_options",
        "expected_payment_method_type",
        "client_context",
        "error_on_requires_action",
    ):
        params.raw(ignored)
    return how


def payment_method(unit: Unit, params: Params, *, customer: str | None) -> MadeMethod | None:
    """The payment method named or described in a request, with its behaviour's name."""
    method_id = params.text("payment_method")
    data = params.group("payment_method_data")
    if method_id is not None and data is not None:
        raise Invalid(
            "You may only specify one of these parameters: payment_method, payment_method_data.",
            param="payment_method",
        )
    if data is not None:
        return new_method(data, customer=customer)
    if method_id is None:
        return None
    if method_id.startswith("pm_card_"):
        card = test_card(method_id, param="payment_method")
        return shapes.payment_method(card, billing_details=_billing(None)), card.behaviour
    method = unit.get("payment_method", method_id)
    kept = unit.get("behaviour", method_id)
    if method is None or kept is None:
        raise Missing("PaymentMethod", method_id, param="payment_method")
    return method, str(kept["name"])


def new_method(data: Params, *, customer: str | None) -> MadeMethod:
    """A payment method made from what was typed, with its behaviour's name."""
    refuse_type(data.text("type"))
    details = data.group("card")
    if details is None:
        raise Invalid(
            f"Missing required param: {data.name('card')}.",
            code="parameter_missing",
            param=data.name("card"),
        )
    card = read_card(details)
    billing = _billing(data.group("billing_details"))
    for ignored in ("allow_redisplay", "client_attribution_metadata", "metadata"):
        data.raw(ignored)
    data.close()
    return shapes.payment_method(card, billing_details=billing, customer=customer), card.behaviour


def _billing(group: Params | None) -> Json:
    if group is None:
        return {"address": shapes.NO_ADDRESS, "email": None, "name": None, "phone": None}
    billing = {
        "address": group.address("address") or shapes.NO_ADDRESS,
        "email": group.text("email"),
        "name": group.text("name"),
        "phone": group.text("phone"),
    }
    group.close()
    return billing
