"""Accounts of customers: who gets in, what is refused, and whose address it is."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from sqlalchemy.orm import Session

from shop import customers
from shop.core import passwords, tokens
from shop.core.db import transaction
from shop.core.errors import Invalid, NotFound
from shop.customers import InvalidAddress
from shop.customers.models import Customer
from tests.cast import ADDRESS, PASSWORD, Cast


def register(email: str, password: str = PASSWORD) -> None:
    with transaction():
        customers.register(email, password, "Ada")


def test_an_account_works_after_its_link_was_followed(session: Session) -> None:
    register("ada@example.com")
    with pytest.raises(Invalid, match="could not sign you in"):
        customers.authenticate("ada@example.com", PASSWORD)
    with transaction():
        customer = session.query(Customer).one()
        link = tokens.issue("confirm", customer.id, minutes=30)

    with pytest.raises(Invalid, match="not the password"), transaction():
        customers.confirm(link, "what a stranger chose")
    with transaction():
        customers.confirm(link, PASSWORD)

    assert customers.authenticate("ADA@example.com", PASSWORD).id == customer.id


def test_wrong_unknown_and_unconfirmed_get_the_same_words(cast: Cast) -> None:
    ada = cast.ada
    register("new@example.com")

    said = set()
    for email, password in (
        (ada.email, "not her password"),
        ("nobody@example.com", PASSWORD),
        ("new@example.com", PASSWORD),
    ):
        with pytest.raises(Invalid) as refusal:
            customers.authenticate(email, password)
        said.add((refusal.value.sentence, refusal.value.field))

    assert len(said) == 1


def test_registering_a_known_address_changes_nothing(cast: Cast) -> None:
    ada = cast.ada

    register(ada.email, "somebody elses password")

    assert customers.authenticate(ada.email, PASSWORD).id == ada.id


def test_registering_again_keeps_what_was_typed_first(session: Session) -> None:
    register("new@example.com", "what the first one typed")
    with transaction():
        customers.register("NEW@example.com", "what a stranger typed", "Eve")

    kept = session.query(Customer).one()
    with transaction():
        link = tokens.issue("confirm", kept.id, minutes=30)
    with pytest.raises(Invalid, match="not the password"), transaction():
        customers.confirm(link, "what a stranger typed")
    with transaction():
        confirmed = customers.confirm(link, "what the first one typed")

    assert confirmed.name == "Ada"


@pytest.fixture
def hashes(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every hash that is made or compared, by the library's own functions."""
    done: list[str] = []
    for name in ("generate_password_hash", "check_password_hash"):
        real = getattr(passwords, name)

        def counted(*args: Any, name: str = name, real: Any = real) -> Any:
            done.append(name)
            return real(*args)

        monkeypatch.setattr(passwords, name, counted)
    return done


def test_known_and_unknown_addresses_cost_the_same(
    cast: Cast, hashes: list[str], statements: list[str]
) -> None:
    ada = cast.ada
    register("waiting@example.com")

    def cost(ask: Callable[[str], object], email: str) -> tuple[list[str], list[str]]:
        del hashes[:], statements[:]
        with suppress(Invalid), transaction():
            ask(email)
        return list(hashes), [statement.split()[0] for statement in statements]

    def join(email: str) -> None:
        customers.register(email, PASSWORD, "Ada")

    def sign_in(email: str) -> object:
        return customers.authenticate(email, "somebody elses password")

    addresses = (ada.email, "waiting@example.com", "nobody@example.com")
    for ask in (join, customers.request_password_reset, sign_in):
        costs = [cost(ask, email) for email in addresses]
        assert costs[0] == costs[1] == costs[2], ask
        assert len(costs[0][0]) == (0 if ask is customers.request_password_reset else 1)


@pytest.mark.parametrize(
    "email",
    ["", "ada", "ada@", "@example.com", "ada@example", "a b@example.com", "a@b..com", "a,b@c.de"],
)
def test_addresses_that_take_no_email_are_refused(session: Session, email: str) -> None:
    with pytest.raises(Invalid, match="email address"):
        register(email)


@pytest.mark.parametrize("password", ["short", "aaaaaaaaaaaaaaaa", "x" * 257])
def test_weak_and_endless_passwords_are_refused(session: Session, password: str) -> None:
    with pytest.raises(Invalid, match="password"):
        register("ada@example.com", password)


def test_a_new_password_ends_every_other_session(cast: Cast) -> None:
    ada = cast.ada
    with transaction():
        here, elsewhere = customers.sign_in(ada), customers.sign_in(ada)

    with transaction():
        customers.change_password(ada, PASSWORD, "another long password", keep=here)

    assert customers.by_session(elsewhere) is None
    assert customers.by_session(here) is not None


def test_signing_out_ends_a_session_at_once(cast: Cast) -> None:
    ada = cast.ada
    with transaction():
        token = customers.sign_in(ada)
    assert customers.by_session(token) is not None

    with transaction():
        customers.sign_out(token)

    assert customers.by_session(token) is None


def test_every_fault_of_address_is_named_at_once() -> None:
    with pytest.raises(InvalidAddress) as refusal:
        customers.clean_address({"name": "Ada", "country": "ZZ", "phone": "1" * 40})

    assert set(refusal.value.errors) == {"line1", "city", "country", "phone"}


def test_an_address_cannot_forge_header_lines() -> None:
    cleaned = customers.clean_address(ADDRESS | {"name": "Ada\r\nBcc: everybody@example.com"})

    assert cleaned["name"] == "Ada Bcc: everybody@example.com"


def test_somebody_elses_address_cannot_be_changed_or_deleted(cast: Cast) -> None:
    ada, bruno = cast.ada, cast.bruno
    with transaction():
        hers = customers.save_address(ada.id, ADDRESS)

    with pytest.raises(NotFound), transaction():
        customers.save_address(bruno.id, ADDRESS | {"city": "Paris"}, address_id=hers.id)
    with pytest.raises(NotFound), transaction():
        customers.delete_address(bruno.id, hers.id)

    assert [address.city for address in customers.own_addresses(ada.id)] == ["Berlin"]


def test_one_address_is_the_default(cast: Cast) -> None:
    ada = cast.ada
    with transaction():
        customers.save_address(ada.id, ADDRESS | {"is_default": True})
        second = customers.save_address(ada.id, ADDRESS | {"city": "Bonn", "is_default": True})

    assert [a.id for a in customers.own_addresses(ada.id) if a.is_default] == [second.id]
