"""What orders refuse."""

from shop.core.errors import WrongState


class TransitionRefused(WrongState):
    """The order's state does not allow this."""
