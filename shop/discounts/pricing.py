"""The one calculation of prices. Pure: no database, no clock. Amounts are in minor units.

Order: lines, then discounts, then tax per line (half-even, from the discounted line), then shipping
with its discount and its tax, then the total. Of each lane of discounts on goods at most one
applies, the lanes one after another on what is left; of all ways to choose them, the one that saves
most. What is saved is exact until the end and rounded once, by largest remainder over the lines.
Shipping follows the goods: each tax rate among them takes its share of the shipping price in
proportion to their value, by largest remainder.

An item more never lowers what the goods cost, and never raises it by more than its price, as long
as the same offers hold. For that, percentages and amounts on some of the goods come before "buy X
get Y", whatever their lanes, and a line counts for one "buy X get Y" only (decision 9).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from functools import partial
from itertools import product
from math import floor
from typing import Protocol

from shop.core.money import share, tax_of
from shop.discounts.kinds import DiscountKind, Lane

LANES = tuple(Lane)
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
    ``is_order_wide``: it is for every product there is, not for chosen ones.
    """

    discount_id: int
    name: str
    kind: DiscountKind
    value: int
    lines: tuple[int, ...]
    lane: Lane = Lane.MAIN
    buy_quantity: int = 0
    get_quantity: int = 0
    code: str = ""
    code_id: int | None = None
    is_order_wide: bool = False


