"""Whether a discount applies, and every reason why not. Pure: facts in, sentences out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from typing import Protocol

from babel.dates import format_date

from shop.core.i18n import gettext as _
from shop.core.i18n import locale, ngettext
from shop.core.money import Money
from shop.customers.countries import country_names
from shop.discounts.kinds import Audience, DiscountKind, Lane
from shop.discounts.pricing import Offer


class Wanted(Protocol):
    """What is needed of a line to tell whether it is part of an offer."""

    @property
    def product_id(self) -> int: ...

    @property
    def category_ids(self) -> Sequence[int]: ...

    @property
    def quantity(self) -> int: ...

    @property
    def unit_price_minor(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Rule:
    """A discount with all its conditions; by a code if it names one. Amounts in minor units.

    ``category_ids`` holds the categories below the chosen ones too; ``target_names`` are the chosen
    ones and the products, in words.
    """

    discount_id: int
    name: str
    kind: DiscountKind
    value: int
    currency: str
    lane: Lane = Lane.MAIN
    buy_quantity: int = 0
    get_quantity: int = 0
    is_automatic: bool = False
    is_active: bool = True
    is_targeted: bool = False
    category_ids: frozenset[int] = frozenset()
    product_ids: frozenset[int] = frozenset()
    target_names: tuple[str, ...] = ()
    min_subtotal_minor: int | None = None
    audience: Audience = Audience.EVERYONE
    customer_ids: frozenset[int] = frozenset()
    first_order: bool = False
    countries: tuple[str, ...] = ()
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    limit_total: int | None = None
    limit_per_customer: int | None = None
    used: int = 0
    code: str = ""
    code_id: int | None = None
    code_limit: int | None = None
    code_used: int = 0

    @property
    def is_personal(self) -> bool:
        """Whether one must know what this customer did before."""
        return self.first_order or self.limit_per_customer is not None

    @property
    def is_used_up(self) -> bool:
        return _is_full(self.used, self.limit_total) or _is_full(self.code_used, self.code_limit)


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known about a cart. An unknown country is empty, an unknown customer None or empty.

    ``uses`` and ``has_ordered`` leave out the cart's own unpaid order, whose usages are
    ``own_usages``.
    """

    lines: Sequence[Wanted]
    currency: str
    now: datetime
    zone: tzinfo
    country: str = ""
    customer_id: int | None = None
    has_ordered: bool = False
    uses: Mapping[int, int] = field(default_factory=dict)
    own_usages: frozenset[int] = frozenset()
    own_codes: frozenset[int] = frozenset()

    @property
    def subtotal_minor(self) -> int:
        return sum(line.unit_price_minor * line.quantity for line in self.lines)


def eligible(rule: Rule, lines: Sequence[Wanted]) -> tuple[int, ...]:
    """Indexes of the lines that the rule is about."""
    if not rule.is_targeted:
        return tuple(range(len(lines)))
    return tuple(
        index
        for index, line in enumerate(lines)
        if line.product_id in rule.product_ids
        or not rule.category_ids.isdisjoint(line.category_ids)
    )


def offer(rule: Rule, facts: Facts) -> Offer | None:
    """What the price calculation needs of a rule, or None if something speaks against it."""
    if explain(rule, facts):
        return None
    return Offer(
        discount_id=rule.discount_id,
        name=rule.name,
        kind=rule.kind,
        value=rule.value,
        lines=eligible(rule, facts.lines),
        lane=rule.lane,
        buy_quantity=rule.buy_quantity,
        get_quantity=rule.get_quantity,
        code=rule.code,
        code_id=rule.code_id,
        is_order_wide=not rule.is_targeted,
    )


def explain(rule: Rule, facts: Facts) -> list[str]:
    """Every reason why the rule does not apply, in sentences for people; empty if it does."""
    return [*_of_time(rule, facts), *_of_limits(rule, facts), *_of_person(rule, facts),
            *_of_goods(rule, facts)]  # fmt: skip


def _of_time(rule: Rule, facts: Facts) -> list[str]:
    reasons = []
    if not rule.is_active:
        reasons.append(_("This offer has ended."))
    if rule.starts_at and facts.now < rule.starts_at:
        reasons.append(_("This offer starts on %(day)s.", day=day(rule.starts_at, facts.zone)))
    if rule.ends_at and facts.now >= rule.ends_at:
        reasons.append(_("This offer ended on %(day)s.", day=day(rule.ends_at, facts.zone)))
    return reasons


