"""What stock refuses."""

from shop.core.errors import DomainError


class OutOfStock(DomainError):
    """Not enough is available; ``short`` maps variant ids to what could still be had."""

    code = "out_of_stock"

    def __init__(self, short: dict[int, int]) -> None:
        super().__init__("Some of this has just been sold. Please look at the quantities again.")
        self.short = short
