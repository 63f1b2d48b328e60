"""Media: images as files and rows, and the sizes that pages show.

Owns taking images in, where they lie and their renditions. Promises: nothing foreign is decoded
inside the shop's own processes, no metadata survives, a row always has its files. Leaves to
``catalog`` which product an image belongs to and what it shows.
"""

from shop.media import storage
from shop.media.errors import ImageRefused, NoSuchFile
from shop.media.events import MediaStored
from shop.media.models import MediaFile, MediaState
from shop.media.procedures import (
    make_renditions,
    rendition_widths,
    store_files,
    store_upload,
    sweep,
)
from shop.media.storage import content_type, url

__all__ = [
    "ImageRefused", "MediaFile", "MediaState", "MediaStored", "NoSuchFile", "content_type",
    "make_renditions", "rendition_widths", "storage", "store_files", "store_upload",
    "sweep", "url",
]  # fmt: skip
