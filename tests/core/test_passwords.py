"""What is good enough as a password, and that comparing one costs the same for everybody."""

import pytest
from werkzeug.security import generate_password_hash

from shop.core import passwords
from shop.core.errors import Invalid

OWN = ("mara.lindt@example.com", "Mara Lindt")


@pytest.fixture(autouse=True)
def ember() -> None:
    passwords.configure(shop_name="Ember & Oak")


@pytest.mark.parametrize(
    ("password", "help_"),
    [
        ("short", "at least 12"),
        ("x" * 300, "at most 256"),
        ("with\0nul-character", "cannot be part"),
        ("Password1234", "Too many people"),
        ("P@ssw0rd2026!!", "Too many people"),
        ("Summer2026!!", "Too many people"),
        ("iloveyouforever", "a few unusual words"),
        ("aaaaaaaaaaaaaaa", "repeated characters"),
        ("a1a1a1a1a1a1a1a1", "repeated characters"),
        ("qwertyuiop[]", "rows of keys"),
        ("abcdefghijklmn", "rows such as abc"),
        ("1q2w3e4r5t6y", "Too many people"),
        ("correct horse battery staple", "Too many people"),
        ("CorrectHorseBatteryStaple", "Too many people"),
        ("maralindt12345", "your name"),
        ("Mara.Lindt.2026", "your name"),
        ("mara.lindt@example.com", "your name"),
        ("EmberOak2026!", "the shop’s name"),
        ("ember and oak", "the shop’s name"),
    ],
)
def test_weak_passwords_are_refused_with_help(password: str, help_: str) -> None:
    with pytest.raises(Invalid) as refusal:
        passwords.check(password, own_words=OWN)

    assert help_ in refusal.value.sentence
    assert refusal.value.field == "password"


@pytest.mark.parametrize(
    "password",
    [
        "a quiet kiln of clay",
        "nine blue herons walk",
        "xK9#mQ2$vL7p",
        "żółta łódka płynie",
        "漆喰の壁に朝の光が差す窓",
    ],
)
def test_unusual_words_are_accepted(password: str) -> None:
    passwords.check(password, own_words=OWN)


def test_decoy_costs_what_a_real_hash_costs() -> None:
    real = generate_password_hash("a quiet kiln of clay")

    assert passwords.DECOY.split("$")[0] == real.split("$")[0]
    assert len(passwords.DECOY) == len(real)
    assert not passwords.matches(None, "") and not passwords.matches("", "")


def test_right_and_wrong_passwords_differ() -> None:
    stored = passwords.hashed("a quiet kiln of clay")

    assert passwords.matches(stored, "a quiet kiln of clay")
    assert not passwords.matches(stored, "a quiet kiln of clay ")
