"""What people type about a product, read into what the catalogue's operations take."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flask import current_app
from flask_wtf import FlaskForm
from sqlalchemy import select
from wtforms import (
    BooleanField,
    SelectField,
    SelectMultipleField,
    StringField,
    TextAreaField,
)
from wtforms.validators import InputRequired, Length, NumberRange, Optional

from shop import catalog, inventory
from shop.admin.categories import PLACED, in_tree_order
from shop.admin.framework.conflicts import Typed
from shop.admin.framework.fields import MoneyField, WholeField
from shop.admin.framework.parts import Part
from shop.catalog.fields import Amount, Field, Flag, Pairs, Text, Whole
from shop.catalog.models import Category, Product, Variant
from shop.checkout.models import TaxRate
from shop.core.db import session
from shop.core.errors import DomainError, Invalid
from shop.core.i18n import gettext as _
from shop.core.i18n import lazy_gettext
from shop.core.money import AmountError, format_typed, parse_amount

PAIR = re.compile(r"\s*([^:]+):\s*(.+)")
# The columns that the two forms have; the others are written by programs only.
DETAILS = {name: one for name, one in catalog.PRODUCT_FIELDS.items() if one.place}
COLUMNS = {name: one for name, one in catalog.VARIANT_FIELDS.items() if one.place}


class DetailsForm(FlaskForm):
    """What is written about a product: the declared fields, and these that offer choices."""

    categories = SelectMultipleField(lazy_gettext("Categories"), coerce=int)
    primary_category = SelectField(
        lazy_gettext("Main category"),
        coerce=int,
        description=lazy_gettext("The category in the breadcrumbs above the name."),
    )
    tax_class = SelectField(DETAILS["tax_class"].label)

    def placed(self, place: str) -> list[tuple[Any, str]]:
        """The declared fields that have this place, each with how wide it is."""
        return [
            (self[name], "half" if one.is_half_width else "")
            for name, one in DETAILS.items()
            if one.place == place
        ]


def _box(one: Field[Any]) -> Any:
    """What a declared field is typed into."""
    checks: list[Any] = [Optional()] if one.is_nullable else []
    if one.is_needed:
        checks = [InputRequired(lazy_gettext("Fill in: %(field)s.", field=one.label))]
    match one:
        case Text(rows=1):
            return StringField(one.label, [*checks, Length(max=one.most)], description=one.hint)
        case Text():
            return TextAreaField(
                one.label,
                [*checks, Length(max=one.most)],
                description=one.hint,
                filters=[_counted_once],
                render_kw={"rows": one.rows},
            )
        case Pairs():
            return TextAreaField(
                one.label, checks, description=one.hint, render_kw={"rows": one.rows}
            )
        case Amount():
            return MoneyField(one.label, checks, description=one.hint)
        case Whole():
            bounds = NumberRange(
                one.least, one.most, lazy_gettext("A whole number from %(least)s.", least=one.least)
            )
            return WholeField(one.label, [*checks, bounds], description=one.hint)
        case Flag():
            return BooleanField(one.label, description=one.hint)
    raise TypeError(f"declare a box for {type(one).__name__}")


def _counted_once(text: str | None) -> str | None:
    """Browsers send a line's end as two characters and let people type it as one."""
    return text and text.replace("\r\n", "\n")


for _name, _one in DETAILS.items():
    if not hasattr(DetailsForm, _name):
        setattr(DetailsForm, _name, _box(_one))


# ── what is written about it ─────────────────────────────────────────────────────────────────────


def details_form(product: Product | None, *, sent: bool) -> DetailsForm:
    """The form, as it was sent or filled from the product."""
    form = DetailsForm() if sent else DetailsForm(formdata=None)
    rows = in_tree_order(session.execute(select(*PLACED)).all())
    names = {row.path: row.name for row in rows}
    places = {str(row.id): " › ".join(_names_above(row.path, names)) for row in rows}
    form.categories.choices = places
    form.primary_category.choices = {"0": _("The first selected category")} | places
    classes = session.scalars(select(TaxRate.tax_class).distinct().order_by(TaxRate.tax_class))
    known = {*classes, product.tax_class if product else "standard"}
    form.tax_class.choices = {name: name.capitalize() for name in sorted(known)}
    if sent:
        return form
    if product is None:
        form.tax_class.data, form.primary_category.data, form.categories.data = "standard", 0, []
        return form
    for name, one in DETAILS.items():
        stored = getattr(product, name)
        form[name].data = _lines(stored) if isinstance(one, Pairs) else stored
    form.categories.data = [category.id for category in product.categories]
    form.primary_category.data = product.primary_category_id or 0
    return form


