"""What discounts refuse."""

from collections.abc import Sequence

from shop.core.errors import DomainError, NotFound, WrongState


class UnknownCode(NotFound):
    """Nobody made this code."""

    code = "unknown_code"

    def __init__(self, given: str) -> None:
        super().__init__(f"There is no code “{given}”. Please check how it is spelt.")
        self.field = "code"


class CodeRefused(DomainError):
    """The code does not apply to this cart; ``reasons`` are all that speak against it."""

    code = "code_refused"

    def __init__(self, given: str, reasons: Sequence[str]) -> None:
        super().__init__(f"{given} cannot be used. {' '.join(reasons)}")
        self.reasons = list(reasons)
        self.field = "code"


class UsedUp(WrongState):
    """The last use went to somebody else between looking and ordering."""

    code = "discount_used_up"

    def __init__(self, name: str, *, by_you: bool = False) -> None:
        super().__init__(
            f"You have used “{name}” as often as each customer can. Nothing was ordered."
            if by_you
            else f"“{name}” has just been used up by other customers. Nothing was ordered."
        )
