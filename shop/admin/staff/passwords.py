"""What staff may use as a password: the shop's own rule, with a limit that a form can keep."""

from shop.core import passwords

MAX_LENGTH = 128


def check(password: str, *, email: str = "", name: str = "") -> None:
    """Raise ``Invalid`` with a sentence when this password may not be used for this account."""
    passwords.check(password, own_words=(email, name), max_length=MAX_LENGTH)
