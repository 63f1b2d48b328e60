"""Closed sets of words of discounts, as their table holds them."""

from enum import StrEnum


class DiscountKind(StrEnum):
    """What a discount takes off."""

    PERCENTAGE = "percentage"
    FIXED = "fixed"
    FREE_SHIPPING = "free_shipping"
    BUY_X_GET_Y = "buy_x_get_y"


class Lane(StrEnum):
    """When a discount applies beside others: each lane counts on what the one before left."""

    FIRST = "first"
    MAIN = "main"
    LAST = "last"


class Audience(StrEnum):
    """Who may use a discount."""

    EVERYONE = "everyone"
    SIGNED_IN = "signed_in"
    CHOSEN = "chosen"
