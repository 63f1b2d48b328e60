"""How values look in lists and on detail pages: from the value and its row to safe HTML.

For ``formatters_columns``: ``{"total_minor": money, "placed_at": moment}``.
"""

from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from flask import current_app, has_app_context
from markupsafe import Markup, escape

from shop import media
from shop.core.i18n import gettext as _
from shop.core.money import Money, exponent

Formatter = Callable[[Any, Any], Any]
# Escaped by hand where it stands in every row of a list: Markup.format costs ten times as much.
NOTHING = Markup('<span class="muted">—</span>')


def plain(value: Any, row: Any = None) -> Any:
    """Text as it is; a dash for nothing, words for yes and no, names for collections."""
    if value is None or value == "" or value == []:
        return NOTHING
    if isinstance(value, bool):
        return badge(_("Yes"), "good") if value else badge(_("No"), "mute")
    if isinstance(value, datetime):
        return moment(value, row)
    if isinstance(value, date):
        return f"{value:%-d %b %Y}"
    if isinstance(value, (list, tuple)):
        return ", ".join(str(part) for part in value)
    return value


def money(value: int | None, row: Any = None) -> Any:
    """Minor units in the row's own ``currency``, else in the shop's."""
    if value is None:
        return NOTHING
    currency = getattr(row, "currency", None) or shop_currency()
    return Markup(f'<span class="num">{escape(Money(value, currency).format())}</span>')


def in_major_units(value: int, row: Any = None) -> Decimal:
    """Minor units as a number to reckon with: 1230 as 12.30."""
    currency = getattr(row, "currency", None) or shop_currency()
    return Decimal(value).scaleb(-exponent(currency))


def bare(value: Any) -> str | int | Decimal:
    """A value for a file: numbers as numbers, points in time as ISO 8601, else words."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return _("Yes") if value else _("No")
    if isinstance(value, (int, Decimal)):
        return value
    if isinstance(value, datetime):
        return value.isoformat(timespec="seconds")
    if isinstance(value, (list, tuple)):
        return ", ".join(str(part) for part in value)
    return str(value)


def number(value: Any, row: Any = None) -> Any:
    """Figures that stand below each other."""
    return NOTHING if value is None else Markup(f'<span class="num">{value:,}</span>')


def percent(value: Any, row: Any = None) -> Any:
    """0.19 as 19 %."""
    if value is None:
        return NOTHING
    return Markup('<span class="num">{} %</span>').format(
        f"{value * 100:.2f}".rstrip("0").rstrip(".")
    )


def moment(value: datetime | None, row: Any = None) -> Any:
    """A point in time; the browser turns it into its own time zone (times.js)."""
    if value is None:
        return NOTHING
    aware = value if value.tzinfo else value.replace(tzinfo=UTC)
    utc = aware.astimezone(UTC)
    exact, words = utc.isoformat(timespec="seconds"), f"{utc:%-d %b %Y, %H:%M} UTC"
    return Markup(f'<time datetime="{exact}" data-local>{words}</time>')


def mail_link(value: str | None, row: Any = None) -> Any:
    """An e-mail address that opens a message."""
    if not value:
        return NOTHING
    return Markup('<a class="link" href="mailto:{0}">{0}</a>').format(value)


def badge(words: str, tone: str = "mute") -> Markup:
    """One pill."""
    return Markup(f'<span class="pill pill-{escape(tone)}">{escape(str(words))}</span>')


def thumb(key: str) -> str:
    """Where the small rendition of an image is; empty for no image."""
    return media.url(key, 320) if key else ""


FOR_TEMPLATES: dict[str, Callable[..., Any]] = {
    "money": money,
    "moment": moment,
    "number": number,
    "thumb": thumb,
}


def shop_currency() -> str:
    """The currency that rows without one of their own are in."""
    return current_app.config["SETTINGS"].currency if has_app_context() else "EUR"
