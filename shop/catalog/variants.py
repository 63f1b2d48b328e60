"""Operations on options and variants: what a customer chooses between, and what is then sold."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product as combinations
from math import prod
from typing import TypeVar, Unpack, cast

from sqlalchemy import select, text

from shop.catalog.errors import NotReady, Taken, readable, refusing
from shop.catalog.fields import VARIANT_FIELDS, VariantFields, cleaned
from shop.catalog.models import Option, OptionValue, Product, ProductStatus, Variant
from shop.catalog.products import changed
from shop.core import clock
from shop.core.db import session
from shop.core.errors import Invalid, NotFound, WrongState
from shop.core.i18n import gettext as _

SWATCH = re.compile(r"#[0-9a-f]{6}")
PLACEHOLDER = re.compile(r"\{([^{}:]+)(?::([1-9]))?\}")
MAX_OPTIONS = 5
MAX_VALUES = 60
MAX_VARIANTS = 200
Named = TypeVar("Named", Option, OptionValue)
# The span of prices of each product that lists sort and show by: that of the variants not archived.
PRICE_SPAN = """
    SELECT product_id, min(price_minor) AS price_from_minor, max(price_minor) AS price_to_minor
    FROM variant WHERE archived_at IS NULL GROUP BY product_id
"""
_SPAN_OF_ONE = text(
    "SELECT price_from_minor, price_to_minor"
    f" FROM ({PRICE_SPAN}) span WHERE product_id = :product_id"
)


@dataclass(frozen=True, slots=True)
class ValueDraft:
    """A value as it should be; ``id`` names the one to rename, else the name finds it."""

    name: str
    swatch: str | None = None
    id: int | None = None


@dataclass(frozen=True, slots=True)
class OptionDraft:
    """An option as it should be; ``id`` names the one to rename, else the name finds it."""

    name: str
    values: tuple[ValueDraft, ...]
    id: int | None = None


def get_variant(variant_id: int) -> Variant:
    """The variant, for editing. Raises ``NotFound``."""
    found = session.get(Variant, variant_id)
    if found is None:
        raise NotFound(_("Variant not found."))
    return found


def set_options(product: Product, drafts: Sequence[OptionDraft]) -> None:
    """Make the product's options exactly these, in this order.

    Variants that exist take the first value of a new option, and lose one that is gone. Raises
    ``WrongState`` when a value in use would vanish, ``Taken`` when two variants would become the
    same; then nothing changes.
    """
    _check_drafts(drafts)
    with refusing():
        options = [_option(product, draft, n) for n, draft in enumerate(drafts)]
        for gone in [option for option in product.options if option not in options]:
            for variant in product.variants:
                variant.values = [v for v in variant.values if v.option is not gone]
            product.options.remove(gone)
        product.options.sort(key=lambda option: option.position)
        session.flush()
        for variant in product.variants:
            has = {value.option for value in variant.values}
            variant.values += [option.values[0] for option in options if option not in has]
            _name(variant, variant.values)
        seen: dict[str, str] = {}
        for variant in product.variants:
            twin = seen.setdefault(variant.combination, variant.sku)
            if twin != variant.sku:
                raise Taken(
                    _("Then %(one)s and %(other)s would be the same.", one=twin, other=variant.sku),
                    field="options",
                )
    changed(product, "options changed")


def add_variant(
    product: Product,
    *,
    values: Iterable[OptionValue] = (),
    **fields: Unpack[VariantFields],
) -> Variant:
    """Something new to sell: one value of each option, a SKU and a price.

    Raises ``Invalid`` for a value that cannot be, ``Taken`` for a SKU or combination that exists.
    """
    for one in VARIANT_FIELDS.values():
        if one.is_needed and one.name not in fields:
            raise Invalid(_("%(what)s is missing.", what=one.said), field=one.name)
    chosen = _one_of_each(product, values)
    if sum(v.archived_at is None for v in product.variants) >= MAX_VARIANTS:
        raise Invalid(_("A product can have %(most)s variants, not more.", most=MAX_VARIANTS))
    clean = _checked(fields, None)
    clean.setdefault("position", max((v.position for v in product.variants), default=-1) + 1)
    with refusing():
        made = Variant(**clean)
        _name(made, chosen)
        made.values = chosen
        product.variants.append(made)
    _keep_prices(product)
    changed(product, "variant added")
    return made


def generate_variants(
    product: Product, *, sku_pattern: str, **fields: Unpack[VariantFields]
) -> list[Variant]:
    """Add every combination of the options that is missing, all with the same price.

    ``EO-TDL-{Colour:3}-{Size}`` takes three letters of the colour and the whole size. Raises
    ``Invalid`` for an unknown option in the pattern, ``Taken`` if two SKUs would be the same.
    """
    choices = [option.values for option in product.options]
    wanted = prod(len(values) for values in choices)
    if wanted > MAX_VARIANTS:
        raise Invalid(
            _(
                "That would be %(count)s variants; %(most)s is the most.",
                count=f"{wanted:,}",
                most=MAX_VARIANTS,
            ),
            field="options",
        )
    there = {variant.combination for variant in product.variants}
    added: list[Variant] = []
    with refusing():
        for values in combinations(*choices):
            if _combination(values) not in there:
                fields["sku"] = _sku(sku_pattern, values)
                added.append(add_variant(product, values=values, **fields))
    return added


def update_variant(variant: Variant, **fields: Unpack[VariantFields]) -> Variant:
    """Change a variant's SKU, price and the like. Raises ``Invalid`` or ``Taken``.

    Whoever changes ``backorder_allowed`` tells ``inventory.allow_backorder``, which guards it.
    """
    clean = _checked(fields, variant)
    with refusing():
        for field, value in clean.items():
            setattr(variant, field, value)
    _keep_prices(variant.product)
    changed(variant.product, "variant changed")
    return variant


def reorder_variants(product: Product, ids: Sequence[int]) -> None:
    """Show the variants in this order. Raises ``Invalid`` unless it names each exactly once."""
    by_id = {variant.id: variant for variant in product.variants}
    if sorted(ids) != sorted(by_id):
        raise Invalid(_("The order must name every variant once."), field="order")
    for n, variant_id in enumerate(ids):
        by_id[variant_id].position = n
    product.variants.sort(key=lambda variant: variant.position)
    changed(product, "variants reordered")


def archive_variant(variant: Variant) -> None:
    """Stop selling a variant. Raises ``NotReady`` for the last one of a product on sale."""
    product = variant.product
    others = [v for v in product.variants if v.archived_at is None and v is not variant]
    if product.status == ProductStatus.ACTIVE and not others:
        raise NotReady(
            _(
                "%(sku)s is all that %(product)s has to sell: unpublish the product instead.",
                sku=variant.sku,
                product=product.name,
            )
        )
    if variant.archived_at is None:
        variant.archived_at = clock.now()
        _keep_prices(product)
        changed(product, "variant archived")


def restore_variant(variant: Variant) -> None:
    """Sell an archived variant again."""
    if variant.archived_at is not None:
        variant.archived_at = None
        _keep_prices(variant.product)
        changed(variant.product, "variant restored")


def delete_variant(variant: Variant) -> None:
    """Remove a variant that was never ordered nor counted. Raises ``HasHistory`` otherwise."""
    product = variant.product
    archive_variant(variant)
    with refusing(history_of=variant.sku):
        product.variants.remove(variant)
    changed(product, "variant deleted")


# ── options ──────────────────────────────────────────────────────────────────────────────────────


def _check_drafts(drafts: Sequence[OptionDraft]) -> None:
    if len(drafts) > MAX_OPTIONS:
        raise Invalid(
            _("A product can have %(most)s options, not more.", most=MAX_OPTIONS), field="options"
        )
    _check_names(
        [draft.name for draft in drafts],
        what=_("The option"),
        twice=_("Each option needs a name of its own."),
    )
    for draft in drafts:
        if not draft.values:
            raise Invalid(
                _("%(option)s has no values to choose from.", option=draft.name), field="options"
            )
        if len(draft.values) > MAX_VALUES:
            raise Invalid(
                _(
                    "%(option)s can have %(most)s values, not more.",
                    option=draft.name,
                    most=MAX_VALUES,
                ),
                field="options",
            )
        _check_names(
            [value.name for value in draft.values],
            what=_("The value of %(option)s", option=draft.name),
            twice=_("Each value of %(option)s needs a name of its own.", option=draft.name),
        )
        for value in draft.values:
            if value.swatch and not SWATCH.fullmatch(value.swatch.lower()):
                raise Invalid(
                    _("The colour of %(value)s must look like #b4623e.", value=value.name),
                    field="options",
                )


def _check_names(names: Sequence[str], *, what: str, twice: str) -> None:
    clean = [readable(n, field="options", what=what, most=60, least=1) for n in names]
    if len({name.casefold() for name in clean}) < len(clean):
        raise Invalid(twice, field="options")


def _option(product: Product, draft: OptionDraft, position: int) -> Option:
    option = _matching(product.options, draft)
    if option is None:
        option = Option()
        product.options.append(option)
    option.name, option.position = draft.name.strip(), position
    values = []
    for n, wanted in enumerate(draft.values):
        value = _matching(option.values, wanted)
        if value is None:
            value = OptionValue()
            option.values.append(value)
        value.name, value.position = wanted.name.strip(), n
        value.swatch = wanted.swatch.lower() if wanted.swatch else None
        values.append(value)
    for gone in [value for value in option.values if value not in values]:
        users = [variant.sku for variant in product.variants if gone in variant.values]
        if users:
            raise WrongState(
                _(
                    "%(value)s is still used by %(variants)s and others.",
                    value=gone.name,
                    variants=", ".join(users[:3]),
                )
                if len(users) > 3
                else _(
                    "%(value)s is still used by %(variants)s.",
                    value=gone.name,
                    variants=", ".join(users),
                ),
                field="options",
            )
        option.values.remove(gone)
    option.values.sort(key=lambda value: value.position)
    return option


def _matching(there: Sequence[Named], draft: OptionDraft | ValueDraft) -> Named | None:
    """The one that a draft means: by id, or among the others by name."""
    if draft.id is not None:
        found = next((one for one in there if one.id == draft.id), None)
        if found is None:
            raise NotFound(
                _("%(option)s is no longer among the options.", option=draft.name),
                field="options",
            )
        return found
    name = draft.name.strip().casefold()
    return next((one for one in there if one.name.casefold() == name), None)


# ── variants ─────────────────────────────────────────────────────────────────────────────────────


def _one_of_each(product: Product, values: Iterable[OptionValue]) -> list[OptionValue]:
    """The chosen values in the order of the options. Raises ``Invalid`` unless one of each."""
    given = list(values)
    by_option = {value.option: value for value in given}
    missing = [option.name for option in product.options if option not in by_option]
    if missing:
        raise Invalid(
            _("Choose a value for %(options)s.", options=", ".join(missing)), field="values"
        )
    if len(given) != len(product.options):
        raise Invalid(_("Choose one value of each option of this product."), field="values")
    return [by_option[option] for option in product.options]


def _name(variant: Variant, values: Iterable[OptionValue]) -> None:
    """Keep what is derived from a variant's values: its title and its combination."""
    ordered = sorted(values, key=lambda value: value.option.position)
    variant.title = " / ".join(value.name for value in ordered)
    variant.combination = _combination(ordered)


