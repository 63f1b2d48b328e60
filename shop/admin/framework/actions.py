"""What can be done to one row, to several, or to all that match.

An action calls its operation once per row, each in a transaction of its own: what one row refuses
does not undo the others, and what became of each is said. It needs the permission ``can_<name>``.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy.exc import DBAPIError

from shop.admin.framework import errors
from shop.core.db import session, transaction
from shop.core.errors import DomainError

if TYPE_CHECKING:
    from shop.admin.framework.action_pages import ActionPages

MAX_AT_ONCE = 500


@dataclass(frozen=True)
class Action:
    """``operation`` takes a record and changes it inside the transaction that the view opens.

    ``done`` says what has happened to it: "is processed". ``confirm`` is the question before it;
    "{count}" stands in it for what was selected. ``permission`` is its name unless it shares one
    with another action. ``many``: for a selection in the list; ``single``: on the record's page;
    ``in_row``: a button in each row of the list. ``applies`` says for which records it is offered.
    """

    name: str
    label: str
    operation: Callable[[Any], object]
    done: str
    confirm: str = ""
    icon: str = "check"
    permission: str = ""
    many: bool = True
    single: bool = True
    in_row: bool = False
    applies: Callable[[Any], bool] | None = None

    @property
    def needs(self) -> str:
        """The permission it asks for."""
        return f"can_{self.permission or self.name}"


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one row."""

    id: Any
    name: str
    ok: bool
    sentence: str


def run(view: "ActionPages", action: Action, keys: Sequence[Any]) -> list[Result]:
    """Do it to the rows with these keys, one after the other; says what became of each."""
    return [_run_one(view, action, key) for key in keys]


def _run_one(view: "ActionPages", action: Action, key: Any) -> Result:
    name = f"{view.noun.capitalize()} {key}"
    try:
        with transaction():
            item = view.locked(key)
            name = str(item)
            action.operation(item)
    except DomainError as refusal:
        session.rollback()
        return Result(key, name, False, refusal.sentence)
    except DBAPIError as error:
        session.rollback()
        return Result(key, name, False, errors.explain(error).sentence)
    return Result(key, name, True, str(action.done))
