"""What a cart refuses."""

from collections.abc import Mapping

from shop.core.errors import DomainError
from shop.core.i18n import gettext as _


class NotEnough(DomainError):
    """Fewer are available than asked for; ``available`` says how many."""

    code = "out_of_stock"

    def __init__(self, available: int) -> None:
        super().__init__(
            _("This is sold out.")
            if available <= 0
            else _("Only %(count)s are left of this.", count=available)
        )
        self.available = available
        self.field = "quantity"


class CartChanged(DomainError):
    """The cart is not what the customer last saw; nothing was ordered.

    ``totals`` is what it would cost now: version, currency, and amounts in minor units by name.
    """

    code = "cart_changed"

    def __init__(self, sentence: str, *, totals: Mapping[str, int | str] | None = None) -> None:
        super().__init__(sentence)
        self.totals = totals
