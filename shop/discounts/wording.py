"""What a discount does, in one sentence, and how it stands."""

from datetime import datetime, tzinfo
from typing import NamedTuple

from shop.core.i18n import gettext as _
from shop.core.i18n import lazy_gettext, ngettext
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
    "active": Words(lazy_gettext("Active"), "good"),
    "scheduled": Words(lazy_gettext("Scheduled"), "info"),
    "ended": Words(lazy_gettext("Ended"), "mute"),
    "used_up": Words(lazy_gettext("Used up"), "warn"),
    "off": Words(lazy_gettext("Switched off"), "mute"),
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
        parts.append(_("from %(amount)s", amount=_round(rule.min_subtotal_minor, rule.currency)))
    if rule.audience == Audience.SIGNED_IN:
        parts.append(_("for customers with an account"))
    elif rule.audience == Audience.CHOSEN:
        people = len(rule.customer_ids)
        parts.append(
            ngettext("for %(num)s chosen customer", "for %(num)s chosen customers", people)
        )
    if rule.first_order:
        parts.append(_("on the first order"))
    if rule.countries:
        parts.append(_("shipped to %(countries)s", countries=places(rule.countries)))
    if rule.limit_per_customer and not rule.first_order:
        parts.append(_("%(times)s per customer", times=_times(rule.limit_per_customer)))
    if rule.limit_total:
        parts.append(_("%(times)s in total", times=_times(rule.limit_total)))
    if rule.starts_at:
        parts.append(_("from %(day)s on", day=day(rule.starts_at, zone)))
    if rule.ends_at:
        parts.append(_("until %(day)s", day=day(rule.ends_at, zone)))
    parts.append(_("without a code") if rule.is_automatic else _("with a code"))
    return ", ".join(parts)


def _benefit(rule: Rule) -> str:
    on = either(rule.target_names) if rule.target_names else ""
    if rule.is_targeted and not on:
        on = _("nothing (choose a category or a product)")
    if rule.kind == DiscountKind.FREE_SHIPPING:
        what = (
            _("Up to %(amount)s off shipping", amount=_round(rule.value, rule.currency))
            if rule.value
            else _("Free shipping")
        )
        return _("%(benefit)s with %(items)s", benefit=what, items=on) if on else what
    if rule.kind == DiscountKind.BUY_X_GET_Y:
        given = (
            _("free")
            if rule.value == WHOLE
            else _("for %(percent)s less", percent=_percent(rule.value))
        )
        numbers = {"buy": rule.buy_quantity, "get": rule.get_quantity, "given": given}
        if on:
            return _("Buy %(buy)s of %(items)s, get %(get)s more %(given)s", items=on, **numbers)
        return _("Buy %(buy)s, get %(get)s more %(given)s", **numbers)
    amount = (
        _percent(rule.value)
        if rule.kind == DiscountKind.PERCENTAGE
        else _round(rule.value, rule.currency)
    )
    return _("%(amount)s off %(items)s", amount=amount, items=on or _("everything"))


def _percent(basis_points: int) -> str:
    return f"{basis_points / 100:g} %"


def _round(amount_minor: int, currency: str) -> str:
    """An amount without its cents if they are none."""
    words = str(Money(amount_minor, currency))
    return words.removesuffix(".00")


def _times(number: int) -> str:
    if number == 1:
        return _("once")
    if number == 2:
        return _("twice")
    return _("%(number)s times", number=f"{number:,}")
