"""What the stand-in remembers: Stripe's objects in Stripe's shape, changed in all-or-nothing units.

Promise: a unit (one request) shows all of its changes or none, in memory and in the state file,
its answer for the idempotency key included; so dying between two lines loses nothing half.
Objects are never changed in place: an event may keep the very dict it was made from.
"""

import errno
import json
import logging
import os
import threading
import time
from collections.abc import Callable, Iterable
from io import FileIO
from pathlib import Path
from types import TracebackType
from typing import Any
from uuid import uuid4

import stripe

from tools.stripe.refusals import Locked, Missing

Json = dict[str, Any]
Change = tuple[str, str, Json | None]

LOCK_WAIT_S = 5.0
COMPACT_AFTER = 50_000
TITLES = {"payment_method": "PaymentMethod"}

log = logging.getLogger("stripe-stand-in")


def new_id(prefix: str) -> str:
    """A fresh id in Stripe's style, for example `pi_3f0c…`."""
    return f"{prefix}_{uuid4().hex[:24]}"


def now() -> int:
    """Stripe's clock: whole seconds."""
    return int(time.time())


class Ledger:
    """All objects by kind and id, oldest first; optionally kept in a file."""

    def __init__(self, state_file: Path | None = None) -> None:
        self._kinds: dict[str, dict[str, Json]] = {}
        self._mutex = threading.Lock()
        self._locks: dict[str, threading.Lock] = {}
        self._state_file = state_file
        self._journal: FileIO | None = None
        self._noted = 0
        self.listeners: list[Callable[[list[Change]], None]] = []
        if state_file is not None:
            self._load(state_file)

    def get(self, kind: str, object_id: str) -> Json | None:
        """One object as last committed, or None."""
        return self._kinds.get(kind, {}).get(object_id)

    def kinds(self) -> list[str]:
        """Return the kinds of which there is something, Stripe's own and the stand-in's notes."""
        with self._mutex:
            return list(self._kinds)

    def all(self, kind: str) -> list[Json]:
        """Every object of a kind, oldest first."""
        with self._mutex:
            return list(self._kinds.get(kind, {}).values())

    def commit(self, changes: list[Change]) -> None:
        """Make changes visible and durable together, then tell the listeners."""
        if not changes:
            return
        with self._mutex:
            if self._state_file is not None:
                self._note(self._state_file, changes)
            self._apply(changes)
            for listener in self.listeners:
                listener(changes)

    def clear(self) -> None:
        """Delete everything, in the file as well."""
        with self._mutex:
            self._kinds.clear()
            self._locks.clear()
            if self._state_file is not None:
                self._rewrite(self._state_file)

    def lock(self, name: str) -> threading.Lock:
        """The lock of one object; the same one for everybody who asks."""
        return self._locks.setdefault(name, threading.Lock())

    def close(self) -> None:
        """Let go of the state file."""
        with self._mutex:
            if self._journal is not None:
                self._journal.close()
                self._journal = None
                self._state_file = None

    def _note(self, path: Path, changes: list[Change]) -> None:
        if self._noted >= COMPACT_AFTER or self._journal is None:
            self._journal = self._rewrite(path)
        # The line break comes first, so that a line cut short by a full disk spoils only itself.
        line = b"\n" + json.dumps(changes, separators=(",", ":")).encode()
        if self._journal.write(line) != len(line):
            raise OSError(errno.ENOSPC, "The state file could not be written.")
        self._noted += 1

    def _apply(self, changes: Iterable[Change]) -> None:
        for kind, object_id, value in changes:
            shelf = self._kinds.setdefault(kind, {})
            if value is None:
                shelf.pop(object_id, None)
            else:
                shelf[object_id] = value

    def _load(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        read = skipped = 0
        if path.exists():
            with path.open(encoding="utf-8", errors="replace") as lines:
                for line in filter(str.strip, lines):
                    try:
                        self._apply(json.loads(line))
                        read += 1
                    except (ValueError, TypeError):
                        # Cut by a crash or a full disk; what it reports was never answered.
                        log.warning('{"event":"state_line_skipped"}')
                        skipped += 1
        if skipped and not read:
            raise OSError(errno.EINVAL, "it holds something else")
        self._rewrite(path)

    def _rewrite(self, path: Path) -> FileIO:
        """Write the state again beside the old file and swap: a crash leaves one or the other."""
        fresh = path.with_name(path.name + ".new")
        with fresh.open("w", encoding="utf-8") as out:
            for kind, shelf in self._kinds.items():
                for object_id, value in shelf.items():
                    row = json.dumps([(kind, object_id, value)], separators=(",", ":"))
                    out.write(row + "\n")
            out.flush()
            os.fsync(out.fileno())
        if self._journal is not None:
            self._journal.close()
        fresh.replace(path)
        # Unbuffered: what was answered must survive the death of this process.
        self._journal = path.open("ab", buffering=0)
        self._noted = 0
        return self._journal


class Unit:
    """One request's work: sees its own changes, holds locks on what it changes, commits once."""

    def __init__(
        self,
        ledger: Ledger,
        *,
        origin: str = "",
        request_id: str | None = None,
        idempotency_key: str | None = None,
    ) -> None:
        self.ledger = ledger
        self.origin = origin
        self._request = {"id": request_id, "idempotency_key": idempotency_key}
        self._changes: dict[tuple[str, str], Json | None] = {}
        self._held: dict[str, threading.Lock] = {}
        self.began = False

    def __enter__(self) -> "Unit":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for lock in self._held.values():
            lock.release()
        self._held.clear()

    def lock(self, name: str) -> None:
        """Hold an object until the unit ends. Raises Locked after a while."""
        self.began = True
        if name in self._held:
            return
        lock = self.ledger.lock(name)
        if not lock.acquire(timeout=LOCK_WAIT_S):
            raise Locked(
                "This object cannot be accessed right now because another API request or Stripe "
                "process is currently accessing it. If you see this error intermittently, retry "
                "the request.",
                code="lock_timeout",
            )
        self._held[name] = lock

    def get(self, kind: str, object_id: str) -> Json | None:
        """An object as this unit sees it, or None."""
        if (kind, object_id) in self._changes:
            return self._changes[kind, object_id]
        return self.ledger.get(kind, object_id)

    def find(self, kind: str, object_id: str, *, param: str = "id") -> Json:
        """An object that must exist. Raises Missing."""
        found = self.get(kind, object_id)
        if found is None:
            raise Missing(TITLES.get(kind, kind), object_id, param=param)
        return found

    def locate(self, object_id: str) -> Json | None:
        """Return an API object of any kind by its id, or None."""
        seen = [*self.ledger.kinds(), *(kind for kind, _id in self._changes)]
        for kind in dict.fromkeys(seen):
            found = self.get(kind, object_id)
            # Notes of the stand-in's own may carry the id of the object they are about.
            if found is not None and found.get("object") == kind:
                return found
        return None

    def put(self, kind: str, value: Json) -> Json:
        """Add or replace an object."""
        self.began = True
        self._changes[kind, value["id"]] = value
        return value

    def change(self, value: Json, **fields: Any) -> Json:
        """A copy of an API object with some fields changed, put in its place."""
        return self.put(value["object"], {**value, **fields})

    def drop(self, kind: str, object_id: str) -> None:
        """Delete an object."""
        self._changes[kind, object_id] = None

    def emit(
        self, event_type: str, value: Json, *, previous: Json | None = None, **envelope: Any
    ) -> Json:
        """Record and return an event about an object as it is now; sent after the commit."""
        data: Json = {"object": value}
        if previous is not None:
            data["previous_attributes"] = previous
        event = {
            "id": new_id("evt"),
            "object": "event",
            "api_version": stripe.api_version,
            "created": now(),
            "data": data,
            "livemode": False,
            "pending_webhooks": 1,
            "request": self._request,
            "type": event_type,
            **envelope,
        }
        self.put("event", event)
        self.put(
            "delivery",
            {
                "id": event["id"],
                "type": event_type,
                "state": "waiting",
                "attempts": 0,
                "received": 0,
                "last_answer": None,
            },
        )
        return event

    def later(self, delay_s: float, task: str, object_id: str) -> None:
        """Let a named task happen to an object after a while, also across a restart."""
        task_id = new_id("task")
        self.put(
            "task",
            {"id": task_id, "due": time.time() + delay_s, "task": task, "object_id": object_id},
        )

    def commit(self) -> None:
        """Make everything visible at once."""
        self.ledger.commit([(kind, key, value) for (kind, key), value in self._changes.items()])
        self._changes.clear()

    def discard(self) -> None:
        """Throw the changes away."""
        self._changes.clear()
