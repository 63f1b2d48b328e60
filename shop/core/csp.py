"""The Content-Security-Policy: what a browser may load for an answer of ours. Pages get scripts,
styles, images and fonts of our own and nothing inline; what is no page gets nothing."""

from collections.abc import Iterable, Mapping
from urllib.parse import urlsplit

NO_PAGE = "default-src 'none'; frame-ancestors 'none'"
PAGE = {
    "default-src": ("'none'",),
    "script-src": ("'self'",),
    "style-src": ("'self'",),
    "img-src": ("'self'", "data:"),
    "font-src": ("'self'",),
    "connect-src": ("'self'",),
    "form-action": ("'self'",),
    "base-uri": ("'none'",),
    "frame-ancestors": ("'none'",),
    "manifest-src": ("'self'",),
}


def page_policy(realtime_url: str, more: Mapping[str, Iterable[str]] | None = None) -> str:
    """Returns the policy of a page whose sockets go to ``realtime_url``; ``more`` adds sources."""
    rules = {name: list(sources) for name, sources in PAGE.items()}
    rules["connect-src"] += _origins(realtime_url)
    for name, sources in (more or {}).items():
        rules.setdefault(name, []).extend(sources)
    return "; ".join(f"{name} {' '.join(sources)}" for name, sources in rules.items())


def origin(url: str) -> str:
    """Returns the scheme and host of an address, as a source in a policy."""
    return "{0.scheme}://{0.netloc}".format(urlsplit(url))


def _origins(realtime_url: str) -> list[str]:
    """The socket's origin, and the same over HTTP (browsers differ in which one they compare)."""
    sockets = origin(realtime_url)
    return [sockets, sockets.replace("ws", "http", 1)]
