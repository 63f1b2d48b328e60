"""The yardstick: Flask, SQLAlchemy and Jinja with nothing else, on the same rows.

What one would write in an afternoon: no sessions, menus, secrets, facets or stock. Pages are padded
with fixed text to the size of the shop's, given in ``BARE_SIZES``; served by the same gunicorn.
"""

import importlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from flask import Flask, jsonify, redirect, render_template, request
from markupsafe import Markup
from sqlalchemy import create_engine, func, select, text
from sqlalchemy.orm import Session, scoped_session, selectinload, sessionmaker

from shop.catalog.models import Product
from shop.orders.models import Order

importlib.import_module("shop.tables")  # the mapper needs all of them

PER_PAGE = 24
app = Flask("bare", template_folder=str(Path(__file__).with_name("templates")))
engine = create_engine(os.environ["BARE_DATABASE_URL"], pool_size=10)
session: scoped_session[Session] = scoped_session(sessionmaker(engine))
sizes: dict[str, int] = json.loads(os.environ.get("BARE_SIZES", "{}"))
fillers: dict[str, str] = {}
CARD = (selectinload(Product.images), selectinload(Product.variants))
IMAGES = text(
    "SELECT i.product_id, i.alt, m.key, m.widths, m.width, m.height FROM image i"
    " JOIN media_file m ON m.id = i.media_id WHERE i.product_id = ANY(:ids) AND i.position < 2"
)
VARIANTS = text("SELECT product_id, title FROM variant WHERE product_id = ANY(:ids)")


def page(name: str, like: str, **values: Any) -> str:
    """A page as large as the shop's page ``like``."""
    body = Markup(render_template(f"{name}.html", **values))
    if like not in fillers:
        fillers[like] = "x" * max(0, sizes.get(like, 0) - len(body) - 150)
    return render_template("layout.html", title=name, body=body, filler=fillers[like])


@app.teardown_appcontext
def close(_error: BaseException | None) -> None:
    """Give the connection back."""
    session.remove()


@app.get("/healthz")
def healthz() -> str:
    """It runs."""
    return "ok"


@app.get("/list")
def listing() -> str:
    """24 of all products: count, products, images, variants."""
    number = int(request.args.get("page", "1"))
    found = select(Product).where(Product.status == "active")
    total = session.scalar(select(func.count()).select_from(found.subquery()))
    products = session.scalars(
        found.order_by(Product.sold_count.desc(), Product.id)
        .limit(PER_PAGE)
        .offset((number - 1) * PER_PAGE)
    ).all()
    like = request.args.get("like", "list")
    return page("list", like, products=products, total=total, **_parts(products))


@app.get("/search")
def search() -> str:
    """The same 24 by words."""
    matches = Product.search.op("@@")(func.websearch_to_tsquery("shop_en", request.args["q"]))
    total = session.scalar(select(func.count()).select_from(Product).where(matches))
    products = session.scalars(
        select(Product).where(matches).order_by(Product.id).limit(PER_PAGE)
    ).all()
    return page("list", "search", products=products, total=total, **_parts(products))


def _parts(products: Sequence[Product]) -> dict[str, Any]:
    """Two images and all variants of each product, as plain rows: two statements."""
    ids = {"ids": [product.id for product in products]}
    images: dict[int, list[Any]] = {}
    for row in session.execute(IMAGES, ids):
        images.setdefault(row.product_id, []).append({"alt": row.alt, "media": row})
    variants: dict[int, list[Any]] = {}
    for row in session.execute(VARIANTS, ids):
        variants.setdefault(row.product_id, []).append(row)
    return {"images": images, "variants": variants}


@app.get("/products/<slug>")
def product(slug: str) -> str:
    """One product: itself, images, variants, stock, reviews."""
    found = session.scalars(select(Product).where(Product.slug == slug)).one()
    variants = [variant.id for variant in found.variants]
    rows = session.execute(
        text("SELECT variant_id, on_hand - reserved FROM stock_level WHERE variant_id = ANY(:ids)"),
        {"ids": variants},
    )
    reviews = session.execute(
        text("SELECT * FROM review WHERE product_id = :id ORDER BY id DESC LIMIT 10"),
        {"id": found.id},
    ).all()
    return page("product", "product", p=found, stock=dict(rows.tuples().all()), reviews=reviews)


@app.get("/api/products/<slug>")
def product_json(slug: str) -> Any:
    """The same as JSON, three statements."""
    found = session.scalars(select(Product).where(Product.slug == slug).options(*CARD)).one()
    return jsonify(
        name=found.name,
        description=found.description,
        attributes=found.attributes,
        images=[{"key": image.media.key, "alt": image.alt} for image in found.images],
        variants=[{"id": v.id, "sku": v.sku, "price": v.price_minor} for v in found.variants],
    )


@app.post("/cart/add")
def cart_add() -> Any:
    """One variant into one cart: two statements and a commit."""
    values = {"cart": request.cookies["cart"], "variant": int(request.form["variant_id"])}
    session.execute(text("SELECT price_minor FROM variant WHERE id = :variant"), values).one()
    session.execute(
        text(
            "INSERT INTO bare_item VALUES (:cart, :variant, 1)"
            " ON CONFLICT (cart, variant_id) DO UPDATE SET quantity = bare_item.quantity + 1"
        ),
        values,
    )
    session.commit()
    return redirect("/cart", code=303)


@app.get("/cart")
def cart() -> str:
    """The lines of one cart, one statement."""
    rows = session.execute(
        text(
            "SELECT p.name, v.title, v.price_minor, i.quantity FROM bare_item i"
            " JOIN variant v ON v.id = i.variant_id JOIN product p ON p.id = v.product_id"
            " WHERE i.cart = :cart ORDER BY v.id"
        ),
        {"cart": request.cookies["cart"]},
    ).all()
    return page("cart", "cart", rows=rows)


@app.get("/orders")
def orders() -> str:
    """24 of all orders, newest first: count and rows."""
    total = session.scalar(select(func.count()).select_from(Order))
    rows = session.scalars(
        select(Order).order_by(Order.placed_at.desc(), Order.id.desc()).limit(PER_PAGE)
    ).all()
    return page("orders", "orders", orders=rows, total=total)


def prepare() -> None:
    """Make the one table of its own; called once, before it is served."""
    with engine.begin() as connection:
        connection.execute(
            text(
                "CREATE TABLE IF NOT EXISTS bare_item (cart text, variant_id bigint, quantity int,"
                " PRIMARY KEY (cart, variant_id))"
            )
        )


prepare()
