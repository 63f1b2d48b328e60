"""Two people at the form of one record: the second is warned, and nothing typed is lost."""

import re
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, nullcontext
from typing import Any

import pytest
from flask import Flask
from flask_appbuilder.security.sqla.models import Role, User
from sqlalchemy import make_url, select, text
from sqlalchemy.orm import Session

from shop.admin.framework.errors import AWAY, LOOK_FIRST
from shop.catalog.models import Category
from shop.checkout.models import ShippingMethod, TaxRate
from shop.core import db
from tests.admin.desk import Desk, sit
from tests.cast import Cast

BUSY = "Someone else is changing the same record. Try again in a moment."
SEEN = re.compile(r'name="seen" value="([^"]+)"')
METHOD = {
    "name": "Pigeon", "code": "pigeon", "price_minor": "3,50", "free_over_minor": "",
    "countries": "DE, AT", "min_days": "1", "max_days": "2", "position": "9", "is_active": "y",
}  # fmt: skip


@pytest.fixture
def owner(app: Flask, session: Session) -> Desk:
    return sit(app, "Owner")


def opened(desk: Desk, path: str) -> str:
    """What the form at ``path`` says that it was made from."""
    return seen_in(desk.text(path))


def seen_in(page: str) -> str:
    found = SEEN.search(page)
    assert found, page
    return found[1]


def saves(desk: Desk, path: str, typed: dict[str, Any], seen: str) -> Any:
    return desk.post(path, typed | {"seen": seen})


def test_second_save_is_refused_and_keeps_the_input(owner: Desk) -> None:
    owner.post("/admin/shipping/add", METHOD)
    made = db.session.scalars(select(ShippingMethod).filter_by(code="pigeon")).one()
    path = f"/admin/shipping/edit/{made.id}"
    first = second = opened(owner, path)

    assert saves(owner, path, METHOD | {"price_minor": "4,50"}, first).status_code == 303
    mine = METHOD | {"name": "Fast pigeon", "price_minor": "3,90"}
    refused = saves(owner, path, mine, second)

    assert refused.status_code == 422
    assert "Someone else changed this shipping method while you were editing it" in refused.text
    assert refused.text.count("Someone else has changed this to") == 1  # at the price
    assert 'value="Fast pigeon"' in refused.text and 'value="3,90"' in refused.text
    db.session.remove()
    kept = db.session.get_one(ShippingMethod, made.id)
    assert (kept.name, kept.price_minor) == ("Pigeon", 450)

    again = saves(owner, path, mine, seen_in(refused.text))
    assert again.status_code == 303
    db.session.remove()
    assert db.session.get_one(ShippingMethod, made.id).price_minor == 390


def test_edits_of_different_fields_are_merged(owner: Desk) -> None:
    owner.post("/admin/shipping/add", METHOD)
    made = db.session.scalars(select(ShippingMethod).filter_by(code="pigeon")).one()
    path = f"/admin/shipping/edit/{made.id}"
    first = second = opened(owner, path)

    assert saves(owner, path, METHOD | {"price_minor": "4,50"}, first).status_code == 303
    assert saves(owner, path, METHOD | {"name": "Fast pigeon"}, second).status_code == 303

    db.session.remove()
    kept = db.session.get_one(ShippingMethod, made.id)
    assert (kept.name, kept.price_minor) == ("Fast pigeon", 450)


def test_a_conflict_shows_what_was_merged_beside_it(owner: Desk) -> None:
    owner.post("/admin/shipping/add", METHOD)
    made = db.session.scalars(select(ShippingMethod).filter_by(code="pigeon")).one()
    path = f"/admin/shipping/edit/{made.id}"
    first = second = opened(owner, path)

    saves(owner, path, METHOD | {"name": "Crow", "price_minor": "4,50"}, first)
    refused = saves(owner, path, METHOD | {"name": "Dove"}, second)

    price = re.search(r'name="price_minor"[^>]*value="([^"]+)"', refused.text)
    assert price and price[1] == "4.50"
    assert re.search(r"Someone else has changed this to “Crow”", refused.text)


def test_refused_form_still_detects_unsaved_changes(owner: Desk) -> None:
    owner.post("/admin/shipping/add", METHOD)
    made = db.session.scalars(select(ShippingMethod).filter_by(code="pigeon")).one()
    path = f"/admin/shipping/edit/{made.id}"
    seen = opened(owner, path)

    saves(owner, path, METHOD | {"name": "Dove"}, seen)
    bad = saves(owner, path, METHOD | {"price_minor": "much"}, seen)
    then = saves(owner, path, METHOD | {"name": "Crow"}, seen_in(bad.text))

    assert "while you were editing it" in then.text
    db.session.remove()
    assert db.session.get_one(ShippingMethod, made.id).name == "Dove"


