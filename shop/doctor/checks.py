"""What a check is, and what it finds. The checks are in the tables beside this file."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from sqlalchemy import Connection, DateTime, Row, bindparam, text

About = Literal["order", "variant", "product", "discount", "mail", "job", ""]
EVER = datetime.min.replace(tzinfo=UTC)
MAX_SHOWN = 20
_MOMENTS = [bindparam(name, type_=DateTime(timezone=True)) for name in ("now", "since")]


@dataclass(frozen=True, slots=True)
class Scope:
    """What to check: orders placed ``since``, as things are ``now``; up to ``limit`` examples."""

    now: datetime
    since: datetime = EVER
    limit: int = MAX_SHOWN


@dataclass(frozen=True, slots=True)
class Fault:
    """One row that breaks a check. ``id`` is that of what the check is about, if it has one."""

    id: int | None
    name: str
    fact: str


@dataclass(frozen=True, slots=True)
class Check:
    """One check: what must hold, how to see whether it does, why it matters and what to do.

    ``sql`` selects (id, name, fact) of each row that breaks it; a check that SQL cannot do has
    ``find`` instead. ``about`` is what the ids belong to. ``invariant`` is the design's number.
    ``title``, ``why`` and ``todo`` are made with ``lazy_gettext``.
    """

    id: str
    invariant: str
    title: str
    why: str
    todo: str
    about: About = ""
    sql: str = ""
    find: Callable[[Connection, Scope], tuple[int, list[Fault]]] | None = None


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The result of one check: how many rows break it, some of them, or why it could not run."""

    check: Check
    count: int = 0
    faults: list[Fault] = field(default_factory=list)
    seconds: float = 0.0
    failure: str = ""

    def as_json(self) -> dict[str, Any]:
        """Returns the result as it is printed and kept; its sentences are then in the language of
        this moment, which is English in workers and commands."""
        return {
            "id": self.check.id,
            "invariant": self.check.invariant,
            "title": str(self.check.title),
            "why": str(self.check.why),
            "todo": str(self.check.todo),
            "about": self.check.about,
            "count": self.count,
            "seconds": round(self.seconds, 3),
            "failure": self.failure,
            "faults": [{"id": f.id, "name": f.name, "fact": f.fact} for f in self.faults],
        }


@dataclass(frozen=True, slots=True)
class RunResult:
    """What one run found in one snapshot. ``since`` is None when everything was checked."""

    ran_at: datetime
    seconds: float
    since: datetime | None
    results: tuple[CheckResult, ...]

    @property
    def faults(self) -> tuple[CheckResult, ...]:
        """Returns the results of the checks that found faults."""
        return tuple(result for result in self.results if result.count)

    @property
    def failures(self) -> tuple[CheckResult, ...]:
        """Returns the results of the checks that could not run."""
        return tuple(result for result in self.results if result.failure)

    @property
    def exit_code(self) -> int:
        """0: all is well. 1: faults. 2: not every check could run, whatever was found."""
        if self.failures:
            return 2
        return 1 if self.faults else 0

    def as_json(self) -> dict[str, Any]:
        """Returns the result as it is printed and kept."""
        return {
            "well": self.exit_code == 0,
            "exit_code": self.exit_code,
            "looked_at": self.ran_at.isoformat(timespec="seconds"),
            "since": self.since.isoformat(timespec="seconds") if self.since else None,
            "seconds": round(self.seconds, 2),
            "checks": [result.as_json() for result in self.results],
        }


def find_faults(connection: Connection, check: Check, scope: Scope) -> tuple[int, list[Fault]]:
    """Returns how many rows break a check, and the first of them."""
    if check.find is not None:
        return check.find(connection, scope)
    found = rows(
        connection,
        f"SELECT f.id, f.name, f.fact, count(*) OVER () AS total FROM ({check.sql}) AS f"
        f" ORDER BY f.id, f.name, f.fact LIMIT {scope.limit:d}",
        scope,
    )
    return (found[0].total if found else 0), [Fault(r.id, str(r.name), r.fact) for r in found]


def rows(connection: Connection, sql: str, scope: Scope) -> Sequence[Row[Any]]:
    """Returns the rows of a statement that may ask for ``:now`` and ``:since``."""
    used = [moment for moment in _MOMENTS if f":{moment.key}" in sql]
    values = {"now": scope.now, "since": scope.since}
    statement = text(sql).bindparams(*used)
    return connection.execute(statement, {str(m.key): values[str(m.key)] for m in used}).all()


def judged(
    connection: Connection,
    sql: str,
    columns: str,
    judge: Callable[[Row[Any]], str | None],
    scope: Scope,
) -> Iterator[Fault]:
    """Gives a fault for each row of ``sql`` (id, name, fact and ``columns``) of whose columns
    ``judge`` says what is wrong; that ends the fact.

    However many rows there are, they are in few situations: each is judged once, by the code's own
    rule. ``judge`` returns None for what is right.
    """
    wrong = {
        tuple(situation): found
        for situation in rows(connection, f"SELECT DISTINCT {columns} FROM ({sql}) f", scope)
        if (found := judge(situation)) is not None
    }
    if not wrong:
        return
    every = f"SELECT id, name, fact, {columns} FROM ({sql}) f ORDER BY id, name, fact"
    for row in rows(connection, every, scope):
        if (found := wrong.get(tuple(row[3:]))) is not None:
            yield Fault(row.id, row.name, f"{row.fact}{found}")


def first(faults: Iterable[Fault], scope: Scope) -> tuple[int, list[Fault]]:
    """Returns how many faults there are, and the first of them: what ``Check.find`` gives."""
    found, count = [], 0
    for fault in faults:
        count += 1
        if count <= scope.limit:
            found.append(fault)
    return count, found
