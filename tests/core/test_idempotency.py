"""One key, one piece of work: also when a call was so slow that another took its key over."""

from datetime import timedelta

import pytest
from sqlalchemy.orm import Session

from shop.core import clock, idempotency
from shop.core.db import transaction
from shop.core.idempotency import Answer, Claim, InProgress


def claim() -> Claim | Answer:
    with transaction():
        return idempotency.claim("caller", "k", "fingerprint")


def taken_over() -> tuple[Claim, Claim]:
    """The claim of a slow call, and that of the one that took its key over."""
    slow = claim()
    with clock.freeze(clock.now() + timedelta(seconds=idempotency.LOCK_S + 1)):
        quick = claim()
    assert isinstance(slow, Claim)
    assert isinstance(quick, Claim)
    return slow, quick


@pytest.mark.usefixtures("session")
def test_taken_over_call_is_done_only_once() -> None:
    slow, quick = taken_over()

    with pytest.raises(InProgress), transaction():
        idempotency.store(slow, 201, {"by": "slow"})
    with transaction():
        idempotency.store(quick, 201, {"by": "quick"})

    assert claim() == Answer(201, {"by": "quick"})


@pytest.mark.usefixtures("session")
def test_slow_call_does_not_release_another_claim() -> None:
    slow, quick = taken_over()

    with transaction():
        idempotency.release(slow)
    with pytest.raises(InProgress):
        claim()

    with transaction():
        idempotency.release(quick)
    assert isinstance(claim(), Claim)


def test_finished_call_stays_stored_after_release(session: Session) -> None:
    done = claim()
    assert isinstance(done, Claim)
    with transaction():
        idempotency.store(done, 200, {"done": True})

    with transaction():
        idempotency.release(done)

    session.expire_all()
    assert claim() == Answer(200, {"done": True})
