"""What media may refuse."""

from shop.core.errors import DomainError, Invalid, NotFound, Unavailable
from shop.core.i18n import gettext as _


class ImageRefused(Invalid):
    """This file cannot be taken as an image; the sentence says why."""

    code = "picture_refused"

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence, field="picture")


class NoSuchFile(NotFound):
    """Storage has no file of this name."""

    def __init__(self) -> None:
        super().__init__(_("Image not found."))


class NoRoom(Unavailable):
    """The disk is full; nothing of the image was kept."""

    def __init__(self) -> None:
        super().__init__(
            _(
                "There is no room for images on the shop's disk. Nothing was stored. "
                "Once there is room, upload it again."
            )
        )


class StorageRefused(DomainError):
    """``STORAGE_URL`` names a place that this shop cannot use."""

    code = "storage_refused"
