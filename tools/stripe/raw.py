"""Raw objects put in place through `/_control`, whatever Stripe's own rules say about them.

For states that no call of the API leads to: an object of another shop, in another currency, in a
status that only Stripe's own people or banks bring about, or one that is gone.
"""

import re
from typing import Any

from tools.stripe.ledger import Json, Unit, new_id, now
from tools.stripe.refusals import BadControl

ACTIONS = ("put", "change", "delete", "emit")
# Fields of an event itself: that of a connected account, of live mode, of another API version.
ENVELOPE = ("account", "livemode", "api_version", "created")
PREFIXES = {
    "payment_intent": "pi",
    "charge": "ch",
    "refund": "re",
    "dispute": "du",
    "customer": "cus",
    "payment_method": "pm",
    "balance_transaction": "txn",
    "event": "evt",
    "payout": "po",
    "review": "prv",
    "radar.early_fraud_warning": "issfr",
}


def apply(unit: Unit, wanted: Json) -> Json:
    """Follow the actions of a control request in this order. Raises BadControl.

    - ``put``: an object or several, whole, replacing one with the same id; without one it gets one.
    - ``change``: `{"id": …, "field": value}` or several: fields of an existing object.
    - ``delete``: an id or several; a customer leaves the stub that Stripe leaves.
    - ``emit``: the type of an event about the last object above, or `{"type", "id", "previous"}`,
      or `{"type", "object": {…}}` about one that is not kept; or several. ``account``,
      ``livemode``, ``api_version`` and ``created`` are the event's own.

    Returns ``objects`` (put and changed), ``deleted`` (ids) and ``events`` (ids).
    """
    placed = [_put(unit, one) for one in _several(wanted.get("put"))]
    placed += [_change(unit, one) for one in _several(wanted.get("change"))]
    deleted = [_delete(unit, one) for one in _several(wanted.get("delete"))]
    last = deleted[-1] if deleted else placed[-1] if placed else None
    events = [_emit(unit, one, last) for one in _several(wanted.get("emit"))]
    return {"objects": placed, "deleted": [one["id"] for one in deleted], "events": events}


def _several(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _put(unit: Unit, value: Any) -> Json:
    if not isinstance(value, dict):
        raise BadControl('An object to put is written as {"object": "refund", …}.')
    kind = value.get("object")
    if not isinstance(kind, str) or not re.fullmatch(r"[a-z_0-9]+(\.[a-z_0-9]+)*", kind):
        raise BadControl('An object to put needs its kind: {"object": "refund", …}.')
    object_id = value.get("id", new_id(PREFIXES.get(kind, "obj")))
    if not isinstance(object_id, str) or not re.fullmatch(r"[A-Za-z0-9_]{1,100}", object_id):
        raise BadControl("id must be letters, digits and _, at most 100.")
    whole = {"id": object_id, "created": now(), **value}
    if not isinstance(whole["created"], int):
        raise BadControl("created must be whole seconds since 1970.")
    _lock(unit, whole)
    return unit.put(kind, whole)


def _change(unit: Unit, value: Any) -> Json:
    if not isinstance(value, dict) or not isinstance(value.get("id"), str):
        raise BadControl('A change is written as {"id": "re_…", "status": "failed"}.')
    found = unit.locate(value["id"])
    if found is None:
        raise BadControl(f"There is no object {value['id']}.")
    if value.get("object", found["object"]) != found["object"]:
        raise BadControl(f"{value['id']} is a {found['object']}.")
    _lock(unit, found)
    found = unit.locate(value["id"]) or found
    return unit.change(found, **{name: one for name, one in value.items() if name != "id"})


def _delete(unit: Unit, value: Any) -> Json:
    object_id = value.get("id") if isinstance(value, dict) else value
    found = unit.locate(object_id) if isinstance(object_id, str) else None
    if found is None:
        raise BadControl(f"There is no object {object_id}.")
    _lock(unit, found)
    if found["object"] == "customer":
        unit.put("customer", {"id": found["id"], "object": "customer", "deleted": True})
    else:
        unit.drop(found["object"], found["id"])
    return found


def _emit(unit: Unit, value: Any, last: Json | None) -> str:
    asked = {"type": value} if isinstance(value, str) else value
    if not isinstance(asked, dict) or not isinstance(asked.get("type"), str):
        raise BadControl('An event is named by its type: "refund.failed".')
    for name in asked:
        if name not in ("type", "id", "object", "previous", *ENVELOPE):
            raise BadControl(f"There is no field {name!r} in an event to emit.")
    about = last
    if "object" in asked:
        about = asked["object"]
    elif "id" in asked:
        about = unit.locate(str(asked["id"]))
    if not isinstance(about, dict):
        raise BadControl("An event needs an object: put one, or name its id.")
    previous = asked.get("previous")
    if previous is not None and not isinstance(previous, dict):
        raise BadControl("previous must be an object: the fields as they were before.")
    envelope = {name: asked[name] for name in ENVELOPE if name in asked}
    return str(unit.emit(asked["type"], about, previous=previous, **envelope)["id"])


def _lock(unit: Unit, value: Json) -> None:
    intent = value.get("payment_intent")
    unit.lock(intent if isinstance(intent, str) else value["id"])
