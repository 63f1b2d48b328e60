"""What people type about a discount, read into what the operations take."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from flask import request
from flask_wtf import FlaskForm
from sqlalchemy import func, or_, select
from werkzeug.datastructures import MultiDict
from wtforms import (
    BooleanField,
    DateTimeLocalField,
    SelectField,
    SelectMultipleField,
    StringField,
    TextAreaField,
)
from wtforms.validators import InputRequired, Length, Optional

from shop import checkout, discounts
from shop.admin.categories import PLACED, in_tree_order
from shop.admin.framework.fields import CodesField, MoneyField, PartsField, WholeField
from shop.catalog.models import Product, Variant
from shop.core.db import session
from shop.core.errors import Invalid
from shop.core.i18n import gettext as _
from shop.core.i18n import lazy_gettext
from shop.customers.models import Customer
from shop.discounts import Audience, DiscountKind, Lane

BY_CODE, BY_ITSELF = "code", "automatic"
ALL, CHOSEN = "all", "chosen"
SHOWN_ADDRESSES = 5
BY_PERCENT: set[str] = {DiscountKind.PERCENTAGE, DiscountKind.BUY_X_GET_Y}
# Where a refusal of an operation is shown.
SHOWN_AT = {
    "category_ids": "categories",
    "product_ids": "products",
    "customer_ids": "customers",
    "min_subtotal_minor": "min_subtotal",
    "is_targeted": "applies_to",
}
# Which choices ask for a field; otherwise it is hidden, and what stands in it is not read.
ASKED_BY: Mapping[str, tuple[str, set[str]]] = {
    "code": ("how", {BY_CODE}),
    "percent": ("kind", BY_PERCENT),
    "amount": ("kind", {DiscountKind.FIXED, DiscountKind.FREE_SHIPPING}),
    "buy_quantity": ("kind", {DiscountKind.BUY_X_GET_Y}),
    "get_quantity": ("kind", {DiscountKind.BUY_X_GET_Y}),
    "categories": ("applies_to", {CHOSEN}),
    "products": ("applies_to", {CHOSEN}),
    "customers": ("audience", {CHOSEN}),
}


class ShopTimeField(DateTimeLocalField):
    """A point in time, typed and shown on the shop's own clock; the data carries its zone."""

    def process_data(self, value: datetime | None) -> None:
        self.data = value.astimezone(checkout.terms().zone) if value else None

    def process_formdata(self, valuelist: list[str]) -> None:
        if not any(valuelist):
            self.data = None
            return
        super().process_formdata(valuelist)
        if isinstance(self.data, datetime):
            self.data = self.data.replace(tzinfo=checkout.terms().zone)


def _choices(words: Mapping[Any, str]) -> Callable[[], dict[str, str]]:
    """Options whose labels are in the language of whoever opens the form."""
    return lambda: {str(member): str(sentence) for member, sentence in words.items()}


