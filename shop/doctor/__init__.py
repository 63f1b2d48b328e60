"""Integrity checks: what must hold of the whole shop, checked in one snapshot.

Promise: a run writes nothing; a check that fails names the rows that break it; ``repair`` touches
only what is counted from elsewhere, and each change is an event. Owns no rule of its own: it
checks what the features promise, and leaves what moves money or stock to people.
"""

from shop.doctor.checks import Check, CheckResult, Fault, RunResult
from shop.doctor.models import DoctorRun
from shop.doctor.repairs import FIXABLE, Repair, repair
from shop.doctor.runner import BALANCE, CHECKS, STRIPE, run_all, run_checks, snapshot
from shop.doctor.runs import execute_run, latest, recent, request_run, running

__all__ = [
    "BALANCE", "CHECKS", "FIXABLE", "STRIPE", "Check", "CheckResult", "DoctorRun", "Fault",
    "Repair", "RunResult", "execute_run", "latest", "recent", "repair", "request_run", "run_all",
    "run_checks", "running", "snapshot",
]  # fmt: skip
