"""Which endpoint of the API does what, and which parameters it has."""

import re
from dataclasses import dataclass

from tools.stripe import customers, parameters, reading
from tools.stripe.alerts import FRAUD_WARNING, approve_review
from tools.stripe.payments import Payments
from tools.stripe.reading import Handler
from tools.stripe.refunds import Disputes, Refunds

# Filters of the lists, beside cursors and `created`.
FILTERS = {
    "payment_intent": ("customer",),
    "charge": ("payment_intent", "customer"),
    "refund": ("payment_intent", "charge"),
    "dispute": ("payment_intent", "charge"),
    "customer": ("email",),
    "balance_transaction": ("source", "currency", "type"),
    "payout": ("status", "destination"),
    FRAUD_WARNING: ("charge", "payment_intent"),
    "review": (),
    "event": (),
}


@dataclass(frozen=True)
class Route:
    """One endpoint. ``taken``: its parameters, where the SDK names them. ``public``: a publishable
    key with the client secret may call it too."""

    method: str
    path: re.Pattern[str]
    handler: Handler
    taken: frozenset[str] | None = None
    public: bool = False


def routes(payments: Payments, refunds: Refunds, disputes: Disputes) -> list[Route]:
    """Return every endpoint; the first that matches a path answers it."""

    def route(
        method: str, path: str, handler: Handler, params: str = "", *, public: bool = False
    ) -> Route:
        pattern = re.escape(f"/v1/{path}").replace("<id>", "([A-Za-z0-9_]{1,100})")
        taken = parameters.known(params) if params else None
        return Route(method, re.compile(pattern), handler, taken, public)

    def lists(kind: str) -> Route:
        path = f"{kind.replace('.', '/')}s"
        return route("GET", path, reading.listing(kind, *FILTERS[kind]))

    intent = reading.retrieve("payment_intent", param="intent")
    configurations = payments.configurations
    return [
        *(lists(kind) for kind in FILTERS),
        route("POST", "payment_intents", payments.create, "PaymentIntentCreateParams"),
        route("GET", "payment_intents/<id>", intent, public=True),
        route("POST", "payment_intents/<id>", payments.update, "PaymentIntentUpdateParams"),
        route(
            "POST",
            "payment_intents/<id>/confirm",
            payments.confirm,
            "PaymentIntentConfirmParams",
            public=True,
        ),
        route(
            "POST",
            "payment_intents/<id>/capture",
            payments.capture,
            "PaymentIntentCaptureParams",
        ),
        route("POST", "payment_intents/<id>/cancel", payments.cancel, "PaymentIntentCancelParams"),
        route(
            "POST",
            "payment_methods",
            payments.create_method,
            "PaymentMethodCreateParams",
            public=True,
        ),
        route("GET", "payment_methods/<id>", reading.retrieve("payment_method")),
        route("GET", "payment_method_configurations", configurations.list_all),
        route("POST", "payment_method_configurations", configurations.create),
        route("GET", "payment_method_configurations/<id>", configurations.retrieve),
        route("POST", "payment_method_configurations/<id>", configurations.update),
        route("GET", "charges/<id>", reading.retrieve("charge", param="charge")),
        route("POST", "refunds", refunds.create, "RefundCreateParams"),
        route("GET", "refunds/<id>", reading.retrieve("refund")),
        route("POST", "refunds/<id>/cancel", refunds.cancel, "RefundCancelParams"),
        route("GET", "disputes/<id>", reading.retrieve("dispute", param="dispute")),
        route("POST", "disputes/<id>", disputes.update, "DisputeUpdateParams"),
        route("POST", "disputes/<id>/close", disputes.close, "DisputeCloseParams"),
        route("GET", "radar/early_fraud_warnings/<id>", reading.retrieve(FRAUD_WARNING)),
        route("GET", "reviews/<id>", reading.retrieve("review")),
        route("POST", "reviews/<id>/approve", approve_review, "ReviewApproveParams"),
        route("GET", "payouts/<id>", reading.retrieve("payout")),
        route("POST", "customers", customers.create, "CustomerCreateParams"),
        route("GET", "customers/<id>", reading.retrieve("customer")),
        route("POST", "customers/<id>", customers.update, "CustomerUpdateParams"),
        route("DELETE", "customers/<id>", customers.delete),
        route("GET", "events/<id>", reading.retrieve("event")),
    ]
