"""What people do at Stripe and at banks, through `/_control`: refund, dispute, pay, expire."""

from typing import Any
from urllib.parse import urlencode

from shop.dev.stripe.attempts import FAILURES
from shop.dev.stripe.ledger import Json, Ledger, Unit
from shop.dev.stripe.params import Params, decode
from shop.dev.stripe.payments import Payments
from shop.dev.stripe.refunds import DISPUTE_REASONS, Disputes, Refunds
from shop.dev.stripe.refusals import BadControl

OUTCOMES = ("succeed", "process", "fail", "expire")


class Dashboard:
    """The actions. Each takes a JSON body, changes all or nothing, and returns the object."""

    def __init__(
        self, ledger: Ledger, payments: Payments, refunds: Refunds, disputes: Disputes
    ) -> None:
        self._ledger = ledger
        self._payments = payments
        self._refunds = refunds
        self._disputes = disputes

    def payment(self, body: Json) -> Json:
        """End what is under way: `{"payment_intent", "outcome", "reason"}`.

        ``succeed``: the bank or the payer of a voucher paid; ``process``: a voucher was paid and
        its money is on its way; ``fail``: declined, with a ``reason`` out of `FAILURES`;
        ``expire``: a voucher or a redirect came to its end. Raises BadControl, Refusal.
        """
        only(body, "payment_intent", "outcome", "reason")
        outcome, reason = body.get("outcome", "succeed"), body.get("reason")
        if outcome not in OUTCOMES:
            raise BadControl(f"outcome must be one of {', '.join(OUTCOMES)}.")
        if reason is not None and (outcome != "fail" or reason not in FAILURES):
            raise BadControl(f"reason goes with fail and must be one of {', '.join(FAILURES)}.")
        intent_id = body.get("payment_intent")
        if not isinstance(intent_id, str):
            raise BadControl("Name a payment_intent.")
        attempts = self._payments.attempts
        with Unit(self._ledger) as unit:
            if outcome == "succeed":
                intent = attempts.succeed(unit, intent_id)
            elif outcome == "process":
                intent = attempts.start_processing(unit, intent_id)
            elif outcome == "fail":
                intent = attempts.fail(unit, intent_id, reason or "payment_failed")
            else:
                intent = attempts.expire(unit, intent_id)
            unit.commit()
        return intent

    def refund(self, body: Json) -> Json:
        """Give money back, as POST /v1/refunds does."""
        only(body, "payment_intent", "charge", "amount", "reason", "metadata")
        flat = {name: value for name, value in body.items() if name != "metadata"}
        for name, value in flat.items():
            if not isinstance(value, str | int) or isinstance(value, bool):
                raise BadControl(f"{name} must be a word or a whole number.")
        with Unit(self._ledger) as unit:
            params = decode(urlencode(flat)) | {"metadata": body.get("metadata", {})}
            refund = self._refunds.create(unit, Params(params))
            unit.commit()
        return refund

    def dispute(self, body: Json) -> Json:
        """Open a dispute, or end one with a ``status`` of won or lost."""
        only(body, "payment_intent", "charge", "amount", "reason", "dispute", "status")
        with Unit(self._ledger) as unit:
            if "dispute" in body:
                if body.get("status") not in ("won", "lost"):
                    raise BadControl('To end a dispute give its status: "won" or "lost".')
                value = self._disputes.decide(unit, str(body["dispute"]), str(body["status"]))
            else:
                value = self._open_dispute(unit, body)
            unit.commit()
        return value

    def _open_dispute(self, unit: Unit, body: Json) -> Json:
        reason, amount = body.get("reason"), body.get("amount")
        if reason is not None and reason not in DISPUTE_REASONS:
            raise BadControl(f"reason must be one of {', '.join(DISPUTE_REASONS)}.")
        if amount is not None and (not isinstance(amount, int) or isinstance(amount, bool)):
            raise BadControl("amount must be a whole number of the smallest unit.")
        charge_id: Any = body.get("charge")
        if charge_id is None and "payment_intent" in body:
            intent = unit.find("payment_intent", str(body["payment_intent"]))
            charge_id = intent["latest_charge"]
            if charge_id is None:
                raise BadControl("Nothing was paid with this PaymentIntent yet.")
        if charge_id is None:
            raise BadControl("Name a payment_intent or a charge to dispute.")
        return self._disputes.open(unit, str(charge_id), amount=amount, reason=reason)


def only(body: Json, *names: str) -> None:
    """Raise BadControl for a field that is not one of these."""
    for name in body:
        if name not in names:
            known = f"Known: {', '.join(names)}." if names else "It takes none."
            raise BadControl(f"There is no parameter {name!r} here. {known}")
