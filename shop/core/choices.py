"""Columns that hold one of a closed set of words: a ``StrEnum`` in Python, text with a CHECK in
Postgres.

The members' order is the order in the CHECK. A word that is not in the set is refused before it
reaches the database, and a row that holds one cannot be read.
"""

from enum import StrEnum
from typing import Any, TypeVar

from sqlalchemy import CheckConstraint, Dialect, Text
from sqlalchemy.orm import MappedColumn, mapped_column
from sqlalchemy.types import TypeDecorator

E = TypeVar("E", bound=StrEnum)


class Choice(TypeDecorator[E]):
    """Text that is a member of ``members``."""

    impl = Text
    cache_ok = True

    def __init__(self, members: type[E]) -> None:
        super().__init__()
        self.members = members

    @property
    def python_type(self) -> type[E]:
        """The enum."""
        return self.members

    def process_bind_param(self, value: E | None, dialect: Dialect) -> str | None:
        """Returns the word. Raises ``ValueError`` for one that is not in the set."""
        return None if value is None else self.members(value).value

    def process_result_value(self, value: Any | None, dialect: Dialect) -> E | None:
        """Returns the member. Raises ``ValueError`` for a word that is not in the set."""
        return None if value is None else self.members(value)


def choice(members: type[E], *, default: E | None = None, **options: Any) -> MappedColumn[E]:
    """Returns a column of one of ``members``; ``default`` is also the database's."""
    if default is not None:
        options |= {"default": default, "server_default": default.value}
    return mapped_column(Choice(members), **options)


def one_of(column: str, members: type[StrEnum]) -> CheckConstraint:
    """Returns the CHECK that a column holds one of these words; it is named like the column."""
    return CheckConstraint(f"{column} IN ({sql_list(*members)})", name=column)


def sql_list(*members: StrEnum) -> str:
    """Returns the words as they stand between the parentheses of an SQL ``IN``."""
    return ", ".join(f"'{member.value}'" for member in members)
