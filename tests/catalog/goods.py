"""A few goods to test with; each test changes the one detail it is about."""

from shop import catalog, inventory
from shop.catalog.models import Category, Product
from shop.core import clock
from shop.core.db import session
from shop.media import MediaFile


def shelf(name: str = "Mugs", parent: Category | None = None) -> Category:
    return catalog.create_category(name, parent=parent)


def colours(*names: str) -> catalog.OptionDraft:
    swatches = {"Ember": "#b0583a", "Oat": "#d3c3a4", "Ink": "#34434f"}
    return catalog.OptionDraft(
        "Colour", tuple(catalog.ValueDraft(name, swatches.get(name)) for name in names)
    )


def sizes(*names: str) -> catalog.OptionDraft:
    return catalog.OptionDraft("Size", tuple(catalog.ValueDraft(name) for name in names))


def mug(
    name: str = "Tidal Mug",
    *,
    options: tuple[catalog.OptionDraft, ...] = (),
    price_minor: int = 1800,
    stock: int = 5,
    category: Category | None = None,
    published: bool = True,
) -> Product:
    """A product with a variant of every combination, each in stock."""
    product = catalog.create_product(name, primary_category=category)
    catalog.set_options(product, options)
    pattern = "-".join([product.slug, *(f"{{{option.name}}}" for option in options)])
    for variant in catalog.generate_variants(product, sku_pattern=pattern, price_minor=price_minor):
        if stock:
            inventory.receive(variant.id, stock, reason="delivery")
    if published:
        catalog.publish(product)
    return product


def stored_image(key: str = "a" * 26, widths: str = "") -> MediaFile:
    """A stored image, as a row only."""
    made = MediaFile(
        key=key,
        sha256=key,
        width=800,
        height=1000,
        size_bytes=1,
        colour="#b0583a",
        widths=widths,
        state="ready" if widths else "pending",
        created_at=clock.now(),
    )
    session.add(made)
    session.flush()
    return made


def value(product: Product, option: str, name: str):
    """The value of an option, by names."""
    return next(
        value
        for one in product.options
        if one.name == option
        for value in one.values
        if value.name == name
    )
