"""What a check is, and what it finds. The checks stand in the tables beside this file."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from sqlalchemy import Connection, DateTime, bindparam, text

About = Literal["order", "variant", "product", "discount", "mail", "job", ""]
EVER = datetime.min.replace(tzinfo=UTC)
MAX_SHOWN = 20
_MOMENTS = [bindparam(name, type_=DateTime(timezone=True)) for name in ("now", "since")]


@dataclass(frozen=True, slots=True)
class Asked:
    """What to look at: orders placed ``since``, as things are ``now``; show ``most`` examples."""

    now: datetime
    since: datetime = EVER
    most: int = MAX_SHOWN


@dataclass(frozen=True, slots=True)
class Fault:
    """One row that breaks the rule. ``id`` is that of what the check is about, if it has one."""

    id: int | None
    name: str
    fact: str


@dataclass(frozen=True, slots=True)
class Check:
    """One rule: what must hold, how to see whether it does, why it matters and what to do.

    ``sql`` gives (id, name, fact) of each row that breaks it; a rule that SQL cannot see has
    ``look`` instead. ``about`` is what the ids belong to. ``invariant`` is the design's number.
    """

    id: str
    invariant: str
    title: str
    why: str
    todo: str
    about: About = ""
    sql: str = ""
    look: Callable[[Connection, Asked], tuple[int, list[Fault]]] | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of one check: how many rows break it, some of them, or why nobody could look."""

    check: Check
    count: int = 0
    faults: list[Fault] = field(default_factory=list)
    seconds: float = 0.0
    failure: str = ""

    def as_json(self) -> dict[str, Any]:
        """The verdict as it is printed and kept."""
        return {
            "id": self.check.id,
            "invariant": self.check.invariant,
            "title": self.check.title,
            "why": self.check.why,
            "todo": self.check.todo,
            "about": self.check.about,
            "count": self.count,
            "seconds": round(self.seconds, 3),
            "failure": self.failure,
            "faults": [{"id": f.id, "name": f.name, "fact": f.fact} for f in self.faults],
        }


@dataclass(frozen=True, slots=True)
class Result:
    """What the doctor saw in one snapshot. ``since`` is None when all was looked at."""

    looked_at: datetime
    seconds: float
    since: datetime | None
    verdicts: tuple[Verdict, ...]

    @property
    def faults(self) -> tuple[Verdict, ...]:
        """The rules that are broken."""
        return tuple(verdict for verdict in self.verdicts if verdict.count)

    @property
    def failures(self) -> tuple[Verdict, ...]:
        """The rules that nobody could look at."""
        return tuple(verdict for verdict in self.verdicts if verdict.failure)

    @property
    def exit_code(self) -> int:
        """0: all is well. 1: faults. 2: not everything could be looked at, whatever was found."""
        if self.failures:
            return 2
        return 1 if self.faults else 0

    def as_json(self) -> dict[str, Any]:
        """The result as it is printed and kept."""
        return {
            "well": self.exit_code == 0,
            "exit_code": self.exit_code,
            "looked_at": self.looked_at.isoformat(timespec="seconds"),
            "since": self.since.isoformat(timespec="seconds") if self.since else None,
            "seconds": round(self.seconds, 2),
            "checks": [verdict.as_json() for verdict in self.verdicts],
        }


def rows(connection: Connection, check: Check, asked: Asked) -> tuple[int, list[Fault]]:
    """How many rows break a check, and the first of them."""
    if check.look is not None:
        return check.look(connection, asked)
    statement = text(
        f"SELECT f.id, f.name, f.fact, count(*) OVER () AS total FROM ({check.sql}) AS f"
        " ORDER BY f.id, f.name, f.fact LIMIT :most"
    )
    values = {"now": asked.now, "since": asked.since}
    used = [moment for moment in _MOMENTS if f":{moment.key}" in check.sql]
    found = connection.execute(
        statement.bindparams(*used),
        {"most": asked.most, **{str(moment.key): values[str(moment.key)] for moment in used}},
    ).all()
    return (found[0].total if found else 0), [Fault(r.id, str(r.name), r.fact) for r in found]


def ago(asked: Asked, **units: float) -> datetime:
    """A moment before the one that is looked at."""
    return asked.now - timedelta(**units)
