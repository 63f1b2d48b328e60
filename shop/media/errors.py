"""What media may refuse."""

from shop.core.errors import DomainError, Invalid, NotFound


class PictureRefused(Invalid):
    """This file cannot be taken as a picture; the sentence says why."""

    code = "picture_refused"

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence, field="picture")


class NoSuchFile(NotFound):
    """Storage has no file of this name."""

    def __init__(self) -> None:
        super().__init__("There is no such picture.")


class StorageRefused(DomainError):
    """``STORAGE_URL`` names a place that this shop cannot use."""

    code = "storage_refused"
