"""A discount as somebody wants it, and what cannot be."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select

from shop.catalog.models import Category, Product
from shop.core import clock
from shop.core.db import session
from shop.core.errors import Invalid
from shop.core.i18n import gettext as _
from shop.core.i18n import lazy_gettext
from shop.core.money import Money
from shop.customers.countries import country_names
from shop.customers.models import Customer
from shop.discounts.kinds import Audience, DiscountKind, Lane
from shop.discounts.models import Discount
from shop.discounts.pricing import LANES, WHOLE

KINDS: dict[str, str] = {
    DiscountKind.PERCENTAGE: lazy_gettext("Percentage"),
    DiscountKind.FIXED: lazy_gettext("Fixed amount"),
    DiscountKind.FREE_SHIPPING: lazy_gettext("Free shipping"),
    DiscountKind.BUY_X_GET_Y: lazy_gettext("Buy X, get Y"),
}
LANE_WORDS: dict[str, str] = {
    Lane.FIRST: lazy_gettext("Applies first"),
    Lane.MAIN: lazy_gettext("Applies normally"),
    Lane.LAST: lazy_gettext("Applies last"),
}
AUDIENCES: dict[str, str] = {
    Audience.EVERYONE: lazy_gettext("Everyone"),
    Audience.SIGNED_IN: lazy_gettext("Customers with an account"),
    Audience.CHOSEN: lazy_gettext("Chosen customers"),
}
_NOT_FOUND: dict[type[Any], str] = {
    Category: lazy_gettext("Category %(id)s not found."),
    Product: lazy_gettext("Product %(id)s not found."),
    Customer: lazy_gettext("Customer %(id)s not found."),
}
MAX_MINOR = 100_000_000
MAX_USES = 1_000_000_000
# So many products can be chosen one by one, so many categories and so many customers.
MAX_CHOSEN = 500
MAX_NAME_LENGTH = 80
# What a discount has just as it is written.
_AS_WRITTEN = (
    "kind", "value", "lane", "min_subtotal_minor", "starts_at", "ends_at", "limit_total",
)  # fmt: skip
_FLAGS = ("is_automatic", "is_active", "is_targeted", "first_order")


@dataclass(frozen=True, slots=True)
class Draft:
    """A discount as somebody wants it. Units as in ``models.Discount``; None is no limit.

    ``currency`` may be left empty, or be the shop's.
    """

    name: str
    kind: str
    value: int = 0
    buy_quantity: int = 0
    get_quantity: int = 0
    currency: str = ""
    lane: str = Lane.MAIN
    is_automatic: bool = False
    is_active: bool = True
    is_targeted: bool = False
    category_ids: Sequence[int] = ()
    product_ids: Sequence[int] = ()
    min_subtotal_minor: int | None = None
    audience: str = Audience.EVERYONE
    customer_ids: Sequence[int] = ()
    first_order: bool = False
    countries: Sequence[str] = ()
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    limit_total: int | None = None
    limit_per_customer: int | None = None


def draft_of(discount: Discount, **changes: Any) -> Draft:
    """The discount as it is, with some fields changed."""
    kept = {
        name: getattr(discount, name)
        for name in Draft.__slots__
        if name not in {"category_ids", "product_ids", "customer_ids"}
    }
    ids = {
        "category_ids": [row.id for row in discount.categories],
        "product_ids": [row.id for row in discount.products],
        "customer_ids": [row.id for row in discount.customers],
    }
    return Draft(**kept | ids | changes)


def checked(draft: Draft, currency: str) -> dict[str, Any]:
    """The columns of a draft. Raises ``Invalid`` with the field that cannot be."""
    name = _name(draft)
    _check_choices(draft, currency)
    _check_value(draft, currency)
    _check_limits(draft, currency)
    _check_period(draft)
    return {
        "name": name,
        **{field: getattr(draft, field) for field in _AS_WRITTEN},
        **{field: bool(getattr(draft, field)) for field in _FLAGS},
        **_goods(draft),
        **_audience(draft),
        **_quantities(draft),
        "countries": _countries(draft.countries),
    }


def _name(draft: Draft) -> str:
    name = " ".join(draft.name.split())
    if not 1 <= len(name) <= MAX_NAME_LENGTH:
        raise Invalid(_("A name has 1 to %(most)s characters.", most=MAX_NAME_LENGTH), field="name")
    return name


def _check_choices(draft: Draft, currency: str) -> None:
    for field, known in (("kind", KINDS), ("lane", LANES), ("audience", AUDIENCES)):
        if getattr(draft, field) not in known:
            raise Invalid(_("Choose one of: %(choices)s.", choices=", ".join(known)), field=field)
    if draft.currency and draft.currency != currency:
        raise Invalid(
            _("Prices of this shop are in %(currency)s.", currency=currency), field="currency"
        )


def _goods(draft: Draft) -> dict[str, Any]:
    """What it applies to; everything unless it is targeted."""
    categories = _rows(Category, draft.category_ids, "category_ids")
    products = _rows(Product, draft.product_ids, "product_ids")
    if not draft.is_targeted:
        return {"categories": [], "products": []}
    if not (categories or products):
        raise Invalid(_("Choose at least one category or product."), field="category_ids")
    return {"categories": categories, "products": products}


def _audience(draft: Draft) -> dict[str, Any]:
    """Who may have it, and how often."""
    customers = _rows(Customer, draft.customer_ids, "customer_ids")
    is_chosen = draft.audience == Audience.CHOSEN
    if is_chosen and not customers:
        raise Invalid(_("Choose at least one customer."), field="customer_ids")
    return {
        "audience": draft.audience,
        "customers": customers if is_chosen else [],
        # Two first orders at the same moment: the limit per customer stops the second.
        "limit_per_customer": 1 if draft.first_order else draft.limit_per_customer,
    }


def _quantities(draft: Draft) -> dict[str, int]:
    by_number = draft.kind == DiscountKind.BUY_X_GET_Y
    return {
        "buy_quantity": draft.buy_quantity if by_number else 0,
        "get_quantity": draft.get_quantity if by_number else 0,
    }


def _check_limits(draft: Draft, currency: str) -> None:
    if draft.min_subtotal_minor is not None:
        words = _("The minimum order value")
        _amount(draft.min_subtotal_minor, 1, currency, words, "min_subtotal_minor")
    for field, words in (
        ("limit_total", _("The limit")),
        ("limit_per_customer", _("The limit per customer")),
    ):
        if getattr(draft, field) is not None:
            check_whole(getattr(draft, field), 1, MAX_USES, words, field)


def _check_period(draft: Draft) -> None:
    clock.check_year(draft.starts_at, "starts_at")
    clock.check_year(draft.ends_at, "ends_at")
    if draft.starts_at and draft.ends_at and draft.ends_at <= draft.starts_at:
        raise Invalid(_("It cannot end before it starts."), field="ends_at")


def _check_value(draft: Draft, currency: str) -> None:
    if draft.kind == DiscountKind.PERCENTAGE:
        words = _("The percentage in basis points (1000 is 10 %)")
        check_whole(draft.value, 1, WHOLE, words, "value")
    elif draft.kind == DiscountKind.FIXED:
        _amount(draft.value, 1, currency, _("The amount off"), "value")
    elif draft.kind == DiscountKind.FREE_SHIPPING:
        _amount(draft.value, 0, currency, _("The maximum off shipping"), "value")
    else:
        words = _("The percentage in basis points (10000 is free)")
        check_whole(draft.value, 1, WHOLE, words, "value")
        check_whole(draft.buy_quantity, 1, 99, _("The number to buy"), "buy_quantity")
        check_whole(draft.get_quantity, 1, 99, _("The number to get"), "get_quantity")


def check_whole(value: object, least: int, most: int, words: str, field: str) -> None:
    """Raise ``Invalid`` for what is no whole number within these limits."""
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        sentence = _(
            "%(what)s is a whole number from %(least)s to %(most)s.",
            what=words,
            least=least,
            most=most,
        )
        raise Invalid(sentence, field=field)


def _amount(value: int, least: int, currency: str, words: str, field: str) -> None:
    if not least <= value <= MAX_MINOR:
        sentence = _(
            "%(what)s must be between %(least)s and %(most)s.",
            what=words,
            least=Money(least, currency),
            most=Money(MAX_MINOR, currency),
        )
        raise Invalid(sentence, field=field)


def _rows(model: Any, ids: Sequence[int], field: str) -> list[Any]:
    wanted = sorted(set(ids))
    if not wanted:
        return []
    possible = [one for one in wanted if 0 < one < 2**63]
    found = list(session.scalars(select(model).where(model.id.in_(possible)).order_by(model.id)))
    missing = sorted(set(wanted) - {row.id for row in found})
    if missing:
        raise Invalid(_NOT_FOUND[model] % {"id": missing[0]}, field=field)
    return found


def _countries(given: Sequence[str]) -> list[str]:
    codes = sorted({str(code).strip().upper() for code in given})
    unknown = [code for code in codes if code not in country_names()]
    if unknown:
        raise Invalid(_("Country “%(code)s” not found.", code=unknown[0][:20]), field="countries")
    return codes
