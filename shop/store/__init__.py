"""The store door: the shop's public pages, in HTML, working without JavaScript.

Owns addresses, forms, words and looks. Promises: a GET changes nothing, bad input gets a clear
page and never a stack. Leaves every decision about goods, stock and money to the features.
"""

from flask import Flask

from shop.store import (
    account,
    cart,
    catalog,
    checkout,
    errors,
    express,
    frame,
    headers,
    home,
    limits,
    media,
    orders,
    pages,
    payment,
    privacy,
    product,
    search,
    seo,
)
from shop.store.blueprint import bp
from shop.store.statics import FILES as FILES
from shop.store.statics import words

PAGES = (
    home,
    catalog,
    product,
    search,
    cart,
    checkout,
    payment,
    express,
    orders,
    account,
    pages,
    media,
    seo,
    privacy,
)


def init_app(app: Flask) -> None:
    """Plug the storefront into ``app``."""
    app.jinja_env.globals.update(
        frame.template_globals(), store_static=FILES.address, script_words=words
    )
    app.jinja_env.filters.update(frame.FILTERS, marked=search.marked)
    headers.init_app(app)
    errors.init_app(app)
    app.register_blueprint(bp)
    limits.init_app(app)
