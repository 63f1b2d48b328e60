"""The one calculation of prices. Pure: no database, no clock. Amounts are in minor units.

Order: lines, then discounts, then tax per line (half-even, from the discounted line), then shipping
with its discount and its tax, then the total. Discounts on goods come in lanes, one after another
on what the lane before left; of a lane, the one that saves most applies. What an offer saves is
spread over its lines by largest remainder. Shipping follows the goods: each tax rate among them
takes its share of the shipping price in proportion to their value, by largest remainder.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Protocol

from shop.core.money import share, tax_on, tax_within

LANES = ("first", "main", "last")
WHOLE = 10_000  # basis points


class Priced(Protocol):
    """What is needed of a line: units, unit price and tax class."""

    @property
    def quantity(self) -> int: ...

    @property
    def unit_price_minor(self) -> int: ...

    @property
    def tax_class(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Offer:
    """A discount whose conditions hold, on the lines with these indexes.

    ``value`` is as in ``discounts.models.Discount``. ``code`` is empty for an automatic one.
    """

    discount_id: int
    name: str
    kind: str
    value: int
    lines: tuple[int, ...]
    lane: str = "main"
    buy_quantity: int = 0
    get_quantity: int = 0
    code: str = ""
    code_id: int | None = None


@dataclass(frozen=True, slots=True)
class Applied:
    """What an offer took off: ``lines`` in the order of the lines given, and off shipping."""

    discount_id: int
    name: str
    code: str
    code_id: int | None
    lane: str
    lines: tuple[int, ...]
    shipping_minor: int = 0

    @property
    def amount_minor(self) -> int:
        """What it took off the goods."""
        return sum(self.lines)

    @property
    def saved_minor(self) -> int:
        """What it took off in all."""
        return self.amount_minor + self.shipping_minor


@dataclass(frozen=True, slots=True)
class Refused:
    """A code in the cart that saves nothing now, and every reason why."""

    code: str
    reasons: tuple[str, ...]

    @property
    def sentence(self) -> str:
        return f"{self.code}: {' '.join(self.reasons)}"


@dataclass(frozen=True, slots=True)
class TaxedLine:
    """One line's result: ``total_minor`` is after the discount; ``tax_minor`` is contained in it if
    prices include tax."""

    total_minor: int
    tax_rate: Decimal
    tax_minor: int
    discount_minor: int = 0


@dataclass(frozen=True, slots=True)
class Quote:
    """What a customer would pay. ``lines`` are in the order of the lines given.

    ``discount_minor`` is what was taken off the goods; ``shipping_minor`` is what is left of the
    shipping price after ``shipping_discount_minor``.
    """

    currency: str
    prices_include_tax: bool
    lines: tuple[TaxedLine, ...]
    subtotal_minor: int
    discount_minor: int
    shipping_minor: int
    shipping_tax_minor: int
    tax_minor: int
    total_minor: int
    discounts: tuple[Applied, ...] = ()
    shipping_discount_minor: int = 0
    refused: tuple[Refused, ...] = ()


def price(
    lines: Sequence[Priced],
    *,
    rates: Mapping[str, Decimal],
    shipping_minor: int,
    currency: str,
    prices_include_tax: bool,
    offers: Sequence[Offer] = (),
) -> Quote:
    """Price ``lines`` with ``rates`` by tax class (0.19 for 19 %); a missing class is untaxed.

    Of equal offers of a lane, the first given applies.
    """
    tax = tax_within if prices_include_tax else tax_on
    full = [line.unit_price_minor * line.quantity for line in lines]
    applied, left, shipping_left = _discounted(lines, full, shipping_minor, offers)
    taxed = tuple(
        TaxedLine(
            total_minor=total,
            tax_rate=(rate := rates.get(line.tax_class, Decimal(0))),
            tax_minor=tax(total, rate),
            discount_minor=before - total,
        )
        for line, before, total in zip(lines, full, left, strict=True)
    )
    by_rate: dict[Decimal, int] = {}
    # Goods that are given away still say which taxes their parcel bears.
    for line, weight in zip(taxed, left if any(left) else full, strict=True):
        by_rate[line.tax_rate] = by_rate.get(line.tax_rate, 0) + weight
    parts = share(shipping_left, list(by_rate.values()))
    shipping_tax = sum(tax(part, rate) for part, rate in zip(parts, by_rate, strict=True))
    all_tax = sum(line.tax_minor for line in taxed) + shipping_tax
    return Quote(
        currency=currency,
        prices_include_tax=prices_include_tax,
        lines=taxed,
        subtotal_minor=sum(full),
        discount_minor=sum(full) - sum(left),
        shipping_minor=shipping_left,
        shipping_tax_minor=shipping_tax,
        tax_minor=all_tax,
        total_minor=sum(left) + shipping_left + (0 if prices_include_tax else all_tax),
        discounts=applied,
        shipping_discount_minor=shipping_minor - shipping_left,
    )


def _discounted(
    lines: Sequence[Priced], full: list[int], shipping_minor: int, offers: Sequence[Offer]
) -> tuple[tuple[Applied, ...], list[int], int]:
    """What applied, what is left of each line, and what is left of shipping."""
    applied: list[Applied] = []
    left, shipping_left = full, shipping_minor
    if not offers:
        return (), left, shipping_left
    for lane in LANES:
        found = [
            _applied(offer, tuple(_savings(offer, lines, left)))
            for offer in offers
            if offer.lane == lane and offer.kind != "free_shipping"
        ]
        best = max(found, key=lambda one: one.saved_minor, default=None)
        if best is not None and best.saved_minor:
            applied.append(best)
            left = [amount - saved for amount, saved in zip(left, best.lines, strict=True)]
    none = (0,) * len(lines)
    shipping = [
        _applied(offer, none, min(shipping_left, offer.value or shipping_left))
        for offer in offers
        if offer.kind == "free_shipping"
    ]
    best = max(shipping, key=lambda one: one.saved_minor, default=None)
    if best is not None and best.saved_minor:
        applied.append(best)
        shipping_left -= best.shipping_minor
    return tuple(applied), left, shipping_left


def _applied(offer: Offer, lines: tuple[int, ...], shipping_minor: int = 0) -> Applied:
    return Applied(
        discount_id=offer.discount_id,
        name=offer.name,
        code=offer.code,
        code_id=offer.code_id,
        lane=offer.lane,
        lines=lines,
        shipping_minor=shipping_minor,
    )


def _savings(offer: Offer, lines: Sequence[Priced], left: Sequence[int]) -> list[int]:
    """What the offer takes off each line of which ``left`` is left; never more than that."""
    savings = [0] * len(left)
    weights = [left[index] for index in offer.lines]
    whole = sum(weights)
    if offer.kind == "buy_x_get_y":
        wanted = _cheapest_free(offer, lines, left)
    elif offer.kind == "fixed":
        wanted = min(offer.value, whole)
    else:
        wanted = _part(whole, offer.value, WHOLE)
    for index, saved in zip(offer.lines, share(wanted, weights), strict=True):
        savings[index] = saved
    return savings


def _cheapest_free(offer: Offer, lines: Sequence[Priced], left: Sequence[int]) -> int:
    """Of each full set of units, the cheapest of all cost less.

    It is spread over what was bought like any saving. On the cheapest line alone it would let the
    others go back at their full price, and leave the free one for nothing.
    """
    saved = 0
    units = sum(lines[index].quantity for index in offer.lines)
    given = units // (offer.buy_quantity + offer.get_quantity) * offer.get_quantity
    for index in sorted(offer.lines, key=lambda i: lines[i].unit_price_minor):
        quantity = lines[index].quantity
        taken = min(given, quantity)
        saved += _part(left[index], taken * offer.value, quantity * WHOLE)
        given -= taken
    return saved


def _part(amount: int, numerator: int, denominator: int) -> int:
    exact = Decimal(amount) * numerator / denominator
    return int(exact.quantize(Decimal(1), rounding=ROUND_HALF_EVEN))
