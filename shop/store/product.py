"""The product page: one chosen variant, rendered by the server, and what to choose instead."""

from dataclasses import dataclass
from datetime import date
from typing import Any

from flask import current_app, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from shop import cart, catalog, checkout
from shop.core import clock
from shop.core.errors import NotFound as Unknown
from shop.core.i18n import gettext as _
from shop.core.i18n import lazy_gettext
from shop.store import seo
from shop.store.blueprint import bp
from shop.store.catalog import moved_or_unknown
from shop.store.frame import money

STOCK_WORDS = {
    "in_stock": lazy_gettext("In stock"),
    "sold_out": lazy_gettext("Sold out"),
    "backorder": lazy_gettext("Made to order"),
}


@dataclass(frozen=True, slots=True)
class Stock:
    """A variant's stock line: its state for looks and sockets, its words for people."""

    state: str
    left: int | None
    words: str

    @property
    def can_be_bought(self) -> bool:
        """Whether the button works."""
        return self.state != "sold_out"


@dataclass(frozen=True, slots=True)
class Choice:
    """A value of an option as a radio button; ``note`` says why it may disappoint."""

    id: int
    name: str
    swatch: str | None
    is_chosen: bool
    note: str


@dataclass(frozen=True, slots=True)
class Choices:
    """An option of the product with the value that is chosen now."""

    id: int
    name: str
    chosen: str
    values: tuple[Choice, ...]


@dataclass(frozen=True, slots=True)
class Offer:
    """The chosen variant as the page shows it."""

    variant: catalog.VariantView
    stock: Stock
    image_index: int
    choices: tuple[Choices, ...]


@dataclass(frozen=True, slots=True)
class Arrival:
    """When an order of today arrives."""

    first: date
    last: date


@bp.get("/products/<slug>")
def product(slug: str) -> ResponseReturnValue:
    """A product with one variant chosen by ``?variant=<sku>``; an address that moved answers 301.

    Without JavaScript the picker sends ``option.<name>=<value>`` for each option and is answered
    with a redirect to the variant that fits best.
    """
    try:
        shown = catalog.product_page(slug)
    except Unknown:
        return moved_or_unknown()
    wanted = {
        value.id
        for option in shown.options
        for value in option.values
        if request.args.get(f"option.{option.name}") == value.name
    }
    if wanted and shown.variants:
        sku = _closest(shown, wanted).sku
        return redirect(url_for("store.product", slug=slug, variant=sku), code=303)
    offer = _offer(shown, _chosen(shown, request.args.get("variant", "")))
    return render_template(
        "store/catalog/product.html",
        product=shown,
        offer=offer,
        facts=_facts(shown),
        arrival=arrival(),
        distribution=_distribution(shown),
        most_pieces=cart.max_per_variant(),
        share_image=_share_image(shown, offer),
        json_ld=[seo.product_group(shown), seo.breadcrumbs(shown.breadcrumbs, last=shown.name)],
    )


def stock_of(variant: catalog.VariantView) -> Stock:
    """What the page says of a variant's stock; the exact number only when few are left."""
    if variant.available > 0:
        if variant.low:
            return Stock("low", variant.available, _("Only %(left)s left", left=variant.available))
        return Stock("in_stock", None, str(STOCK_WORDS["in_stock"]))
    state = "backorder" if variant.backorder_allowed else "sold_out"
    return Stock(state, None, str(STOCK_WORDS[state]))


def arrival() -> Arrival | None:
    """The days between which an order placed now arrives at home; None if nothing is sent there."""
    here = checkout.terms().country
    way = next(iter(checkout.shipping_options(here, 0)), None)
    return Arrival(*way.arrives(clock.now())) if way else None


def _chosen(shown: catalog.ProductPage, sku: str) -> catalog.VariantView | None:
    """The variant that was asked for, else the first that can be bought, else the first."""
    asked = next((v for v in shown.variants if v.sku == sku), None)
    buyable = next((v for v in shown.variants if v.is_available), None)
    return asked or buyable or next(iter(shown.variants), None)


def _closest(shown: catalog.ProductPage, wanted: set[int]) -> catalog.VariantView:
    return max(shown.variants, key=lambda v: (len(wanted & set(v.value_ids)), v.is_available))


def _offer(shown: catalog.ProductPage, variant: catalog.VariantView | None) -> Offer | None:
    if variant is None:
        return None
    return Offer(
        variant=variant,
        stock=stock_of(variant),
        image_index=_image_index(shown, variant),
        choices=tuple(_choices(shown, option, variant) for option in shown.options),
    )


def _choices(
    shown: catalog.ProductPage, option: catalog.OptionView, variant: catalog.VariantView
) -> Choices:
    """Mark each value by what it leads to while all other options stay as they are."""
    own = {value.id for value in option.values}
    others = set(variant.value_ids) - own
    chosen = own & set(variant.value_ids)
    values = []
    for value in option.values:
        leads_to = next(
            (v for v in shown.variants if set(v.value_ids) == others | {value.id}), None
        )
        if leads_to is None:
            note = _("not in this combination")
        else:
            note = "" if leads_to.is_available else _("sold out")
        values.append(Choice(value.id, value.name, value.swatch, value.id in chosen, note))
    name = next((value.name for value in option.values if value.id in chosen), "")
    return Choices(option.id, option.name, name, tuple(values))


def _image_index(shown: catalog.ProductPage, variant: catalog.VariantView) -> int:
    """The first image of the variant's colour, else the first of all."""
    return next(
        (i for i, img in enumerate(shown.images) if img.option_value_id in variant.value_ids), 0
    )


def _facts(shown: catalog.ProductPage) -> dict[str, Any]:
    """What the page's script needs to follow a choice without asking the server."""
    return {
        "currency": current_app.config["SETTINGS"].currency,
        "words": {state: str(words) for state, words in STOCK_WORDS.items()}
        | {"low": _("Only %(left)s left", left="{left}")},
        "variants": [
            {
                "id": v.id,
                "sku": v.sku,
                "title": v.title,
                "values": v.value_ids,
                "price": money(v.price_minor),
                "compare": money(v.compare_at_minor) if v.compare_at_minor else "",
                "state": stock_of(v).state,
                "stock": stock_of(v).words,
                "left": v.available if v.low else None,
                "image": _image_index(shown, v),
            }
            for v in shown.variants
        ],
    }


def _share_image(shown: catalog.ProductPage, offer: Offer | None) -> str:
    return seo.image_url(shown.images[offer.image_index if offer else 0]) if shown.images else ""


def _distribution(shown: catalog.ProductPage) -> list[tuple[int, int]]:
    """How many reviews gave five stars, four, … one."""
    return [(n, sum(r.rating == n for r in shown.reviews)) for n in range(5, 0, -1)]
