"""Which objects of a Stripe account are this shop's: one account may serve several shops.

Our objects carry the shop's id in their metadata (https://docs.stripe.com/api/metadata). Those that
were made before November 2026 carry the key of a payment or refund of ours instead.
"""

from collections.abc import Mapping
from typing import Any
from weakref import WeakKeyDictionary

from sqlalchemy import Engine, exists, select

from shop.core import db
from shop.core.db import session
from shop.payments.models import Payment, Refund, ShopIdentity
from shop.payments.stripe_client import is_live

SHOP = "shop"
NOT_OURS = "not ours"
_ids: WeakKeyDictionary[Engine, str] = WeakKeyDictionary()


def shop_id() -> str:
    """This shop's id. One statement, once for each process."""
    engine = db.engine()
    if engine not in _ids:
        _ids[engine] = session.scalars(select(ShopIdentity.shop_id)).one()
    return _ids[engine]


def is_ours(metadata: Mapping[str, str]) -> bool:
    """Whether an object with this metadata was made by this shop."""
    if SHOP in metadata:
        return metadata[SHOP] == shop_id()
    keys = (
        (exists().where(Payment.key == metadata["payment"])) if "payment" in metadata else None,
        (exists().where(Refund.key == metadata["refund"])) if "refund" in metadata else None,
    )
    return any(session.scalar(select(key)) for key in keys if key is not None)


def is_elsewhere(event: Mapping[str, Any]) -> bool:
    """Whether a message is about another account or another mode than ours.

    Messages about connected accounts name them (https://docs.stripe.com/connect/webhooks).
    """
    return bool(event.get("account")) or event.get("livemode", is_live()) is not is_live()


def payment_of(intent_id: str) -> int | None:
    """Our payment for a PaymentIntent; None if it is not ours or not known yet."""
    return session.scalar(select(Payment.id).where(Payment.intent_id == intent_id))
