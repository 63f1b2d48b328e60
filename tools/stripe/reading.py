"""Reading objects: lists with Stripe's cursors, `expand`, and what a publishable key may see."""

from collections.abc import Callable
from typing import Any

from tools.stripe.ledger import Json, Unit
from tools.stripe.params import Params
from tools.stripe.refusals import Invalid, Missing

PREFIXES = {
    "pi": "payment_intent",
    "ch": "charge",
    "py": "charge",
    "re": "refund",
    "pyr": "refund",
    "du": "dispute",
    "cus": "customer",
    "pm": "payment_method",
    "txn": "balance_transaction",
    "prv": "review",
    "po": "payout",
}
PUBLIC_FIELDS = (
    "id object amount amount_details automatic_payment_methods canceled_at cancellation_reason "
    "capture_method client_secret confirmation_method created currency description "
    "excluded_payment_method_types last_payment_error livemode next_action payment_method "
    "payment_method_configuration_details payment_method_types processing receipt_email "
    "setup_future_usage shipping source status"
).split()
MAX_EXPAND_DEPTH = 4

Handler = Callable[..., Json]


def retrieve(kind: str, *, param: str = "id") -> Handler:
    """A handler for GET of one object."""

    def handler(unit: Unit, params: Params, object_id: str) -> Json:
        params.close()
        return _current(unit, unit.find(kind, object_id, param=param))

    return handler


def listing(kind: str, *filters: str) -> Handler:
    """A handler for a list, newest first, with cursors, `created[…]` and equality filters."""

    def handler(unit: Unit, params: Params) -> Json:
        limit = params.integer("limit", least=1, most=100) or 10
        after, before = params.text("starting_after"), params.text("ending_before")
        wanted = {name: value for name in filters if (value := params.text(name)) is not None}
        keep = _created_filter(params)
        types = params.words("types") if kind == "event" else None
        event_type = params.text("type") if kind == "event" else None
        if kind == "event":
            params.raw("delivery_success")
        params.close()
        if after and before:
            raise Invalid("You may only specify one of starting_after and ending_before.")
        if types is not None and event_type is not None:
            raise Invalid("You may only specify one of these parameters: type, types.")
        patterns = types if types is not None else [event_type] if event_type else None
        rows = [
            row
            for row in reversed(unit.ledger.all(kind))
            if not row.get("deleted")
            # Reviews that are closed are not listed: https://docs.stripe.com/api/radar/reviews/list
            and row.get("open") is not False
            and keep(row["created"])
            and all(row.get(name) == value for name, value in wanted.items())
            and (patterns is None or any(_matches(row["type"], name) for name in patterns))
        ]
        page, more = _page(rows, unit, kind, limit=limit, after=after, before=before)
        return {
            "object": "list",
            "data": [_current(unit, row) for row in page],
            "has_more": more,
            "url": f"/v1/{kind.replace('.', '/')}s",
        }

    return handler


def expand(unit: Unit, value: Json, paths: list[str]) -> Json:
    """The object with ids replaced by objects along dotted paths. Raises Invalid."""
    for path in paths:
        parts = path.split(".")
        if len(parts) > MAX_EXPAND_DEPTH:
            raise Invalid("You cannot expand more than 4 levels of a property.", param="expand")
        value = _expanded(unit, value, parts, path)
    return value


def public_view(intent: Json) -> Json:
    """A PaymentIntent as Stripe.js sees it: nothing of the shop's own notes."""
    return {name: intent[name] for name in PUBLIC_FIELDS if name in intent}


def _current(unit: Unit, value: Json) -> Json:
    """An event tells how many endpoints still wait for it at the time of asking."""
    if value["object"] != "event":
        return value
    delivery = unit.get("delivery", value["id"]) or {"state": "delivered"}
    return {**value, "pending_webhooks": int(delivery["state"] == "waiting")}


def _created_filter(params: Params) -> Callable[[int], bool]:
    if not isinstance(params.raw("created"), dict):
        exact = params.integer("created", most=2**40)
        return lambda created: exact is None or created == exact
    group = params.group("created")
    assert group is not None
    least = group.integer("gte", most=2**40)
    above = group.integer("gt", most=2**40)
    most = group.integer("lte", most=2**40)
    below = group.integer("lt", most=2**40)
    group.close()
    return lambda created: (
        (least is None or created >= least)
        and (above is None or created > above)
        and (most is None or created <= most)
        and (below is None or created < below)
    )


def _matches(event_type: str, pattern: str) -> bool:
    return (
        pattern == "*"
        or event_type == pattern
        or (pattern.endswith(".*") and event_type.startswith(pattern[:-1]))
    )


def _page(
    rows: list[Json], unit: Unit, kind: str, *, limit: int, after: str | None, before: str | None
) -> tuple[list[Json], bool]:
    cursor = after or before
    if cursor is None:
        return rows[:limit], len(rows) > limit
    name = "starting_after" if after else "ending_before"
    place = next((index for index, row in enumerate(rows) if row["id"] == cursor), None)
    if place is None:
        if unit.get(kind, cursor) is None:
            raise Missing(kind, cursor, param=name)
        return [], False
    if after:
        rest = rows[place + 1 :]
        return rest[:limit], len(rest) > limit
    rest = rows[:place]
    return rest[-limit:], len(rest) > limit


def _expanded(unit: Unit, value: Any, parts: list[str], path: str) -> Any:
    if isinstance(value, list):
        return [_expanded(unit, item, parts, path) for item in value]
    name = parts[0]
    if value.get("object") == "charge" and name == "refunds":
        inner: Any = _refunds_of(unit, value)
    elif name in value:
        inner = value[name]
        if isinstance(inner, str):
            kind = PREFIXES.get(inner.partition("_")[0])
            inner = unit.get(kind, inner) if kind else None
            if inner is None:
                raise _cannot_expand(path)
        elif inner is not None and not isinstance(inner, dict | list):
            raise _cannot_expand(path)
    else:
        raise _cannot_expand(path)
    if inner is not None and len(parts) > 1:
        inner = _expanded(unit, inner, parts[1:], path)
    return {**value, name: inner}


def _refunds_of(unit: Unit, charge: Json) -> Json:
    rows = [row for row in unit.ledger.all("refund") if row["charge"] == charge["id"]]
    return {
        "object": "list",
        "data": rows[::-1][:10],
        "has_more": len(rows) > 10,
        "url": f"/v1/charges/{charge['id']}/refunds",
    }


def _cannot_expand(path: str) -> Invalid:
    return Invalid(f"This property cannot be expanded ({path}).", param="expand")
