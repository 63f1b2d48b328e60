"""What staff may use as a password: long, and not what everybody else uses."""

from shop.core.errors import Invalid

SHORTEST = 12
LONGEST = 128
# Common passwords of twelve characters and more; shorter ones fall to the length rule.
COMMON = frozenset(
    """
    111111111111 112233445566 123123123123 1234567890123 123456789012 123456789101 12345678910
    1234567891011 123456789123 123456789qwe 123456abcdef 1q2w3e4r5t6y 1q2w3e4r5t6y7u 1qaz2wsx3edc
    administrator administrator1 adminadmin12 administrator123 alexander123 asdfghjkl123
    asdfghjkl;'\\ basketball12 changeme1234 changemenow1 changeme12345 chocolate123 computer1234
    correcthorse correcthorsebatterystaple default12345 elizabeth123 football1234 helloworld12
    helloworld123 iloveyou1234 iloveyouforever letmein12345 letmeinplease liverpool123 manchester12
    masterkey123 monkey123456 newpassword1 p@ssw0rd1234 p@ssword1234 passw0rd1234 password1234
    password12345 password123456 password2024 password2025 password2026 passwordpassword
    princess1234 q1w2e3r4t5y6 qazwsxedcrfv qwerty123456 qwertyqwerty qwertyuiop12 qwertyuiop123
    qwertyuiop[] qwertyuiopas qwertyuiopasdfgh secret123456 shopadmin123 spiderman123 starwars1234
    sunshine1234 superman1234 test12345678 testtesttest trustno1trustno1 unbelievable wachtwoord12
    welcome12345 welcome123456 whatever1234 zxcvbnm12345 zxcvbnmasdfg zaq12wsxcde3
    """.split()
)


def check(password: str, *, email: str = "") -> None:
    """Raise ``Invalid`` with a sentence when this password may not be used for this account."""
    lowered = password.casefold()
    if len(password) < SHORTEST:
        raise Invalid(f"Use at least {SHORTEST} characters.", field="password")
    if len(password) > LONGEST:
        raise Invalid(f"Use at most {LONGEST} characters.", field="password")
    if "\0" in password:
        raise Invalid("This character cannot be part of a password.", field="password")
    if lowered in COMMON or len(set(lowered)) < 5:
        raise Invalid("Too many people use this password; choose another.", field="password")
    name = email.casefold().partition("@")[0]
    if email and (lowered == email.casefold() or (len(name) > 5 and lowered.startswith(name))):
        raise Invalid("Do not build the password from the e-mail address.", field="password")
