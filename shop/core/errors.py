"""What an operation may refuse. Each door turns these into its own language once."""


class DomainError(Exception):
    """A refusal with a sentence for people, in their language by now, and a stable code for
    programs."""

    code = "refused"

    def __init__(self, sentence: str, *, field: str | None = None) -> None:
        self.sentence = str(sentence)
        super().__init__(self.sentence)
        self.field = field


class NotFound(DomainError):
    """There is no such thing, or it belongs to somebody else: outside, the two look the same."""

    code = "not_found"


class Invalid(DomainError):
    """A value cannot be used; ``field`` names it."""

    code = "invalid"


class WrongState(DomainError):
    """The thing exists, but this cannot be done to it now."""

    code = "wrong_state"


class Unavailable(DomainError):
    """An outside service does not answer; the same call may work later."""

    code = "unavailable"