@dataclass(frozen=True, slots=True)
class Applied:
    """What an offer took off: ``lines`` in the order of the lines given, and off shipping."""

    discount_id: int
    name: str
    code: str
    code_id: int | None
    lane: Lane
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

    @property
    def full_shipping_minor(self) -> int:
        """What shipping costs before its discount."""
        return self.shipping_minor + self.shipping_discount_minor


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

    Of choices that save as much, the first given applies. The total does not depend on the order
    of ``lines``.
    """
    tax = partial(tax_of, is_included=prices_include_tax)
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
    # Goods that are given away still say which taxes their shipment bears.
    for line, weight in zip(taxed, left if any(left) else full, strict=True):
        by_rate[line.tax_rate] = by_rate.get(line.tax_rate, 0) + weight
    by_rate = dict(sorted(by_rate.items()))
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


@dataclass(frozen=True, slots=True)
class _Way:
    """One way to combine the offers: of each lane one or none. ``saved``: what each takes off each
    line, exact; ``whole`` is their sum."""

    offers: tuple[Offer, ...]
    saved: tuple[tuple[Fraction, ...], ...]
    whole: Fraction


def _discounted(
    lines: Sequence[Priced], full: list[int], shipping_minor: int, offers: Sequence[Offer]
) -> tuple[tuple[Applied, ...], list[int], int]:
    """What applied, what is left of each line, and what is left of shipping."""
    if not offers:
        return (), full, shipping_minor
    best = _cheapest_way(
        lines, full, [one for one in offers if one.kind != DiscountKind.FREE_SHIPPING]
    )
    off = _rounded_lines(lines, full, best)
    parts = _by_offer(best, off)
    applied = [
        _applied(offer, tuple(part))
        for offer, part in zip(best.offers, parts, strict=True)
        if any(part)
    ]
    left = [amount - saved for amount, saved in zip(full, off, strict=True)]
    none = (0,) * len(lines)
    shipping = [
        _applied(offer, none, min(shipping_minor, offer.value or shipping_minor))
        for offer in offers
        if offer.kind == DiscountKind.FREE_SHIPPING
    ]
    cheapest = max(shipping, key=lambda one: one.saved_minor, default=None)
    if cheapest is None or not cheapest.saved_minor:
        return tuple(applied), left, shipping_minor
    return (*applied, cheapest), left, shipping_minor - cheapest.shipping_minor


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


def _cheapest_way(lines: Sequence[Priced], full: list[int], offers: Sequence[Offer]) -> _Way:
    """Of all ways to take at most one offer of each lane, the one that saves most.

    Never the best of one lane after the other: an item more could then change which offer of the
    first lane is best, and with that what the next lane finds.
    """
    lanes = [[one for one in offers if one.lane == lane] for lane in LANES]
    in_sets = [any(one.kind == DiscountKind.BUY_X_GET_Y for one in lane) for lane in lanes]
    # Leaving one out can only help where two of these ask for the same items.
    compete = sum(in_sets) > 1
    choices: list[list[Offer | None]] = [
        [*lane, None] if not lane or (compete and sets) else [*lane]
        for lane, sets in zip(lanes, in_sets, strict=True)
    ]
    best = _Way((), (), Fraction(0))
    for chosen in product(*choices):
        found = _way(lines, full, [one for one in chosen if one is not None])
        if found.whole > best.whole:
            best = found
    return best


def _way(lines: Sequence[Priced], full: list[int], offers: Sequence[Offer]) -> _Way:
    """Take these offers off, in the order that keeps every total fair: percentages and amounts on
    some of the goods first, then the others by lane."""
    left = [Fraction(amount) for amount in full]
    saved: dict[int, tuple[Fraction, ...]] = {}
    in_sets: set[int] = set()
    for index in sorted(range(len(offers)), key=lambda i: not _is_early(offers[i])):
        offer = offers[index]
        off = [Fraction(0)] * len(left)
        if offer.kind == DiscountKind.BUY_X_GET_Y:
            own = [line for line in offer.lines if line not in in_sets]
            in_sets.update(offer.lines)
            _take_sets(offer, own, lines, left, off)
        else:
            _take_part(offer, left, off)
        left = [amount - less for amount, less in zip(left, off, strict=True)]
        saved[index] = tuple(off)
    rows = tuple(saved[index] for index in range(len(offers)))
    whole = sum((amount for row in rows for amount in row), Fraction(0))
    return _Way(tuple(offers), rows, whole)


def _is_early(offer: Offer) -> bool:
    return offer.kind != DiscountKind.BUY_X_GET_Y and not offer.is_order_wide


def _take_part(offer: Offer, left: Sequence[Fraction], off: list[Fraction]) -> None:
    """A percentage or an amount, of each line in proportion to what is left of it."""
    whole = sum(left[index] for index in offer.lines)
    if not whole:
        return
    part = Fraction(offer.value, WHOLE)
    if offer.kind == DiscountKind.FIXED:
        part = min(Fraction(1), offer.value / Fraction(whole))
    for index in offer.lines:
        off[index] = left[index] * part


def _take_sets(
    offer: Offer,
    own: Sequence[int],
    lines: Sequence[Priced],
    left: Sequence[Fraction],
    off: list[Fraction],
) -> None:
    """Sort the units from the dearest to the cheapest and make sets of them, in that order: in each
    set the first ``buy_quantity`` cost what they cost, and the next ``get_quantity`` cost less.

    What a set saves is spread over its own units in proportion to their prices. On the cheapest
    alone it would let the others go back at their full price, and leave the free one for nothing.
    Units after the last set bear no part of it.
    """
    size = offer.buy_quantity + offer.get_quantity
    part = Fraction(offer.value, WHOLE)
    in_set: list[tuple[int, int]] = []  # line and units of the set that is being filled
    filled = 0
    for index in sorted(own, key=lambda i: _dearest(lines[i], left[i])):
        unit, units = left[index] / lines[index].quantity, lines[index].quantity
        while units:
            if not filled and units >= size:  # sets of this line alone
                sets = units // size
                off[index] += unit * part * offer.get_quantity * sets
                units -= sets * size
                continue
            taken = min(units, size - filled)
            in_set.append((index, taken))
            filled, units = filled + taken, units - taken
            if filled == size:
                _spread_set(offer, in_set, lines, left, off)
                in_set, filled = [], 0
    _spread_set(offer, in_set, lines, left, off)


def _spread_set(
    offer: Offer,
    in_set: Sequence[tuple[int, int]],
    lines: Sequence[Priced],
    left: Sequence[Fraction],
    off: list[Fraction],
) -> None:
    """Spread what one set saves, dearest first; a set that is not full gives what it can."""
    worth = {index: left[index] / lines[index].quantity * units for index, units in in_set}
    whole = sum(worth.values(), Fraction(0))
    paid, saved = offer.buy_quantity, Fraction(0)
    for index, units in in_set:
        cheaper = max(0, units - paid)
        paid -= units - cheaper
        saved += worth[index] / units * cheaper * offer.value / WHOLE
    if saved:
        for index, value in worth.items():
            off[index] += saved * value / whole


def _dearest(line: Priced, left: Fraction) -> tuple[Fraction, int, int, str]:
    """What sorts lines so that the order in which they were given does not matter."""
    return (-left / line.quantity, -line.unit_price_minor, -line.quantity, line.tax_class)


def _rounded_lines(lines: Sequence[Priced], full: Sequence[int], way: _Way) -> list[int]:
    """What each line costs less, in whole minor units, by largest remainder.

    Only the sum over all offers is rounded, half a unit in the customer's favour: rounding that
    does not look at even and odd keeps an item from costing more, or less, than its price.
    """
    exact = [sum(column, Fraction(0)) for column in zip(*way.saved, strict=True)]
    exact = exact or [Fraction(0)] * len(lines)
    off = [int(amount) for amount in exact]
    missing = floor(way.whole + Fraction(1, 2)) - sum(off)

    def first(index: int) -> tuple[Fraction, int, int, str]:
        rest = exact[index] - off[index]
        return (-rest, -full[index], -lines[index].unit_price_minor, lines[index].tax_class)

    for index in sorted(range(len(lines)), key=first)[: max(0, missing)]:
        off[index] += 1
    return off


def _by_offer(way: _Way, off: Sequence[int]) -> list[list[int]]:
    """Which offer took how much of what each line costs less. Cents that rounding left go to the
    offer that is furthest behind what it took so far, so that each comes to its own sum."""
    parts = [[0] * len(off) for _ in way.offers]
    behind = [Fraction(0)] * len(way.offers)
    for index, amount in enumerate(off):
        of = [number for number, row in enumerate(way.saved) if row[index]]
        for number in of:
            parts[number][index] = int(way.saved[number][index])
            behind[number] += way.saved[number][index] - parts[number][index]
        for _ in range(amount - sum(parts[number][index] for number in of)):
            last = max(of, key=lambda number: behind[number])
            parts[last][index] += 1
            behind[last] -= 1
    return parts
