"""What checkout offers and what it would cost."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from threading import Lock
from typing import Any
from zoneinfo import ZoneInfo

from cachetools import TTLCache, cached
from sqlalchemy import select

from shop import discounts
from shop.cart import CartView
from shop.checkout.models import ShippingMethod, TaxRate
from shop.core import clock
from shop.core.db import session
from shop.core.i18n import gettext as _
from shop.discounts import DiscountKind, Facts, Quote, Refused, Rule, price
from shop.discounts.conditions import places

SATURDAY = 5


class FreeShippingCounts(StrEnum):
    """Which value of the goods is compared with the limit from which a method ships free."""

    BEFORE_DISCOUNTS = "before_discounts"
    AFTER_DISCOUNTS = "after_discounts"


@dataclass(frozen=True, slots=True)
class Terms:
    """How this shop sells. An order after ``cut_off_hour`` by the clock of ``zone`` leaves on the
    next working day."""

    currency: str
    country: str
    prices_include_tax: bool
    hold_minutes: int
    zone: ZoneInfo
    cut_off_hour: int
    free_shipping_counts: FreeShippingCounts = FreeShippingCounts.BEFORE_DISCOUNTS
    max_unpaid_orders: int = 12
    unpaid_hold_minutes: int = 30


@dataclass(frozen=True, slots=True)
class ShippingOption:
    """A way to send this cart, at its price for this cart; days are working days."""

    code: str
    name: str
    price_minor: int
    free_over_minor: int | None
    min_days: int
    max_days: int

    def arrives(self, ordered_at: datetime) -> tuple[date, date]:
        """First and last day on which the shipment should arrive; the days are the shop's.

        Counts Monday to Friday from the day on which the shipment leaves, which is the next one for
        an order after the cut-off. Public holidays are not known.
        """
        leaves = _leaves(ordered_at.astimezone(_terms.zone))
        return _working_days(leaves, self.min_days), _working_days(leaves, self.max_days)


@dataclass(frozen=True, slots=True)
class ShippingRate:
    """A shipping method as it is advertised; free from ``free_over_minor`` on, if set."""

    name: str
    price_minor: int
    free_over_minor: int | None
    countries: tuple[str, ...]
    min_days: int
    max_days: int


@dataclass(frozen=True, slots=True)
class _Tariffs:
    """All ways to send that are on offer, in order, and rates by country and tax class."""

    methods: tuple[Any, ...]
    rates: dict[str, dict[str, Decimal]]


TARIFFS_KEPT_S = 5
_terms = Terms("EUR", "DE", True, 15, ZoneInfo("Europe/Berlin"), 14)
_kept: TTLCache[Any, _Tariffs] = TTLCache(1, ttl=TARIFFS_KEPT_S)


def configure(terms: Terms) -> None:
    """Set how this shop sells; called once by the factory."""
    global _terms
    _terms = terms


def terms() -> Terms:
    """How this shop sells."""
    return _terms


def clear_cache() -> None:
    """Have methods and rates read again at once; without it a change shows after a few seconds."""
    _kept.clear()


def shipping_options(country: str, subtotal_minor: int) -> list[ShippingOption]:
    """Ways to send goods worth ``subtotal_minor`` to ``country``, in the staff's order."""
    return [
        ShippingOption(
            m.code, m.name, _price_for(m, subtotal_minor), m.free_over_minor, m.min_days, m.max_days
        )
        for m in _tariffs().methods
        if country.upper() in m.countries
    ]


def shipping_rates() -> list[ShippingRate]:
    """All active shipping methods, in the staff's order."""
    return [
        ShippingRate(
            m.name, m.price_minor, m.free_over_minor, tuple(m.countries), m.min_days, m.max_days
        )
        for m in _tariffs().methods
    ]


def goods_for_free_shipping(quote: Quote) -> int:
    """Returns what counts towards free shipping, in minor units, as the shop's terms say."""
    if _terms.free_shipping_counts is FreeShippingCounts.AFTER_DISCOUNTS:
        return quote.subtotal_minor - quote.discount_minor
    return quote.subtotal_minor


def countries() -> list[str]:
    """ISO codes of the countries that some active shipping method serves."""
    return sorted({country for method in _tariffs().methods for country in method.countries})


def tax_rates(country: str) -> dict[str, Decimal]:
    """Rates by tax class for goods sent to ``country``; an unknown country is untaxed export."""
    return dict(_tariffs().rates.get(country.upper(), {}))


def quote(
    view: CartView, *, country: str | None = None, method: str | None = None
) -> tuple[Quote, Sequence[ShippingOption], ShippingOption | None]:
    """What the cart would cost. Returns (quote, shipping options, the chosen one).

    Without a country, the address given so far or the shop's own counts; without a method, the one
    chosen before or the first. No statement, or a few after some seconds; with codes one more, and
    one for discounts that depend on what this customer had before.
    """
    rules = _rules(view)
    facts = discount_facts(view, rules, destination(view, country))
    options, chosen = shipping_for(view, rules, facts, method)
    return priced_with(view, rules, facts, chosen), options, chosen


def quotes(view: CartView, *, country: str | None = None) -> list[tuple[ShippingOption, Quote]]:
    """What the cart would cost with each shipping method to ``country``, else to its address."""
    rules = _rules(view)
    facts = discount_facts(view, rules, destination(view, country))
    options = shipping_for(view, rules, facts)[0]
    return [(option, priced_with(view, rules, facts, option)) for option in options]


