"""Things that happen by themselves later: a bank settles, a cardholder disputes, a refund lands."""

import logging
import threading
import time
from collections.abc import Callable, Mapping

from tools.stripe.ledger import Change, Ledger, Unit
from tools.stripe.refusals import Locked, Refusal

log = logging.getLogger("stripe-stand-in")

Chore = Callable[[Unit, str], object]


class Chores:
    """Runs the tasks that units left for later, each in a unit of its own."""

    def __init__(self, ledger: Ledger, chores: Mapping[str, Chore]) -> None:
        self._ledger = ledger
        self._chores = chores
        self._changed = threading.Condition()
        self._version = 0

    def start(self) -> None:
        """Follow the ledger, beginning with what an earlier run left."""
        self._ledger.listeners.append(self._follow)
        threading.Thread(target=self._work, name="chores", daemon=True).start()

    def _follow(self, changes: list[Change]) -> None:
        if any(kind == "task" for kind, _key, _value in changes):
            with self._changed:
                self._version += 1
                self._changed.notify()

    def _work(self) -> None:
        while True:
            with self._changed:
                seen = self._version
            tasks = self._ledger.all("task")
            for task in sorted(tasks, key=lambda task: float(task["due"])):
                if task["due"] <= time.time():
                    self._run(task["id"], task["task"], task["object_id"])
            tasks = self._ledger.all("task")
            soonest = min((float(task["due"]) for task in tasks), default=None)
            with self._changed:
                if self._version == seen:
                    wait = None if soonest is None else max(0.01, soonest - time.time())
                    self._changed.wait(wait)

    def _run(self, task_id: str, name: str, object_id: str) -> None:
        with Unit(self._ledger) as unit:
            try:
                self._chores[name](unit, object_id)
            except Locked:
                return  # Still due: the next round tries again.
            except Refusal as refusal:
                # The object moved on meanwhile (refunded, canceled, deleted): nothing to do.
                log.info('{"event":"chore_skipped","chore":"%s","why":"%s"}', name, refusal.code)
                unit.discard()
            except Exception:
                log.exception('{"event":"chore_error","chore":"%s"}', name)
                unit.discard()
            unit.drop("task", task_id)
            unit.commit()
