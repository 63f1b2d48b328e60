"""New objects with the fields that Stripe's objects have in the API version of the pinned SDK."""

from decimal import Decimal
from secrets import token_hex
from typing import Any

from babel.numbers import format_currency

from tools.stripe import method_shapes
from tools.stripe.cards import Decline
from tools.stripe.ledger import Json, new_id, now

DAY = 86_400
ZERO_DECIMAL = "bif clp djf gnf jpy kmf krw mga pyg rwf vnd vuv xaf xof xpf".split()
THREE_DECIMAL = "bhd jod kwd omr tnd".split()
EVIDENCE = (
    "access_activity_log billing_address cancellation_policy cancellation_policy_disclosure "
    "cancellation_rebuttal customer_communication customer_email_address customer_name "
    "customer_purchase_ip customer_signature duplicate_charge_documentation "
    "duplicate_charge_explanation duplicate_charge_id product_description receipt refund_policy "
    "refund_policy_disclosure refund_refusal_explanation service_date service_documentation "
    "shipping_address shipping_carrier shipping_date shipping_documentation "
    "shipping_tracking_number uncategorized_file uncategorized_text"
).split()


def payment_intent(*, amount: int, currency: str, **fields: Any) -> Json:
    """A PaymentIntent that waits for a payment method."""
    intent_id = new_id("pi")
    intent: Json = {
        "id": intent_id,
        "object": "payment_intent",
        "allowed_payment_method_types": None,
        "amount": amount,
        "amount_capturable": 0,
        "amount_details": {"tip": {}},
        "amount_received": 0,
        "application": None,
        "application_fee_amount": None,
        "automatic_payment_methods": None,
        "canceled_at": None,
        "cancellation_reason": None,
        "capture_method": "automatic_async",
        "client_secret": f"{intent_id}_secret_{token_hex(12)}",
        "confirmation_method": "automatic",
        "created": now(),
        "currency": currency,
        "customer": None,
        "customer_account": None,
        "description": None,
        "excluded_payment_method_types": None,
        "last_payment_error": None,
        "latest_charge": None,
        "livemode": False,
        "metadata": {},
        "next_action": None,
        "on_behalf_of": None,
        "payment_method": None,
        "payment_method_configuration_details": None,
        "payment_method_options": {},
        "payment_method_types": ["card"],
        "processing": None,
        "receipt_email": None,
        "review": None,
        "setup_future_usage": None,
        "shipping": None,
        "source": None,
        "statement_descriptor": None,
        "statement_descriptor_suffix": None,
        "status": "requires_payment_method",
        "transfer_data": None,
        "transfer_group": None,
    }
    return {**intent, **fields}


def charge(
    intent: Json,
    method: Json,
    *,
    authenticated: bool,
    decline: Decline | None,
    pending: bool = False,
    capture_before: int | None = None,
) -> Json:
    """The attempt to take an intent's money: done, ``pending`` at a bank, or failed."""
    captured = decline is None and intent["capture_method"] != "manual"
    amount = intent["amount"]
    paid_with = method_shapes.paid_with(
        method,
        intent,
        authorised=amount if decline is None else None,
        authenticated=authenticated,
    )
    is_card = method["type"] == "card"
    if is_card and decline is None and not captured:
        paid_with["card"]["capture_before"] = capture_before or now() + 7 * DAY
    return {
        "id": new_id("ch" if is_card else "py"),
        "object": "charge",
        "amount": intent["amount"],
        "amount_captured": intent["amount"] if captured else 0,
        "amount_refunded": 0,
        "application": None,
        "application_fee": None,
        "application_fee_amount": None,
        "balance_transaction": None,
        "billing_details": method["billing_details"],
        "calculated_statement_descriptor": intent["statement_descriptor"] or "SHOP",
        "captured": captured,
        "created": now(),
        "currency": intent["currency"],
        "customer": intent["customer"],
        "description": intent["description"],
        "disputed": False,
        "failure_balance_transaction": None,
        "failure_code": decline.code if decline else None,
        "failure_message": decline.message if decline else None,
        "fraud_details": {},
        "livemode": False,
        "metadata": intent["metadata"],
        "on_behalf_of": None,
        "outcome": _outcome(decline, pending=pending),
        "paid": decline is None and not pending,
        "payment_intent": intent["id"],
        "payment_method": method["id"],
        "payment_method_details": paid_with,
        "radar_options": {},
        "receipt_email": intent["receipt_email"],
        "receipt_number": None,
        "receipt_url": None,
        "refunded": False,
        "review": None,
        "shipping": intent["shipping"],
        "source": None,
        "source_transfer": None,
        "statement_descriptor": intent["statement_descriptor"],
        "statement_descriptor_suffix": intent["statement_descriptor_suffix"],
        "status": "failed" if decline else "pending" if pending else "succeeded",
        "transfer_data": None,
        "transfer_group": intent["transfer_group"],
    }


def balance_transaction(
    *,
    kind: str,
    source: str,
    amount: int,
    currency: str,
    category: str | None = None,
    fee: int = 0,
    description: str = "",
) -> Json:
    """A movement of the account's balance; amounts that leave and fees refunded are negative."""
    details = [
        {
            "amount": fee,
            "application": None,
            "currency": currency,
            "description": "Dispute fee" if kind == "adjustment" else "Stripe processing fees",
            "type": "stripe_fee",
        }
    ]
    return {
        "id": new_id("txn"),
        "object": "balance_transaction",
        "amount": amount,
        "available_on": now() + 7 * DAY,
        "balance_type": "payments",
        "created": now(),
        "currency": currency,
        "description": description or None,
        "exchange_rate": None,
        "fee": fee,
        "fee_details": details if fee else [],
        "net": amount - fee,
        "reporting_category": category or "charge",
        "source": source,
        "status": "pending",
        "type": kind,
    }