def _names_above(path: str, names: Mapping[str, str]) -> list[str]:
    parts = path.split("/")
    return [names.get("/".join(parts[: n + 1]), part) for n, part in enumerate(parts)]


def written_fields(form: DetailsForm) -> dict[str, Any]:
    chosen = form.categories.data or []
    wanted = {*chosen, form.primary_category.data} - {0}
    found = session.scalars(select(Category).where(Category.id.in_(wanted))).all()
    by_id = {category.id: category for category in found}
    written: dict[str, Any] = {name: _typed(one, form) for name, one in DETAILS.items()}
    written["slug"] = written["slug"].strip()
    if not written["slug"]:
        del written["slug"]
    written["categories"] = [by_id[pk] for pk in chosen if pk in by_id]
    if primary := by_id.get(form.primary_category.data):
        written["primary_category"] = primary
    return written


def _typed(one: Field[Any], form: DetailsForm) -> Any:
    """What was typed into a declared field, as its operation takes it. Raises ``Invalid``."""
    typed = form[one.name].data
    if isinstance(one, Pairs):
        return _pairs(one, typed or "")
    return one.empty if typed is None else typed


def _lines(pairs: Mapping[str, str]) -> str:
    return "\n".join(f"{name}: {words}" for name, words in pairs.items())


def _pairs(one: Pairs, text: str) -> dict[str, str]:
    pairs = {}
    for line in text.splitlines():
        if line.strip():
            found = PAIR.fullmatch(line)
            if found is None:
                raise Invalid(
                    _("“%(line)s” has no “:” in it.", line=line.strip()[:40]), field=one.name
                )
            pairs[found[1].strip()] = found[2].strip()
    return pairs


# ── options and variants ─────────────────────────────────────────────────────────────────────────


def shown_options(product: Product) -> dict[str, str]:
    """The fields of the form for options as they are now."""
    shown = {f"option-{option.id}": option.name for option in product.options}
    for option in product.options:
        for value in option.values:
            shown[f"value-{value.id}"] = value.name
            shown[f"swatch-{value.id}"] = value.swatch or ""
    return shown


