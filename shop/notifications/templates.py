"""Turning an email's facts into its subject, text and HTML. Knows no Flask: workers render
emails."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from babel.dates import format_date, format_datetime
from jinja2 import FileSystemLoader, StrictUndefined

from shop import customers
from shop.core import pages
from shop.core.money import Money

FOLDER = Path(__file__).parents[2] / "templates" / "email"


@dataclass(frozen=True, slots=True)
class Rendered:
    """An email's words."""

    subject: str
    text: str
    html: str


def _money(amount_minor: int, currency: str) -> str:
    return Money(amount_minor, currency).format()


_html = pages.PageEnvironment(
    loader=FileSystemLoader(FOLDER),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
pages.install(_html)
_text = _html.overlay(autoescape=False)
for environment in (_html, _text):
    environment.filters.update(money=_money, address_lines=customers.address_lines)


def configure(*, base_url: str, shop_name: str, zone: ZoneInfo) -> None:
    """Set what every email may use: the shop's address (for links), its name, and its own clock."""

    def day(moment: datetime) -> str:
        return format_date(moment.astimezone(zone), "d MMMM y", locale="en_IE")

    def moment(moment: datetime) -> str:
        return str(format_datetime(moment.astimezone(zone), "d MMMM y, HH:mm", locale="en_IE"))

    for environment in (_html, _text):
        environment.globals.update(base_url=base_url, shop_name=shop_name)
        environment.filters.update(day=day, moment=moment)


def render(kind: str, **facts: Any) -> Rendered:
    """Render ``<kind>.txt`` (its first line is the subject) and ``<kind>.html``."""
    subject, _, text = _text.get_template(f"{kind}.txt").render(**facts).partition("\n")
    html = _html.get_template(f"{kind}.html").render(subject=subject, **facts)
    return Rendered(" ".join(subject.split()), text.strip() + "\n", html)
