"""Disputes: every status of the pinned API version, in any order, with the money that follows.

An inquiry (`warning_…`) takes no money; a chargeback does, with a fee; a won one returns both, and
arbitration may take it again: https://docs.stripe.com/disputes/how-disputes-work
"""

from enum import StrEnum
from typing import Any

from tools.stripe import alerts, shapes
from tools.stripe.cards import BEHAVIOURS
from tools.stripe.charges import HARMLESS, left_of, taken_by
from tools.stripe.faults import Faults
from tools.stripe.ledger import Json, Unit
from tools.stripe.params import Params
from tools.stripe.refusals import Invalid

DISPUTE_REASONS = (
    "bank_cannot_process check_returned credit_not_processed customer_initiated "
    "debit_not_authorized duplicate fraudulent general incorrect_account_details "
    "insufficient_funds noncompliant product_not_received product_unacceptable "
    "subscription_canceled unrecognized"
).split()
DISPUTE_FEE = 1500


class DisputeStatus(StrEnum):
    """The statuses of a dispute, as the SDK enumerates them."""

    WARNING_NEEDS_RESPONSE = "warning_needs_response"
    WARNING_UNDER_REVIEW = "warning_under_review"
    WARNING_CLOSED = "warning_closed"
    NEEDS_RESPONSE = "needs_response"
    UNDER_REVIEW = "under_review"
    APPEAL_NEEDS_RESPONSE = "appeal_needs_response"
    APPEAL_UNDER_REVIEW = "appeal_under_review"
    WON = "won"
    LOST = "lost"
    PREVENTED = "prevented"

    @property
    def is_inquiry(self) -> bool:
        """Whether a bank only asks, and may be answered by a refund."""
        return self in (self.WARNING_NEEDS_RESPONSE, self.WARNING_UNDER_REVIEW)

    @property
    def is_over(self) -> bool:
        """Whether Stripe sends `charge.dispute.closed`."""
        return self in (self.WON, self.LOST, self.WARNING_CLOSED, self.PREVENTED)

    @property
    def takes_money(self) -> bool:
        """Whether the money is withdrawn as long as it lasts."""
        return not self.is_inquiry and self not in HARMLESS