class DiscountForm(FlaskForm):
    """A discount; fields that its kind does not use are ignored."""

    name = StringField(
        lazy_gettext("Name"), [InputRequired(lazy_gettext("Fill in a name.")), Length(max=80)],
        description=lazy_gettext("Customers see it beside what they save."),
    )  # fmt: skip
    how = SelectField(
        lazy_gettext("Method"),
        choices=_choices(
            {BY_CODE: lazy_gettext("Discount code"), BY_ITSELF: lazy_gettext("Automatic")}
        ),
    )
    code = StringField(
        lazy_gettext("Code"), [Length(max=40)],
        description=lazy_gettext("3 to 40 letters and digits. You can add more codes later."),
        render_kw={"autocomplete": "off", "spellcheck": "false"},
    )  # fmt: skip
    is_active = BooleanField(lazy_gettext("Switched on"), default=True)
    kind = SelectField(lazy_gettext("Type"), choices=_choices(discounts.KINDS))
    percent = PartsField(
        lazy_gettext("Percentage off"),
        [Optional()],
        places=None,
        description=lazy_gettext("Up to two decimals; 100 is free."),
        render_kw={"inputmode": "decimal"},
    )  # fmt: skip
    amount = MoneyField(lazy_gettext("Amount"), [Optional()])
    buy_quantity = WholeField(
        lazy_gettext("Buy"), [Optional()], description=lazy_gettext("Number of items at full price")
    )
    get_quantity = WholeField(
        lazy_gettext("Get"), [Optional()],
        description=lazy_gettext(
            "Number of cheaper items that are discounted. Sets start with the most expensive items."
        ),
    )  # fmt: skip
    applies_to = SelectField(
        lazy_gettext("Applies to"),
        choices=_choices(
            {
                ALL: lazy_gettext("Everything"),
                CHOSEN: lazy_gettext("Chosen categories and products"),
            }
        ),
    )
    categories = SelectMultipleField(lazy_gettext("Categories"), coerce=int)
    products = TextAreaField(
        lazy_gettext("Products"),
        description=lazy_gettext("One per line: URL slug (such as tidal-mug), name or SKU."),
        render_kw={"rows": 3},
    )  # fmt: skip
    min_subtotal = MoneyField(
        lazy_gettext("Minimum subtotal"),
        [Optional()],
        description=lazy_gettext("Before discounts; empty or 0: any amount."),
    )
    audience = SelectField(lazy_gettext("Customers"), choices=_choices(discounts.AUDIENCES))
    customers = TextAreaField(
        lazy_gettext("Chosen customers"),
        description=lazy_gettext("One email address per line."),
        render_kw={"rows": 3},
    )
    first_order = BooleanField(lazy_gettext("Only on a first order"))
    countries = CodesField(
        lazy_gettext("Countries"),
        description=lazy_gettext("Shipping countries, such as DE, AT. Empty: everywhere."),
    )
    starts_at = ShopTimeField(
        lazy_gettext("Starts"),
        [Optional()],
        description=lazy_gettext("In the shop's time zone. Empty: immediately."),
    )
    ends_at = ShopTimeField(
        lazy_gettext("Ends"),
        [Optional()],
        description=lazy_gettext("In the shop's time zone. Empty: never."),
    )
    limit_total = WholeField(
        lazy_gettext("Total uses"), [Optional()], description=lazy_gettext("Empty: no limit.")
    )
    limit_per_customer = WholeField(
        lazy_gettext("Uses per customer"),
        [Optional()],
        description=lazy_gettext("Empty: no limit."),
    )
    lane = SelectField(
        lazy_gettext("Stacking group"), choices=_choices(discounts.LANE_WORDS),
        description=lazy_gettext(
            "One discount of each stacking group applies, one group after another: the combination"
            " that saves most."
        ),
    )  # fmt: skip


def discount_form(discount: discounts.Discount | None, *, sent: bool) -> DiscountForm:
    """The form, as it was sent or filled from the discount: what its kind does not use is empty."""
    form = DiscountForm(formdata=_used(request.form) if sent else None)
    form.categories.choices = {str(pk): words for pk, words in _places().items()}
    if sent or discount is None:
        form.lane.data = form.lane.data or Lane.MAIN
        return form
    for name in (
        "name is_active kind buy_quantity get_quantity audience first_order countries"
        " limit_total limit_per_customer lane"
    ).split():
        form[name].data = getattr(discount, name)
    form.starts_at.process_data(discount.starts_at)
    form.ends_at.process_data(discount.ends_at)
    form.how.data = BY_ITSELF if discount.is_automatic else BY_CODE
    form.min_subtotal.data = discount.min_subtotal_minor
    if discount.kind != DiscountKind.BUY_X_GET_Y:
        form.buy_quantity.data = form.get_quantity.data = None
    if discount.kind in BY_PERCENT:
        form.percent.data = Decimal(f"{discount.value / 100:g}")
    else:
        form.amount.data = discount.value
    form.applies_to.data = CHOSEN if discount.is_targeted else ALL
    form.categories.data = [row.id for row in discount.categories]
    form.products.data = "\n".join(row.slug for row in discount.products)
    form.customers.data = "\n".join(row.email for row in discount.customers)
    return form


