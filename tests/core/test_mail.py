import time
from collections.abc import Iterator
from email.message import EmailMessage

import pytest

from shop.core import mail
from shop.core.errors import Unavailable
from tests.faults.mailserver import MailServer, Manners


@pytest.fixture
def server() -> Iterator[MailServer]:
    made = MailServer()
    made.start()
    mail.configure(f"smtp://127.0.0.1:{made.port}", "Shop <shop@example.com>")
    yield made
    mail.configure("", "Shop <shop@example.com>")
    made.stop()


def letter() -> EmailMessage:
    made = EmailMessage()
    made["From"], made["To"], made["Subject"] = mail.sender(), "ada@example.com", "Hello"
    made["Message-ID"] = "<one@example.com>"
    made.set_content("Hello Ada")
    return made


def not_taken() -> None:
    raise AssertionError("the server has not said that it took the email")


def test_email_is_marked_sent_before_the_goodbye(
    server: MailServer,
) -> None:
    known: list[tuple[int, int]] = []

    mail.send(letter(), lambda: known.append((server.taken.total(), server.parted.total())))

    assert known == [(1, 0)]
    assert dict(server.taken) == dict(server.parted) == {"<one@example.com>": 1}


def test_failed_goodbye_leaves_the_email_sent(server: MailServer) -> None:
    server.manners = Manners(bad_goodbye=1.0)
    known: list[str] = []

    mail.send(letter(), lambda: known.append("taken"))

    assert known == ["taken"]


def test_slow_answers_stay_within_a_reaction_lease(
    server: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mail, "DEADLINE_S", 1.0)
    server.manners = Manners(slow=1.0, pause_s=0.7)
    began = time.monotonic()

    with pytest.raises(Unavailable, match="did not accept the message"):
        mail.send(letter(), not_taken)

    assert time.monotonic() - began < 2
    assert not server.taken


def test_email_is_unsent_when_the_server_hangs_up(
    server: MailServer,
) -> None:
    server.manners = Manners(hang_up=1.0)

    with pytest.raises(Unavailable):
        mail.send(letter(), not_taken)

    assert dict(server.taken) == {"<one@example.com>": 1}
    assert server.broken() == 1
