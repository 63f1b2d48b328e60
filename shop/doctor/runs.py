"""Looks asked for in the admin: a row each, filled by a worker, because one may take seconds."""

from datetime import timedelta

from sqlalchemy import delete, select, text, update

from shop.core import actor, clock
from shop.core.db import end_read, session, transaction
from shop.core.errors import Unavailable, WrongState
from shop.core.events import emit
from shop.doctor.events import DoctorAnswered, DoctorAsked
from shop.doctor.looking import examine
from shop.doctor.models import DoctorRun

KEPT = 50
# Whoever asked longer ago than this gets no answer any more: the worker died each time.
GIVEN_UP_AFTER = timedelta(minutes=15)


def ask(*, with_stripe: bool = False) -> DoctorRun:
    """Have a worker look at everything. Raises ``WrongState`` while one is looking already."""
    # Of two who press at the same moment, one asks.
    session.execute(text("SELECT pg_advisory_xact_lock(hashtext('shop.doctor'))"))
    now = clock.now()
    waiting = select(DoctorRun.id).where(
        DoctorRun.finished_at.is_(None), DoctorRun.asked_at > now - GIVEN_UP_AFTER
    )
    if session.scalar(waiting.limit(1)) is not None:
        raise WrongState("The doctor is looking already.")
    run = DoctorRun(asked_by=actor.current().name, asked_at=now, with_stripe=with_stripe)
    session.add(run)
    session.flush()
    emit(DoctorAsked(run_id=run.id))
    return run


def answer(run_id: int) -> None:
    """Look, and keep what was seen. Runs in a worker; safe to repeat."""
    run = session.get(DoctorRun, run_id)
    if run is None or run.finished_at is not None:
        return
    with_stripe = run.with_stripe
    end_read()
    result, failure = None, ""
    try:
        result = examine(with_stripe=with_stripe)
    except Unavailable as error:
        failure = error.sentence
    with transaction():
        kept = session.execute(
            update(DoctorRun)
            .where(DoctorRun.id == run_id, DoctorRun.finished_at.is_(None))
            .values(
                finished_at=clock.now(),
                result=result.as_json() if result else None,
                failure=failure,
            )
            .returning(DoctorRun.id)
        ).first()
        if kept is None:
            return
        session.execute(delete(DoctorRun).where(DoctorRun.id <= run_id - KEPT))
        emit(DoctorAnswered(run_id=run_id, faults=len(result.faults) if result else 0))


def latest() -> DoctorRun | None:
    """The newest look that is over."""
    return session.scalars(
        select(DoctorRun)
        .where(DoctorRun.finished_at.is_not(None))
        .order_by(DoctorRun.id.desc())
        .limit(1)
    ).first()


def running() -> DoctorRun | None:
    """The look that somebody waits for."""
    return session.scalars(
        select(DoctorRun)
        .where(DoctorRun.finished_at.is_(None), DoctorRun.asked_at > clock.now() - GIVEN_UP_AFTER)
        .order_by(DoctorRun.id.desc())
        .limit(1)
    ).first()


def recent(most: int = 10) -> list[DoctorRun]:
    """The last looks, newest first."""
    return list(session.scalars(select(DoctorRun).order_by(DoctorRun.id.desc()).limit(most)))
