"""Images to test with, honest ones and others."""

import struct
import zlib
from io import BytesIO

from PIL import Image


def image(
    width: int = 60,
    height: int = 40,
    *,
    fmt: str = "JPEG",
    mode: str = "RGB",
    colour: float | tuple[int, ...] | str = "#b0583a",
    **saved: object,
) -> BytesIO:
    """An image of one colour."""
    made = BytesIO()
    Image.new(mode, (width, height), colour).save(made, fmt, **saved)
    made.seek(0)
    return made


def phone_photo() -> BytesIO:
    """A JPEG that lies on its side and tells where it was taken."""
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010F] = "Camera Maker"
    exif.get_ifd(0x8825)[1] = "N"
    exif.get_ifd(0x8825)[2] = (52.0, 31.0, 12.0)
    left = Image.new("RGB", (60, 40), "#ffffff")
    left.paste("#000000", (0, 0, 30, 40))
    made = BytesIO()
    left.save(
        made, "JPEG", quality=95, exif=exif, xmp=b"<x:xmpmeta>secret</x:xmpmeta>", comment="hi"
    )
    made.seek(0)
    return made


def png_that_says(width: int, height: int) -> BytesIO:
    """A PNG of a few bytes whose header promises ``width`` by ``height`` pixels."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        checksum = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + checksum

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return BytesIO(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(bytes(1000)))
        + chunk(b"IEND", b"")
    )


def png_bomb(side: int = 6_000) -> BytesIO:
    """A complete PNG of 36 megapixels in about 100 kB: allowed, and must stay cheap."""
    return image(side, side, fmt="PNG", mode="L", colour=0)


def animation(fmt: str) -> BytesIO:
    """Two frames."""
    frames = [Image.new("RGB", (20, 20), colour) for colour in ("red", "blue")]
    made = BytesIO()
    frames[0].save(made, fmt, save_all=True, append_images=frames[1:])
    made.seek(0)
    return made
