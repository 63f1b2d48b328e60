"""Words of a product: Markdown into safe HTML, names into slugs."""

import re
import unicodedata
from functools import lru_cache

import nh3
from markdown_it import MarkdownIt

SLUG = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
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
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:80].rstrip("-")