def _used(sent: MultiDict[str, str]) -> MultiDict[str, str]:
    """What was sent, without the fields that its choices do not ask for."""
    unused = {name for name, (field, choices) in ASKED_BY.items() if sent.get(field) not in choices}
    return MultiDict((name, text) for name, text in sent.items(multi=True) if name not in unused)


def _places() -> dict[int, str]:
    """All categories in the menu's order, each after those above it: “Kitchen › Mugs”."""
    rows = in_tree_order(session.execute(select(*PLACED)).all())
    names = {row.path: row.name for row in rows}
    places = {}
    for row in rows:
        parts = row.path.split("/")
        way = ["/".join(parts[: n + 1]) for n in range(len(parts))]
        places[row.id] = " › ".join(names.get(path, path) for path in way)
    return places


def written_draft(form: DiscountForm) -> discounts.Draft:
    """What the form says. Raises ``Invalid`` for what cannot be read."""
    return discounts.Draft(
        name=form.name.data or "",
        kind=form.kind.data,
        value=_value(form),
        buy_quantity=form.buy_quantity.data or 0,
        get_quantity=form.get_quantity.data or 0,
        lane=form.lane.data,
        is_automatic=form.how.data == BY_ITSELF,
        is_active=form.is_active.data,
        is_targeted=form.applies_to.data == CHOSEN,
        category_ids=form.categories.data or [],
        product_ids=_products(form.products.data or ""),
        min_subtotal_minor=form.min_subtotal.data or None,
        audience=form.audience.data,
        customer_ids=_customers(form.customers.data or ""),
        first_order=form.first_order.data,
        countries=form.countries.data or [],
        starts_at=form.starts_at.data,
        ends_at=form.ends_at.data,
        limit_total=form.limit_total.data,
        limit_per_customer=form.limit_per_customer.data,
    )


def sentence_of(form: DiscountForm, currency: str) -> str:
    """What the discount that is being typed would do, as far as it is typed."""
    try:
        draft = written_draft(form)
        kind, value = DiscountKind(draft.kind), draft.value
        audience = Audience(draft.audience)
    except (Invalid, ValueError):
        return _("Fill in the fields below, and this line says what the discount does.")
    names = [words.split(" › ")[-1] for pk, words in _places().items() if pk in draft.category_ids]
    if draft.product_ids:
        names += session.scalars(
            select(Product.name).where(Product.id.in_(draft.product_ids)).order_by(Product.name)
        ).all()
    return discounts.describe(
        discounts.Rule(
            discount_id=0,
            name=draft.name,
            kind=kind,
            value=value,
            currency=currency,
            buy_quantity=draft.buy_quantity,
            get_quantity=draft.get_quantity,
            is_automatic=draft.is_automatic,
            is_targeted=draft.is_targeted,
            target_names=tuple(names),
            min_subtotal_minor=draft.min_subtotal_minor,
            audience=audience,
            customer_ids=frozenset(draft.customer_ids),
            first_order=draft.first_order,
            countries=tuple(draft.countries),
            starts_at=draft.starts_at,
            ends_at=draft.ends_at,
            limit_total=draft.limit_total,
            limit_per_customer=draft.limit_per_customer,
        ),
        checkout.terms().zone,
    )


def value_field(form: DiscountForm) -> str:
    """The field that holds the value of the form's kind of discount."""
    return "percent" if form.kind.data in BY_PERCENT else "amount"


