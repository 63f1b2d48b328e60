"""Finding text as people type it: in any case, with or without accents.

``shop_fold`` is a function in the database (lower case, accents removed), so that an index can
hold what it gives: a list that searches a large table has a trigram index on ``shop_fold(column)``.
"""

from typing import Any

from sqlalchemy import ColumnElement, Index, func, text

MAX_WORDS, MAX_WORD_LENGTH = 6, 60


def words_of(text: str) -> list[str]:
    """The words that a search looks for; what nobody would type is cut off."""
    return [word[:MAX_WORD_LENGTH] for word in text.split()[:MAX_WORDS]]


def pattern(word: str) -> ColumnElement[str]:
    """What LIKE takes for folded text that contains ``word``, which means itself throughout."""
    escaped = word.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return func.shop_fold(f"%{escaped}%")


def contains(column: Any, word: str) -> ColumnElement[bool]:
    """Whether the text in ``column`` contains ``word``, whatever case and accents."""
    return func.shop_fold(column).like(pattern(word))


def folded_index(table: str, column: str) -> Index:
    """A trigram index for searches in this column of a table that may grow large."""
    name, expression = column.partition("::")[0], f"shop_fold({column}) gin_trgm_ops"
    return Index(f"ix_{table}_{name}_folded", text(expression), postgresql_using="gin")