def _of_limits(rule: Rule, facts: Facts) -> list[str]:
    used = rule.used - (rule.discount_id in facts.own_usages)
    code_used = rule.code_used - (rule.code_id in facts.own_codes)
    reasons = []
    if _is_full(used, rule.limit_total) or _is_full(code_used, rule.code_limit):
        reasons.append(_("This offer has been used up."))
    mine = facts.uses.get(rule.discount_id, 0)
    if rule.limit_per_customer is not None and _is_full(mine, rule.limit_per_customer):
        reasons.append(
            ngettext(
                "You have already used this offer: each customer can use it once.",
                "You have already used this offer: each customer can use it %(num)s times.",
                rule.limit_per_customer,
            )
        )
    return reasons


def _of_person(rule: Rule, facts: Facts) -> list[str]:
    reasons = []
    if rule.audience == Audience.SIGNED_IN and facts.customer_id is None:
        reasons.append(_("This offer is for customers with an account: please sign in."))
    if rule.audience == Audience.CHOSEN and facts.customer_id not in rule.customer_ids:
        reasons.append(
            _("This offer is for certain customers: please sign in.")
            if facts.customer_id is None
            else _("This offer is for other customers.")
        )
    if rule.first_order and facts.has_ordered:
        reasons.append(_("This offer is for a first order, and you have ordered before."))
    if rule.countries and facts.country and facts.country not in rule.countries:
        reasons.append(
            _(
                "This offer is for orders to %(countries)s, not to %(country)s.",
                countries=places(rule.countries),
                country=places((facts.country,)),
            )
        )
    return reasons


def _of_goods(rule: Rule, facts: Facts) -> list[str]:
    if not facts.lines:
        return [_("Your cart is empty.")]
    reasons = []
    if rule.currency != facts.currency:
        reasons.append(_("This offer is for prices in %(currency)s.", currency=rule.currency))
    least = rule.min_subtotal_minor or 0
    if facts.subtotal_minor < least:
        missing = Money(least - facts.subtotal_minor, rule.currency)
        reasons.append(
            _(
                "This offer is for orders from %(amount)s: %(missing)s is missing.",
                amount=Money(least, rule.currency),
                missing=missing,
            )
        )
    units = sum(facts.lines[index].quantity for index in eligible(rule, facts.lines))
    needed = rule.buy_quantity + 1  # the first unit that costs less, or any unit
    if not units:
        reasons.append(
            _(
                "Nothing in your cart is part of this offer: it is for %(items)s.",
                items=either(rule.target_names),
            )
            if rule.target_names
            else _("Nothing in your cart is part of this offer.")
        )
    elif units < needed:
        reasons.append(_of_missing(rule, needed - units))
    return reasons


def _of_missing(rule: Rule, more: int) -> str:
    if not rule.target_names:
        return ngettext(
            "Add %(num)s more item to your cart to get this offer.",
            "Add %(num)s more items to your cart to get this offer.",
            more,
        )
    return ngettext(
        "Add %(num)s more item of %(names)s to your cart to get this offer.",
        "Add %(num)s more items of %(names)s to your cart to get this offer.",
        more,
        names=either(rule.target_names),
    )


def _is_full(used: int, limit: int | None) -> bool:
    return limit is not None and used >= limit


def day(moment: datetime, zone: tzinfo) -> str:
    """A day as the shop's people say it, with the time unless it is midnight."""
    local = moment.astimezone(zone)
    words = str(format_date(local, "d MMMM y", locale=locale()))
    return words if (local.hour, local.minute) == (0, 0) else f"{words}, {local:%H:%M}"


def places(countries: Sequence[str]) -> str:
    """Names of countries, joined by “or”."""
    names = country_names()
    return either([names.get(code, code) for code in countries])


def either(words: Sequence[str]) -> str:
    """The words joined by commas and “or”; after four, how many more."""
    shown = list(words)
    if len(words) > 5:
        more = len(words) - 4
        shown[4:] = [ngettext("%(num)s more", "%(num)s more", more)]
    if len(shown) == 1:
        return shown[0]
    return _("%(words)s or %(last)s", words=", ".join(shown[:-1]), last=shown[-1])
