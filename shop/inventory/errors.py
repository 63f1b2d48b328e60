"""What stock refuses."""

from shop.core.errors import DomainError
from shop.core.i18n import gettext as _


class OutOfStock(DomainError):
    """Not enough is available; ``short`` maps variant ids to what could still be had."""

    code = "out_of_stock"

    def __init__(self, short: dict[int, int]) -> None:
        super().__init__(_("Some of this has just been sold. Check the quantities."))
        self.short = short
