"""Roles: the table is what the database holds, and nobody climbs above their own."""

import pytest
from flask import Flask
from flask_appbuilder.security.sqla.models import Permission, PermissionView, Role, User, ViewMenu
from sqlalchemy import select
from sqlalchemy.orm import Session

from shop.admin import menu, roles
from shop.admin.staff import accounts, invitations
from shop.core import db
from shop.core.db import transaction
from tests.admin.desk import sit

# Each page of the menu, and who finds it there. Everybody else gets 403.
EVERYBODY = set(roles.ROLES)
PAGES = {
    "/admin/": EVERYBODY,
    "/admin/profile/": EVERYBODY,
    "/admin/password/": EVERYBODY,
    "/admin/orders/list/": EVERYBODY - {"Catalogue"},
    "/admin/orders/export/csv": {"Owner", "Manager", "Finance"},
    "/admin/customers/export/csv": {"Owner", "Manager"},
    "/admin/customers/list/": {"Owner", "Manager", "Support", "Finance", "Viewer"},
    "/admin/categories/list/": {"Owner", "Manager", "Catalogue", "Viewer"},
    "/admin/categories/add": {"Owner", "Manager", "Catalogue"},
    "/admin/shipping/list/": {"Owner", "Manager", "Finance", "Viewer"},
    "/admin/shipping/add": {"Owner", "Manager"},
    "/admin/tax-rates/list/": {"Owner", "Manager", "Finance", "Viewer"},
    "/admin/tax-rates/add": {"Owner", "Manager", "Finance"},
    "/admin/staff/list/": {"Owner", "Manager"},
    "/admin/staff/add": {"Owner"},
    "/admin/roles/list/": {"Owner", "Manager"},
    "/admin/roles/show/Viewer": {"Owner", "Manager"},
}


def role(name: str) -> Role:
    return db.session.scalars(select(Role).where(Role.name == name)).one()


def person(name: str, *held: str) -> User:
    with transaction():
        return accounts.create(
            email=f"{name}@example.com",
            first_name=name.capitalize(),
            last_name="",
            password="a quiet kiln of clay",
            held=[role(each) for each in held],
            by=None,
        )


def held_by(user_id: int) -> set[str]:
    db.session.remove()
    return {each.name for each in db.session.get(User, user_id).roles}


@pytest.mark.parametrize("name", roles.ROLES)
def test_a_role_opens_its_pages_and_no_others(app: Flask, session: Session, name: str) -> None:
    desk = sit(app, name)

    for path, allowed in PAGES.items():
        expected = 200 if name in allowed else 403
        assert desk.get(path).status_code == expected, (name, path)


@pytest.mark.parametrize("name", roles.ROLES)
def test_the_menu_shows_only_what_opens(app: Flask, session: Session, name: str) -> None:
    desk = sit(app, name)
    page = desk.text("/admin/")

    for group in menu.MENU:
        for entry in group.entries:
            if entry.endpoint in app.view_functions:
                with app.test_request_context():
                    path = app.url_for(entry.endpoint)
                shown = f'data-page="{entry.view}"' in page
                assert shown == (desk.get(path).status_code == 200), (name, entry.label)


def test_the_database_holds_exactly_the_table(app: Flask, session: Session) -> None:
    offered = roles.offered(app)

    for name in roles.ROLES:
        stored = {(p.permission.name, p.view_menu.name) for p in role(name).permissions}
        assert stored == roles.granted(name, offered)
    assert set(session.scalars(select(Role.name))) == set(roles.ROLES)


def test_every_line_of_the_table_means_something(app: Flask) -> None:
    offered = roles.offered(app)
    views = {view for _, view in offered}

    for name, spec in roles.ROLES.items():
        for view, permissions in (roles.OWN | spec.grants).items():
            if view in views and "*" not in permissions:
                missing = {p for p in permissions if (p, view) not in offered}
                assert not missing, (name, view, missing)


def test_installing_again_changes_nothing(app: Flask, session: Session) -> None:
    def rows() -> list[tuple[int, ...]]:
        db.session.remove()
        pairs = select(PermissionView.id, PermissionView.permission_id, PermissionView.view_menu_id)
        return sorted(tuple(row) for row in db.session.execute(pairs))

    before = rows()

    app.extensions["staff"].install()

    assert rows() == before


def test_installing_removes_what_no_page_has_any_more(app: Flask, session: Session) -> None:
    with transaction():
        stale = PermissionView(
            permission=Permission(name="can_fly"), view_menu=ViewMenu(name="Gone")
        )
        session.add_all([stale, Role(name="Admin", permissions=[stale])])

    app.extensions["staff"].install()

    db.session.remove()
    assert db.session.scalars(select(Permission).where(Permission.name == "can_fly")).all() == []
    assert db.session.scalars(select(Role).where(Role.name == "Admin")).all() == []


