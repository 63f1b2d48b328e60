"""Words of a product: Markdown into safe HTML, names into slugs."""

import re
import unicodedata
from functools import lru_cache

import nh3
from markdown_it import MarkdownIt

from shop.core.errors import Invalid
from shop.core.i18n import gettext as _

SLUG = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
MAX_SLUG = 80
TAGS = {"p", "br", "strong", "em", "ul", "ol", "li", "h3", "h4", "blockquote", "a", "code", "hr"}
_markdown = MarkdownIt("commonmark", {"html": False, "linkify": False})


@lru_cache(maxsize=1024)
def html_of(markdown: str) -> str:
    """``markdown`` as HTML that may stand in a page: no raw HTML, only the tags of ``TAGS``.

    Kept by content, so a page pays for it once per process and change.
    """
    return nh3.clean(
        _markdown.render(markdown),
        tags=TAGS,
        attributes={"a": {"href", "title"}},
        url_schemes={"https", "http", "mailto"},
        link_rel="nofollow noopener",
    )


def slug_of(name: str) -> str:
    """``name`` as it may stand in an address: ``Crème brûlée`` gives ``creme-brulee``."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:MAX_SLUG].rstrip("-")


def checked_slug(slug: str) -> str:
    """A slug that may stand in an address. Raises ``Invalid``."""
    if not SLUG.fullmatch(slug) or len(slug) > MAX_SLUG:
        raise Invalid(
            _(
                "A URL slug has small letters, digits and single hyphens, at most %(most)s"
                " characters, such as mugs-cups.",
                most=MAX_SLUG,
            ),
            field="slug",
        )
    return slug
