"""Sends events to the shop: signed, in order for each payment, retried; or as badly as asked.

Promise: an event leaves only after its change is committed, and sending never slows the API.
Order holds for first attempts; a retry comes when its pause is over, as with the real Stripe.
"""

import heapq
import http.client
import itertools
import json
import logging
import threading
import time
from collections import deque
from collections.abc import Collection
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

import stripe

from tools.stripe.faults import Faults
from tools.stripe.ledger import Change, Json, Ledger

WORKERS = 8
TIMEOUT_S = 10.0
GIVE_UP_AFTER_S = 3600.0
MAX_PAUSE_S = 60.0
SHUFFLE_WITHIN_S = 0.5

log = logging.getLogger("stripe-stand-in")


@dataclass(frozen=True)
class QueuedEvent:
    """One copy of one event on its way; those of the same lane leave one after the other."""

    event_id: str
    era: int
    first_at: float
    lane: str | None = None
    copies: int = 1
    attempt: int = 1
    unsent: str = ""  # why it stays here: dropped, unwanted


class Courier:
    """The queue of events to send and the threads that send them."""

    def __init__(
        self,
        ledger: Ledger,
        faults: Faults,
        *,
        url: str | None,
        secret: str,
        wanted: Collection[str] = (),
    ) -> None:
        """``wanted``: the types of events that are sent, or all of them, as an endpoint's
        ``enabled_events`` (https://docs.stripe.com/api/webhook_endpoints/object)."""
        self._ledger = ledger
        self._faults = faults
        self._url = urlsplit(url) if url else None
        self._secret = secret
        self._wanted = frozenset(wanted)
        self._due: list[tuple[float, int, QueuedEvent]] = []
        self._lanes: dict[str, deque[tuple[float, QueuedEvent]]] = {}
        self._busy = 0
        self._era = 0
        self._turn = itertools.count()
        self._changed = threading.Condition()
        self._marking = threading.Lock()

    def start(self) -> None:
        """Send what an earlier run left unsent, then follow the ledger."""
        for delivery in self._ledger.all("delivery"):
            event = self._ledger.get("event", delivery["id"])
            if event is not None and delivery["state"] == "waiting":
                self._queue(event)
        self._ledger.listeners.append(self.follow)
        for number in range(WORKERS):
            threading.Thread(target=self._work, name=f"webhooks-{number}", daemon=True).start()

    def follow(self, changes: list[Change]) -> None:
        """Queue the events of a commit."""
        for kind, _key, value in changes:
            if kind == "event" and value is not None:
                self._queue(value)

    def redeliver(self, event_id: str) -> None:
        """Send an event (again), whatever was decided about it before."""
        if self._url is not None:
            self._enlist(QueuedEvent(event_id, self._era, time.time()), 0.0)

    def flush(self, timeout_s: float) -> int:
        """Wait until nothing is queued, retries included. Returns how many are left."""
        deadline = time.monotonic() + timeout_s
        with self._changed:
            while self._left() and (wait := deadline - time.monotonic()) > 0:
                self._changed.wait(wait)
            return self._left()

    def clear(self) -> None:
        """Drop everything that is queued."""
        with self._changed:
            self._due.clear()
            self._lanes.clear()
            self._era += 1
            self._changed.notify_all()

    def _left(self) -> int:
        return len(self._due) + self._busy + sum(len(lane) for lane in self._lanes.values())

    def _queue(self, event: Json) -> None:
        settings = self._faults.settings
        queued = QueuedEvent(event["id"], self._era, time.time())
        if self._wanted and event["type"] not in self._wanted:
            self._enlist(replace(queued, unsent="unwanted"), 0.0)
        # The dice are rolled here, in the order of the commits, so that a seed repeats a run.
        elif self._url is None or not settings.webhooks or self._faults.happens(settings.drop):
            self._enlist(replace(queued, unsent="dropped"), 0.0)
        elif settings.shuffle:
            for _copy in range(settings.duplicate):
                wait = self._faults.between(settings.delay_s)
                self._enlist(queued, wait + self._faults.between((0.0, SHUFFLE_WITHIN_S)))
        else:
            in_lane = replace(queued, lane=_lane_of(event), copies=settings.duplicate)
            self._enlist(in_lane, self._faults.between(settings.delay_s))

    def _enlist(self, queued: QueuedEvent, delay_s: float) -> None:
        due = time.monotonic() + delay_s
        with self._changed:
            if queued.lane in self._lanes:
                self._lanes[queued.lane].append((due, queued))
                return
            if queued.lane is not None:
                self._lanes[queued.lane] = deque()
            self._push(due, queued)

    def _push(self, due: float, queued: QueuedEvent) -> None:
        heapq.heappush(self._due, (due, next(self._turn), queued))
        self._changed.notify_all()

    def _work(self) -> None:
        while True:
            queued = self._next()
            try:
                self._handle(queued)
            except Exception:
                # A thread that dies would quietly stop webhooks for good.
                log.exception('{"event":"webhook_worker_error"}')
            finally:
                self._finish(queued)

    def _next(self) -> QueuedEvent:
        with self._changed:
            while True:
                wait = self._due[0][0] - time.monotonic() if self._due else None
                if wait is not None and wait <= 0:
                    self._busy += 1
                    return heapq.heappop(self._due)[2]
                self._changed.wait(wait)

    def _handle(self, queued: QueuedEvent) -> None:
        event = self._ledger.get("event", queued.event_id)
        if event is None or queued.era != self._era:
            return
        if queued.unsent:
            self._mark(queued, None, state=queued.unsent)
            return
        for _copy in range(queued.copies - 1):
            self._enlist(replace(queued, lane=None, copies=1), 0.0)
        answer = self._send(event)
        if answer is not None and 200 <= answer < 300:
            self._mark(queued, answer, state="delivered")
            return
        pause = min(2.0 ** (queued.attempt - 1), MAX_PAUSE_S)
        given_up = time.time() + pause > queued.first_at + GIVE_UP_AFTER_S
        self._mark(queued, answer, state="failed" if given_up else "waiting")
        if not given_up:
            again = replace(queued, lane=None, copies=1, attempt=queued.attempt + 1)
            self._enlist(again, pause)

    def _finish(self, queued: QueuedEvent) -> None:
        with self._changed:
            self._busy -= 1
            if queued.lane is not None and queued.era == self._era:
                waiting = self._lanes[queued.lane]
                if waiting:
                    self._push(*waiting.popleft())
                else:
                    del self._lanes[queued.lane]
            self._changed.notify_all()

    def _send(self, event: Json) -> int | None:
        """POST one event; the status answered, or None when there was no answer."""
        if self._url is None:
            return None
        body = json.dumps(event, indent=2)
        secure = self._url.scheme == "https"
        connect = http.client.HTTPSConnection if secure else http.client.HTTPConnection
        connection = connect(self._url.hostname or "", self._url.port, timeout=TIMEOUT_S)
        path = self._url.path or "/"
        target = f"{path}?{self._url.query}" if self._url.query else path
        try:
            connection.request(
                "POST",
                target,
                body.encode(),
                {
                    "Content-Type": "application/json; charset=utf-8",
                    "User-Agent": "Stripe/1.0 (+https://stripe.com/docs/webhooks)",
                    "Stripe-Signature": stripe.WebhookSignature.generate_signature_header(
                        body, self._secret
                    ),
                },
            )
            response = connection.getresponse()
            response.read()
            return response.status
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()

    def _mark(self, queued: QueuedEvent, answer: int | None, *, state: str) -> None:
        with self._marking:
            delivery = self._ledger.get("delivery", queued.event_id)
            if delivery is None or queued.era != self._era:
                return
            if delivery["state"] == "delivered":
                state = "delivered"
            fresh = {
                **delivery,
                "state": state,
                "attempts": delivery["attempts"] + (0 if queued.unsent else 1),
                "received": delivery["received"] + (1 if answer and 200 <= answer < 300 else 0),
                "last_answer": answer,
            }
            self._ledger.commit([("delivery", queued.event_id, fresh)])
        note = {"event": "webhook", "id": queued.event_id, "type": delivery["type"]}
        log.info(json.dumps({**note, "state": state, "answer": answer}))


def _lane_of(event: Json) -> str:
    value = event["data"]["object"]
    about = value.get("payment_intent") or value.get("id") or event["id"]
    return about if isinstance(about, str) else str(about.get("id", event["id"]))