def refusals(quote: Quote, code: str) -> tuple[str, ...]:
    """Every reason why a code of the cart saves nothing."""
    return next((one.reasons for one in quote.refused if one.code == code), ())


def of_address(rule: Rule) -> tuple[str, ...]:
    """What is said of a code for other countries than the shop's while nobody said where to."""
    if not rule.countries or _terms.country in rule.countries:
        return ()
    there = places(rule.countries)
    return (
        _(
            "This offer is for orders to %(countries)s: it counts once your address is there.",
            countries=there,
        ),
    )


def destination(view: CartView, country: str | None = None) -> str:
    """Where to, as an ISO code: ``country``, else the cart's address; empty if nobody said."""
    return (country or (view.shipping_address or {}).get("country") or "").upper()


def shipping_for(
    view: CartView, rules: Sequence[Rule], facts: Facts, method: str | None = None
) -> tuple[Sequence[ShippingOption], ShippingOption | None]:
    """Shipping methods to the country in ``facts``, at their prices with ``rules``; the chosen one.

    The chosen one is ``method``, else the cart's, else the first.
    """
    goods = view.subtotal_minor
    if rules and _terms.free_shipping_counts is FreeShippingCounts.AFTER_DISCOUNTS:
        goods = goods_for_free_shipping(priced_with(view, rules, facts, None))
    options = shipping_options(facts.country or _terms.country, goods)
    wanted = method or view.shipping_method
    chosen = next((o for o in options if o.code == wanted), options[0] if options else None)
    return options, chosen


def _rules(view: CartView) -> Sequence[Rule]:
    """All discounts that might apply to the cart: those without a code first."""
    return (*discounts.automatic(), *discounts.by_codes(view.code_ids))


def discount_facts(view: CartView, rules: Sequence[Rule], country: str) -> Facts:
    """What ``rules`` need to know about the cart and its customer."""
    known = discounts.history(
        rules, customer_id=view.customer_id, email=view.email, order_id=view.order_id
    )
    return Facts(
        lines=view.lines,
        currency=_terms.currency,
        now=clock.now(),
        zone=_terms.zone,
        country=country,
        customer_id=view.customer_id,
        has_ordered=known.has_ordered,
        uses=known.uses,
        own_usages=known.own_usages,
        own_codes=known.own_codes,
    )


def priced_with(
    view: CartView, rules: Sequence[Rule], facts: Facts, chosen: ShippingOption | None
) -> Quote:
    """The cart's price with those of ``rules`` that apply; codes that do not say why.

    While nobody said where to, the price is the one at home, but no reason names that country.
    """
    home = facts if facts.country else replace(facts, country=_terms.country)
    offers = [offer for rule in rules if (offer := discounts.offer(rule, home))]
    quote = price(
        view.lines,
        rates=tax_rates(home.country),
        shipping_minor=chosen.price_minor if chosen and view.lines else 0,
        currency=_terms.currency,
        prices_include_tax=_terms.prices_include_tax,
        offers=offers,
    )
    used = {one.code_id for one in quote.discounts if one.code_id}
    refused = tuple(
        Refused(rule.code, _reasons(rule, facts, quote))
        for rule in rules
        if rule.code and rule.code_id not in used
    )
    return replace(quote, refused=refused) if refused else quote


def _reasons(rule: Rule, facts: Facts, quote: Quote) -> tuple[str, ...]:
    reasons = (*discounts.explain(rule, facts), *(() if facts.country else of_address(rule)))
    return reasons or (outdone(rule, quote),)


def outdone(rule: Rule, quote: Quote) -> str:
    """Why a code whose conditions hold saves nothing."""
    free = rule.kind == DiscountKind.FREE_SHIPPING
    if free and not quote.shipping_minor and not quote.shipping_discount_minor:
        return _("Shipping is already free.")
    for one in quote.discounts:
        if bool(one.shipping_minor) == free and (free or one.lane == rule.lane):
            return _(
                "“%(discount)s” saves you at least as much, and only one of the two can be used.",
                discount=one.name,
            )
    return _("There is nothing left to reduce.")


@cached(_kept, lock=Lock())
def _tariffs() -> _Tariffs:
    """Kept for a few seconds: who is shown an old price is stopped by ``place_order``'s check."""
    m = ShippingMethod
    methods = session.execute(
        select(
            m.code, m.name, m.price_minor, m.free_over_minor, m.countries, m.min_days, m.max_days
        )
        .where(m.is_active)
        .order_by(m.position, m.id)
    )
    rates: dict[str, dict[str, Decimal]] = {}
    for row in session.execute(select(TaxRate.country, TaxRate.tax_class, TaxRate.rate)):
        rates.setdefault(row.country, {})[row.tax_class] = row.rate
    return _Tariffs(tuple(methods.all()), rates)


def _price_for(method: Any, subtotal_minor: int) -> int:
    free = method.free_over_minor is not None and subtotal_minor >= method.free_over_minor
    return 0 if free else method.price_minor


def _leaves(ordered_at: datetime) -> date:
    day = ordered_at.date() + timedelta(days=ordered_at.hour >= _terms.cut_off_hour)
    while day.weekday() >= SATURDAY:
        day += timedelta(days=1)
    return day


def _working_days(start: date, days: int) -> date:
    day = start
    while days > 0:
        day += timedelta(days=1)
        days -= day.weekday() < SATURDAY
    return day
