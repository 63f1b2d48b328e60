"""The only place where foreign images are decoded: a program with narrow limits, not a module.

It reads jobs (one JSON object a line) and answers each with a line: sizes, or why not. It imports
Pillow and nothing of ours, so it starts fast, and an image made to eat memory, time or the
decoder itself takes down this process and not the shop.
"""

import contextlib
import json
import resource
import sys
import warnings
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image, ImageCms, ImageOps

MAX_PIXELS = 40_000_000
# The kept original: enough for a full-screen zoom; WebP itself ends at 16,383 a side.
MAX_SIDE = 2560
MAX_MEMORY_BYTES = 1_500_000_000
MAX_FILE_BYTES = 64 * 1024 * 1024
UNREADABLE = {"refused": "unreadable"}


class _Refused(Exception):
    """Why this image is not taken: a word for programs, and the values of its sentence."""

    def __init__(self, reason: str, **values: int) -> None:
        super().__init__(reason)
        self.answer = {"refused": reason, **values}


def main(seconds: int) -> None:
    """Answer jobs from standard input for at most so many seconds of work."""
    # A system without one of these limits (macOS knows no RLIMIT_AS) still has the others.
    for kind, limit in (
        (resource.RLIMIT_AS, MAX_MEMORY_BYTES),
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_FSIZE, MAX_FILE_BYTES),
        (resource.RLIMIT_CORE, 0),
    ):
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(kind, (limit, limit))
    warnings.simplefilter("error")
    for line in sys.stdin:
        sys.stdout.write(json.dumps(answer(json.loads(line))) + "\n")
        sys.stdout.flush()


def answer(job: dict[str, Any]) -> dict[str, Any]:
    """Do one job; whatever a hostile file makes a decoder raise, the answer is no."""
    do = job.pop("do")
    try:
        return prepare(**job) if do == "prepare" else render(**job)
    except _Refused as why:
        return why.answer
    except Exception:
        return UNREADABLE


def prepare(source: str, target: str) -> dict[str, Any]:
    """Make a clean WebP of an upload: upright, sRGB, no metadata, at most ``MAX_SIDE`` a side."""
    # Ours is the limit: Pillow's own would hide the size that the refusal should name.
    Image.MAX_IMAGE_PIXELS = None
    with Image.open(source, formats=("JPEG", "PNG", "WEBP")) as image:
        width, height = image.size
        if width * height > MAX_PIXELS:
            millions = max(41, round(width * height / 1_000_000))
            raise _Refused("too_large", megapixels=millions, most=MAX_PIXELS // 1_000_000)
        # A phone's JPEG often carries a second image (MPO): only the first is read.
        if image.format in ("PNG", "WEBP") and getattr(image, "n_frames", 1) > 1:
            raise _Refused("animated")
        Image.MAX_IMAGE_PIXELS = MAX_PIXELS
        image.thumbnail((MAX_SIDE, MAX_SIDE), Image.Resampling.LANCZOS, reducing_gap=2.0)
        clean = _plain(ImageOps.exif_transpose(image))
    # WebP copies what is left here into the file: place, camera, colour profile.
    clean.info.clear()
    clean.save(target, "WEBP", quality=88, method=4, exact=False)
    return {"width": clean.width, "height": clean.height, "colour": _colour(clean)}


def render(source: str, folder: str, widths: Sequence[int]) -> dict[str, Any]:
    """Make AVIF and WebP in ``widths`` from our own original."""
    with Image.open(source, formats=("WEBP",)) as image:
        image.load()
        for width in widths:
            height = max(1, round(image.height * width / image.width))
            small = image.resize((width, height), Image.Resampling.LANCZOS, reducing_gap=3.0)
            small.save(Path(folder, f"{width}.webp"), "WEBP", quality=80, method=4)
            small.save(Path(folder, f"{width}.avif"), "AVIF", quality=55, speed=6, max_threads=1)
    return {"widths": list(widths)}


def _plain(image: Image.Image) -> Image.Image:
    """The same pixels in sRGB as RGB, or RGBA if something shows through."""
    if image.mode.startswith("I"):
        # 16 bits per pixel: converting straight to RGB would cut them off instead of scaling.
        image = image.convert("I").point(lambda value: value / 256).convert("L")
    profile = image.info.get("icc_profile")
    has_alpha = image.has_transparency_data
    mode = "RGBA" if has_alpha else "RGB"
    if profile and image.mode in ("RGB", "RGBA", "CMYK", "L"):
        with contextlib.suppress(ImageCms.PyCMSError, OSError, ValueError):
            converted = ImageCms.profileToProfile(
                image,
                ImageCms.ImageCmsProfile(BytesIO(profile)),
                ImageCms.createProfile("sRGB"),
                outputMode=mode,
            )
            image = converted or image
    image = image.convert(mode)
    if has_alpha and image.getchannel("A").getextrema() == (255, 255):
        image = image.convert("RGB")
    return image


def _colour(image: Image.Image) -> str:
    """The mean colour, on white where something shows through."""
    if image.mode == "RGBA":
        ground = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(ground, image).convert("RGB")
    mean = image.resize((1, 1), Image.Resampling.BOX).tobytes()
    return f"#{mean[:3].hex()}"


if __name__ == "__main__":
    main(int(sys.argv[1]))
