"""What is left of a charge: captured, less what was refunded, less what disputes took."""

from tools.stripe.ledger import Json, Unit
from tools.stripe.refusals import Invalid

# In these the money is back, or never left.
HARMLESS = ("won", "warning_closed", "prevented")


def disputes_of(unit: Unit, charge_id: str) -> list[Json]:
    """Return the disputes of a charge as this unit sees them, oldest first."""
    rows = unit.ledger.all("dispute")
    seen = [unit.get("dispute", row["id"]) or row for row in rows]
    return [row for row in seen if row.get("charge") == charge_id]


def taken_by(dispute: Json) -> int:
    """Return what a dispute has withdrawn at this moment, in minor units of the balance."""
    movements = dispute.get("balance_transactions") or []
    return -sum(int(movement["amount"]) for movement in movements)


def left_of(unit: Unit, charge: Json) -> int:
    """Return what neither refunds nor disputes have taken of a charge, in minor units."""
    taken = sum(taken_by(dispute) for dispute in disputes_of(unit, charge["id"]))
    return int(charge["amount_captured"]) - int(charge["amount_refunded"]) - taken


def refundable(unit: Unit, charge: Json) -> int:
    """Return what can be refunded of a charge, in minor units. Raises Invalid when nothing can."""
    if not charge["paid"] or charge["status"] != "succeeded":
        raise Invalid(
            f"Charge {charge['id']} cannot be refunded: its status is {charge['status']}.",
            code="charge_not_refundable",
        )
    if not charge["captured"]:
        raise Invalid(
            f"Charge {charge['id']} has not been captured; cancel its PaymentIntent instead.",
            code="charge_not_refundable",
        )
    for dispute in disputes_of(unit, charge["id"]):
        # Nothing goes back of what a bank takes or took, in part or whole.
        if dispute["status"] not in HARMLESS and not dispute.get("is_charge_refundable"):
            raise Invalid(
                f"Charge {charge['id']} has been charged back; cannot issue a refund.",
                code="charge_disputed",
            )
    left = left_of(unit, charge)
    if left <= 0:
        raise Invalid(
            f"Charge {charge['id']} has already been refunded.", code="charge_already_refunded"
        )
    return left
