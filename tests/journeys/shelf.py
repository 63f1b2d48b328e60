"""What stands on the shelf for the journeys: a mug in two colours and sizes, with real images."""

import secrets
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import select

from shop import catalog, inventory, media, reviews
from shop.catalog.models import Category, Product, Variant
from shop.core.db import session, transaction
from tests import cast
from tests.support.stack import RunningShop, eventually

IMAGES = Path(__file__).parents[2] / "shop/cli/demo/images"
MUG = IMAGES / "tidal-mug"


@dataclass(frozen=True)
class Shelf:
    """The goods by name; ``of_mug`` by colour and size."""

    kitchen: Category
    mugs: Category
    mug: Product
    of_mug: dict[tuple[str, str], Variant]
    lamp: Product


def fill(shop: RunningShop) -> Shelf:
    """Put the goods on the shelf and wait until their images have all sizes."""
    media.storage.configure(f"file://{shop.var / 'media'}")
    run = secrets.token_hex(2)
    files = [MUG / f"{name}.webp" for name in ("ember-front", "ember-detail", "ink-front")]
    lamp_file = (
        IMAGES
        / "pebble-lamp"
        / sorted(path.name for path in (IMAGES / "pebble-lamp").glob("*-front.webp"))[0]
    )
    stored = media.store_files([*files, lamp_file])
    ids = [one.id for one in stored.values()]
    eventually(lambda: _are_ready(ids), within_s=120, what="the images have all sizes")
    with transaction():
        kitchen = catalog.create_category(f"Kitchen {run}", description="For every day.")
        mugs = catalog.create_category(
            f"Mugs & cups {run}", parent=kitchen, description="For the first coffee of the day."
        )
        mug = _mug(mugs, run)
        values = {value.name: value for option in mug.options for value in option.values}
        for file, colour in zip(files, ("Ember", "Ember", "Ink"), strict=True):
            words = f"The mug in {colour}" + (", close up" if "detail" in file.stem else "")
            catalog.add_image(mug, stored[file], alt=words, option_value=values[colour])
        lamp = catalog.create_product(
            f"Pebble lamp {run}", tagline="Light like a warm stone.", featured_rank=2
        )
        bulb = catalog.add_variant(lamp, sku=f"LAMP-{run}".upper(), price_minor=8900)
        catalog.add_image(lamp, stored[lamp_file], alt="The lamp, switched on")
        catalog.publish(lamp)
        session.flush()
        inventory.receive(bulb.id, 12, reason="opening stock")
        reviews.add(mug, rating=5, title="Just right", text="Heavy, warm, mine.", author="Marta")
        of_mug = {(v.values[0].name, v.values[1].name): v for v in mug.variants}
        for variant in mug.variants:
            inventory.receive(variant.id, 40, reason="opening stock")
    cast.order(bulb)  # so that the desk's list is not empty
    session.remove()
    return Shelf(kitchen, mugs, mug, of_mug, lamp)


def product(name: str, stock: int) -> Variant:
    """A plain product of one journey; the name gets an end that makes it one of a kind."""
    return cast.product(f"{name} {secrets.token_hex(2)}", stock=stock)


def available(variant: Variant) -> int:
    """How many can be bought now."""
    with transaction():
        return inventory.available([variant.id])[variant.id]


def _mug(category: Category, run: str) -> Product:
    mug = catalog.create_product(
        f"Tidal mug {run}",
        tagline="A heavy mug with a glaze like low tide.",
        description="Thrown by hand, **glazed twice**.",
        attributes={"Material": "Stoneware", "Care": "Dishwasher"},
        featured_rank=1,
        primary_category=category,
    )
    colours = (catalog.ValueDraft("Ember", "#b5482f"), catalog.ValueDraft("Ink", "#27324a"))
    sizes = (catalog.ValueDraft("300 ml"), catalog.ValueDraft("420 ml"))
    catalog.set_options(
        mug, [catalog.OptionDraft("Colour", colours), catalog.OptionDraft("Size", sizes)]
    )
    catalog.generate_variants(
        mug, sku_pattern=f"MUG-{run.upper()}-{{Colour:3}}-{{Size:3}}", price_minor=1900
    )
    catalog.publish(mug)
    session.flush()
    return mug


def _are_ready(ids: list[int]) -> bool:
    images = select(media.MediaFile.state).where(media.MediaFile.id.in_(ids))
    with transaction():
        return set(session.scalars(images)) == {"ready"}