def shown_variants(product: Product) -> dict[str, str]:
    """The fields of the table of variants as they are now."""
    return {
        f"{name}-{variant.id}": _shown(one, getattr(variant, name))
        for variant in product.variants
        for name, one in COLUMNS.items()
    }


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the table of variants, as its template needs it."""

    name: str
    heading: str
    label: str
    hint: str
    style: str
    keyboard: str = ""
    is_tick: bool = False


def columns() -> list[Column]:
    """The columns of the table of variants, in their order."""
    return [_column(one) for one in COLUMNS.values()]


def _column(one: Field[Any]) -> Column:
    heading = (one.heading or one.label).format(currency=currency())
    words = (one.name, heading, one.label, one.hint)
    match one:
        case Amount():
            return Column(*words, style="num", keyboard="decimal")
        case Whole():
            return Column(*words, style="num", keyboard="numeric")
        case Flag():
            return Column(*words, style="", is_tick=True)
    return Column(*words, style="wide mono")


def _shown(one: Field[Any], value: Any) -> str:
    match one:
        case Amount():
            return major(value)
        case Flag():
            return "1" if value else ""
    return "" if value is None else str(value)


def save_options(product: Product, typed: Typed) -> None:
    """Write the options as they were typed."""
    catalog.set_options(product, option_drafts(product, typed))


def option_drafts(product: Product, typed: Typed) -> list[catalog.OptionDraft]:
    """The options as they were typed; an emptied name means that it should go."""
    drafts = []
    for option in product.options:
        values = [
            catalog.ValueDraft(name, _swatch(typed, f"swatch-{value.id}"), value.id)
            for value in option.values
            if (name := typed.get(f"value-{value.id}", "").strip())
        ]
        values += _new_values(typed.get(f"more-{option.id}", ""))
        if name := typed.get(f"option-{option.id}", "").strip():
            drafts.append(catalog.OptionDraft(name, tuple(values), option.id))
    if name := typed.get("new-option", "").strip():
        drafts.append(catalog.OptionDraft(name, tuple(_new_values(typed.get("new-values", "")))))
    return drafts


def _new_values(text: str) -> list[catalog.ValueDraft]:
    return [catalog.ValueDraft(part.strip()) for part in text.split(",") if part.strip()]


def _swatch(typed: Typed, name: str) -> str | None:
    return typed.get(name, "").strip().lower() or None


def save_variants(product: Product, typed: Typed) -> None:
    """Write the rows that were typed. A refusal names the cell."""
    for variant in product.variants:
        if f"sku-{variant.id}" not in typed:
            continue
        try:
            _save_variant(variant, typed)
        except DomainError as refusal:
            if refusal.field in COLUMNS:
                refusal.field = f"{refusal.field}-{variant.id}"
            raise


def _save_variant(variant: Variant, typed: Typed) -> None:
    pk = variant.id
    fields: dict[str, Any] = {
        name: one.clean(_cell(one, typed, f"{name}-{pk}", f"{one.said} of {variant.sku}"))
        for name, one in COLUMNS.items()
    }
    changed = {k: v for k, v in fields.items() if v != getattr(variant, k)}
    if changed:
        catalog.update_variant(variant, **changed)
    if "backorder_allowed" in changed:
        inventory.allow_backorder(pk, changed["backorder_allowed"])


def add_variant(product: Product, typed: Typed) -> None:
    """One more variant."""
    chosen = [
        value
        for option in product.options
        for value in option.values
        if typed.get(f"value-{option.id}") == str(value.id)
    ]
    catalog.add_variant(
        product,
        values=chosen,
        sku=typed.get("sku", ""),
        price_minor=price_of(typed, "price", _("The price")),
    )


def generate_variants(product: Product, typed: Typed) -> None:
    """Every combination of the options that is missing."""
    pattern = typed.get("sku_pattern", "")
    price = price_of(typed, "price", _("The price"))
    if not catalog.generate_variants(product, sku_pattern=pattern, price_minor=price):
        raise Invalid(_("Every combination already exists."))


def _cell(one: Field[Any], typed: Typed, name: str, what: str) -> Any:
    """What was typed into a cell of the table, as its field keeps it. Raises ``Invalid``."""
    text = typed.get(name, "").strip()
    if one.is_nullable and not text:
        return None
    match one:
        case Text():
            return text
        case Amount():
            return price_of(typed, name, what)
        case Whole():
            return _number(typed, name, what)
        case Flag():
            return bool(text)
    raise TypeError(f"declare a cell for {type(one).__name__}")


def price_of(typed: Typed, name: str, what: str) -> int:
    """An amount in the shop's currency, in minor units. Raises ``Invalid``."""
    try:
        return parse_amount(typed.get(name, ""), currency())
    except AmountError as error:
        raise Invalid(_("%(field)s: %(error)s", field=what, error=error), field=name) from None


def _number(typed: Typed, name: str, what: str) -> int:
    text = typed.get(name, "").strip() or "0"
    if not (text.isascii() and text.isdecimal()) or len(text) > 9:
        raise Invalid(_("%(field)s must be a whole number.", field=what), field=name)
    return int(text)


OPTIONS = Part("options", save_options, shown_options, anchor="options")
VARIANTS = Part("variants", save_variants, shown_variants, anchor="variants")
NEW_VARIANT = Part("new-variant", add_variant, anchor="variants")
GENERATE = Part("generate", generate_variants, anchor="variants")


def sku_pattern_of(product: Product) -> str:
    """A pattern for SKUs to begin with: the start of those that exist, or the name's letters."""
    initials = "".join(word[0] for word in re.findall(r"[A-Za-z0-9]+", product.name)).upper()
    start = (
        product.variants[0].sku.rsplit("-", len(product.options) or 1)[0]
        if product.variants
        else ""
    )
    return "-".join([start or initials, *(f"{{{option.name}:3}}" for option in product.options)])


def major(amount_minor: int | None) -> str:
    """``1230`` as ``12.30``, for a form field."""
    return "" if amount_minor is None else format_typed(amount_minor, currency())


def currency() -> str:
    """The one currency that prices are in."""
    return str(current_app.config["SETTINGS"].currency)
