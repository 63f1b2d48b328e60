"""Trying a discount on a cart that nobody has: what it would save, or every reason why not."""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import selectinload

from shop import customers, discounts
from shop.cart import MAX_QUANTITY, CartLine, CartView
from shop.catalog.models import Product, Variant
from shop.checkout.queries import discount_facts, outdone, priced_with, shipping_for, terms
from shop.core.db import session
from shop.core.errors import Invalid
from shop.core.i18n import gettext as _

MAX_LINES = 20


@dataclass(frozen=True, slots=True)
class Trial:
    """``applied`` is None if it saves nothing; then ``reasons`` says why."""

    lines: tuple[CartLine, ...]
    quote: discounts.Quote
    applied: discounts.Applied | None
    reasons: tuple[str, ...]
    shipping_method: str


def try_discount(
    rule: discounts.Rule,
    items: Mapping[int, int],
    *,
    country: str = "",
    customer_id: int | None = None,
    email: str = "",
) -> Trial:
    """Price ``items`` (variant → units) with a discount and all automatic ones.

    Raises ``Invalid`` for what nobody sells, for impossible quantities, and for strangers.
    """
    if customer_id is not None:
        who = customers.by_id(customer_id)
        if who is None:
            raise Invalid(_("Customer %(id)s not found.", id=customer_id), field="customer_id")
        email = who.email
    if country and country.upper() not in customers.country_names():
        raise Invalid(_("Country “%(code)s” not found.", code=country[:20]), field="country")
    view = CartView(
        id=0,
        token="",
        version=0,
        customer_id=customer_id,
        email=email,
        shipping_address={"country": country.upper()} if country else None,
        shipping_method="",
        order_id=None,
        lines=_lines(items),
    )
    others = [one for one in discounts.automatic() if one.discount_id != rule.discount_id]
    rules = (*others, rule)
    facts = discount_facts(view, rules, country.upper() or terms().country)
    chosen = shipping_for(view, rules, facts)[1]
    quote = priced_with(view, rules, facts, chosen)
    applied = next((d for d in quote.discounts if d.discount_id == rule.discount_id), None)
    reasons = () if applied else tuple(discounts.explain(rule, facts) or [outdone(rule, quote)])
    return Trial(view.lines, quote, applied, reasons, chosen.name if chosen else "")


def _lines(items: Mapping[int, int]) -> tuple[CartLine, ...]:
    if len(items) > MAX_LINES:
        raise Invalid(_("Try up to %(most)s different items.", most=MAX_LINES), field="items")
    for quantity in items.values():
        if isinstance(quantity, bool) or not 1 <= quantity <= MAX_QUANTITY:
            raise Invalid(
                _("A quantity is a whole number from 1 to %(most)s.", most=MAX_QUANTITY),
                field="items",
            )
    found = session.scalars(
        select(Variant)
        .where(Variant.id.in_([pk for pk in items if 0 < pk < 2**63]))
        .options(selectinload(Variant.product).selectinload(Product.categories))
        .order_by(Variant.id)
    ).all()
    missing = sorted(set(items) - {variant.id for variant in found})
    if missing:
        raise Invalid(_("Variant %(id)s not found.", id=missing[0]), field="items")
    return tuple(
        CartLine(
            item_id=variant.id,
            variant_id=variant.id,
            product_id=variant.product_id,
            slug=variant.product.slug,
            name=variant.product.name,
            variant_title=variant.title,
            sku=variant.sku,
            quantity=items[variant.id],
            unit_price_minor=variant.price_minor,
            seen_price_minor=variant.price_minor,
            tax_class=variant.product.tax_class,
            weight_g=variant.weight_g,
            image=None,
            available=MAX_QUANTITY,
            backorder_allowed=False,
            is_sold=True,
            category_ids=tuple(category.id for category in variant.product.categories),
        )
        for variant in found
    )
