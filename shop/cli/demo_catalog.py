"""Loads the demo catalogue through the shop's own operations, as staff would have typed it.

Each product is one transaction, so a run that died is finished by the next; what is there already
is found by its address and left alone.
"""

import tomllib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zlib import crc32

from sqlalchemy import select

from shop import catalog, inventory, media, reviews
from shop.catalog.models import Category, OptionValue, Product
from shop.core import clock
from shop.core.db import session, transaction
from shop.media import MediaFile, MediaState

FOLDER = Path(__file__).with_name("demo")
VIEWS = {
    "front": "",
    "detail": ", close up",
    "top": ", seen from above",
    "three-quarter": ", seen at an angle",
    "styled": ", as it may stand at home",
}

Entry = dict[str, Any]


@dataclass(frozen=True)
class Loaded:
    """How many were new."""

    categories: int
    products: int
    variants: int
    images: int
    reviews: int


def load(*, renditions: bool = False, folder: Path = FOLDER) -> Loaded:
    """Load what is missing; with ``renditions`` make the image sizes now and not by a worker."""
    content = tomllib.loads((folder / "catalogue.toml").read_text("utf-8"))
    entries: list[Entry] = content["product"]
    with transaction():
        there = set(session.scalars(select(Product.slug)))
    missing = [entry for entry in entries if entry["slug"] not in there]
    paths = [folder / image for entry in missing for image in _images(entry)]
    stored = media.store_files(paths) if paths else {}
    with transaction():
        shelves, new_shelves = _categories(content["category"])
    now = clock.now()
    ranks = {entry["slug"]: n for n, entry in enumerate(entries, start=1)}
    said = 0
    for entry in missing:
        with transaction():
            images = {name: stored[folder / name] for name in _images(entry)}
            _product(entry, shelves[entry["category"]], images, ranks[entry["slug"]], now)
        said += len(entry.get("reviews", ()))
    if renditions:
        make_renditions()
    return Loaded(
        categories=new_shelves,
        products=len(missing),
        variants=sum(len(entry["variants"]) for entry in missing),
        images=len(paths),
        reviews=said,
    )


def make_renditions() -> int:
    """Make all image sizes that are still missing. Returns for how many images."""
    with transaction():
        pending = list(
            session.scalars(select(MediaFile.id).where(MediaFile.state == MediaState.PENDING))
        )

    def make(media_id: int) -> None:
        try:
            media.make_renditions(media_id)
        finally:
            session.remove()

    with ThreadPoolExecutor(max_workers=2) as pool:
        list(pool.map(make, pending))
    return len(pending)


def _categories(entries: list[Entry]) -> tuple[dict[str, Category], int]:
    """All demo categories by slug, and how many of them are new."""
    by_path = {shelf.path: shelf for shelf in session.scalars(select(Category))}
    shelves: dict[str, Category] = {}
    new = 0
    for entry in entries:
        parent = shelves[entry["parent"]] if "parent" in entry else None
        path = f"{parent.path}/{entry['slug']}" if parent else entry["slug"]
        if path not in by_path:
            by_path[path] = catalog.create_category(
                entry["name"],
                slug=entry["slug"],
                parent=parent,
                description=entry["description"],
            )
            new += 1
        shelves[entry["slug"]] = by_path[path]
    return shelves, new


def _product(
    entry: Entry, shelf: Category, images: dict[str, MediaFile], rank: int, now: datetime
) -> None:
    """One product with all that belongs to it. Its days are spread over the last year."""
    age = 4 + crc32(entry["slug"].encode()) % 350
    with clock.freeze(now - timedelta(days=age)):
        product = catalog.create_product(
            entry["name"],
            slug=entry["slug"],
            tagline=entry["tagline"],
            description=entry["description"],
            keywords=", ".join(
                [entry["material"], *(colour["name"] for colour in entry["colours"])]
            ),
            attributes={
                "Material": entry["material"],
                "Care": entry["care"],
                "Dimensions": entry["dimensions"],
            },
            tax_class=entry["tax_class"],
            featured_rank=rank if entry["featured"] else None,
            primary_category=shelf,
        )
        values = _options(product, entry)
        for wanted in entry["variants"]:
            variant = catalog.add_variant(
                product,
                sku=wanted["sku"],
                price_minor=wanted["price"],
                compare_at_minor=wanted.get("compare_at"),
                weight_g=wanted["weight"],
                values=[values[name, wanted[name.lower()]] for name in entry["options"]],
            )
            if wanted["stock"]:
                inventory.receive(variant.id, wanted["stock"], reason="opening stock")
        main = entry["options"][0]
        for colour in entry["colours"]:
            for image in colour["images"]:
                catalog.add_image(
                    product,
                    images[image],
                    alt=_alt(entry["name"], colour["name"], image),
                    option_value=values.get((main, colour["name"])),
                )
        catalog.publish(product)
    for said in entry.get("reviews", ()):
        days = crc32((entry["slug"] + said["title"]).encode()) % age
        with clock.freeze(now - timedelta(days=days, minutes=days * 37 % 600)):
            reviews.add(product, **said)


def _options(product: Product, entry: Entry) -> dict[tuple[str, str], OptionValue]:
    """Give the product its options; the values by option and name."""
    swatches = {colour["name"]: colour["hex"] for colour in entry["colours"]}
    drafts = []
    for n, name in enumerate(entry["options"]):
        names = dict.fromkeys(variant[name.lower()] for variant in entry["variants"])
        drafts.append(
            catalog.OptionDraft(
                name,
                tuple(
                    catalog.ValueDraft(value, None if n else swatches.get(value)) for value in names
                ),
            )
        )
    catalog.set_options(product, drafts)
    return {
        (option.name, value.name): value for option in product.options for value in option.values
    }


def _images(entry: Entry) -> list[str]:
    return [image for colour in entry["colours"] for image in colour["images"]]


def _alt(product: str, colour: str, image: str) -> str:
    """What the image shows: product, colour, and from where (the end of the file's name)."""
    name = Path(image).stem
    view = next((words for end, words in VIEWS.items() if name.endswith(f"-{end}")), "")
    return f"{product} in {colour}{view}"
