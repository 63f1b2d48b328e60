"""Tables of media: one row per stored image."""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import BigInteger, CheckConstraint, Identity
from sqlalchemy.orm import Mapped, mapped_column

from shop.core.choices import choice, one_of
from shop.core.db import Base


class MediaState(StrEnum):
    """Whether an image has all its sizes."""

    PENDING = "pending"
    READY = "ready"


class MediaFile(Base):
    """An image: the re-encoded original and, once a worker made them, its renditions.

    ``key`` is random and names the folder in storage; ``state`` is pending or ready;
    ``widths`` are the rendition widths in pixels that exist, ascending, comma-separated.
    """

    __tablename__ = "media_file"
    __table_args__ = (
        CheckConstraint("width > 0 AND height > 0", name="size"),
        one_of("state", MediaState),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    key: Mapped[str] = mapped_column(unique=True)
    sha256: Mapped[str] = mapped_column(index=True)
    width: Mapped[int]
    height: Mapped[int]
    size_bytes: Mapped[int]
    colour: Mapped[str]
    state: Mapped[MediaState] = choice(MediaState, default=MediaState.PENDING)
    widths: Mapped[str] = mapped_column(server_default="", default="")
    created_at: Mapped[datetime]
