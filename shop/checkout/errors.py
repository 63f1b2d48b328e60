"""What checkout refuses."""

from shop.core.errors import DomainError
from shop.core.i18n import gettext as _


class CartProblems(DomainError):
    """Something in the cart cannot be bought; ``problems`` says what, line by line."""

    code = "out_of_stock"

    def __init__(self, problems: list[str]) -> None:
        super().__init__(" ".join(problems) or _("Your cart is empty."))
        self.problems = problems


class NoShipping(DomainError):
    """We do not ship there, or not with this method."""

    code = "invalid"