def test_categories_rates_and_staff_are_guarded_too(owner: Desk, cast: Cast) -> None:
    with db.transaction():
        garden = Category(name="Garden", slug="garden", path="garden")
        person = User(
            email="eve@example.com", username="eve@example.com", first_name="Eve", last_name="X",
            password="", active=True, roles=[role("Support")],
        )  # fmt: skip
        rate = TaxRate(country="XK", tax_class="standard", rate="0.1")
        db.session.add_all([garden, person, rate])
    viewer = role("Viewer").id
    eve = {"first_name": "Eve", "last_name": "X", "email": "eve@example.com"}
    forms: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
        (f"/admin/categories/edit/{garden.id}", {"name": "A", "slug": "garden", "parent": ""},
         {"name": "B", "slug": "garden", "parent": ""}),
        (f"/admin/tax-rates/edit/{rate.id}", {"rate": "0.2"}, {"rate": "0.3"}),
        (f"/admin/staff/edit/{person.id}", eve | {"roles": [viewer]},
         eve | {"last_name": "Y", "roles": [role("Manager").id]}),
    ]  # fmt: skip
    for path, first, second in forms:
        seen = opened(owner, path)
        assert saves(owner, path, first, seen).status_code == 303, path
        refused = saves(owner, path, second, seen)
        assert "while you were editing it" in refused.text, path
    db.session.remove()
    assert db.session.get_one(Category, garden.id).name == "A"
    assert str(db.session.get_one(TaxRate, rate.id).rate) == "0.2000"
    assert [held.name for held in db.session.get_one(User, person.id).roles] == ["Viewer"]


def role(name: str) -> Role:
    return db.session.scalars(select(Role).filter_by(name=name)).one()


def test_of_many_who_save_at_once_one_wins(app: Flask, live_database: str) -> None:
    app.extensions["staff"].install()
    people = [sit(app, "Owner", f"Mara{n}") for n in range(4)]
    people[0].post("/admin/categories/add", {"name": "Garden", "slug": "", "parent": ""})
    garden = db.session.scalars(select(Category.id).filter_by(path="garden")).one()
    db.session.remove()
    path = f"/admin/categories/edit/{garden}"
    seen = [opened(desk, path) for desk in people]
    answers: list[int] = []
    start = threading.Barrier(len(people))

    def save(n: int) -> None:
        start.wait()
        typed = {"name": f"Garden {n}", "slug": "garden", "parent": ""}
        answers.append(saves(people[n], path, typed, seen[n]).status_code)

    threads = [threading.Thread(target=save, args=(n,)) for n in range(len(people))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(answers) == [303, 422, 422, 422]


def test_busy_record_is_explained_in_words(app: Flask, live_database: str) -> None:
    app.extensions["staff"].install()
    desk = sit(app, "Owner")
    desk.post("/admin/shipping/add", METHOD)
    made = db.session.scalars(select(ShippingMethod.id).filter_by(code="pigeon")).one()
    path = f"/admin/shipping/edit/{made}"
    seen = opened(desk, path)
    db.session.remove()

    with db.engine().begin() as other:
        other.execute(text("SELECT FROM shipping_method WHERE id = :id FOR UPDATE"), {"id": made})
        answer = saves(desk, path, METHOD | {"name": "Fast pigeon"}, seen)

    assert answer.status_code == 422
    assert BUSY in answer.text
    assert 'value="Fast pigeon"' in answer.text


def nothing_free(url: str) -> AbstractContextManager[object]:
    """Every connection is in use."""
    engine = db.configure(url, pool_size=1)
    engine.pool._timeout = 0.1  # type: ignore[attr-defined]
    block = ExitStack()
    block.enter_context(engine.connect())
    block.enter_context(engine.connect())
    return block


def nobody_there(url: str) -> AbstractContextManager[None]:
    """No server listens."""
    db.configure(str(make_url(url).set(host="127.0.0.1", port=1)))
    return nullcontext()


@pytest.mark.parametrize("trouble", [nothing_free, nobody_there])
def test_database_outage_is_explained_in_words(
    app: Flask, live_database: str, trouble: Callable[[str], AbstractContextManager[None]]
) -> None:
    app.extensions["staff"].install()
    desk = sit(app, "Owner")
    assert desk.token
    db.session.remove()

    with trouble(live_database):
        page = desk.get("/admin/shipping/list/?tab=on")
        sent = desk.post("/admin/shipping/add", METHOD)
        status, answer = desk.ask("/admin/shipping/add", METHOD)
    db.configure(live_database)

    assert (page.status_code, sent.status_code, status) == (503, 503, 503)
    assert str(AWAY) in page.text
    assert 'href="/admin/shipping/list/?tab=on"' in page.text
    assert str(AWAY + LOOK_FIRST) in sent.text
    assert answer["error"] == str(AWAY + LOOK_FIRST)