def test_the_first_owner_is_made_once(app: Flask, session: Session) -> None:
    staff = app.extensions["staff"]

    assert staff.create_owner("first@example.com", "a quiet kiln of clay")
    assert not staff.create_owner("second@example.com", "a quiet kiln of clay")

    db.session.remove()
    owners = db.session.scalars(select(User).join(User.roles).where(Role.name == "Owner")).all()
    assert [owner.email for owner in owners] == ["first@example.com"]


def test_the_last_owner_stays(session: Session) -> None:
    owner, manager = person("olga", "Owner"), person("max", "Manager")

    with pytest.raises(accounts.LastOwner), transaction():
        accounts._keep_an_owner(without=owner)
    with pytest.raises(accounts.NotAllowed, match="more permissions than you"), transaction():
        accounts.deactivate(owner, by=manager)

    assert owner.active


def test_an_owner_may_go_when_another_stays(session: Session) -> None:
    owner, other = person("olga", "Owner"), person("otto", "Owner")

    with transaction():
        accounts.deactivate(owner, by=other)

    assert not owner.active
    with pytest.raises(accounts.NotAllowed, match="deactivate yourself"), transaction():
        accounts.deactivate(other, by=other)


def test_nobody_changes_their_own_roles(app: Flask, session: Session) -> None:
    person("otto", "Owner")
    desk = sit(app, "Owner", "Olga")
    me = session.scalars(select(User).where(User.first_name == "Olga")).one()

    answer = desk.post(
        f"/admin/staff/edit/{me.id}",
        {"first_name": "Olga", "last_name": "L", "email": me.email, "roles": [role("Viewer").id]},
    )

    assert "You cannot change your own roles" in answer.text
    assert held_by(me.id) == {"Owner"}


@pytest.mark.parametrize(
    "giver, wanted, allowed",
    [
        ("Owner", "Owner", True),
        ("Manager", "Owner", False),
        ("Manager", "Catalogue", True),
        ("Manager", "Manager", True),
        ("Warehouse", "Viewer", False),
        ("Viewer", "Viewer", True),
        ("Viewer", "Finance", False),
    ],
)
def test_nobody_gives_more_than_they_have(
    session: Session, giver: str, wanted: str, allowed: bool
) -> None:
    assert roles.may_grant(person("gia", giver), [wanted]) == allowed


def test_staff_without_the_right_change_nobody(app: Flask, session: Session) -> None:
    owner = person("olga", "Owner")
    manager = sit(app, "Manager", "Max")

    for path in (
        f"edit/{owner.id}",
        f"action/deactivate/{owner.id}",
        f"{owner.id}/password",
        "add",
    ):
        assert manager.post(f"/admin/staff/{path}").status_code == 403
    assert (
        manager.post(
            "/admin/staff/action_post", {"action": "deactivate", "rowid": owner.id}
        ).status_code
        == 403
    )

    db.session.remove()
    assert db.session.get(User, owner.id).active


def test_an_owner_invites_changes_and_deactivates_staff(app: Flask, session: Session) -> None:
    desk = sit(app, "Owner", "Olga")
    form = {
        "first_name": "Pia", "last_name": "Berg", "email": "Pia@Example.com",
        "roles": [role("Support").id],
    }  # fmt: skip

    assert desk.post("/admin/staff/add", form).status_code == 303
    with transaction():
        made = db.session.scalars(select(User).where(User.email == "pia@example.com")).one()
        invitations.accept(invitations.new_link(made), "a quiet kiln of clay")
    pia = db.session.scalars(select(User.id).where(User.email == "pia@example.com")).one()
    assert "already signs in" in desk.post("/admin/staff/add", form).text
    form["roles"] = [role("Finance").id]
    assert desk.post(f"/admin/staff/edit/{pia}", form).status_code == 303
    assert held_by(pia) == {"Finance"}
    desk.post("/admin/staff/action_post", {"action": "deactivate", "rowid": pia})

    db.session.remove()
    assert not db.session.get(User, pia).active
    assert desk.post("/admin/staff/delete/" + str(pia)).status_code in {404, 405}


@pytest.mark.parametrize(
    "change, sentence",
    [
        ({"email": "not an address"}, "not an email address"),
        ({"roles": []}, "Choose at least one role"),
        ({"roles": ["99999"]}, "Not a valid choice"),
        ({"first_name": ""}, "Fill this in"),
    ],
)
def test_refused_form_says_why_and_keeps_the_input(
    app: Flask, session: Session, change: dict[str, object], sentence: str
) -> None:
    desk = sit(app, "Owner", "Olga")
    form = {
        "first_name": "Pia", "last_name": "Bergmann", "email": "pia@example.com",
        "roles": [role("Support").id],
    }  # fmt: skip

    answer = desk.post("/admin/staff/add", form | change)

    assert answer.status_code == 422
    assert sentence in answer.text
    assert 'value="Bergmann"' in answer.text
    assert db.session.scalars(select(User).where(User.email == "pia@example.com")).all() == []
