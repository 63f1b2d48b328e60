"""Counting SQL statements, for those who hold a page to a number of them."""

from sqlalchemy import event

from shop.core.db import engine


class Statements:
    """Counts the SQL statements of a block; used by tests and the benchmark."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def __enter__(self) -> "Statements":
        event.listen(engine(), "before_cursor_execute", self._note)
        return self

    def __exit__(self, *_: object) -> None:
        event.remove(engine(), "before_cursor_execute", self._note)

    def _note(self, _conn: object, _cursor: object, statement: str, *_: object) -> None:
        self.seen.append(statement)

    def __len__(self) -> int:
        return len(self.seen)
