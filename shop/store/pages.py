"""The shop's standing pages: who we are, how we deliver, what the law wants said."""

from flask import abort, render_template
from flask.typing import ResponseReturnValue

from shop import checkout
from shop.core.i18n import lazy_gettext
from shop.store.blueprint import bp

STANDING = {
    "about": lazy_gettext("About us"),
    "shipping": lazy_gettext("Shipping"),
    "returns": lazy_gettext("Returns"),
    "contact": lazy_gettext("Contact"),
    "privacy": lazy_gettext("Privacy"),
    "terms": lazy_gettext("Terms of sale"),
    "imprint": lazy_gettext("Imprint"),
}


@bp.get("/pages/<slug>")
def page(slug: str) -> ResponseReturnValue:
    """One standing page; its words are in ``templates/store/pages/<slug>.html``."""
    if slug not in STANDING:
        abort(404)
    return render_template(
        f"store/pages/{slug}.html",
        slug=slug,
        title=STANDING[slug],
        standing=STANDING,
        rates=checkout.shipping_rates() if slug == "shipping" else [],
    )
