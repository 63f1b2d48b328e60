"""Where Stripe tells us what happened. Verified, stored, answered; a worker does the rest."""

from flask import request
from marshmallow import fields

from shop import payments
from shop.api.callers import unasked
from shop.api.door import Door, whole_body
from shop.api.fields import Schema

bp = Door("Webhooks", "Messages from outside, each signed by its sender.")


class ReceivedSchema(Schema):
    """The webhook is stored; ``new`` is false for a repeat."""

    received = fields.Boolean(required=True)
    new = fields.Boolean(required=True)


@bp.post("/webhooks/stripe")
@unasked
@bp.response(200, ReceivedSchema)
@bp.doc(
    parameters=[
        {
            "in": "header",
            "name": "Stripe-Signature",
            "required": True,
            "schema": {"type": "string"},
        }
    ],
    requestBody={"content": {"application/json": {"schema": {"type": "object"}}}},
)
def stripe() -> dict[str, bool]:
    """Receive a webhook of Stripe

    The signature is checked over the raw body. Types that we do not know are stored, too. 503 while
    the database is away: Stripe sends it again for three days.
    """
    signature = request.headers.get("Stripe-Signature", "")
    is_new = payments.record_webhook(whole_body(), signature)
    return {"received": True, "new": is_new}
