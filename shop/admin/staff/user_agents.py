"""What a browser says of itself, in words: "Firefox on Windows".

Browsers claim to be each other, so the order matters: whoever adds something to Chrome's words
comes before Chrome, and Chrome before Safari.
"""

from shop.core.i18n import gettext as _

BROWSERS = (
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("Firefox/", "Firefox"),
    ("FxiOS/", "Firefox"),
    ("CriOS/", "Chrome"),
    ("Chrome/", "Chrome"),
    ("Chromium/", "Chromium"),
    ("Version/", "Safari"),
)
SYSTEMS = (
    ("Windows", "Windows"),
    ("Android", "Android"),
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("CrOS", "ChromeOS"),
    ("Macintosh", "macOS"),
    ("Linux", "Linux"),
)


def device(user_agent: str) -> str:
    """The browser and its system, as far as they can be told."""
    browser = _first(BROWSERS, user_agent) if user_agent.startswith("Mozilla/") else ""
    system = _first(SYSTEMS, user_agent)
    if browser and system:
        return _("%(browser)s on %(system)s", browser=browser, system=system)
    if browser or (user_agent.startswith("Mozilla/") and system):
        return browser or _("Browser on %(system)s", system=system)
    return _("A program") if user_agent else _("Unknown device")


def _first(known: tuple[tuple[str, str], ...], user_agent: str) -> str:
    return next((name for sign, name in known if sign in user_agent), "")
