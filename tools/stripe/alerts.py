"""What Stripe warns of: early fraud warnings, reviews by Radar, payouts that a bank sent back."""

from tools.stripe import shapes
from tools.stripe.charges import disputes_of
from tools.stripe.ledger import Json, Unit, new_id, now
from tools.stripe.params import Params
from tools.stripe.refusals import Invalid

FRAUD_TYPES = (
    "card_never_received fraudulent_card_application made_with_counterfeit_card "
    "made_with_lost_card made_with_stolen_card misc unauthorized_use_of_card"
).split()
CLOSED_REASONS = (
    "acknowledged approved canceled disputed payment_never_settled redacted refunded "
    "refunded_as_fraud"
).split()
PAYOUT_STATUSES = ("pending", "in_transit", "paid", "failed", "canceled")
# https://docs.stripe.com/api/payouts/failures
PAYOUT_FAILURES = {
    "account_closed": "The bank account has been closed.",
    "account_frozen": "The bank account has been frozen.",
    "could_not_process": "The bank could not process this payout.",
    "incorrect_account_holder_name": "Your bank notified us that the account holder is not right.",
    "insufficient_funds": "Your Stripe account has insufficient funds to cover the payout.",
    "invalid_currency": "The bank was unable to process this payout because of its currency.",
    "no_account": "The bank account details on file are probably incorrect.",
}
FRAUD_WARNING = "radar.early_fraud_warning"


def warn_of_fraud(unit: Unit, charge_id: str, fraud_type: str) -> Json:
    """A card's issuer says that a payment may be fraud. Raises Missing."""
    charge = unit.find("charge", charge_id)
    unit.lock(charge["payment_intent"])
    warning = {
        "id": new_id("issfr"),
        "object": FRAUD_WARNING,
        "actionable": not charge["refunded"] and not disputes_of(unit, charge_id),
        "charge": charge_id,
        "created": now(),
        "fraud_type": fraud_type,
        "livemode": False,
        "payment_intent": charge["payment_intent"],
    }
    unit.put(FRAUD_WARNING, warning)
    unit.emit(f"{FRAUD_WARNING}.created", warning)
    return warning


def open_review(unit: Unit, intent_id: str, reason: str) -> Json:
    """Radar, or somebody, wants a person to look at a payment. Raises Missing, Invalid."""
    unit.lock(intent_id)
    intent = unit.find("payment_intent", intent_id, param="payment_intent")
    if intent["review"] is not None:
        raise Invalid("This payment is being reviewed already.")
    review = {
        "id": new_id("prv"),
        "object": "review",
        "billing_zip": None,
        "charge": intent["latest_charge"],
        "closed_reason": None,
        "created": now(),
        "ip_address": "192.0.2.7",
        "ip_address_location": None,
        "livemode": False,
        "open": True,
        "opened_reason": reason,
        "payment_intent": intent_id,
        "reason": reason,
        "session": None,
    }
    unit.put("review", review)
    _show_review(unit, intent, review["id"])
    unit.emit("review.opened", review)
    return review


def close_review(unit: Unit, review_id: str, reason: str) -> Json:
    """Somebody has looked, or the payment is over. Raises Missing, Invalid."""
    review = unit.find("review", review_id)
    unit.lock(review["payment_intent"])
    review = unit.find("review", review_id)
    if not review["open"]:
        raise Invalid(f"This review is closed already: {review['closed_reason']}.")
    review = unit.change(review, open=False, closed_reason=reason, reason=reason)
    _show_review(unit, unit.find("payment_intent", review["payment_intent"]), None)
    unit.emit("review.closed", review)
    return review


def follow_refund(unit: Unit, charge: Json) -> None:
    """A charge was refunded in full: its review is over, its warnings need nothing any more."""
    _follow(unit, charge, "refunded")


def follow_dispute(unit: Unit, charge: Json) -> None:
    """A charge was disputed: its review is over, its warnings come too late."""
    _follow(unit, charge, "disputed")


def follow_cancel(unit: Unit, intent: Json) -> None:
    """A payment was canceled, or its authorisation ended: its review is over."""
    if intent["review"] is not None:
        close_review(unit, intent["review"], "canceled")


def _follow(unit: Unit, charge: Json, reason: str) -> None:
    if charge["review"] is not None:
        close_review(unit, charge["review"], reason)
    for warning in unit.ledger.all(FRAUD_WARNING):
        if warning.get("charge") == charge["id"] and warning.get("actionable"):
            changed = unit.change(warning, actionable=False)
            unit.emit(f"{FRAUD_WARNING}.updated", changed, previous={"actionable": True})


def approve_review(unit: Unit, params: Params, review_id: str) -> Json:
    """POST /v1/reviews/<id>/approve."""
    params.close()
    return close_review(unit, review_id, "approved")


def pay_out(
    unit: Unit, *, amount: int, currency: str, status: str, failure_code: str | None
) -> Json:
    """Send a part of the balance to the shop's bank, or learn that it came back.

    ``amount`` in minor units. ``failure_code`` goes with the status ``failed``.
    """
    payout: Json = {
        "id": new_id("po"),
        "object": "payout",
        "amount": amount,
        "application_fee": None,
        "application_fee_amount": None,
        "arrival_date": now() + 2 * shapes.DAY,
        "automatic": True,
        "balance_transaction": None,
        "created": now(),
        "currency": currency,
        "description": "STRIPE PAYOUT",
        "destination": new_id("ba"),
        "failure_balance_transaction": None,
        "failure_code": None,
        "failure_message": None,
        "livemode": False,
        "metadata": {},
        "method": "standard",
        "original_payout": None,
        "payout_method": None,
        "reconciliation_status": "in_progress",
        "reversed_by": None,
        "source_type": "card",
        "statement_descriptor": None,
        "status": "in_transit" if status == "failed" else status,
        "trace_id": None,
        "type": "bank_account",
    }
    payout["balance_transaction"] = _movement(unit, payout, "payout", -amount)
    unit.put("payout", payout)
    unit.emit("payout.created", payout)
    if status in ("pending", "in_transit"):
        return payout
    return end_payout(unit, payout["id"], status=status, failure_code=failure_code)


def end_payout(unit: Unit, payout_id: str, *, status: str, failure_code: str | None) -> Json:
    """A payout is paid, fails or is canceled, also one that was paid before. Raises Missing."""
    unit.lock(payout_id)
    payout = unit.find("payout", payout_id)
    fields: Json = {"status": status}
    if status == "failed":
        code = failure_code or "could_not_process"
        fields |= {"failure_code": code, "failure_message": PAYOUT_FAILURES[code]}
    if status in ("failed", "canceled"):
        kind = "payout_failure" if status == "failed" else "payout_cancel"
        back = _movement(unit, payout, kind, int(payout["amount"]))
        fields["failure_balance_transaction"] = back
    payout = unit.change(payout, **fields)
    known = status in ("paid", "failed", "canceled")
    unit.emit(f"payout.{status if known else 'updated'}", payout)
    return payout


def _movement(unit: Unit, payout: Json, kind: str, amount: int) -> str:
    movement = shapes.balance_transaction(
        kind=kind,
        category="payout" if kind == "payout" else "payout_reversal",
        source=payout["id"],
        amount=amount,
        currency=payout["currency"],
        description="STRIPE PAYOUT",
    )
    return str(unit.put("balance_transaction", movement)["id"])


def _show_review(unit: Unit, intent: Json, review_id: str | None) -> None:
    unit.change(intent, review=review_id)
    charge = unit.get("charge", intent["latest_charge"] or "")
    if charge is not None:
        unit.change(charge, review=review_id)
