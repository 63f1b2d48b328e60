"""Money going back. Promise: never more leaves than was captured.

A refund is pending, waits for the buyer's bank details (requires_action), succeeds, and may fail or
be canceled even then: https://docs.stripe.com/refunds
"""

from enum import StrEnum

from tools.stripe import alerts, shapes
from tools.stripe.cards import BEHAVIOURS
from tools.stripe.charges import refundable
from tools.stripe.disputes import Disputes as Disputes
from tools.stripe.faults import Faults
from tools.stripe.ledger import Json, Unit, now
from tools.stripe.params import Params
from tools.stripe.refusals import Invalid

REASONS = ("duplicate", "fraudulent", "requested_by_customer")
FAILURE_REASONS = (
    "lost_or_stolen_card expired_or_canceled_card charge_for_pending_refund_disputed "
    "insufficient_funds declined merchant_request unknown"
).split()
PENDING_REASONS = ("processing", "insufficient_funds", "charge_pending")
# Methods to which no bank can send money back: the buyer is asked for an account by email.
ASKS_BUYER = ("konbini", "oxxo")
DAYS_TO_ANSWER = 45


class RefundStatus(StrEnum):
    """The statuses of a refund."""

    PENDING = "pending"
    REQUIRES_ACTION = "requires_action"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"


# Money that is on its way back, or there.
COUNTED = (RefundStatus.PENDING, RefundStatus.REQUIRES_ACTION, RefundStatus.SUCCEEDED)