def refund(charge: Json, *, amount: int, reason: str | None, metadata: Json, status: str) -> Json:
    """Money going back to where it came from."""
    name = charge["payment_method_details"]["type"]
    return {
        "id": new_id("re" if charge["id"].startswith("ch_") else "pyr"),
        "object": "refund",
        "amount": amount,
        "balance_transaction": None,
        "charge": charge["id"],
        "created": now(),
        "currency": charge["currency"],
        "destination_details": _destination(name),
        "metadata": metadata,
        "payment_intent": charge["payment_intent"],
        "payment_method": charge["payment_method"],
        "reason": reason,
        "receipt_number": None,
        "source_transfer_reversal": None,
        "status": status,
        "transfer_reversal": None,
    }


def _destination(name: str) -> Json:
    if name == "card":
        card = {
            "reference_status": "pending",
            "reference_type": "acquirer_reference_number",
            "type": "refund",
        }
        return {"card": card, "type": "card"}
    transfers = {
        "sepa_debit": "eu_bank_transfer",
        "ideal": "eu_bank_transfer",
        "bancontact": "eu_bank_transfer",
        "konbini": "jp_bank_transfer",
        "oxxo": "mx_bank_transfer",
    }
    kind = transfers.get(name, name)
    details = {} if kind == "klarna" else {"reference": None, "reference_status": "pending"}
    return {kind: details, "type": kind}


def dispute(charge: Json, *, amount: int, currency: str, reason: str) -> Json:
    """A cardholder's objection; its status and what follows from it are the caller's."""
    paid_with = charge["payment_method_details"]
    how: Json | None = None  # The pinned version says nothing about other methods.
    if paid_with["type"] == "card":
        card = {
            "brand": paid_with["card"]["brand"],
            "case_type": "chargeback",
            "network": paid_with["card"]["network"],
            "network_reason_code": "10.4" if reason == "fraudulent" else "13.1",
        }
        how = {"card": card, "type": "card"}
    elif paid_with["type"] == "klarna":
        klarna = {"chargeback_loss_reason_code": None, "reason_code": "goods_not_received"}
        how = {"klarna": klarna, "type": "klarna"}
    return {
        "id": new_id("du"),
        "object": "dispute",
        "amount": amount,
        "balance_transactions": [],
        "charge": charge["id"],
        "created": now(),
        "currency": currency,
        "enhanced_eligibility_types": [],
        "evidence": {**dict.fromkeys(EVIDENCE), "enhanced_evidence": {}},
        "evidence_details": {
            "due_by": now() + 9 * DAY,
            "enhanced_eligibility": {},
            "has_evidence": False,
            "past_due": False,
            "submission_count": 0,
            "submission_method": "not_submitted",
        },
        "is_charge_refundable": False,
        "livemode": False,
        "metadata": {},
        "payment_intent": charge["payment_intent"],
        "payment_method_details": how,
        "reason": reason,
        "status": "needs_response",
    }


def customer(fields: Json) -> Json:
    """Somebody who buys."""
    customer: Json = {
        "id": new_id("cus"),
        "object": "customer",
        "address": None,
        "balance": 0,
        "created": now(),
        "currency": None,
        "customer_account": None,
        "default_source": None,
        "delinquent": False,
        "description": None,
        "discount": None,
        "email": None,
        "invoice_prefix": token_hex(4).upper(),
        "invoice_settings": {
            "custom_fields": None,
            "default_payment_method": None,
            "footer": None,
            "rendering_options": None,
        },
        "livemode": False,
        "metadata": {},
        "name": None,
        "next_invoice_sequence": 1,
        "phone": None,
        "preferred_locales": [],
        "shipping": None,
        "tax_exempt": "none",
        "test_clock": None,
    }
    return {**customer, **fields}


def decimals(currency: str) -> int:
    """Return how many decimals Stripe writes a currency with: https://docs.stripe.com/currencies"""
    return 0 if currency in ZERO_DECIMAL else 3 if currency in THREE_DECIMAL else 2


def spoken(amount: int, currency: str) -> str:
    """An amount of the smallest unit in words for people, for example $12.00."""
    value = Decimal(amount).scaleb(-decimals(currency))
    return format_currency(value, currency.upper(), locale="en_US")


def _outcome(decline: Decline | None, *, pending: bool) -> Json:
    if decline is None:
        return {
            "advice_code": None,
            "network_advice_code": None,
            "network_decline_code": None,
            "network_status": "not_sent_to_network" if pending else "approved_by_network",
            "reason": None,
            "risk_level": "normal",
            "risk_score": 12,
            "seller_message": "Payment complete.",
            "type": "authorized",
        }
    return {
        "advice_code": "try_again_later",
        "network_advice_code": None,
        "network_decline_code": "01",
        "network_status": "declined_by_network",
        "reason": decline.decline_code,
        "risk_level": "normal",
        "risk_score": 34,
        "seller_message": "The bank did not return any further details with this decline.",
        "type": "issuer_declined",
    }
