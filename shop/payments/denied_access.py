"""What to do when Stripe does not accept our key: ask a person."""

from collections.abc import Iterator
from contextlib import contextmanager

from shop.core import clock
from shop.core.db import transaction
from shop.payments.stripe_errors import AccessDenied
from shop.payments.tasks import open_task


@contextmanager
def reports_denied_access() -> Iterator[None]:
    """Nothing works while Stripe does not accept our key: ask a person, once a day."""
    try:
        yield
    except AccessDenied:
        with transaction():
            open_task(
                "stripe_access",
                f"{clock.now():%Y-%m-%d}",
                "Stripe does not accept the shop’s key for all that the shop does: payments cannot"
                " be started, captured or refunded. Check STRIPE_SECRET_KEY.",
                order_id=None,
            )
        raise
