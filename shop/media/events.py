"""What happens to images."""

from dataclasses import dataclass

from shop.core.events import Event


@dataclass(frozen=True, kw_only=True)
class MediaStored(Event):
    """An image was taken in; its renditions are still to be made."""

    media_id: int
