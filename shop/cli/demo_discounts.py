"""The demo shop's discounts: a welcome code, a seasonal one, and free shipping for large orders."""

from sqlalchemy import select

from shop import checkout, discounts
from shop.catalog.models import Category
from shop.core.db import session, transaction
from shop.discounts import Discount, DiscountKind, Draft, Lane

WELCOME = Draft(
    name="Welcome",
    kind=DiscountKind.PERCENTAGE,
    value=1_000,
    min_subtotal_minor=3_000,
    limit_per_customer=1,
)
DELIVERY = Draft(
    name="Delivery on us", kind=DiscountKind.FREE_SHIPPING, value=0, limit_total=500, lane=Lane.LAST
)
KITCHEN = "kitchen"


def load() -> int:
    """Create those that are missing, by name. Returns how many discounts the demo has."""
    wanted = [(WELCOME, "WELCOME10"), (DELIVERY, "FREESHIP")]
    kitchen = session.scalar(select(Category).where(Category.path == KITCHEN))
    if kitchen is not None:
        three_for_two = Draft(
            name=f"{kitchen.name}: three for two",
            kind=DiscountKind.BUY_X_GET_Y,
            value=10_000,
            buy_quantity=2,
            get_quantity=1,
            is_targeted=True,
            category_ids=[kitchen.id],
            limit_total=1_000,
        )
        wanted.append((three_for_two, "THREEFORTWO"))
    known = set(session.scalars(select(Discount.name)))
    for draft, code in wanted:
        if draft.name not in known:
            with transaction():
                made = discounts.create_discount(draft, currency=checkout.terms().currency)
                discounts.add_code(made, code)
    return len(wanted)
