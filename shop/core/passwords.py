"""Passwords of customers and staff: one rule for what is good enough, one way to hash and compare.

Strength is judged by zxcvbn (https://www.usenix.org/conference/usenixsecurity16/technical-sessions/
presentation/wheeler): how many guesses somebody needs who knows common passwords, words, names,
keyboard rows and dates. Length alone lets "Password1234" through.
"""

from collections.abc import Iterable

from werkzeug.security import check_password_hash, generate_password_hash

from shop.core.errors import Invalid
from shop.core.i18n import gettext as _
from shop.core.i18n import lazy_gettext

MIN_LENGTH = 12
MAX_LENGTH = 256
# Guesses, as a power of ten. Sign-in is limited by network, so many networks may guess at once.
MIN_GUESSES_LOG10 = 9.0
# zxcvbn compares every part with every other: what lies beyond this only makes it slower.
MAX_JUDGED_LENGTH = 64
# Made of unusual words once, and famous since: https://xkcd.com/936/
FAMOUS = {"correcthorsebatterystaple"}
ADVICE: str = lazy_gettext("Use a few unusual words, such as a short sentence of your own.")
# What an unknown account's password is compared with, so that it costs what a known one costs. It
# is the hash of 192 random bits that nobody kept.
DECOY = (
    "scrypt:32768:8:1$PGVoEH8Q55b4PdPE$"
    "ec706249376643ef36971dc8c803f212d2ea3e8881d5962a8fbc49771d9d3531"
    "e83648d15519b74c42e1a5165085b9e77330fbf7191e378757aeb6c2996cd6dd"
)
_REASONS: dict[str, str] = {
    "repeat": lazy_gettext("repeated characters are easy to guess"),
    "sequence": lazy_gettext("rows such as abc or 123 are easy to guess"),
    "spatial": lazy_gettext("rows of keys are easy to guess"),
    "date": lazy_gettext("dates are easy to guess"),
    "regex": lazy_gettext("years are easy to guess"),
}
_shop_words: tuple[str, ...] = ()


def configure(*, shop_name: str) -> None:
    """Set the words that everybody who guesses at this shop tries first."""
    global _shop_words
    _shop_words = (shop_name,)


def check(password: str, *, own_words: Iterable[str] = (), max_length: int = MAX_LENGTH) -> None:
    """Let a password through that is good enough for an account with these own words.

    ``own_words`` are what others know of its owner: email address, name. Raises ``Invalid`` on the
    field ``password``, with a sentence that says what is wrong and what would be better.
    """
    if len(password) < MIN_LENGTH:
        raise _refused(_("Use a password of at least %(least)s characters.", least=MIN_LENGTH))
    if len(password) > max_length:
        raise _refused(_("Use a password of at most %(most)s characters.", most=max_length))
    if not password.isprintable():
        raise _refused(_("This character cannot be part of a password."))
    # Not at the top: workers set no passwords, and its lists of words take memory.
    from zxcvbn import zxcvbn

    known = _words((*own_words, *_shop_words))
    found = zxcvbn(password[:MAX_JUDGED_LENGTH], user_inputs=known)
    parts = found["sequence"]
    is_own = _is_mostly(password, known)
    is_famous = "".join(c for c in password.casefold() if c.isalnum()) in FAMOUS
    if found["guesses_log10"] >= MIN_GUESSES_LOG10 and not is_own and not is_famous:
        return
    if is_own or any(part.get("dictionary_name") == "user_inputs" for part in parts):
        raise _refused(
            _(
                "Do not build the password from the email address, your name or the shop’s name."
                " %(advice)s",
                advice=ADVICE,
            )
        )
    reasons = [_REASONS[part["pattern"]] for part in parts if part["pattern"] in _REASONS]
    raise _refused(
        _(
            "Too many people use passwords like this: %(reason)s. %(advice)s",
            reason=reasons[0],
            advice=ADVICE,
        )
        if reasons
        else _("Too many people use passwords like this. %(advice)s", advice=ADVICE)
    )


def hashed(password: str) -> str:
    """Returns what is stored instead of the password (scrypt, salted)."""
    return generate_password_hash(password)


def matches(stored: str | None, password: str) -> bool:
    """Whether this is the password behind a stored hash.

    Without a stored hash (no such account, or none set) the same work is done and the answer is
    False, so that the time taken tells nobody which accounts exist.
    """
    is_right = check_password_hash(stored or DECOY, password[: MAX_LENGTH * 4])
    return bool(stored) and is_right


def _refused(sentence: str) -> Invalid:
    return Invalid(sentence, field="password")


def _words(given: Iterable[str]) -> list[str]:
    """The words of addresses and names, as somebody would build a password from them."""
    words: set[str] = set()
    for text in given:
        plain = text.casefold().strip()
        pieces = "".join(c if c.isalnum() else " " for c in plain).split()
        words |= {plain, plain.partition("@")[0], "".join(pieces), *pieces}
    return sorted(word for word in words if len(word) > 2)


def _is_mostly(password: str, known: Iterable[str]) -> bool:
    """Whether less than half of the password is left without the words that others know."""
    left = password.casefold()
    for word in sorted(known, key=len, reverse=True):
        left = left.replace(word, "")
    return len(left) * 2 < len(password)
