"""Operations on a product's images: which, in which order, of which colour, in which words."""

from collections.abc import Sequence

from shop.catalog.errors import readable
from shop.catalog.models import Image, OptionValue, Product
from shop.catalog.products import changed
from shop.core.db import session
from shop.core.errors import Invalid, NotFound
from shop.core.i18n import gettext as _
from shop.media import MediaFile

MAX_IMAGES = 60


def get_image(image_id: int) -> Image:
    """The image, for editing. Raises ``NotFound``."""
    found = session.get(Image, image_id)
    if found is None:
        raise NotFound(_("Image not found."))
    return found


def add_image(
    product: Product,
    media: MediaFile,
    *,
    alt: str = "",
    option_value: OptionValue | None = None,
) -> Image:
    """Show a stored image with a product, after those it has."""
    if len(product.images) >= MAX_IMAGES:
        raise Invalid(
            _("A product can have %(most)s images, not more.", most=MAX_IMAGES), field="picture"
        )
    made = Image(
        media=media,
        alt=_alt(alt),
        option_value_id=_own(product, option_value),
        position=max((image.position for image in product.images), default=-1) + 1,
    )
    product.images.append(made)
    changed(product, "image added")
    return made


def update_image(image: Image, *, alt: str, option_value: OptionValue | None) -> Image:
    """Say what an image shows, in words and of which option value."""
    image.alt, image.option_value_id = _alt(alt), _own(image.product, option_value)
    changed(image.product, "image changed")
    return image


def reorder_images(product: Product, ids: Sequence[int]) -> None:
    """Show the images in this order. Raises ``Invalid`` unless it names each exactly once."""
    by_id = {image.id: image for image in product.images}
    if sorted(ids) != sorted(by_id):
        raise Invalid(_("The order must name every image once."), field="order")
    for n, image_id in enumerate(ids):
        by_id[image_id].position = n
    product.images.sort(key=lambda image: image.position)
    changed(product, "images reordered")


def remove_image(image: Image) -> None:
    """Take an image off a product. Its file stays: old orders still show it."""
    product = image.product
    product.images.remove(image)
    changed(product, "image removed")


def _alt(alt: str) -> str:
    return readable(alt, field="alt", what=_("The alt text"), most=300)


def _own(product: Product, value: OptionValue | None) -> int | None:
    if value is not None and value.option.product is not product:
        raise Invalid(_("This value belongs to another product."), field="option_value")
    return value.id if value else None
