"""What people do at Stripe and at banks, through `/_control`: pay, refund, dispute, warn.

Each action takes a JSON body, changes all or nothing, and returns the object. All raise BadControl
for a body that cannot be followed, and Refusal as the API does.
"""

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

from tools.stripe import alerts
from tools.stripe.attempts import FAILURES
from tools.stripe.disputes import DISPUTE_REASONS, Disputes, DisputeStatus
from tools.stripe.ledger import Json, Ledger, Unit
from tools.stripe.params import Params, decode
from tools.stripe.payments import Payments
from tools.stripe.refunds import FAILURE_REASONS, PENDING_REASONS, Refunds, RefundStatus
from tools.stripe.refusals import BadControl

OUTCOMES = ("succeed", "process", "fail", "expire")


class Dashboard:
    """The actions."""

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
        ``expire``: a voucher, a redirect or an authorisation came to its end.
        """
        only(body, "payment_intent", "outcome", "reason")
        outcome = _choice(body, "outcome", OUTCOMES) or "succeed"
        reason = _choice(body, "reason", FAILURES)
        if reason is not None and outcome != "fail":
            raise BadControl("reason goes with the outcome fail.")
        intent_id = _word(body, "payment_intent")
        if intent_id is None:
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
        """Give money back, as POST /v1/refunds does, with a ``status`` of one's choice; or bring
        an existing ``refund`` into another ``status``, with a ``failure_reason``.
        """
        status = _choice(body, "status", [one.value for one in RefundStatus])
        if "refund" in body:
            only(body, "refund", "status", "failure_reason")
            reason = _choice(body, "failure_reason", FAILURE_REASONS) or "lost_or_stolen_card"
            if status is None:
                raise BadControl("To move a refund give its status.")
            with Unit(self._ledger) as unit:
                refund = self._refunds.move(
                    unit, str(body["refund"]), RefundStatus(status), reason=reason
                )
                unit.commit()
            return refund
        taken = ("payment_intent", "charge", "amount", "reason", "instructions_email")
        only(body, *taken, "metadata", "status", "pending_reason")
        flat = {name: body[name] for name in taken if name in body}
        for name, value in flat.items():
            if not isinstance(value, str | int) or isinstance(value, bool):
                raise BadControl(f"{name} must be a word or a whole number.")
        pending_reason = _choice(body, "pending_reason", PENDING_REASONS) or "processing"
        with Unit(self._ledger) as unit:
            params = decode(urlencode(flat)) | {"metadata": body.get("metadata", {})}
            first = RefundStatus(status) if status in ("pending", "requires_action") else None
            refund = self._refunds.create(
                unit, Params(params), status=first, pending_reason=pending_reason
            )
            if status is not None and status != refund["status"]:
                refund = self._refunds.move(unit, refund["id"], RefundStatus(status))
            unit.commit()
        return refund

    def dispute(self, body: Json) -> Json:
        """Open a dispute, in any ``status``; or bring an existing ``dispute`` into another one.

        ``amount`` in minor units of ``currency`` (the charge's as a rule), ``withdrawn``: what
        leaves the balance, in minor units of the charge's.
        """
        statuses = [one.value for one in DisputeStatus]
        status = _choice(body, "status", statuses)
        withdrawn = _number(body, "withdrawn")
        with Unit(self._ledger) as unit:
            if "dispute" in body:
                only(body, "dispute", "status", "withdrawn")
                if status is None:
                    raise BadControl(f"To move a dispute give its status: {', '.join(statuses)}.")
                value = self._disputes.move(
                    unit, str(body["dispute"]), DisputeStatus(status), withdrawn=withdrawn
                )
            else:
                names = ("payment_intent", "charge", "amount", "reason", "status", "currency")
                only(body, *names, "withdrawn")
                value = self._disputes.open(
                    unit,
                    self._charge(unit, body, "dispute"),
                    amount=_number(body, "amount"),
                    reason=_choice(body, "reason", DISPUTE_REASONS),
                    status=DisputeStatus(status or "needs_response"),
                    currency=_word(body, "currency"),
                    withdrawn=withdrawn,
                    strict=False,
                )
            unit.commit()
        return value

    def fraud_warning(self, body: Json) -> Json:
        """An early fraud warning about a ``charge`` or a ``payment_intent``."""
        only(body, "payment_intent", "charge", "fraud_type")
        fraud_type = _choice(body, "fraud_type", alerts.FRAUD_TYPES) or "made_with_stolen_card"
        with Unit(self._ledger) as unit:
            value = alerts.warn_of_fraud(unit, self._charge(unit, body, "warn of"), fraud_type)
            unit.commit()
        return value

    def review(self, body: Json) -> Json:
        """Open a review of a ``payment_intent``, or close a ``review`` with a ``closed_reason``."""
        only(body, "payment_intent", "reason", "review", "closed_reason")
        opened = _choice(body, "reason", ("rule", "manual")) or "rule"
        closed = _choice(body, "closed_reason", alerts.CLOSED_REASONS) or "approved"
        with Unit(self._ledger) as unit:
            if "review" in body:
                value = alerts.close_review(unit, str(body["review"]), closed)
            else:
                value = alerts.open_review(unit, str(body.get("payment_intent")), opened)
            unit.commit()
        return value

    def payout(self, body: Json) -> Json:
        """Pay out, with any ``status``; or bring an existing ``payout`` into another one."""
        only(body, "payout", "amount", "currency", "status", "failure_code")
        status = _choice(body, "status", alerts.PAYOUT_STATUSES) or "failed"
        code = _choice(body, "failure_code", list(alerts.PAYOUT_FAILURES))
        amount, currency = _number(body, "amount"), _word(body, "currency") or "eur"
        with Unit(self._ledger) as unit:
            if "payout" in body:
                value = alerts.end_payout(
                    unit, str(body["payout"]), status=status, failure_code=code
                )
            else:
                value = alerts.pay_out(
                    unit,
                    amount=10_000 if amount is None else amount,
                    currency=currency,
                    status=status,
                    failure_code=code,
                )
            unit.commit()
        return value

    def _charge(self, unit: Unit, body: Json, verb: str) -> str:
        charge_id: Any = body.get("charge")
        if charge_id is None and "payment_intent" in body:
            intent = unit.find("payment_intent", str(body["payment_intent"]))
            charge_id = intent["latest_charge"]
            if charge_id is None:
                raise BadControl("Nothing was paid with this PaymentIntent yet.")
        if charge_id is None:
            raise BadControl(f"Name a payment_intent or a charge to {verb}.")
        return str(charge_id)


def only(body: Json, *names: str) -> None:
    """Raise BadControl for a field that is not one of these."""
    for name in body:
        if name not in names:
            known = f"Known: {', '.join(names)}." if names else "It takes none."
            raise BadControl(f"There is no parameter {name!r} here. {known}")


def _word(body: Json, name: str) -> str | None:
    value = body.get(name)
    if value is not None and not isinstance(value, str):
        raise BadControl(f"{name} must be a word.")
    return value


def _choice(body: Json, name: str, choices: Sequence[str]) -> str | None:
    value = _word(body, name)
    if value is not None and value not in choices:
        raise BadControl(f"{name} must be one of {', '.join(choices)}.")
    return value


def _number(body: Json, name: str) -> int | None:
    value = body.get(name)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool):
        raise BadControl(f"{name} must be a whole number of the smallest unit.")
    return value
