"""Which endpoint of the API does what."""

import re
from dataclasses import dataclass

from shop.dev.stripe import customers, reading
from shop.dev.stripe.alerts import FRAUD_WARNING, approve_review
from shop.dev.stripe.payments import Payments
from shop.dev.stripe.reading import Handler
from shop.dev.stripe.refunds import Disputes, Refunds

FRAUD_WARNINGS = (FRAUD_WARNING, "charge", "payment_intent")


@dataclass(frozen=True)
class Route:
    """One endpoint. `public`: a publishable key with the client secret may call it too."""

    method: str
    path: re.Pattern[str]
    handler: Handler
    public: bool = False


def routes(payments: Payments, refunds: Refunds, disputes: Disputes) -> list[Route]:
    """Return every endpoint; the first that matches a path answers it."""

    def route(method: str, path: str, handler: Handler, *, public: bool = False) -> Route:
        pattern = re.escape(f"/v1/{path}").replace("<id>", "([A-Za-z0-9_]{1,100})")
        return Route(method, re.compile(pattern), handler, public)

    intent = reading.retrieve("payment_intent", param="intent")
    return [
        route("POST", "payment_intents", payments.create),
        route("GET", "payment_intents", reading.listing("payment_intent", "customer")),
        route("GET", "payment_intents/<id>", intent, public=True),
        route("POST", "payment_intents/<id>", payments.update),
        route("POST", "payment_intents/<id>/confirm", payments.confirm, public=True),
        route("POST", "payment_intents/<id>/capture", payments.capture),
        route("POST", "payment_intents/<id>/cancel", payments.cancel),
        route("POST", "payment_methods", payments.create_method, public=True),
        route("GET", "payment_method_configurations", payments.configurations.list_all),
        route("POST", "payment_method_configurations", payments.configurations.create),
        route("GET", "payment_method_configurations/<id>", payments.configurations.retrieve),
        route("POST", "payment_method_configurations/<id>", payments.configurations.update),
        route("GET", "payment_methods/<id>", reading.retrieve("payment_method")),
        route("GET", "charges", reading.listing("charge", "payment_intent", "customer")),
        route("GET", "charges/<id>", reading.retrieve("charge", param="charge")),
        route("POST", "refunds", refunds.create),
        route("GET", "refunds", reading.listing("refund", "payment_intent", "charge")),
        route("GET", "refunds/<id>", reading.retrieve("refund")),
        route("POST", "refunds/<id>", refunds.update),
        route("POST", "refunds/<id>/cancel", refunds.cancel),
        route("GET", "disputes", reading.listing("dispute", "payment_intent", "charge")),
        route("GET", "disputes/<id>", reading.retrieve("dispute", param="dispute")),
        route("POST", "disputes/<id>", disputes.update),
        route("POST", "disputes/<id>/close", disputes.close),
        route("GET", "radar/early_fraud_warnings", reading.listing(*FRAUD_WARNINGS)),
        route("GET", "radar/early_fraud_warnings/<id>", reading.retrieve(FRAUD_WARNING)),
        route("GET", "reviews", reading.listing("review")),
        route("GET", "reviews/<id>", reading.retrieve("review")),
        route("POST", "reviews/<id>/approve", approve_review),
        route("GET", "payouts", reading.listing("payout", "status", "destination")),
        route("GET", "payouts/<id>", reading.retrieve("payout")),
        route("POST", "customers", customers.create),
        route("GET", "customers", reading.listing("customer", "email")),
        route("GET", "customers/<id>", reading.retrieve("customer")),
        route("POST", "customers/<id>", customers.update),
        route("DELETE", "customers/<id>", customers.delete),
        route("GET", "events", reading.listing("event")),
        route("GET", "events/<id>", reading.retrieve("event")),
        route(
            "GET",
            "balance_transactions",
            reading.listing("balance_transaction", "source", "currency", "type"),
        ),
        route("GET", "balance_transactions/<id>", reading.retrieve("balance_transaction")),
    ]
