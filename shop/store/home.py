"""The front page."""

from dataclasses import dataclass
from threading import Lock

from cachetools import TTLCache, cached
from flask import render_template
from flask.typing import ResponseReturnValue

from shop import catalog
from shop.store import seo
from shop.store.blueprint import bp

FEATURED = 4
NEWEST = 8


@dataclass(frozen=True, slots=True)
class CategoryCard:
    """A way into a part of the shop, with the image of something that is sold there."""

    name: str
    path: str
    image: catalog.ImageView | None


@bp.get("/")
def home() -> ResponseReturnValue:
    """What is sold, why here, and where to begin."""
    featured = catalog.featured(FEATURED)
    shown = {card.id for card in featured}
    newest = [card for card in catalog.newest(NEWEST + FEATURED) if card.id not in shown]
    return render_template(
        "store/home/home.html",
        featured=featured,
        newest=newest[:NEWEST],
        categories=category_cards(),
        json_ld=[seo.website(), seo.organization()],
    )


@cached(TTLCache(maxsize=1, ttl=60), lock=Lock())
def category_cards() -> tuple[CategoryCard, ...]:
    """The top of the tree, each with its best-selling product's image. Kept for a minute."""
    tops = catalog.menu()[:6]
    images = catalog.shelf_images([top.path for top in tops])
    return tuple(CategoryCard(top.name, top.path, images.get(top.path)) for top in tops)
