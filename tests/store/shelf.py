"""What stands on the shelf in the tests of the pages: a mug in colours and sizes, and a vase."""

from dataclasses import dataclass
from datetime import timedelta

from shop import catalog, inventory, reviews
from shop.catalog.models import Category, Product
from shop.core import clock
from shop.core.db import transaction
from tests.catalog import goods


@dataclass(frozen=True)
class Shelf:
    """The goods, by name."""

    kitchen: Category
    mugs: Category
    mug: Product
    vase: Product


def filled() -> Shelf:
    """The mug: Ember and Ink, 300 and 420 ml; Ink in 420 ml is sold out, Ember in 420 ml scarce."""
    with clock.freeze(clock.now() - timedelta(days=1)), transaction():
        kitchen = goods.shelf("Kitchen")
        mugs = goods.shelf("Mugs & cups", parent=kitchen)
        options = (goods.colours("Ember", "Ink"), goods.sizes("300 ml", "420 ml"))
        mug = goods.mug("Tidal Mug", options=options, category=mugs, stock=0)
        catalog.update_product(
            mug, description="Heavy **enough**.", attributes={"Material": "Stoneware"}
        )
        for variant, stock in zip(mug.variants, (36, 2, 9, 0), strict=True):
            if stock:
                inventory.receive(variant.id, stock, reason="opening stock")
        vase = goods.mug("Moon Vase", category=kitchen, price_minor=5800)
        reviews.add(mug, rating=5, title="Just <b>right</b>", text="Solid.", author="Marta")
        reviews.add(mug, rating=4, title="A bit wide", text="Fine.", author="Ilse")
    catalog.clear_cache()
    return Shelf(kitchen, mugs, mug, vase)
