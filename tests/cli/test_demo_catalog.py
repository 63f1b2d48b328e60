"""The demo catalogue: complete, and loaded twice without harm."""

import shutil
import tomllib

import pytest
from sqlalchemy import func, select

from shop import catalog, inventory, reviews
from shop.catalog import Filters
from shop.catalog.models import Image, Product, Variant
from shop.cli import demo_catalog
from shop.inventory.models import StockMovement
from shop.media import MediaFile, storage
from shop.reviews import Review

SHIPPED = tomllib.loads((demo_catalog.FOLDER / "catalogue.toml").read_text("utf-8"))


@pytest.fixture
def small(tmp_path, session):
    """The shipped catalogue, cut down to a mug and a throw."""
    storage.configure(f"file:{tmp_path / 'media'}")
    folder = tmp_path / "demo"
    folder.mkdir()
    kept = ("tidal-mug", "harvest-throw")
    for slug in kept:
        shutil.copytree(demo_catalog.FOLDER / "images" / slug, folder / "images" / slug)
    whole = (demo_catalog.FOLDER / "catalogue.toml").read_text("utf-8")
    parts = whole.split("\n[[")
    chosen = [
        part
        for part in parts
        if part.startswith("category]]") or any(f'\nslug = "{slug}"\n' in part for slug in kept)
    ]
    (folder / "catalogue.toml").write_text("\n[[".join(["", *chosen]), "utf-8")
    return folder


def counts(session) -> list[int]:
    tables = (Product, Variant, Image, MediaFile, Review, StockMovement)
    return [session.scalar(select(func.count()).select_from(table)) for table in tables]


def test_what_is_shipped_is_complete():
    products = SHIPPED["product"]
    variants = [variant for product in products for variant in product["variants"]]
    images = [p for product in products for c in product["colours"] for p in c["images"]]

    assert (len(products), len(variants)) == (49, 152)
    assert len({variant["sku"] for variant in variants}) == 152
    assert [p for p in images if not (demo_catalog.FOLDER / p).is_file()] == []


def test_products_come_with_all_that_belongs_to_them(small, session):
    loaded = demo_catalog.load(folder=small)

    assert (loaded.products, loaded.variants) == (2, 11)
    page = catalog.product_page("tidal-mug")
    assert [crumb.path for crumb in page.breadcrumbs] == ["kitchen", "kitchen/mugs-cups"]
    assert [option.name for option in page.options] == ["Colour", "Size"]
    assert page.options[0].values[0].swatch == "#b0583a"
    assert page.images[1].alt == "Tidal Mug in Ember, close up"
    assert page.rating == 4.7
    stock = {variant.sku: variant.available for variant in page.variants}
    assert (stock["EO-TDL-EMB-300"], stock["EO-TDL-INK-420"]) == (36, 0)
    levels = inventory.available([variant.id for variant in page.variants])
    assert sum(levels.values()) == sum(stock.values())
    assert catalog.listing(Filters(q="throw")).cards[0].compare_at_minor == 11_900


def test_a_second_run_changes_nothing(small, session):
    demo_catalog.load(folder=small)
    before = counts(session)

    again = demo_catalog.load(folder=small)

    assert again == demo_catalog.Loaded(0, 0, 0, 0, 0)
    assert counts(session) == before


def test_run_that_died_is_finished_by_next(small, session, monkeypatch):
    def dies(*_args, **_kwargs):
        raise KeyboardInterrupt

    with monkeypatch.context() as power_cut:
        power_cut.setattr(reviews, "add", dies)
        with pytest.raises(KeyboardInterrupt):
            demo_catalog.load(folder=small)
    images = session.scalar(select(func.count()).select_from(MediaFile))

    demo_catalog.load(folder=small)

    assert counts(session)[:2] == [2, 11]
    assert session.scalar(select(func.count()).select_from(MediaFile)) == images
