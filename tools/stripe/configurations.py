"""Payment method configurations: which methods a shop's dashboard switches on.

`pmc_default` is the account's own, its methods are the setting `methods` of `/_control`.
"""

from tools.stripe.faults import Faults
from tools.stripe.ledger import Json, Unit, new_id
from tools.stripe.methods import TYPES
from tools.stripe.params import Params
from tools.stripe.refusals import Invalid

DEFAULT_ID = "pmc_default"
KIND = "payment_method_configuration"


class Configurations:
    """The operations on payment method configurations."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults

    def find(self, unit: Unit, configuration_id: str, *, param: str = "id") -> Json:
        """Return a configuration, the account's own included. Raises Missing."""
        if configuration_id == DEFAULT_ID:
            on = list(self._faults.settings.methods)
            return _shape(DEFAULT_ID, "Default", on, is_default=True)
        return unit.find(KIND, configuration_id, param=param)

    def types(self, unit: Unit, configuration_id: str | None) -> list[str]:
        """Return the methods that a configuration, or the account's own, switches on."""
        param = "payment_method_configuration"
        found = self.find(unit, configuration_id or DEFAULT_ID, param=param)
        return [name for name in TYPES if found.get(name, {}).get("available")]

    def create(self, unit: Unit, params: Params) -> Json:
        """POST /v1/payment_method_configurations."""
        return unit.put(KIND, self._read(params, {}))

    def update(self, unit: Unit, params: Params, configuration_id: str) -> Json:
        """POST /v1/payment_method_configurations/<id>."""
        if configuration_id == DEFAULT_ID:
            raise Invalid("Change the setting methods of /_control instead.")
        unit.lock(configuration_id)
        return unit.put(KIND, self._read(params, unit.find(KIND, configuration_id)))

    def retrieve(self, unit: Unit, params: Params, configuration_id: str) -> Json:
        """GET /v1/payment_method_configurations/<id>."""
        params.close()
        return self.find(unit, configuration_id)

    def list_all(self, unit: Unit, params: Params) -> Json:
        """GET /v1/payment_method_configurations."""
        for ignored in ("limit", "starting_after", "ending_before", "application"):
            params.raw(ignored)
        params.close()
        rows = [*reversed(unit.ledger.all(KIND)), self.find(unit, DEFAULT_ID)]
        return {"object": "list", "data": rows, "has_more": False, "url": f"/v1/{KIND}s"}

    def _read(self, params: Params, before: Json) -> Json:
        on = {name for name in TYPES if before.get(name, {}).get("available")}
        for name in TYPES:
            group = params.group(name)
            preference = group.group("display_preference") if group is not None else None
            if group is None or preference is None:
                continue
            if preference.choice("preference", ("none", "off", "on")) == "on":
                on.add(name)
            else:
                on.discard(name)
            preference.close()
            group.close()
        name = params.text("name") or before.get("name") or "Configuration"
        active = params.boolean("active")
        params.raw("parent")
        params.close()
        made = _shape(before.get("id", new_id("pmc")), name, list(on), is_default=False)
        return {**made, "active": before.get("active", True) if active is None else active}


def _shape(configuration_id: str, name: str, on: list[str], *, is_default: bool) -> Json:
    def preference(one: str) -> Json:
        value = "on" if one in on else "off"
        shown = {"overridable": None, "preference": value, "value": value}
        return {"available": one in on, "display_preference": shown}

    return {
        "id": configuration_id,
        "object": KIND,
        "active": True,
        "application": None,
        "is_default": is_default,
        "livemode": False,
        "name": name,
        "parent": None,
        **{one: preference(one) for one in TYPES},
    }
