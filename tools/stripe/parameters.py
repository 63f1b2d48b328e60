"""Which parameters an endpoint has in the pinned API version, read off the installed SDK's types.

A parameter that Stripe removed, or that was mistyped, is refused here as it is there.
"""

from typing import Any

import stripe

from tools.stripe.refusals import Invalid

# What the SDK mixes into them for itself.
OPTIONS = frozenset(
    "api_key content_type expand headers idempotency_key max_network_retries stripe_account "
    "stripe_context stripe_version".split()
)
# Refused by their handlers in a sentence of their own.
REMOVED = frozenset({"payment_method_types"})


def known(name: str) -> frozenset[str]:
    """Return the parameters in the SDK's class of this name, for example `RefundCreateParams`."""
    return frozenset(getattr(stripe.params, name).__annotations__) - OPTIONS


def check(values: dict[str, Any], taken: frozenset[str]) -> None:
    """Raise Invalid for a parameter that the endpoint does not have."""
    for name in values:
        if name not in taken and name not in REMOVED:
            raise Invalid(
                f"Received unknown parameter: {name}", code="parameter_unknown", param=name
            )
