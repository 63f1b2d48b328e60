"""Searching: the result page, and what is offered while somebody types."""

import re

from flask import render_template, request, url_for
from flask.typing import ResponseReturnValue
from markupsafe import Markup, escape

from shop import catalog
from shop.store.blueprint import bp
from shop.store.catalog import asked_for, view_of, words

MIN_QUERY_LENGTH = 2


@bp.get("/search")
def search() -> ResponseReturnValue:
    """What a query finds, with the same filters as any listing; without one, where to begin."""
    asked = asked_for(request.args)
    if not asked.filters.q:
        return render_template("store/search/start.html")
    view = view_of(asked, url_for("store.search"))
    others = () if view.listing.total else catalog.featured(4)
    return render_template("store/search/results.html", view=view, others=others), view.status


@bp.get("/search/suggest")
def suggest() -> ResponseReturnValue:
    """The options of the search box as a fragment of HTML; empty below two letters."""
    q = words(request.args.get("q", ""))
    found = catalog.suggest(q) if len(q) >= MIN_QUERY_LENGTH else catalog.Suggestions((), ())
    return render_template("store/search/suggestions.html", q=q, found=found), {
        "Cache-Control": "private, max-age=60"
    }


def marked(text: str, q: str) -> Markup:
    """``text`` with every word of ``q`` inside ``<mark>``; everything else is escaped."""
    wanted = [re.escape(word) for word in q.split() if len(word) >= MIN_QUERY_LENGTH]
    if not wanted:
        return escape(text)
    parts = re.split(f"({'|'.join(wanted)})", text, flags=re.IGNORECASE)
    return Markup("").join(
        Markup("<mark>{}</mark>").format(part) if index % 2 else escape(part)
        for index, part in enumerate(parts)
    )
