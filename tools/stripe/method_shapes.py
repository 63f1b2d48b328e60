"""Payment methods as Stripe's objects show them: the method itself, and how a charge was paid."""

from secrets import token_hex

from tools.stripe.cards import Card
from tools.stripe.ledger import Json, new_id, now
from tools.stripe.methods import TYPES, Family

NO_ADDRESS = dict.fromkeys(("city", "country", "line1", "line2", "postal_code", "state"))


def payment_method(name: str, own: Json, *, billing_details: Json, customer: str | None) -> Json:
    """Return a payment method of a type; ``own`` is what only that type has."""
    return {
        "id": new_id("pm"),
        "object": "payment_method",
        "allow_redisplay": "unspecified",
        "billing_details": billing_details,
        name: own,
        "created": now(),
        "customer": customer,
        "customer_account": None,
        "livemode": False,
        "metadata": {},
        "type": name,
    }


def card(card: Card) -> Json:
    """Return a card without its number."""
    return {
        "brand": card.brand,
        "checks": checks(card.cvc_given, done=False),
        "country": "US",
        "display_brand": card.brand,
        "exp_month": card.exp_month,
        "exp_year": card.exp_year,
        "fingerprint": card.fingerprint,
        "funding": card.funding,
        "generated_from": None,
        "last4": card.last4,
        "networks": {"available": [card.brand], "preferred": None},
        "regulated_status": "unregulated",
        "three_d_secure_usage": {"supported": True},
        "wallet": None if card.wallet is None else _wallet(card.wallet, card.last4),
    }


def paid_with(method: Json, intent: Json, *, authorised: int | None, authenticated: bool) -> Json:
    """Return the `payment_method_details` of a charge. ``authorised``: minor units, or None."""
    name = method["type"]
    own = method[name]
    details: Json
    if name == "link":
        details = {"country": "US", "funding_source_group": None}
    elif TYPES[name].family is Family.CARD:
        details = _card_details(own, authorised=authorised, authenticated=authenticated)
    elif name == "sepa_debit":
        details = {
            **{part: own[part] for part in ("bank_code", "branch_code", "country")},
            "expected_debit_date": None,
            "fingerprint": own["fingerprint"],
            "last4": own["last4"],
            "mandate": new_id("mandate"),
        }
    elif name == "ideal":
        bank = {"bank": own["bank"] or "rabobank", "bic": own["bic"] or "RABONL2U"}
        details = {**bank, **_sepa_of_redirect(method), "transaction_id": token_hex(8)}
    elif name == "bancontact":
        bank = {"bank_code": "VAPE", "bank_name": "VAN DE PUT & CO", "bic": "VAPEBE22"}
        details = {**bank, **_sepa_of_redirect(method), "preferred_language": "en"}
    elif name == "klarna":
        country = method["billing_details"]["address"]["country"]
        details = {
            "payer_details": {"address": {"country": country}},
            "payment_method_category": "pay_later",
            "preferred_locale": "en-US",
        }
    else:
        details = _voucher_details(name, intent)
    return {name: details, "type": name}


def checks(cvc_given: bool, *, done: bool) -> Json:
    """Return what the bank checked about a card."""
    result = "pass" if done else "unchecked"
    return {
        "address_line1_check": None,
        "address_postal_code_check": None,
        "cvc_check": result if cvc_given else None,
    }


def _wallet(name: str, last4: str) -> Json:
    return {"dynamic_last4": last4, name: {}, "type": name}


def _card_details(card: Json, *, authorised: int | None, authenticated: bool) -> Json:
    return {
        "amount_authorized": authorised,
        "authorization_code": None,
        "brand": card["brand"],
        "checks": checks(card["checks"]["cvc_check"] is not None, done=True),
        "country": card["country"],
        "exp_month": card["exp_month"],
        "exp_year": card["exp_year"],
        "fingerprint": card["fingerprint"],
        "funding": card["funding"],
        "installments": None,
        "last4": card["last4"],
        "mandate": None,
        "network": card["brand"],
        "network_token": {"used": False},
        "network_transaction_id": token_hex(8),
        "regulated_status": "unregulated",
        "three_d_secure": _authentication() if authenticated else None,
        "wallet": card["wallet"],
    }


def _sepa_of_redirect(method: Json) -> Json:
    return {
        "generated_sepa_debit": None,
        "generated_sepa_debit_mandate": None,
        "iban_last4": "5264",
        "verified_name": method["billing_details"]["name"],
    }


def _voucher_details(name: str, intent: Json) -> Json:
    shown = (intent["next_action"] or {}).get(f"{name}_display_details", {})
    if name == "oxxo":
        return {"number": shown.get("number")}
    if name == "konbini":
        return {"store": {"chain": "familymart"}}
    return {"entity": shown.get("entity"), "reference": shown.get("reference")}


def _authentication() -> Json:
    return {
        "authentication_flow": "challenge",
        "electronic_commerce_indicator": "05",
        "exemption_indicator": None,
        "result": "authenticated",
        "result_reason": None,
        "transaction_id": token_hex(16),
        "version": "2.2.0",
    }