def _value(form: DiscountForm) -> int:
    kind = form.kind.data
    if kind in BY_PERCENT:
        typed = form.percent.data
        if typed is None or not typed.is_finite() or typed * 100 != int(typed * 100):
            raise Invalid(_("Type a percentage such as 10 or 12.5."), field="value")
        if not 0 < typed <= 100:
            raise Invalid(_("A percentage is more than 0 and at most 100."), field="value")
        return int(typed * 100)
    if kind == DiscountKind.FREE_SHIPPING:
        return form.amount.data or 0
    if form.amount.data is None:
        raise Invalid(_("Type an amount such as 5.00."), field="value")
    if form.amount.data <= 0:
        raise Invalid(_("An amount off is more than 0."), field="value")
    return int(form.amount.data)


def _lines(text: str, what: str, field: str) -> list[str]:
    lines = list(dict.fromkeys(line.strip() for line in text.splitlines() if line.strip()))
    if len(lines) > discounts.MAX_CHOSEN:
        raise Invalid(
            _("At most %(count)s %(things)s.", count=discounts.MAX_CHOSEN, things=what), field=field
        )
    return lines


def _products(text: str) -> list[int]:
    """The products that are meant, by number. Raises ``Invalid`` for one that nobody can tell."""
    lines = _lines(text, _("products"), "products")
    if not lines:
        return []
    lowered = [line.lower() for line in lines]
    rows = session.execute(
        select(Product.id, Product.slug, Product.name, func.array_agg(Variant.sku))
        .outerjoin(Variant, Variant.product_id == Product.id)
        .where(
            or_(
                Product.slug.in_(lowered),
                func.lower(Product.name).in_(lowered),
                Product.id.in_(
                    select(Variant.product_id).where(func.lower(Variant.sku).in_(lowered))
                ),
            )
        )
        .group_by(Product.id)
    ).all()
    slugs: dict[str, int] = {}
    skus: dict[str, int] = {}
    named: dict[str, list[str]] = {}
    for pk, slug, name, its_skus in rows:
        slugs[slug] = pk
        skus |= {sku.lower(): pk for sku in its_skus if sku}
        named.setdefault(name.lower(), []).append(slug)
    return sorted({_meant(line, slugs, skus, named) for line in lines})


def _meant(
    line: str,
    slugs: Mapping[str, int],
    skus: Mapping[str, int],
    named: Mapping[str, Sequence[str]],
) -> int:
    """An address wins over a SKU, a SKU over a name. Addresses have small letters only: “Vase” is
    an address if it is nothing else."""
    word = line.lower()
    for known in (slugs.get(line), skus.get(word)):
        if known is not None:
            return known
    called = sorted(named.get(word, ()))
    if len(called) > 1:
        raise Invalid(
            _(
                "“%(name)s” is the name of %(count)s products. Type the URL slug of the right one:"
                " %(slugs)s.",
                name=line[:60],
                count=len(called),
                slugs=", ".join(called[:SHOWN_ADDRESSES]),
            ),
            field="products",
        )
    slug = called[0] if called else word
    if slug not in slugs:
        raise Invalid(_("Product “%(name)s” not found.", name=line[:60]), field="products")
    return slugs[slug]


def _customers(text: str) -> list[int]:
    lines = _lines(text, _("customers"), "customers")
    if not lines:
        return []
    rows = session.execute(select(Customer.id, Customer.email).where(Customer.email.in_(lines)))
    by_email = {row.email.casefold(): row.id for row in rows}
    missing = [line for line in lines if line.casefold() not in by_email]
    if missing:
        raise Invalid(
            _("No customer account with the email “%(email)s” found.", email=missing[0][:60]),
            field="customers",
        )
    return sorted({by_email[line.casefold()] for line in lines})


def typed_number(name: str, typed: str, most: int) -> int:
    """A whole number from 1 out of an address or form. Raises ``Invalid``."""
    text: Any = typed.strip()
    if not (text.isascii() and text.isdecimal() and len(text) <= 9 and 1 <= int(text) <= most):
        raise Invalid(
            _("%(field)s must be a whole number from 1 to %(most)s.", field=name, most=f"{most:,}"),
            field=name,
        )
    return int(text)
