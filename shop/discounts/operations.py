"""Changing discounts."""

from sqlalchemy import select

from shop.core.db import session
from shop.core.errors import Invalid, NotFound, WrongState
from shop.core.i18n import gettext as _
from shop.core.i18n import ngettext
from shop.discounts import reading_rules
from shop.discounts.drafts import Draft, checked
from shop.discounts.models import Discount, Redemption
from shop.discounts.redeeming import lock_discounts


def create_discount(draft: Draft, *, currency: str) -> Discount:
    """Make a discount in the shop's ``currency``. Raises ``Invalid`` naming what cannot be."""
    discount = Discount(currency=currency, used=0, **checked(draft, currency))
    session.add(discount)
    session.flush()
    reading_rules.clear_cache()
    return discount


def update_discount(discount: Discount, draft: Draft) -> None:
    """Let it be as ``draft`` says. Orders that have it keep what they got. As ``create_discount``;
    also raises ``Invalid`` for a limit below what was used."""
    values = checked(draft, discount.currency)
    lock_discounts([discount.id])
    session.refresh(discount)
    if values["limit_total"] is not None and values["limit_total"] < discount.used:
        raise Invalid(
            ngettext(
                "It was already used %(num)s time, so the limit cannot be %(limit)s.",
                "It was already used %(num)s times, so the limit cannot be %(limit)s.",
                discount.used,
                limit=values["limit_total"],
            ),
            field="limit_total",
        )
    for name, value in values.items():
        setattr(discount, name, value)
    discount.version += 1
    session.flush()
    reading_rules.clear_cache()


def set_active(discount: Discount, active: bool) -> None:
    """Switch it on or off; unpaid orders that have it keep it."""
    discount.is_active = active
    discount.version += 1
    session.flush()
    reading_rules.clear_cache()


def delete_discount(discount: Discount) -> None:
    """Remove it and its codes. Raises ``WrongState`` once an order has had it."""
    lock_discounts([discount.id])
    if session.scalar(select(Redemption.id).where(Redemption.discount_id == discount.id).limit(1)):
        raise WrongState(
            _("This discount was used in orders, so it cannot be deleted. Switch it off instead.")
        )
    session.delete(discount)
    session.flush()
    reading_rules.clear_cache()


def get_discount(discount_id: int, *, to_change: bool = False) -> Discount:
    """The discount, locked and read again if it is to be changed. Raises ``NotFound``."""
    discount = session.get(
        Discount, discount_id, with_for_update=to_change or None, populate_existing=to_change
    )
    if discount is None:
        raise NotFound(_("Discount not found."))
    return discount
