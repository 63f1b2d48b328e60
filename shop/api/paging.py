"""Lists come in pages."""

from typing import Any

from flask import json
from marshmallow import EXCLUDE, validate

from shop.api.fields import Digits, Schema

MAX_PER_PAGE = 100
MAX_PAGE = 1_000_000


class PageSchema(Schema):
    """Which page of a list, and how long pages are."""

    class Meta:
        unknown = EXCLUDE

    page = Digits(load_default=1, validate=validate.Range(1, MAX_PAGE))
    per_page = Digits(load_default=24, validate=validate.Range(1, MAX_PER_PAGE))


def paged(rows: Any, *, total: int, page: int, per_page: int) -> tuple[Any, int, dict[str, str]]:
    """A page of rows with ``X-Pagination`` beside it."""
    pages = max(1, -(-total // per_page))
    head = {"total": total, "page": page, "per_page": per_page, "pages": pages}
    return rows, 200, {"X-Pagination": json.dumps(head)}


HEADERS = {
    "X-Pagination": {
        "description": 'JSON: `{"total", "page", "per_page", "pages"}`',
        "schema": {"type": "string"},
    }
}
