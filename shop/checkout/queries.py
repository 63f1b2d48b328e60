"""What checkout offers and what it would cost."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from threading import Lock
from typing import Any
from zoneinfo import ZoneInfo

from cachetools import TTLCache, cached
from sqlalchemy import select

from shop.cart import CartView
from shop.checkout.models import ShippingMethod, TaxRate
from shop.core.db import session
from shop.discounts import Quote, price

# Where the shop's clock hangs, and the hour after which a parcel leaves the next working day.
ZONE = ZoneInfo("Europe/Berlin")
CUT_OFF_HOUR = 14
SATURDAY = 5


@dataclass(frozen=True, slots=True)
class Terms:
    """How this shop sells: its currency, its home country, and whether prices include tax."""

    currency: str
    country: str
    prices_include_tax: bool
    hold_minutes: int


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
        """First and last day on which the parcel should arrive; the days are the shop's.

        Counts Monday to Friday from the day on which the parcel leaves, which is the next one for
        an order after the cut-off. Public holidays are not known.
        """
        leaves = _leaves(ordered_at.astimezone(ZONE))
        return _working_days(leaves, self.min_days), _working_days(leaves, self.max_days)


@dataclass(frozen=True, slots=True)
class _Tariffs:
    """All ways to send that are on offer, in order, and rates by country and tax class."""

    methods: tuple[Any, ...]
    rates: dict[str, dict[str, Decimal]]


TARIFFS_KEPT_S = 5
_terms = Terms("EUR", "DE", True, 15)
_kept: TTLCache[Any, _Tariffs] = TTLCache(1, ttl=TARIFFS_KEPT_S)


def configure(terms: Terms) -> None:
    """Set how this shop sells; called once by the factory."""
    global _terms
    _terms = terms


def terms() -> Terms:
    """How this shop sells."""
    return _terms


def forget() -> None:
    """Read methods and rates anew at once; without it a change shows after a few seconds."""
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


def countries() -> list[str]:
    """ISO codes of the countries that some active shipping method serves."""
    return sorted({country for method in _tariffs().methods for country in method.countries})


def tax_rates(country: str) -> dict[str, Decimal]:
    """Rates by tax class for goods sent to ``country``; an unknown country is untaxed export."""
    return dict(_tariffs().rates.get(country.upper(), {}))


def quote(
    view: CartView, *, country: str | None = None, method: str | None = None
) -> tuple[Quote, Sequence[ShippingOption], ShippingOption | None]:
    """What the cart would cost. Gives (quote, shipping options, the chosen one).

    Without a country, the address given so far or the shop's own counts; without a method, the one
    chosen before or the first. No statement, or two after a few seconds.
    """
    to = (country or (view.shipping_address or {}).get("country") or _terms.country).upper()
    options = shipping_options(to, view.subtotal_minor)
    wanted = method or view.shipping_method
    chosen = next((o for o in options if o.code == wanted), options[0] if options else None)
    priced = price(
        view.lines,
        rates=tax_rates(to),
        shipping_minor=chosen.price_minor if chosen and view.lines else 0,
        currency=_terms.currency,
        prices_include_tax=_terms.prices_include_tax,
    )
    return priced, options, chosen


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
    day = ordered_at.date() + timedelta(days=ordered_at.hour >= CUT_OFF_HOUR)
    while day.weekday() >= SATURDAY:
        day += timedelta(days=1)
    return day


def _working_days(start: date, days: int) -> date:
    day = start
    while days > 0:
        day += timedelta(days=1)
        days -= day.weekday() < SATURDAY
    return day
