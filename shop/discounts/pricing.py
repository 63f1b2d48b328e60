"""The one calculation of prices. Pure: no database, no clock. Amounts are in minor units.

Order: lines, then tax per line (half-even, from the line's total), then shipping and its tax, then
the total. Shipping follows the goods: each tax rate among them takes its share of the shipping
price in proportion to their value, by largest remainder.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol

from shop.core.money import share, tax_on, tax_within


class Priced(Protocol):
    """What is needed of a line: units, unit price and tax class."""

    @property
    def quantity(self) -> int: ...

    @property
    def unit_price_minor(self) -> int: ...

    @property
    def tax_class(self) -> str: ...


@dataclass(frozen=True, slots=True)
class TaxedLine:
    """One line's result; ``tax_minor`` is contained in ``total_minor`` if prices include tax."""

    total_minor: int
    tax_rate: Decimal
    tax_minor: int


@dataclass(frozen=True, slots=True)
class Quote:
    """What a customer would pay. ``lines`` are in the order of the lines given."""

    currency: str
    prices_include_tax: bool
    lines: tuple[TaxedLine, ...]
    subtotal_minor: int
    discount_minor: int
    shipping_minor: int
    shipping_tax_minor: int
    tax_minor: int
    total_minor: int


def price(
    lines: Sequence[Priced],
    *,
    rates: Mapping[str, Decimal],
    shipping_minor: int,
    currency: str,
    prices_include_tax: bool,
) -> Quote:
    """Price ``lines`` with ``rates`` by tax class (0.19 for 19 %); a missing class is untaxed."""
    tax = tax_within if prices_include_tax else tax_on
    taxed = tuple(
        TaxedLine(
            total_minor=(total := line.unit_price_minor * line.quantity),
            tax_rate=(rate := rates.get(line.tax_class, Decimal(0))),
            tax_minor=tax(total, rate),
        )
        for line in lines
    )
    subtotal = sum(line.total_minor for line in taxed)
    by_rate: dict[Decimal, int] = {}
    for line in taxed:
        by_rate[line.tax_rate] = by_rate.get(line.tax_rate, 0) + line.total_minor
    parts = share(shipping_minor, list(by_rate.values()))
    shipping_tax = sum(tax(part, rate) for part, rate in zip(parts, by_rate, strict=True))
    all_tax = sum(line.tax_minor for line in taxed) + shipping_tax
    return Quote(
        currency=currency,
        prices_include_tax=prices_include_tax,
        lines=taxed,
        subtotal_minor=subtotal,
        discount_minor=0,
        shipping_minor=shipping_minor,
        shipping_tax_minor=shipping_tax,
        tax_minor=all_tax,
        total_minor=subtotal + shipping_minor + (0 if prices_include_tax else all_tax),
    )
