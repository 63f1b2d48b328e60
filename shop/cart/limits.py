"""How many units of one variant an order takes: the one place that says it, in words too."""

from shop.core.errors import Invalid
from shop.core.i18n import gettext as _

# What a quantity can be at all: an input beyond it is a mistake.
MAX_QUANTITY = 999
_max_per_variant = 20


def configure(*, max_per_variant: int) -> None:
    """Set how many units of one variant an order takes; called once by the factory."""
    global _max_per_variant
    _max_per_variant = max_per_variant


def max_per_variant() -> int:
    """Returns how many units of one variant an order takes."""
    return _max_per_variant


def max_quantity(available: int, *, backorder_allowed: bool) -> int:
    """Returns how many units can be ordered now, 0 or more."""
    limit = _max_per_variant
    return limit if backorder_allowed else max(0, min(limit, available))


def limit_words() -> str:
    """Returns the rule as a sentence."""
    return _("You can order up to %(most)s of this item.", most=_max_per_variant)


class TooMany(Invalid):
    """More units of one variant than an order takes."""

    def __init__(self) -> None:
        super().__init__(limit_words(), field="quantity")
