"""What a discount does, in one sentence, and how it stands."""

from datetime import datetime, tzinfo
from typing import NamedTuple

from shop.core.money import Money
from shop.discounts.conditions import Rule, day, either, places
from shop.discounts.kinds import Audience, DiscountKind
from shop.discounts.models import Discount
from shop.discounts.pricing import WHOLE


class Words(NamedTuple):
    """A status as people read it; ``tone`` is good, warn, info, bad or mute."""

    label: str
    tone: str


STATUSES = {
    "active": Words("Active", "good"),
    "scheduled": Words("Scheduled", "info"),
    "ended": Words("Ended", "mute"),
    "used_up": Words("Used up", "warn"),
    "off": Words("Switched off", "mute"),
}


def status_of(discount: Discount, now: datetime) -> str:
    """The key of ``STATUSES`` that counts: off, ended, used up, scheduled, else active."""
    if not discount.is_active:
        return "off"
    if discount.ends_at and now >= discount.ends_at:
        return "ended"
    if discount.limit_total is not None and discount.used >= discount.limit_total:
        return "used_up"
    return "scheduled" if discount.starts_at and now < discount.starts_at else "active"


def describe(rule: Rule, zone: tzinfo) -> str:
    """What the discount does, with days on the clock of ``zone``, for example
    ``10 % off Kitchen, from €50.00, once per customer, until 31 December 2026``."""
    parts = [_benefit(rule)]
    if rule.min_subtotal_minor:
        parts.append(f"from {_round(rule.min_subtotal_minor, rule.currency)}")
    if rule.audience == Audience.SIGNED_IN:
        parts.append("for customers with an account")
    elif rule.audience == Audience.CHOSEN:
        people = len(rule.customer_ids)
        parts.append(f"for {people} chosen {'customer' if people == 1 else 'customers'}")
    if rule.first_order:
        parts.append("on the first order")
    if rule.countries:
        parts.append(f"sent to {places(rule.countries)}")
    if rule.limit_per_customer and not rule.first_order:
        parts.append(f"{_times(rule.limit_per_customer)} per customer")
    if rule.limit_total:
        parts.append(f"{_times(rule.limit_total)} in all")
    if rule.starts_at:
        parts.append(f"from {day(rule.starts_at, zone)} on")
    if rule.ends_at:
        parts.append(f"until {day(rule.ends_at, zone)}")
    parts.append("without a code" if rule.is_automatic else "with a code")
    return ", ".join(parts)


def _benefit(rule: Rule) -> str:
    on = either(rule.target_names) if rule.target_names else ""
    if rule.is_targeted and not on:
        on = "nothing (choose a category or a product)"
    if rule.kind == DiscountKind.FREE_SHIPPING:
        what = (
            f"Up to {_round(rule.value, rule.currency)} off delivery"
            if rule.value
            else "Free delivery"
        )
        return f"{what} with {on}" if on else what
    if rule.kind == DiscountKind.BUY_X_GET_Y:
        given = "free" if rule.value == WHOLE else f"for {_percent(rule.value)} less"
        goods = f" of {on}" if on else ""
        return f"Buy {rule.buy_quantity}{goods}, get {rule.get_quantity} more {given}"
    amount = (
        _percent(rule.value)
        if rule.kind == DiscountKind.PERCENTAGE
        else _round(rule.value, rule.currency)
    )
    return f"{amount} off {on or 'everything'}"


def _percent(basis_points: int) -> str:
    return f"{basis_points / 100:g} %"


def _round(amount_minor: int, currency: str) -> str:
    """An amount without its cents if they are none."""
    words = str(Money(amount_minor, currency))
    return words.removesuffix(".00")


def _times(number: int) -> str:
    return {1: "once", 2: "twice"}.get(number, f"{number:,} times")
