"""The API door: ``/api/v1`` for programs, and what operators ask: health, readiness, figures.

Owns addresses, schemas and tokens. Promises: cookies are never looked at, every error is a problem
detail without a stack, SQL or path, and what belongs to somebody else does not exist.
Leaves every decision about goods, stock and money to the features.
"""

from flask import Flask

from shop.api import (
    addresses,
    auth,
    carts,
    catalog,
    catalog_staff,
    customers,
    discounts,
    docs,
    health,
    live,
    metrics,
    money,
    orders,
    orders_staff,
    unknown,
    webhooks,
)
from shop.api.door import PREFIX, Documentation, IdConverter

DOORS = (
    auth.bp,
    catalog.bp,
    carts.bp,
    orders.bp,
    addresses.bp,
    live.bp,
    catalog_staff.bp,
    orders_staff.bp,
    money.bp,
    customers.bp,
    discounts.bp,
    webhooks.bp,
)
DESCRIPTION = """\
JSON over HTTPS. Amounts are whole numbers in minor units of `currency` (1230 is €12.30) and always
computed by the shop. Errors are problem details (RFC 9457) with a stable `code`. Lists take `page`
and `per_page` (at most 100) and answer with `X-Pagination`. Editable things carry an `ETag`; send
it as `If-Match` to change only what you have seen (412 otherwise). Writes that cost money or stock
take an `Idempotency-Key`: a repeat with the same key gets the same answer and changes nothing."""


def init_app(app: Flask) -> None:
    """Plug this door into ``app``."""
    app.config.update(
        API_TITLE="Shop API",
        API_VERSION="1",
        OPENAPI_VERSION="3.0.3",
        OPENAPI_URL_PREFIX=None,
        API_SPEC_OPTIONS={
            "info": {"description": DESCRIPTION},
            "components": {
                "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
            },
        },
    )
    app.url_map.converters["id"] = IdConverter
    documentation = Documentation(app)
    documentation.register_converter(
        IdConverter, lambda _converter: {"type": "integer", "format": "int64", "minimum": 1}
    )
    csrf = app.extensions["csrf"]
    for door in DOORS:
        documentation.register_blueprint(door)
        csrf.exempt(door)
    for plain in (docs.bp, health.bp, unknown.bp):
        app.register_blueprint(plain)
        csrf.exempt(plain)
    metrics.init_app(app)


__all__ = ["DOORS", "PREFIX", "init_app"]
