"""The doctor: what must hold of the whole shop, looked at in one snapshot.

Promise: looking writes nothing; a rule that is broken is named with the rows that break it;
``mend`` touches only what is counted from elsewhere, and each change is an event. Owns no rule of
its own: it checks what the features promise, and leaves what moves money or stock to people.
"""

from shop.doctor.checks import Check, Fault, Result, Verdict
from shop.doctor.looking import BALANCE, CHECKS, STRIPE, examine, look, snapshot
from shop.doctor.mending import FIXABLE, Mended, mend
from shop.doctor.models import DoctorRun
from shop.doctor.runs import answer, ask, latest, recent, running

__all__ = [
    "BALANCE", "CHECKS", "FIXABLE", "STRIPE", "Check", "DoctorRun", "Fault", "Mended", "Result",
    "Verdict", "answer", "ask", "examine", "latest", "look", "mend", "recent", "running",
    "snapshot",
]  # fmt: skip
