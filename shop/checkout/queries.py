"""What checkout offers and what it would cost."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

from sqlalchemy import any_, select

from shop.cart import CartView
from shop.checkout.models import ShippingMethod, TaxRate
from shop.core.db import session
from shop.discounts import Quote, price


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

    def arrives(self, today: date) -> tuple[date, date]:
        """First and last day on which the parcel should arrive, counting Monday to Friday."""
        return _working_days(today, self.min_days), _working_days(today, self.max_days)


_terms = Terms("EUR", "DE", True, 15)


def configure(terms: Terms) -> None:
    """Set how this shop sells; called once by the factory."""
    global _terms
    _terms = terms


def terms() -> Terms:
    """How this shop sells."""
    return _terms


def shipping_options(country: str, subtotal_minor: int) -> list[ShippingOption]:
    """Ways to send goods worth ``subtotal_minor`` to ``country``, cheapest first. One statement."""
    methods = session.scalars(
        select(ShippingMethod).where(
            ShippingMethod.is_active, any_(ShippingMethod.countries) == country.upper()
        )
    )
    options = [
        ShippingOption(
            m.code, m.name, _price_for(m, subtotal_minor), m.free_over_minor, m.min_days, m.max_days
        )
        for m in sorted(methods, key=lambda m: (m.position, m.id))
    ]
    return options


def countries() -> list[str]:
    """ISO codes of the countries that some active shipping method serves. One statement."""
    rows = session.scalars(select(ShippingMethod.countries).where(ShippingMethod.is_active))
    return sorted({country for served in rows for country in served})


def tax_rates(country: str) -> dict[str, Decimal]:
    """Rates by tax class for goods sent to ``country``; an unknown country is untaxed export."""
    rows = session.execute(
        select(TaxRate.tax_class, TaxRate.rate).where(TaxRate.country == country.upper())
    )
    return {row.tax_class: row.rate for row in rows}


def quote(
    view: CartView, *, country: str | None = None, method: str | None = None
) -> tuple[Quote, Sequence[ShippingOption], ShippingOption | None]:
    """What the cart would cost. Gives (quote, shipping options, the chosen one).

    Without a country, the address given so far or the shop's own counts; without a method, the one
    chosen before or the first. Two statements.
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


def _price_for(method: ShippingMethod, subtotal_minor: int) -> int:
    free = method.free_over_minor is not None and subtotal_minor >= method.free_over_minor
    return 0 if free else method.price_minor


def _working_days(start: date, days: int) -> date:
    day = start
    while days > 0:
        day += timedelta(days=1)
        if day.weekday() < 5:
            days -= 1
    return day
