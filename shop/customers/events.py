"""What customers do with their accounts. Links are made by the emails, never carried by events."""

from dataclasses import dataclass

from shop.core.events import Event


@dataclass(frozen=True, kw_only=True)
class CustomerRegistered(Event):
    """Somebody asked for an account and has yet to follow the emailed link."""

    customer_id: int


@dataclass(frozen=True, kw_only=True)
class RegistrationRepeated(Event):
    """Somebody asked for an account with an address that already has one."""

    customer_id: int


@dataclass(frozen=True, kw_only=True)
class GuestOrdersRequested(Event):
    """A customer asked for a link that adds their guest orders to the account."""

    customer_id: int


@dataclass(frozen=True, kw_only=True)
class PasswordResetRequested(Event):
    """Somebody asked for a link to choose a new password.

    ``customer_id`` is 0 when the address is nobody's: known or not, asking does the same work.
    """

    customer_id: int
    from_known_device: bool = False
