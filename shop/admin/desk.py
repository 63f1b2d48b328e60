"""Lists of our own on CrudView's parts: search box, chips, tabs and pager, all in the URL."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar
from urllib.parse import urlencode

from flask import abort, request

from shop import media
from shop.admin.base import Screen
from shop.admin.filters import Filter
from shop.admin.formatters import moment, money, number
from shop.admin.interface import BIGINT_MAX
from shop.admin.narrowing import page_of
from shop.core.errors import Invalid

PER_PAGE = 25
Links = list[tuple[str, str, int, bool, str]]
Chips = list[tuple[str, str, str]]


class Desk(Screen):
    """A screen with a list. The templates of CrudView's toolbar and pager take it as ``view``."""

    search_by: ClassVar[Sequence[str]] = ("q",)
    search_hint: ClassVar[str] = "Search"
    filters: ClassVar[Sequence[Filter]] = ()

    def page(self, template: str, **values: Any) -> str:
        """Render a template of ours, which may show money, moments, numbers and pictures."""
        shown = {"money": money, "moment": moment, "number": number, "thumb": thumb_url}
        return super().page(template, **shown, **values)

    def quick_text(self) -> str:
        """What the search box says."""
        return request.args.get("q", "").strip()[:200]

    def page_number(self) -> int:
        """The page asked for, from 1; 400 for one that cannot be."""
        number = page_of(request.args.get("page", "1"))
        if not number:
            abort(400)
        return number

    def page_links(self, pages: int) -> dict[int, str]:
        """Addresses of the first, last and near pages; numbers from 0, as the pager counts."""
        now = self.page_number() - 1
        wanted = {0, pages - 1, *range(max(0, now - 2), min(pages, now + 3))}
        return {n: self.here(page=n + 1) for n in sorted(wanted) if 0 <= n < pages}

    def here(self, drop: Sequence[str] = (), **changed: object) -> str:
        """This page's address with some arguments changed or dropped."""
        kept = {k: v for k, v in request.args.items() if k not in drop and k not in changed}
        kept |= {name: str(value) for name, value in changed.items() if value not in (None, "")}
        return f"{request.path}?{urlencode(kept)}" if kept else request.path

    def kept_arguments(self, *without: str) -> Iterable[tuple[str, str]]:
        """The present arguments but these and the page, for forms that must keep them."""
        dropped = {*without, "page"}
        return [(name, value) for name, value in request.args.items() if name not in dropped]

    def chips(self) -> Chips:
        """(label, words, address without it) of the filters in force."""
        return [
            (own.label, own.words(value), self.here(drop=(*own.parameters(), "page")))
            for own in self.filters
            if (value := own.read(request.args)) is not None
        ]

    def asked(self, name: str, allowed: Iterable[str]) -> str:
        """An argument that may only be one of a few; anything else counts as not given."""
        value = request.args.get(name, "")
        return value if value in allowed else ""

    def tab_links(self, labels: dict[str, str], counts: dict[str, int], current: str) -> Links:
        """(label, address, count, is current, key) of the saved views above the list."""
        return [
            (
                label,
                self.here(drop=("tab", "page"), tab=key),
                counts.get(key, 0),
                key == current,
                key,
            )
            for key, label in labels.items()
        ]

    def may(self, permission: str) -> bool:
        """Whether the person signed in has this permission here."""
        return bool(self.appbuilder.sm.has_access(permission, self.class_permission_name))


def thumb_url(key: str) -> str:
    """Where the small rendition of a picture is; empty for no picture."""
    return media.url(key, 320) if key else ""


def existing(pk: int) -> int:
    """``pk`` if a row can have it; 404 otherwise, so that no odd number reaches the database."""
    if not 0 < pk <= BIGINT_MAX:
        abort(404)
    return pk


def whole(name: str, *, what: str, of: Callable[[str], str | None] | None = None) -> int:
    """A whole number from the form. Raises ``Invalid``, which names the field."""
    typed = ((of or request.form.get)(name) or "").strip().replace("−", "-")
    sign, digits = ("-", typed[1:]) if typed[:1] in {"-", "+"} else ("", typed)
    if not (digits.isascii() and digits.isdecimal()) or len(digits) > 9:
        raise Invalid(f"{what} must be a whole number.", field=name)
    return -int(digits) if sign and typed[0] == "-" else int(digits)


def seen_version() -> int | None:
    """The version of the record that the form was made from; None when it does not say."""
    return whole("version", what="The version") if request.form.get("version") else None
