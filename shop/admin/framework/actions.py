"""What can be done to one row, to several, or to all that match.

An action calls its operation once per row, each in a transaction of its own: what one row refuses
does not undo the others, and what became of each is said, whatever happens: an error that nobody
foresaw fails its row only and is logged, a lost database ends the work with what was done so far.
It needs the permission ``can_<name>``.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy.exc import DBAPIError

from shop.admin.framework import errors
from shop.core.db import transaction
from shop.core.errors import DomainError
from shop.core.i18n import gettext as _

if TYPE_CHECKING:
    from shop.admin.framework.action_pages import ActionPages

log = logging.getLogger(__name__)

MAX_AT_ONCE = 500


@dataclass(frozen=True)
class Action:
    """``operation`` takes a record and changes it inside the transaction that the view opens.

    ``done`` says what has happened to one record, with its name: "%(name)s is archived.";
    ``done_many`` what has happened to a number of them: ``lazy_ngettext("%(num)s product is
    archived.", "%(num)s products are archived.")``. ``confirm`` is the question before it;
    "{count}" stands in it for what was selected. ``permission`` is its name unless it shares one
    with another action. ``many``: for a selection in the list; ``single``: on the record's page;
    ``in_row``: a button in each row of the list. ``applies`` says for which records it is offered.
    """

    name: str
    label: str
    operation: Callable[[Any], object]
    done: str
    done_many: Callable[[int], str]
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
    """What became of one row. The sentence of one that is ``ok`` names it."""

    id: Any
    name: str
    ok: bool
    sentence: str


def run(view: "ActionPages", action: Action, keys: Sequence[Any]) -> list[Result]:
    """Do it to the rows with these keys, one after the other. Returns what became of each, also
    when the database goes away in the middle."""
    results: list[Result] = []
    for n, key in enumerate(keys):
        row = _Row(view, key)
        try:
            results.append(row.do(action))
        except Exception as error:
            if errors.is_away(error):
                log.warning("the database went away during an action", extra={"done": n})
                later = (_Row(view, one) for one in keys[n + 1 :])
                return [*results, row.failed(_lost()), *(one.failed(_not_tried()) for one in later)]
            log.exception("an action failed", extra={"action": action.name, "row": str(key)})
            results.append(row.failed(_broken()))
    return results


def run_one(view: "ActionPages", action: Action, key: Any) -> Result:
    """Do it to one row. Returns what became of it; raises what is no refusal."""
    return _Row(view, key).do(action)


class _Row:
    """A row in the middle of an action; its name is known once it has been read."""

    def __init__(self, view: "ActionPages", key: Any) -> None:
        self.view, self.key = view, key
        self.name = f"{view.noun.capitalize()} {key}"

    def do(self, action: Action) -> Result:
        try:
            with transaction():
                item = self.view.locked(self.key)
                self.name = str(item)
                action.operation(item)
        except DomainError as refusal:
            return self.failed(refusal.sentence)
        except DBAPIError as error:
            return self.failed(errors.explain(error).sentence)
        return Result(self.key, self.name, True, str(action.done) % {"name": self.name})

    def failed(self, sentence: str) -> Result:
        return Result(self.key, self.name, False, sentence)


def _broken() -> str:
    return _("Something went wrong. The error was logged, and nothing was changed.")


def _lost() -> str:
    return _("The connection to the database was lost. Check whether this was saved.")


def _not_tried() -> str:
    return _("Not tried: the database is not available.")
