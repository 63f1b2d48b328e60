"""Money going back, and disputes. Promise: never more leaves than was captured."""

from typing import Any

from shop.dev.stripe import shapes
from shop.dev.stripe.cards import BEHAVIOURS
from shop.dev.stripe.faults import Faults
from shop.dev.stripe.ledger import Json, Unit
from shop.dev.stripe.params import Params
from shop.dev.stripe.refusals import Invalid

REASONS = ("duplicate", "fraudulent", "requested_by_customer")
DISPUTE_REASONS = (
    "bank_cannot_process check_returned credit_not_processed customer_initiated "
    "debit_not_authorized duplicate fraudulent general incorrect_account_details "
    "insufficient_funds noncompliant product_not_received product_unacceptable "
    "subscription_canceled unrecognized"
).split()
DISPUTE_FEE = 1500


class Refunds:
    """The operations on refunds. `faults` says how long a slow bank takes."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults

    def create(self, unit: Unit, params: Params) -> Json:
        """POST /v1/refunds for a charge or a PaymentIntent, in full or in part."""
        charge_id = _charge_of(unit, params)
        amount = params.integer("amount", least=1)
        reason = params.choice("reason", REASONS)
        metadata = params.metadata({})
        for ignored in ("instructions_email", "origin"):
            params.raw(ignored)
        params.close()
        unit.lock(unit.find("charge", charge_id)["payment_intent"])
        charge = unit.find("charge", charge_id)
        left, currency = _refundable(charge), charge["currency"]
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
        refund = shapes.refund(
            charge,
            amount=amount,
            reason=reason,
            metadata=metadata,
            status="pending" if course == "pending" else "succeeded",
        )
        movement = shapes.balance_transaction(
            kind="refund", source=refund["id"], amount=-amount, currency=charge["currency"]
        )
        unit.put("balance_transaction", movement)
        refund["balance_transaction"] = movement["id"]
        unit.put("refund", refund)
        before = charge["amount_refunded"]
        charge = unit.change(
            charge,
            amount_refunded=before + amount,
            refunded=before + amount == charge["amount"],
        )
        unit.emit("charge.refunded", charge, previous={"amount_refunded": before})
        unit.emit("refund.created", refund)
        if course is None:
            self._give_reference(unit, refund)
        else:
            unit.later(self._faults.settings.refund_after_s, "finish_refund", refund["id"])
        return refund

    def update(self, unit: Unit, params: Params, refund_id: str) -> Json:
        """POST /v1/refunds/<id>: only the metadata can change."""
        refund = unit.find("refund", refund_id)
        metadata = params.metadata(refund["metadata"])
        params.close()
        unit.lock(refund["payment_intent"])
        refund = unit.change(unit.find("refund", refund_id), metadata=metadata)
        unit.emit("refund.updated", refund)
        return refund

    def finish(self, unit: Unit, refund_id: str) -> None:
        """The bank answered late: a pending refund succeeds, a doomed one fails."""
        refund = unit.find("refund", refund_id)
        unit.lock(refund["payment_intent"])
        refund = unit.find("refund", refund_id)
        if refund["status"] == "pending":
            self._give_reference(unit, {**refund, "status": "succeeded"})
            return
        charge = unit.find("charge", refund["charge"])
        back = shapes.balance_transaction(
            kind="refund_failure",
            source=refund["id"],
            amount=refund["amount"],
            currency=refund["currency"],
        )
        unit.put("balance_transaction", back)
        refund = unit.change(
            refund,
            status="failed",
            failure_reason="lost_or_stolen_card",
            failure_balance_transaction=back["id"],
        )
        unit.change(
            charge, amount_refunded=charge["amount_refunded"] - refund["amount"], refunded=False
        )
        unit.emit("refund.updated", refund, previous={"status": "succeeded"})
        unit.emit("refund.failed", refund)

    def _give_reference(self, unit: Unit, refund: Json) -> None:
        card = {
            **refund["destination_details"]["card"],
            "reference": refund["id"][-12:],
            "reference_status": "available",
        }
        details = {"card": card, "type": "card"}
        refund = unit.change(refund, destination_details=details)
        unit.emit("refund.updated", refund, previous={"destination_details": {"card": {}}})


class Disputes:
    """The operations on disputes."""

    def open(
        self, unit: Unit, charge_id: str, *, amount: int | None = None, reason: str | None = None
    ) -> Json:
        """The cardholder's bank takes the money back. Raises Invalid for a charge without money."""
        unit.lock(unit.find("charge", charge_id)["payment_intent"])
        charge = unit.find("charge", charge_id)
        if charge["disputed"]:
            raise Invalid(f"Charge {charge_id} is disputed already.", code="charge_disputed")
        left = _refundable(charge)
        if amount is not None and not 1 <= amount <= left:
            raise Invalid(f"The disputed amount must be from 1 to {left}.", param="amount")
        behaviour = unit.get("behaviour", charge["payment_method"]) or {"name": "disputed"}
        reason = reason or BEHAVIOURS[str(behaviour["name"])].dispute or "fraudulent"
        dispute = shapes.dispute(charge, amount=amount or left, reason=reason)
        dispute["balance_transactions"] = [_movement(unit, dispute, -1, fee=DISPUTE_FEE)]
        unit.put("dispute", dispute)
        charge = unit.change(charge, disputed=True)
        unit.emit("charge.dispute.created", dispute)
        unit.emit("charge.dispute.funds_withdrawn", dispute)
        unit.emit("charge.updated", charge, previous={"disputed": False})
        return dispute

    def by_itself(self, unit: Unit, charge_id: str) -> None:
        """The later half of the card that is disputed after it succeeded."""
        self.open(unit, charge_id)

    def update(self, unit: Unit, params: Params, dispute_id: str) -> Json:
        """POST /v1/disputes/<id>: evidence; `winning_evidence` and `losing_evidence` decide."""
        dispute = unit.find("dispute", dispute_id, param="dispute")
        given = params.group("evidence")
        submit = params.boolean("submit")
        metadata = params.metadata(dispute["metadata"])
        params.close()
        evidence = dict(dispute["evidence"])
        for name in given or ():
            if name not in shapes.EVIDENCE or given is None:
                raise Invalid(
                    f"Received unknown parameter: evidence[{name}]",
                    code="parameter_unknown",
                    param=f"evidence[{name}]",
                )
            evidence[name] = given.text(name, limit=20_000)
        unit.lock(dispute["payment_intent"])
        dispute = _answerable(unit.find("dispute", dispute_id))
        submitted = bool(given) and submit is not False
        details = {
            **dispute["evidence_details"],
            "has_evidence": any(value for value in evidence.values()),
            "submission_count": dispute["evidence_details"]["submission_count"] + submitted,
            "submission_method": "manual" if submitted else "not_submitted",
        }
        dispute = unit.change(
            dispute,
            evidence=evidence,
            evidence_details=details,
            metadata=metadata,
            status="under_review" if submitted else dispute["status"],
        )
        unit.emit("charge.dispute.updated", dispute)
        verdicts = {"winning_evidence": "won", "losing_evidence": "lost"}
        verdict = verdicts.get(str(evidence["uncategorized_text"]))
        return self._decide(unit, dispute, verdict) if submitted and verdict else dispute

    def close(self, unit: Unit, params: Params, dispute_id: str) -> Json:
        """POST /v1/disputes/<id>/close: the shop gives in."""
        params.close()
        return self.decide(unit, dispute_id, "lost")

    def decide(self, unit: Unit, dispute_id: str, verdict: str) -> Json:
        """End a dispute as won or lost."""
        dispute = unit.find("dispute", dispute_id, param="dispute")
        unit.lock(dispute["payment_intent"])
        return self._decide(unit, _answerable(unit.find("dispute", dispute_id)), verdict)

    def _decide(self, unit: Unit, dispute: Json, verdict: str) -> Json:
        if verdict == "won":
            movements = [*dispute["balance_transactions"], _movement(unit, dispute, 1)]
            dispute = unit.change(dispute, balance_transactions=movements)
            unit.emit("charge.dispute.funds_reinstated", dispute)
        dispute = unit.change(dispute, status=verdict)
        unit.emit("charge.dispute.closed", dispute)
        return dispute


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


