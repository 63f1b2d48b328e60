"""Whether everything adds up: orders, stock, money, emails, and what the Stripe stand-in has."""

import json
import time
import urllib.request
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.exc import DBAPIError

from shop.core import db
from shop.core.db import session, transaction
from tests.support.stock import ledger_differences

PATIENCE_S = 60.0
# Each gives a row per thing that is wrong: what, and which.
WRONG = {
    "units reserved for no unpaid order": """
        SELECT l.variant_id FROM stock_level l LEFT JOIN (
            SELECT i.variant_id, sum(i.quantity - i.shipped - i.cancelled) AS held
            FROM order_line i JOIN "order" o ON o.id = i.order_id
            WHERE o.status = 'pending' GROUP BY 1) h USING (variant_id)
        WHERE l.reserved <> coalesce(h.held, 0)""",
    "units promised that no paid order waits for": """
        SELECT l.variant_id FROM stock_level l LEFT JOIN (
            SELECT i.variant_id, sum(i.quantity - i.shipped - i.cancelled) AS held
            FROM order_line i JOIN "order" o ON o.id = i.order_id
            WHERE o.status IN ('confirmed', 'completed') GROUP BY 1) h USING (variant_id)
        WHERE l.committed <> coalesce(h.held, 0)""",
    "an order that is confirmed without its money": """
        SELECT number FROM "order" WHERE total_minor > 0 AND status = 'confirmed'
        AND payment_status IN ('unpaid', 'partly_paid')""",
    "money kept for an order that is not confirmed, and nobody was asked": """
        SELECT o.number FROM "order" o JOIN payment p ON p.order_id = o.id
        WHERE o.status NOT IN ('confirmed', 'completed') AND p.captured_minor > p.refunding_minor
        AND NOT EXISTS (SELECT FROM task t WHERE t.order_id = o.id AND t.closed_at IS NULL)""",
    "an order that was charged twice": """
        SELECT o.number FROM "order" o JOIN payment p ON p.order_id = o.id
        WHERE p.captured_minor > p.refunding_minor
        GROUP BY o.id HAVING count(*) > 1""",
    "more refunded than captured": """
        SELECT id FROM payment WHERE refunding_minor > captured_minor""",
    "two live orders of one version of a cart": """
        SELECT cart_id FROM "order" WHERE cart_id IS NOT NULL
        AND status IN ('pending', 'confirmed', 'completed')
        GROUP BY cart_id, cart_version HAVING count(*) > 1""",
    "a paid order without its receipt": """
        SELECT o.number FROM "order" o WHERE o.paid_at IS NOT NULL AND o.total_minor > 0
        AND NOT EXISTS (SELECT FROM mail_message m WHERE m.key = 'receipt:' || o.id)""",
    "an email that is neither sent nor kept": """
        SELECT key FROM mail_message WHERE state NOT IN ('sent', 'kept')""",
    "a reaction that is dead": "SELECT id FROM delivery WHERE state = 'dead'",
    "a message of Stripe's that nobody applied": """
        SELECT stripe_event_id FROM webhook_delivery WHERE applied_at IS NULL""",
}
STATUS = {"succeeded": "succeeded", "requires_capture": "authorised", "canceled": "cancelled"}


def ask(sql: str, **values: object) -> Sequence[Row[*tuple[Any, ...]]]:
    """Ask the database, again while it is just being restarted; leaves nothing open."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            with db.engine().connect() as connection:
                return connection.execute(text(sql), values).all()
        except DBAPIError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.5)


def count(sql: str) -> int:
    """The one number that a statement gives."""
    return int(ask(sql)[0][0])


def unfinished() -> int:
    """Events and reactions that still wait for their turn."""
    return count(
        """SELECT (SELECT count(*) FROM event_pending)
                + (SELECT count(*) FROM delivery WHERE state = 'due')"""
    )


def unfinished_said() -> list[str]:
    """A sentence for each kind of thing that still waits, with how often it was tried and why."""
    waiting = ask(
        """SELECT reaction, attempts, count(*) AS number, coalesce(max(error), '') AS error
        FROM delivery WHERE state = 'due' GROUP BY 1, 2 ORDER BY 1, 2"""
    )
    pending = count("SELECT count(*) FROM event_pending")
    return [
        f"{row.number} times {row.reaction} is not finished after {row.attempts} tries: {row.error}"
        for row in waiting
    ] + [f"{pending} events are not dispatched"] * (pending > 0)


def skip_waits() -> None:
    """Let everything be due now that waits for its next try."""
    with suppress(DBAPIError), transaction():
        session.execute(
            text("UPDATE delivery SET due_at = now() WHERE state = 'due' AND due_at > now()")
        )


def wrong(stripe_url: str) -> list[str]:
    """A sentence for everything that is wrong; nothing if all is well and has come to rest."""
    found = [f"{what}: {row[0]}" for what, sql in WRONG.items() for row in ask(sql)]
    session.rollback()
    found += [f"stock and its ledger differ: {row}" for row in ledger_differences()]
    session.rollback()
    return found + _against_stripe(stripe_state(stripe_url))


def stripe_state(stripe_url: str) -> dict[str, list[dict[str, Any]]]:
    """Everything that the stand-in remembers."""
    with urllib.request.urlopen(f"{stripe_url}/_control/state", timeout=120) as answer:
        state: dict[str, list[dict[str, Any]]] = json.load(answer)
    return state


def _against_stripe(theirs: dict[str, list[dict[str, Any]]]) -> list[str]:
    refunded: dict[str, int] = defaultdict(int)
    for refund in theirs["refunds"]:
        if refund["status"] == "succeeded":
            refunded[refund["payment_intent"]] += refund["amount"]
    ours = {
        row.intent_id: row
        for row in ask(
            """SELECT p.intent_id, p.status, p.captured_minor, o.status AS order_status,
                           (SELECT coalesce(sum(amount_minor), 0) FROM refund r
                            WHERE r.payment_id = p.id AND r.status = 'done') AS refunded
                    FROM payment p JOIN "order" o ON o.id = p.order_id
                    WHERE p.intent_id IS NOT NULL"""
        )
    }
    found = []
    for intent in theirs["payment_intents"]:
        came, back = intent["amount_received"], refunded[intent["id"]]
        mine = ours.get(intent["id"])
        if mine is None:
            if came or intent["status"] == "requires_capture":
                found.append(f"money at Stripe that we do not know of: {intent['id']}")
            continue
        here = (mine.status, mine.captured_minor, int(mine.refunded))
        there = (STATUS.get(intent["status"], "started"), came, back)
        if here != there:
            found.append(f"{intent['id']} is {here} here and {there} at Stripe")
    known = {intent["id"] for intent in theirs["payment_intents"]}
    return found + [f"{one} is unknown at Stripe" for one in ours.keys() - known]