class Refunds:
    """The operations on refunds. `faults` says how long a slow bank takes."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults

    def create(
        self,
        unit: Unit,
        params: Params,
        *,
        status: RefundStatus | None = None,
        pending_reason: str = "processing",
    ) -> Json:
        """POST /v1/refunds for a charge or a PaymentIntent, in full or in part.

        ``status``: another first status than the payment method's own. Raises Invalid.
        """
        charge_id = _charge_of(unit, params)
        amount = params.integer("amount", least=1, most=10**14)
        reason = params.choice("reason", REASONS)
        metadata = params.metadata({})
        email = params.text("instructions_email")
        params.raw("origin")
        params.close()
        unit.lock(unit.find("charge", charge_id)["payment_intent"])
        charge = unit.find("charge", charge_id)
        left, currency = refundable(unit, charge), charge["currency"]
        if amount is None:
            amount = left
        if amount > left:
            raise Invalid(
                f"Refund amount ({shapes.spoken(amount, currency)}) is greater than unrefunded "
                f"amount on charge ({shapes.spoken(left, currency)})",
                param="amount",
            )
        behaviour = unit.get("behaviour", charge["payment_method"]) or {"name": "works"}
        course = BEHAVIOURS[str(behaviour["name"])].refund
        first = status or self._first_status(charge, course)
        refund = shapes.refund(
            charge, amount=amount, reason=reason, metadata=metadata, status=first.value
        )
        if first is RefundStatus.REQUIRES_ACTION:
            refund |= _asking(charge, email)
        if first is RefundStatus.PENDING:
            refund["pending_reason"] = pending_reason
        if pending_reason == "processing":
            refund["balance_transaction"] = _withdraw(unit, refund)
        unit.put("refund", refund)
        before = charge["amount_refunded"]
        charge = unit.change(charge, **_refunded(charge, amount))
        unit.emit("charge.refunded", charge, previous={"amount_refunded": before})
        unit.emit("refund.created", refund)
        if charge["refunded"]:
            alerts.follow_refund(unit, charge)
        if status is not None or first is RefundStatus.REQUIRES_ACTION:
            return refund
        if course is not None:
            unit.later(self._faults.settings.refund_after_s, "finish_refund", refund["id"])
        elif refund["destination_details"]["type"] == "card":
            _give_reference(unit, refund)
        return refund

    def cancel(self, unit: Unit, params: Params, refund_id: str) -> Json:
        """POST /v1/refunds/<id>/cancel: only while the buyer has to say where the money goes."""
        params.close()
        refund = unit.find("refund", refund_id)
        unit.lock(refund["payment_intent"])
        refund = unit.find("refund", refund_id)
        if refund["status"] != RefundStatus.REQUIRES_ACTION:
            raise Invalid(
                f"This refund cannot be canceled because it has a status of {refund['status']}. "
                "Only refunds with a status of requires_action can be canceled."
            )
        return self.move(unit, refund_id, RefundStatus.CANCELED)

    def finish(self, unit: Unit, refund_id: str) -> None:
        """The bank answered late: a pending refund succeeds, a doomed one fails."""
        refund = unit.find("refund", refund_id)
        if refund["status"] == RefundStatus.PENDING:
            self.move(unit, refund_id, RefundStatus.SUCCEEDED)
        elif refund["status"] == RefundStatus.SUCCEEDED:
            self.move(unit, refund_id, RefundStatus.FAILED)

    def move(
        self,
        unit: Unit,
        refund_id: str,
        status: RefundStatus,
        *,
        reason: str = "lost_or_stolen_card",
    ) -> Json:
        """Bring a refund into another status; money follows. ``reason``: why it failed.

        Raises Invalid for one that is over: failed or canceled.
        """
        refund = unit.find("refund", refund_id)
        unit.lock(refund["payment_intent"])
        refund = unit.find("refund", refund_id)
        if refund["status"] not in COUNTED:
            raise Invalid(f"This refund is over: it is {refund['status']}.")
        fields: Json = {"status": status.value, "pending_reason": None}
        previous: Json = {"status": refund["status"]}
        if status is RefundStatus.PENDING:
            fields["pending_reason"] = "processing"
        if status is not RefundStatus.REQUIRES_ACTION:
            fields["next_action"] = None
        if status in COUNTED and refund["balance_transaction"] is None:
            fields["balance_transaction"] = _withdraw(unit, refund)
        if status in COUNTED:
            refund = unit.change(refund, **fields)
            if status is RefundStatus.SUCCEEDED and refund["destination_details"].get("card"):
                _give_reference(unit, refund, previous=previous)
                return unit.find("refund", refund_id)
            unit.emit("refund.updated", refund, previous=previous)
            return refund
        if refund["balance_transaction"] is not None:
            fields["failure_balance_transaction"] = _refund(unit, refund)
        if status is RefundStatus.FAILED:
            fields["failure_reason"] = reason
        refund = unit.change(refund, **fields)
        charge = unit.find("charge", refund["charge"])
        unit.change(charge, **_refunded(charge, -int(refund["amount"])))
        unit.emit("refund.updated", refund, previous=previous)
        if status is RefundStatus.FAILED:
            unit.emit("refund.failed", refund)
        return refund

    def _first_status(self, charge: Json, course: str | None) -> RefundStatus:
        if charge["payment_method_details"]["type"] in ASKS_BUYER:
            return RefundStatus.REQUIRES_ACTION
        return RefundStatus.PENDING if course == "pending" else RefundStatus.SUCCEEDED


def _charge_of(unit: Unit, params: Params) -> str:
    charge_id, intent_id = params.text("charge"), params.text("payment_intent")
    if (charge_id is None) == (intent_id is None):
        raise Invalid(
            "One of the following params should be provided for this request: payment_intent or "
            "charge.",
            code="parameter_missing" if charge_id is None else None,
        )
    if charge_id is not None:
        return str(unit.find("charge", charge_id, param="charge")["id"])
    intent = unit.find("payment_intent", str(intent_id), param="payment_intent")
    charge = unit.get("charge", intent["latest_charge"] or "")
    if charge is None or not charge["paid"]:
        raise Invalid(
            f"This PaymentIntent ({intent_id}) does not have a successful charge to refund.",
            param="payment_intent",
        )
    return str(charge["id"])


def _refunded(charge: Json, amount: int) -> Json:
    refunded = int(charge["amount_refunded"]) + amount
    return {"amount_refunded": refunded, "refunded": refunded >= int(charge["amount_captured"])}


def _withdraw(unit: Unit, refund: Json) -> str:
    movement = shapes.balance_transaction(
        kind="refund" if refund["id"].startswith("re_") else "payment_refund",
        category="refund",
        source=refund["id"],
        amount=-int(refund["amount"]),
        currency=refund["currency"],
    )
    return str(unit.put("balance_transaction", movement)["id"])


def _refund(unit: Unit, refund: Json) -> str:
    movement = shapes.balance_transaction(
        kind="refund_failure" if refund["id"].startswith("re_") else "payment_failure_refund",
        category="refund_failure",
        source=refund["id"],
        amount=int(refund["amount"]),
        currency=refund["currency"],
    )
    return str(unit.put("balance_transaction", movement)["id"])


def _asking(charge: Json, email: str | None) -> Json:
    """The email that asks the buyer where the money shall go."""
    email = email or charge["billing_details"]["email"]
    if email is None:
        raise Invalid(
            "Missing required param: instructions_email.",
            code="parameter_missing",
            param="instructions_email",
        )
    return {
        "instructions_email": email,
        "next_action": {
            "display_details": {
                "email_sent": {"email_sent_at": now(), "email_sent_to": email},
                "expires_at": now() + DAYS_TO_ANSWER * shapes.DAY,
            },
            "type": "display_details",
        },
    }


def _give_reference(unit: Unit, refund: Json, *, previous: Json | None = None) -> None:
    card = {
        **refund["destination_details"]["card"],
        "reference": refund["id"][-12:],
        "reference_status": "available",
    }
    details = {"card": card, "type": "card"}
    refund = unit.change(refund, destination_details=details)
    changed: Json = {"destination_details": {"card": {}}} | (previous or {})
    unit.emit("refund.updated", refund, previous=changed)
