"""A list as a file: the rows that match its address, with the columns and the order on the screen.

``View.exporters`` names the kinds of file; an ``Exporter`` turns lines of values into text. What a
cell holds is ``Column.bare``: plain values instead of their look, so that a file can be reckoned
with. The keys of the rows are asked once, then their values in parts, so that nothing stays open
in the database while somebody downloads, and no row is listed twice.

Spreadsheets run a cell that begins like a formula. Text of that kind gets an apostrophe before it,
as OWASP advises (https://owasp.org/www-community/attacks/CSV_Injection); numbers stay numbers.
"""

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from shop.admin.framework import listing
from shop.admin.framework.columns import Bare
from shop.admin.framework.list_state import ListState
from shop.core.db import end_read

if TYPE_CHECKING:
    from shop.admin.framework.list_pages import ListPages

MAX_ROWS = listing.COUNT_LIMIT
ROWS_AT_ONCE = 500
# Also as their full-width forms, which spreadsheets read alike, and before a second line.
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
BYTE_ORDER_MARK = "\ufeff"  # without it Excel takes UTF-8 for something else

Line = Sequence[Bare]


@dataclass(frozen=True)
class Exporter:
    """A kind of file: its name for people, its media type, and what turns lines into its text."""

    label: str
    mimetype: str
    write: Callable[[Iterable[Line]], Iterator[str]]


def lines(view: "ListPages", state: ListState) -> Iterator[Line]:
    """The headings, then each of the first ``MAX_ROWS`` rows. One statement for the keys, one more
    for every ``ROWS_AT_ONCE`` rows, and one per collection that the list shows."""
    columns = view.exported_columns(state)
    yield [str(column.heading) for column in columns]
    asked = replace(state, columns=tuple(column.name for column in columns))
    keys = view.matching_keys(state, MAX_ROWS)
    for start in range(0, len(keys), ROWS_AT_ONCE):
        rows = listing.some(view, asked, keys[start : start + ROWS_AT_ONCE])
        told = [[column.in_file(row) for column in columns] for row in rows]
        end_read()
        yield from told


def csv_text(table: Iterable[Line]) -> Iterator[str]:
    """Comma-separated values, a line at a time."""
    out = io.StringIO()
    writer = csv.writer(out)
    out.write(BYTE_ORDER_MARK)
    for line in table:
        writer.writerow([harmless(cell) for cell in line])
        yield out.getvalue()
        out.seek(0)
        out.truncate()


def harmless(cell: Bare) -> Bare:
    """The cell, so that no spreadsheet takes it for a formula."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(FORMULA) else cell


CSV = Exporter("CSV", "text/csv", csv_text)
