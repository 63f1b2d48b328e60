"""`/_control`: what tests and people use to break things, or to act as if in Stripe's dashboard.

All bodies and answers are JSON. Bad input gets 400 with a sentence and changes nothing.

- `GET /_control` shows the settings (`faults.Settings`) and the planned errors that are left.
- `POST /_control` takes settings; `{"reset": true}` goes back to a well-behaved Stripe. In the
  same body: `fail` orders errors for coming calls (`planned.read_planned`), `put`, `change`,
  `delete` and `emit` put raw objects in place (`raw.apply`).
- `GET /_control/state` shows every object, what became of every webhook, the idempotency keys.
- `POST /_control/payment`, `/refund`, `/dispute`, `/fraud_warning`, `/review` and `/payout` act as
  somebody at a bank or in Stripe's dashboard (`dashboard.Dashboard`).
- `POST /_control/redeliver`, `/flush`, `/reset_data`: send events again, wait until nothing is
  queued, delete all objects.

Examples:

    {"fail": {"path": "/v1/refunds", "times": 2, "error": "api_error", "created": true}}
    {"fail": {"path": "/v1/payment_intents/*/capture", "error": "charge_expired_for_capture"}}
    {"methods": ["card", "sepa_debit", "ideal", "oxxo"], "timers": false}
    {"put": {"object": "refund", "id": "re_1", "charge": "ch_…"}, "emit": "refund.created"}
"""

import json
from collections.abc import Callable
from typing import Any

from tools.stripe import raw
from tools.stripe.api import Answer, Request
from tools.stripe.dashboard import Dashboard, only
from tools.stripe.faults import Faults
from tools.stripe.ledger import Json, Ledger, Unit
from tools.stripe.planned import read_planned
from tools.stripe.refusals import BadControl, Refusal
from tools.stripe.webhooks import Courier

SHOWN = (
    "payment_intent",
    "charge",
    "refund",
    "dispute",
    "customer",
    "payment_method",
    "balance_transaction",
    "event",
)

NOTES = ("delivery", "answer", "behaviour", "challenge", "disputed", "task")
ACTIONS = ("fail", *raw.ACTIONS)


class Control:
    """Answers everything under /_control."""

    def __init__(
        self,
        ledger: Ledger,
        faults: Faults,
        courier: Courier,
        dashboard: Dashboard,
    ) -> None:
        self._ledger = ledger
        self._faults = faults
        self._courier = courier
        self._dashboard = dashboard

    def answer(self, request: Request) -> Answer:
        """Follow one control request; bad input gets 400 with a sentence and changes nothing."""
        dashboard = self._dashboard
        known: dict[tuple[str, str], Callable[[Json], Json]] = {
            ("GET", "/_control"): self._settings,
            ("POST", "/_control"): self._change,
            ("GET", "/_control/state"): self._state,
            ("POST", "/_control/payment"): dashboard.payment,
            ("POST", "/_control/refund"): dashboard.refund,
            ("POST", "/_control/dispute"): dashboard.dispute,
            ("POST", "/_control/fraud_warning"): dashboard.fraud_warning,
            ("POST", "/_control/review"): dashboard.review,
            ("POST", "/_control/payout"): dashboard.payout,
            ("POST", "/_control/redeliver"): self._redeliver,
            ("POST", "/_control/flush"): self._flush,
            ("POST", "/_control/reset_data"): self._reset_data,
        }
        path = request.path.rstrip("/")
        action = known.get((request.method, path))
        if action is None:
            names = ", ".join(f"{method} {name}" for method, name in known)
            return _answer(404, {"error": f"There is no such control. Known: {names}."})
        sender = request.headers.get("origin")
        if sender is not None and sender != request.origin:
            return _answer(403, {"error": "Another site's page may not steer the stand-in."})
        try:
            return _answer(200, action(_body(request)))
        except BadControl as problem:
            return _answer(400, {"error": str(problem)})
        except Refusal as refusal:
            return _answer(refusal.status, {"error": refusal.message})

    def _settings(self, _body: Json) -> Json:
        left = [planned.as_json() for planned in self._faults.planned()]
        return {**self._faults.settings.as_json(), "fail": left}

    def _change(self, body: Json) -> Json:
        settings = {name: value for name, value in body.items() if name not in ACTIONS}
        orders = body.get("fail", [])
        planned = [read_planned(one) for one in (orders if isinstance(orders, list) else [orders])]
        with Unit(self._ledger) as unit:
            done = raw.apply(unit, body)
            self._faults.change(settings)
            self._faults.plan(planned)
            unit.commit()
        return {**self._settings({}), **(done if any(done.values()) else {})}

    def _state(self, _body: Json) -> Json:
        kinds = [kind for kind in self._ledger.kinds() if kind not in NOTES]
        shelves = {f"{kind}s": self._ledger.all(kind) for kind in dict.fromkeys([*SHOWN, *kinds])}
        return {
            **shelves,
            "deliveries": self._ledger.all("delivery"),
            "idempotency_keys": [row["id"] for row in self._ledger.all("answer")],
        }

    def _redeliver(self, body: Json) -> Json:
        only(body, "event", "all")
        if "event" in body:
            wanted = [str(body["event"])]
            if self._ledger.get("event", wanted[0]) is None:
                raise BadControl(f"There is no event {wanted[0]}.")
        else:
            rows = self._ledger.all("delivery")
            everything = body.get("all") is True
            settled = () if everything else ("delivered", "unwanted")
            wanted = [row["id"] for row in rows if row["state"] not in settled]
        for event_id in wanted:
            self._courier.redeliver(event_id)
        return {"events": wanted}

    def _flush(self, body: Json) -> Json:
        only(body, "timeout_s")
        timeout = body.get("timeout_s", 10)
        if (
            isinstance(timeout, bool)
            or not isinstance(timeout, int | float)
            or not (0 <= timeout <= 600)
        ):
            raise BadControl("timeout_s must be seconds from 0 to 600.")
        left = self._courier.flush(float(timeout))
        return {"done": left == 0, "left": left}

    def _reset_data(self, body: Json) -> Json:
        only(body)
        self._courier.clear()
        self._ledger.clear()
        return {"reset": True}


def _body(request: Request) -> Json:
    if not request.body.strip():
        return {}
    try:
        value: Any = json.loads(request.body)
    except ValueError as problem:
        raise BadControl("The request body is not JSON.") from problem
    if not isinstance(value, dict):
        raise BadControl("The request body must be a JSON object.")
    return value


def _answer(status: int, value: Json) -> Answer:
    return Answer(status, json.dumps(value, indent=2).encode())
