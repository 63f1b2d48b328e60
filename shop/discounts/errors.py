"""What discounts refuse."""

from collections.abc import Sequence

from shop.core.errors import DomainError, NotFound, WrongState
from shop.core.i18n import gettext as _


class UnknownCode(NotFound):
    """Nobody made this code."""

    code = "unknown_code"

    def __init__(self, given: str) -> None:
        super().__init__(_("Discount code “%(code)s” not found. Check the spelling.", code=given))
        self.field = "code"


class CodeRefused(DomainError):
    """The code does not apply to this cart; ``reasons`` are all that speak against it."""

    code = "code_refused"

    def __init__(self, given: str, reasons: Sequence[str]) -> None:
        super().__init__(
            _("%(code)s cannot be used. %(reasons)s", code=given, reasons=" ".join(reasons))
        )
        self.reasons = list(reasons)
        self.field = "code"


class UsedUp(WrongState):
    """The last use went to somebody else between looking and ordering."""

    code = "discount_used_up"

    def __init__(self, name: str, *, by_you: bool = False) -> None:
        super().__init__(
            _(
                "You have used “%(discount)s” as often as each customer can. Nothing was ordered.",
                discount=name,
            )
            if by_you
            else _(
                "“%(discount)s” has just been used up by other customers. Nothing was ordered.",
                discount=name,
            )
        )