class Disputes:
    """The operations on disputes. `faults` says whether a won dispute returns its fee."""

    def __init__(self, faults: Faults | None = None) -> None:
        self._faults = faults or Faults()

    def open(
        self,
        unit: Unit,
        charge_id: str,
        *,
        amount: int | None = None,
        reason: str | None = None,
        status: DisputeStatus = DisputeStatus.NEEDS_RESPONSE,
        currency: str | None = None,
        withdrawn: int | None = None,
        strict: bool = True,
    ) -> Json:
        """The cardholder's bank takes the money back, or asks.

        ``amount`` in minor units of the dispute's ``currency``, which is the charge's as a rule;
        ``withdrawn``: what leaves the balance, in minor units of the charge's. ``strict``: one
        dispute a charge, of what is left of it. Banks keep to neither: they dispute a charge twice,
        and in full although a part was refunded (https://support.stripe.com/questions/
        dispute-for-full-charge-amount-after-a-partial-refund-was-issued).
        Raises Invalid for a charge without that much money.
        """
        unit.lock(unit.find("charge", charge_id)["payment_intent"])
        charge = unit.find("charge", charge_id)
        if not charge["captured"] or not charge["paid"]:
            raise Invalid(
                f"Charge {charge_id} has not been captured.", code="charge_not_refundable"
            )
        if charge["disputed"] and strict:
            raise Invalid(f"Charge {charge_id} is disputed already.", code="charge_disputed")
        left = left_of(unit, charge)
        most = left if strict else _disputable(unit, charge)
        currency = currency or charge["currency"]
        if withdrawn is None:
            withdrawn = amount if amount and currency == charge["currency"] else left
        if not 1 <= withdrawn <= most:
            raise Invalid(f"The disputed amount must be from 1 to {most}.", param="amount")
        behaviour = unit.get("behaviour", charge["payment_method"]) or {"name": "disputed"}
        reason = reason or BEHAVIOURS[str(behaviour["name"])].dispute or "fraudulent"
        dispute = shapes.dispute(
            charge, amount=amount or withdrawn, currency=currency, reason=reason
        )
        unit.put("disputed", {"id": dispute["id"], "withdrawn": withdrawn})
        dispute = unit.put("dispute", dispute | _facts(dispute, status))
        if status.takes_money:
            dispute = unit.put("dispute", _booked(unit, dispute, -withdrawn, fee=DISPUTE_FEE))
        charge = unit.change(charge, disputed=True)
        unit.emit("charge.dispute.created", dispute)
        if status.takes_money:
            unit.emit("charge.dispute.funds_withdrawn", dispute)
        if status.is_over:
            unit.emit("charge.dispute.closed", dispute)
        unit.emit("charge.updated", charge, previous={"disputed": False})
        alerts.follow_dispute(unit, charge)
        return dispute

    def by_itself(self, unit: Unit, charge_id: str) -> None:
        """The later half of a payment method that is disputed after it succeeded."""
        charge = unit.find("charge", charge_id)
        is_card = charge["payment_method_details"]["type"] == "card"
        # A bank debit that its account holder objects to cannot be defended.
        status = DisputeStatus.NEEDS_RESPONSE if is_card else DisputeStatus.LOST
        self.open(unit, charge_id, status=status)

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
        is_inquiry = DisputeStatus(dispute["status"]).is_inquiry
        reviewed = "warning_under_review" if is_inquiry else "under_review"
        dispute = unit.change(
            dispute,
            evidence=evidence,
            evidence_details=details,
            metadata=metadata,
            status=reviewed if submitted else dispute["status"],
        )
        unit.emit("charge.dispute.updated", dispute)
        won = DisputeStatus.WARNING_CLOSED if is_inquiry else DisputeStatus.WON
        verdicts = {"winning_evidence": won, "losing_evidence": DisputeStatus.LOST}
        verdict = verdicts.get(str(evidence["uncategorized_text"]))
        return self._move(unit, dispute, verdict) if submitted and verdict else dispute

    def close(self, unit: Unit, params: Params, dispute_id: str) -> Json:
        """POST /v1/disputes/<id>/close: the shop gives in."""
        params.close()
        return self.decide(unit, dispute_id, "lost")

    def decide(self, unit: Unit, dispute_id: str, verdict: str) -> Json:
        """End a dispute as won or lost. Raises Invalid for one that is over."""
        dispute = unit.find("dispute", dispute_id, param="dispute")
        unit.lock(dispute["payment_intent"])
        dispute = _answerable(unit.find("dispute", dispute_id))
        return self._move(unit, dispute, DisputeStatus(verdict))

    def move(
        self, unit: Unit, dispute_id: str, status: DisputeStatus, *, withdrawn: int | None = None
    ) -> Json:
        """Bring a dispute into any status, also out of a last one; the money follows.

        ``withdrawn``: from now on it is about this much of the balance, in minor units; with the
        status lost and less than before it is what Stripe's dashboard calls partially won.
        """
        dispute = unit.find("dispute", dispute_id, param="dispute")
        unit.lock(dispute["payment_intent"])
        dispute = unit.find("dispute", dispute_id)
        if withdrawn is not None:
            charge = unit.find("charge", dispute["charge"])
            most = _disputable(unit, charge) + taken_by(dispute)
            if not 1 <= withdrawn <= most:
                raise Invalid(f"The disputed amount must be from 1 to {most}.", param="amount")
            unit.put("disputed", {"id": dispute_id, "withdrawn": withdrawn})
            if dispute["currency"] == charge["currency"] and not dispute["balance_transactions"]:
                dispute = unit.change(dispute, amount=withdrawn)
        return self._move(unit, dispute, status)

    def _move(self, unit: Unit, dispute: Json, status: DisputeStatus) -> Json:
        taken = taken_by(dispute)
        wanted = _wanted(unit, dispute) if status.takes_money else 0
        if wanted > taken:
            fee = DISPUTE_FEE if not taken else 0
            dispute = unit.put("dispute", _booked(unit, dispute, taken - wanted, fee=fee))
            unit.emit("charge.dispute.funds_withdrawn", dispute)
        elif wanted < taken:
            fee = 0 if wanted else self._returned_fee(dispute)
            dispute = unit.put("dispute", _booked(unit, dispute, taken - wanted, fee=fee))
            unit.emit("charge.dispute.funds_reinstated", dispute)
        before = dispute["status"]
        dispute = unit.change(dispute, **_facts(dispute, status))
        kind = "closed" if status.is_over else "updated"
        unit.emit(f"charge.dispute.{kind}", dispute, previous={"status": before})
        return dispute

    def _returned_fee(self, dispute: Json) -> int:
        fees = sum(int(movement["fee"]) for movement in dispute["balance_transactions"])
        return -fees if self._faults.settings.dispute_fee_returned else 0


def _wanted(unit: Unit, dispute: Json) -> int:
    """What the dispute is about, in minor units of the balance."""
    note = unit.get("disputed", dispute["id"]) or {"withdrawn": dispute["amount"]}
    return int(note["withdrawn"])


def _disputable(unit: Unit, charge: Json) -> int:
    """What banks can still take, whatever was refunded."""
    return left_of(unit, charge) + int(charge["amount_refunded"])


def _facts(dispute: Json, status: DisputeStatus) -> Json:
    """The fields that follow the status."""
    details = dispute["payment_method_details"]
    if details is not None and "card" in details:
        asks = status.is_inquiry or status is DisputeStatus.WARNING_CLOSED
        prevented = status is DisputeStatus.PREVENTED
        case = "inquiry" if asks else "resolution" if prevented else "chargeback"
        details = {**details, "card": {**details["card"], "case_type": case}}
    return {
        "status": status.value,
        "is_charge_refundable": status.is_inquiry,
        "payment_method_details": details,
    }


def _booked(unit: Unit, dispute: Json, amount: int, *, fee: int) -> Json:
    charge = unit.find("charge", dispute["charge"])
    is_withdrawal = amount < 0
    course = "withdrawal" if is_withdrawal else "reversal"
    movement: Any = shapes.balance_transaction(
        kind="adjustment",
        category="dispute" if is_withdrawal else "dispute_reversal",
        source=dispute["id"],
        amount=amount,
        currency=charge["currency"],
        fee=fee,
        description=f"Chargeback {course} for {dispute['charge']}",
    )
    if dispute["currency"] != charge["currency"]:
        movement["exchange_rate"] = abs(amount) / int(dispute["amount"])
    unit.put("balance_transaction", movement)
    movements = [*dispute["balance_transactions"], movement]
    return {**dispute, "balance_transactions": movements}


def _answerable(dispute: Json) -> Json:
    if DisputeStatus(dispute["status"]).is_over:
        raise Invalid(f"This dispute is already closed: it was {dispute['status']}.")
    return dispute
