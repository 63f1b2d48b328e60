"""Reviews: what people say of a product, in stars and words.

Owns the opinions and keeps a product's stars counted. Promises: one opinion is counted once, also
when two arrive together. Leaves to the doors who may write one.
"""

from shop.reviews.events import ReviewAdded
from shop.reviews.models import Review
from shop.reviews.operations import SaidBefore, add
from shop.reviews.queries import of_product

__all__ = ["Review", "ReviewAdded", "SaidBefore", "add", "of_product"]