def _refundable(charge: Json) -> int:
    if not charge["captured"]:
        raise Invalid(
            f"Charge {charge['id']} has not been captured; cancel its PaymentIntent instead.",
            code="charge_not_refundable",
        )
    if charge["disputed"]:
        raise Invalid(
            f"Charge {charge['id']} has been charged back; cannot issue a refund.",
            code="charge_disputed",
        )
    left = int(charge["amount_captured"]) - _returned(charge)
    if left <= 0:
        raise Invalid(
            f"Charge {charge['id']} has already been refunded.", code="charge_already_refunded"
        )
    return left


def _returned(charge: Json) -> int:
    """What was refunded, without the part that was authorised but never captured."""
    never_captured = int(charge["amount"]) - int(charge["amount_captured"])
    return int(charge["amount_refunded"]) - never_captured


def _movement(unit: Unit, dispute: Json, sign: int, *, fee: int = 0) -> Any:
    course = "withdrawal" if sign < 0 else "reversal"
    movement = shapes.balance_transaction(
        kind="adjustment",
        source=dispute["id"],
        amount=sign * dispute["amount"],
        currency=dispute["currency"],
        fee=fee,
        description=f"Chargeback {course} for {dispute['charge']}",
    )
    return unit.put("balance_transaction", movement)


def _answerable(dispute: Json) -> Json:
    if dispute["status"] in ("won", "lost"):
        raise Invalid(f"This dispute is already closed: it was {dispute['status']}.")
    return dispute
