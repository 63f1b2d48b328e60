"""Vouchers: the numbers a buyer pays with at a shop or cash machine, and when they end."""

from datetime import UTC, datetime, timedelta
from secrets import randbelow
from zoneinfo import ZoneInfo

from tools.stripe.ledger import Json, now
from tools.stripe.params import Params
from tools.stripe.refusals import Invalid

# The last second of the day, there where the voucher is paid.
ZONES = {"oxxo": "America/Mexico_City", "konbini": "Asia/Tokyo", "multibanco": "Europe/Lisbon"}
DEFAULT_DAYS = {"oxxo": 3, "konbini": 3, "multibanco": 7}
MAX_DAYS = {"oxxo": 7, "konbini": 60}
STORES = ("familymart", "lawson", "ministop", "seicomart")


def options(name: str, group: Params) -> Json:
    """Return the `payment_method_options` of a voucher. Raises Invalid for a bad one."""
    if name == "multibanco":
        return {"setup_future_usage": group.choice("setup_future_usage", ("none",))}
    days = group.integer("expires_after_days", least=1, most=MAX_DAYS[name])
    if name == "oxxo":
        return {"expires_after_days": days or DEFAULT_DAYS["oxxo"]}
    until = group.integer("expires_at", most=2**40)
    if until is not None and days is not None:
        raise Invalid(
            "You may only specify one of these parameters: expires_after_days, expires_at.",
            param=group.name("expires_at"),
        )
    if until is not None and not now() < until <= now() + 60 * 86_400:
        raise Invalid(
            "expires_at must be between now and 60 days from now.",
            param=group.name("expires_at"),
        )
    return {
        "confirmation_number": group.text("confirmation_number", limit=11),
        "expires_after_days": days,
        "expires_at": until,
        "product_description": group.text("product_description", limit=22),
    }


def next_action(name: str, options: Json, *, origin: str, intent_id: str, expired: bool) -> Json:
    """Return what the buyer has to pay with; ``expired``: the voucher has ended by now."""
    until = now() if expired else _until(name, options)
    shown: Json = {"hosted_voucher_url": f"{origin}/voucher/{intent_id}"}
    if name == "oxxo":
        shown |= {"expires_after": until, "number": _digits(14)}
    elif name == "konbini":
        number = options.get("confirmation_number") or _digits(11)
        store = {"confirmation_number": number, "payment_code": _digits(13)}
        shown |= {"expires_at": until, "stores": dict.fromkeys(STORES, store)}
    else:
        shown |= {"expires_at": until, "entity": "11249", "reference": _digits(9)}
    return {"type": f"{name}_display_details", f"{name}_display_details": shown}


def _until(name: str, options: Json) -> int:
    if options.get("expires_at"):
        return int(options["expires_at"])
    days = options.get("expires_after_days") or DEFAULT_DAYS[name]
    there = datetime.now(UTC).astimezone(ZoneInfo(ZONES[name])) + timedelta(days=int(days))
    return int(there.replace(hour=23, minute=59, second=59, microsecond=0).timestamp())


def _digits(count: int) -> str:
    return "".join(str(randbelow(10)) for _place in range(count))
