"""What callers ask of a PaymentIntent: parameters read, and refused as Stripe refuses them."""

import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from tools.stripe import method_shapes, methods, vouchers
from tools.stripe.cards import read_card, test_card
from tools.stripe.ledger import Json, Unit
from tools.stripe.method_shapes import NO_ADDRESS
from tools.stripe.methods import PAYABLE, TYPES, Family, test_debit
from tools.stripe.params import Params
from tools.stripe.refusals import Invalid, Missing

CAPTURE_METHODS = ("automatic", "automatic_async", "manual")
CARD_OPTIONS = {"installments": None, "network": None, "request_three_d_secure": "automatic"}

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
    return params.integer("amount", least=1, most=10**14)


def currency(params: Params, *, required: bool = False) -> Any:
    """The currency in small letters, or None. Raises ``Invalid``."""
    value = params.required("currency") if required else params.text("currency")
    if value is not None and not re.fullmatch(r"[A-Za-z]{3}", value):
        raise Invalid(
            f"Invalid currency: {value[:20]}. Stripe takes three-letter ISO codes.",
            param="currency",
        )
    return value.lower() if value else None


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
        fields["payment_method_options"] = {
            **before.get("payment_method_options", {}),
            **{name: _options(name, options) for name in options},
        }
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


def _options(name: str, options: Params) -> Json:
    group = options.group(name)
    if name not in TYPES or group is None:
        raise Invalid(
            f"Received unknown parameter: {options.name(name)}",
            code="parameter_unknown",
            param=options.name(name),
        )
    if TYPES[name].family is Family.VOUCHER:
        given = vouchers.options(name, group)
        group.close()
        return given
    for ignored in group:
        group.raw(ignored)
    if name == "card":
        secure = group.choice("request_three_d_secure", ("any", "automatic", "challenge"))
        return {**CARD_OPTIONS, "request_three_d_secure": secure or "automatic"}
    if name == "bancontact":
        language = group.choice("preferred_language", ("de", "en", "fr", "nl"))
        return {"preferred_language": language or "en"}
    return {"preferred_locale": group.text("preferred_locale")} if name == "klarna" else {}


def default_options(types: list[str]) -> Json:
    """The `payment_method_options` of an intent for which none were given."""
    known: Json = {
        "bancontact": {"preferred_language": "en"},
        "card": CARD_OPTIONS,
        "klarna": {"preferred_locale": None},
        "konbini": dict.fromkeys(
            ("confirmation_number", "expires_after_days", "expires_at", "product_description")
        ),
        "oxxo": {"expires_after_days": 3},
    }
    return {name: known.get(name, {}) for name in types}


@dataclass(frozen=True)
class MethodChoice:
    """Which payment methods an intent is open for: by list, or as the dashboard says."""

    types: list[str] | None = None
    allowed: list[str] | None = None
    automatic: Json | None = None
    configuration: str | None = None
    excluded: tuple[str, ...] = ()

    @property
    def says_something(self) -> bool:
        """Whether anything was asked for."""
        return bool(
            self.types or self.allowed or self.automatic or self.configuration or self.excluded
        )


def method_choice(params: Params) -> MethodChoice:
    """What a request says about the payment methods. Raises Invalid for a contradiction."""
    automatic = params.group("automatic_payment_methods")
    types = params.words("payment_method_types")
    configuration = params.text("payment_method_configuration")
    excluded = tuple(params.words("excluded_payment_method_types") or ())
    allowed = params.words("allowed_payment_method_types")
    if types is not None:
        # https://docs.stripe.com/changelog/endive/2026-09-30/removes-the-payment-method-types-parameter-from-payment-intents-and-setup-intents
        raise Invalid(
            "payment_method_types is no longer supported. Use allowed_payment_method_types.",
            code="payment_method_types_no_longer_supported",
            param="payment_method_types",
        )
    if allowed is not None:
        # https://docs.stripe.com/changelog/dahlia/2026-07-29/allowed-payment-method-types-parameter
        others = {
            "automatic_payment_methods": automatic,
            "payment_method_configuration": configuration,
            "excluded_payment_method_types": excluded or None,
        }
        given_too = next((name for name, given in others.items() if given is not None), None)
        if given_too or not allowed:
            raise Invalid(
                f"You may only specify one of these parameters: {given_too}, "
                "allowed_payment_method_types."
                if given_too
                else "allowed_payment_method_types must not be empty.",
                param="allowed_payment_method_types",
            )
        return MethodChoice(allowed=allowed)
    for name in excluded:
        if name not in TYPES:
            raise Invalid(
                f"Invalid excluded_payment_method_types: {name}",
                param="excluded_payment_method_types",
            )
    wanted = None
    if automatic is not None:
        redirects = automatic.choice("allow_redirects", ("always", "never"))
        enabled = automatic.boolean("enabled")
        automatic.close()
        wanted = {"allow_redirects": redirects or "always", "enabled": True} if enabled else None
        if not enabled:
            types = ["card"]
    return MethodChoice(types, None, wanted, configuration, excluded)


def confirmation(params: Params) -> Json:
    """How the buyer comes back after a redirect, and what else only confirming takes."""
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
        own = method_shapes.card(card)
        made = method_shapes.payment_method(
            "card", own, billing_details=_billing(None), customer=customer
        )
        return made, card.behaviour
    if method_id.startswith("pm_sepaDebit_"):
        own, behaviour = test_debit(method_id, param="payment_method")
        billing = _billing(None) | {"name": "Jenny Rosen", "email": "jenny@example.com"}
        return method_shapes.payment_method(
            "sepa_debit", own, billing_details=billing, customer=customer
        ), behaviour
    method = unit.get("payment_method", method_id)
    kept = unit.get("behaviour", method_id)
    if method is None or kept is None:
        raise Missing("PaymentMethod", method_id, param="payment_method")
    return method, str(kept["name"])


def new_method(data: Params, *, customer: str | None) -> MadeMethod:
    """A payment method made from what was typed, with its behaviour's name."""
    name = data.required("type")
    if name not in PAYABLE:
        raise Invalid(
            f"Invalid {data.name('type')}: must be one of {', '.join(PAYABLE)}",
            param=data.name("type"),
        )
    billing = _billing(data.group("billing_details"))
    if name == "card":
        details = data.group("card")
        if details is None:
            raise Invalid(
                f"Missing required param: {data.name('card')}.",
                code="parameter_missing",
                param=data.name("card"),
            )
        card = read_card(details)
        own, behaviour = method_shapes.card(card), card.behaviour
    else:
        own, behaviour = methods.read(TYPES[name], data, billing)
    for ignored in ("allow_redisplay", "client_attribution_metadata", "metadata", "radar_options"):
        data.raw(ignored)
    data.close()
    made = method_shapes.payment_method(name, own, billing_details=billing, customer=customer)
    return made, behaviour


def _billing(group: Params | None) -> Json:
    if group is None:
        return {"address": NO_ADDRESS, "email": None, "name": None, "phone": None, "tax_id": None}
    billing = {
        "address": group.address("address") or NO_ADDRESS,
        "email": group.text("email"),
        "name": group.text("name"),
        "phone": group.text("phone"),
        "tax_id": group.text("tax_id"),
    }
    group.close()
    return billing
