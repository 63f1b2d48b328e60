"""Runs requested in the admin: a row each, filled by a worker, because one may take seconds."""

from datetime import timedelta

from sqlalchemy import delete, select, text, update

from shop.core import actor, clock
from shop.core.db import end_read, session, transaction
from shop.core.errors import Unavailable, WrongState
from shop.core.events import emit
from shop.core.i18n import gettext as _
from shop.doctor.events import DoctorAnswered, DoctorAsked
from shop.doctor.models import DoctorRun
from shop.doctor.runner import run_all

MAX_RUNS_KEPT = 50
# A run requested longer ago than this gets no result any more: the worker died each time.
GIVEN_UP_AFTER = timedelta(minutes=15)


def request_run(*, with_stripe: bool = False) -> DoctorRun:
    """Have a worker run all checks. Raises ``WrongState`` while another run is going on."""
    # Of two requests at the same moment, one passes.
    session.execute(text("SELECT pg_advisory_xact_lock(hashtext('shop.doctor'))"))
    now = clock.now()
    waiting = select(DoctorRun.id).where(
        DoctorRun.finished_at.is_(None), DoctorRun.asked_at > now - GIVEN_UP_AFTER
    )
    if session.scalar(waiting.limit(1)) is not None:
        raise WrongState(_("Integrity checks are already running."))
    run = DoctorRun(asked_by=actor.current().name, asked_at=now, with_stripe=with_stripe)
    session.add(run)
    session.flush()
    emit(DoctorAsked(run_id=run.id))
    return run


def execute_run(run_id: int) -> None:
    """Run all checks, and keep the result. Runs in a worker; safe to repeat."""
    run = session.get(DoctorRun, run_id)
    if run is None or run.finished_at is not None:
        return
    with_stripe = run.with_stripe
    end_read()
    result, failure = None, ""
    try:
        result = run_all(with_stripe=with_stripe)
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
        session.execute(delete(DoctorRun).where(DoctorRun.id <= run_id - MAX_RUNS_KEPT))
        emit(DoctorAnswered(run_id=run_id, faults=len(result.faults) if result else 0))


def latest() -> DoctorRun | None:
    """Returns the newest run that is over."""
    return session.scalars(
        select(DoctorRun)
        .where(DoctorRun.finished_at.is_not(None))
        .order_by(DoctorRun.id.desc())
        .limit(1)
    ).first()


def running() -> DoctorRun | None:
    """Returns the run that somebody waits for."""
    return session.scalars(
        select(DoctorRun)
        .where(DoctorRun.finished_at.is_(None), DoctorRun.asked_at > clock.now() - GIVEN_UP_AFTER)
        .order_by(DoctorRun.id.desc())
        .limit(1)
    ).first()


def recent(limit: int = 10) -> list[DoctorRun]:
    """Returns the last runs, newest first."""
    return list(session.scalars(select(DoctorRun).order_by(DoctorRun.id.desc()).limit(limit)))