def _combination(values: Iterable[OptionValue]) -> str:
    return ".".join(str(number) for number in sorted(value.id for value in values))


def _sku(pattern: str, values: Sequence[OptionValue]) -> str:
    names = {value.option.name.casefold(): value.name for value in values}

    def fill(found: re.Match[str]) -> str:
        name = names.get(found[1].strip().casefold())
        if name is None:
            raise Invalid(
                _("There is no option %(option)s for the SKU.", option=found[1]),
                field="sku_pattern",
            )
        letters = re.sub(r"[^A-Z0-9]", "", name.upper())
        return letters[: int(found[2])] if found[2] else letters

    return PLACEHOLDER.sub(fill, pattern)


def _checked(fields: VariantFields, variant: Variant | None) -> VariantFields:
    """The fields, each in bounds, and the compare-at price above the price it will stand by."""
    clean = cast(VariantFields, cleaned(VARIANT_FIELDS, fields))
    price = clean.get("price_minor", variant.price_minor if variant else 0)
    compare_at = clean.get("compare_at_minor", variant.compare_at_minor if variant else None)
    if compare_at is not None and compare_at <= price:
        raise Invalid(
            _("The compare-at price must be higher than the price, or empty."),
            field="compare_at_minor",
        )
    return clean


def _keep_prices(product: Product) -> None:
    """Keep the product's ``PRICE_SPAN``; without variants it is 0.

    The product is locked first: of two people who change two variants at once, the second must
    see what the first did.
    """
    session.flush()
    session.execute(select(Product.id).where(Product.id == product.id).with_for_update())
    span = session.execute(_SPAN_OF_ONE, {"product_id": product.id}).first()
    product.price_from_minor, product.price_to_minor = span or (0, 0)
