"""Table of the runs of integrity checks that staff requested."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Identity
from sqlalchemy.orm import Mapped, mapped_column

from shop.core.db import Base


class DoctorRun(Base):
    """One run of all checks. ``result`` is what ``flask shop doctor --json`` prints;
    ``failure`` says why there is none."""

    __tablename__ = "doctor_run"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    asked_by: Mapped[str]
    asked_at: Mapped[datetime]
    with_stripe: Mapped[bool]
    finished_at: Mapped[datetime | None]
    result: Mapped[dict[str, Any] | None]
    failure: Mapped[str] = mapped_column(server_default="", default="")

    @property
    def failed_checks(self) -> int:
        """How many checks found something."""
        return sum(bool(check["count"]) for check in self.result["checks"]) if self.result else 0
