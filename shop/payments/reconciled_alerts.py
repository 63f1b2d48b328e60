"""What Stripe warns of, and what somebody is still asked about, reconciled with our tasks."""

from collections.abc import Iterator
from functools import partial

from shop.payments import (
    alerts,
    stripe_objects,
    stripe_reading,
    unapplied,
)
from shop.payments.differences import Difference, Look, as_it_was, number_of_intent
from shop.payments.stripe_errors import AccessDenied, NoSuchObject, Refused


def alert_differences(look: Look) -> Iterator[Difference | None]:
    """What Stripe warns of, and what somebody is still asked about. Last, as nothing waits for
    it: a key that may not list these, or an account without them, is a difference."""
    open_tasks = unapplied.open_references()
    for watched in alerts.WATCHED:
        what = f"{watched.what} list"
        try:
            yield from _alerts_of(look, watched)
            if look.mends and what in open_tasks:
                unapplied.resolve(what)
        except (AccessDenied, Refused) as error:
            if look.mends and what in open_tasks:
                continue
            refusal = unapplied.CannotApply(unapplied.RefusalName.NOT_LISTED, str(error))
            raise_it = partial(as_it_was, refusal)
            yield look.difference(what, what, "", "not reconciled", "cannot be listed", raise_it)


def _alerts_of(look: Look, watched: alerts.Watched) -> Iterator[Difference | None]:
    seen: set[str] = set()
    for sent in watched.since(look.since):
        if isinstance(sent, stripe_reading.Unreadable):
            seen.add(sent.reference)
            yield look.unreadable(watched.what, sent, is_ours=watched.is_of_account)
            continue
        seen.add(sent.id)
        yield look.guarded(watched.what, sent.id, partial(_alert, look, watched, sent))
    for reference in sorted(alerts.open_about(watched.task) - seen):
        older = partial(_older_alert, look, watched, reference)
        yield look.guarded(watched.what, reference, older)


def _alert(look: Look, watched: alerts.Watched, sent: alerts.Sent) -> Difference | None:
    intent_id = "" if isinstance(sent, stripe_objects.Payout) else sent.intent_id
    number = "" if watched.is_of_account else number_of_intent(intent_id)
    is_asked = alerts.is_asked(watched.task, sent.id)
    # Whoever closed the task has looked, whatever Stripe says.
    if number is None or is_asked is False or bool(is_asked) is (asks := alerts.asks(sent)):
        return None
    return look.difference(
        watched.what,
        sent.id,
        number,
        "a person is asked" if is_asked else "nobody was asked",
        "open" if asks else "over",
        partial(watched.sync, sent.id),
        intent_id=intent_id,
    )


def _older_alert(look: Look, watched: alerts.Watched, reference: str) -> Difference | None:
    try:
        return _alert(look, watched, watched.fetch(reference))
    except NoSuchObject as error:
        here, raise_it = "a person is asked", partial(as_it_was, error)
        return look.difference(watched.what, reference, "", here, "unknown", raise_it)
