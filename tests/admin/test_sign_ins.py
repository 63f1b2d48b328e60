"""Sign-ins of staff: by which device, from where, and how each of them is ended."""

import pytest
from flask import Flask
from flask_appbuilder.security.sqla.models import User
from sqlalchemy import select
from sqlalchemy.orm import Session

from shop.admin.staff import user_agents
from shop.core import sessions
from shop.core.db import session as database
from tests.admin.desk import Desk, sit
from tests.admin.strangers import Stranger
from tests.admin.test_security import EMAIL, PASSWORD, mara

__all__ = ["mara"]
WINDOWS = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0"
ANDROID = (
    "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko)"
    " Chrome/140.0.0.0 Mobile Safari/537.36"
)


def signed_in(app: Flask, user_agent: str = WINDOWS) -> Stranger:
    browser = Stranger(app, user_agent)
    browser.send("/admin/login/", username=EMAIL, password=PASSWORD)
    assert browser.is_in()
    return browser


def living(person: User) -> list[sessions.SignIn]:
    database.expire_all()
    return sessions.living("staff", person.id)


@pytest.mark.parametrize(
    "user_agent, words",
    [
        (WINDOWS, "Firefox on Windows"),
        (ANDROID, "Chrome on Android"),
        ("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko)"
         " Version/18.0 Safari/605.1.15", "Safari on macOS"),
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like"
         " Gecko) CriOS/140.0 Mobile/15E148 Safari/604.1", "Chrome on iPhone"),
        ("Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko)"
         " Chrome/140.0.0.0 Safari/537.36 Edg/140.0.0.0", "Edge on Windows"),
        ("Mozilla/5.0 (X11; Linux x86_64) Something/1.0", "Browser on Linux"),
        ("curl/8.5.0", "A program"),
        ("", "Unknown device"),
    ],
)  # fmt: skip
def test_a_device_is_named_in_words(user_agent: str, words: str) -> None:
    assert user_agents.device(user_agent) == words


def test_profile_lists_ones_own_sign_ins(app: Flask, mara: User) -> None:
    here = signed_in(app)
    signed_in(app, ANDROID)

    page = here.get("/admin/profile/").text

    assert page.index("Firefox on Windows") < page.index("This browser")
    assert page.index("This browser") < page.index("Chrome on Android")
    assert "127.0.0.1" in page and "last used" in page
    assert page.count("Sign out: Chrome on Android") == 1
    assert "Sign out: Firefox" not in page


def test_one_sign_in_is_ended_and_others_stay(app: Flask, mara: User) -> None:
    here, there, phone = signed_in(app), signed_in(app), signed_in(app, ANDROID)
    gone = next(one for one in living(mara) if one.user_agent == ANDROID)

    Desk(app, here.client, "Mara").post(f"/admin/profile/sign-out/{gone.id}")

    assert here.is_in() and there.is_in() and not phone.is_in()


def test_nobody_ends_sign_ins_of_others_by_number(app: Flask, mara: User) -> None:
    victim = signed_in(app)
    (theirs,) = living(mara)
    viewer = sit(app, "Viewer", "Vera")

    viewer.post(f"/admin/profile/sign-out/{theirs.id}")
    refused = viewer.post(f"/admin/staff/{mara.id}/sign-out/{theirs.id}")
    manager = sit(app, "Manager", "Max").post(f"/admin/staff/{mara.id}/sign-out")

    assert refused.status_code == 403 and manager.status_code == 403
    assert victim.is_in()


def test_owner_ends_sign_ins_of_others(app: Flask, mara: User) -> None:
    desk, phone = signed_in(app), signed_in(app, ANDROID)
    owner = sit(app, "Owner", "Olga")
    page = owner.text(f"/admin/staff/show/{mara.id}")
    assert "Firefox on Windows" in page and "Chrome on Android" in page
    gone = next(one for one in living(mara) if one.user_agent == ANDROID)

    owner.post(f"/admin/staff/{mara.id}/sign-out/{gone.id}")
    assert desk.is_in() and not phone.is_in()
    owner.post(f"/admin/staff/{mara.id}/sign-out")

    assert not desk.is_in()
    assert "Not signed in" in owner.text(f"/admin/staff/show/{mara.id}")


def test_manager_does_not_see_where_others_sign_in(app: Flask, mara: User) -> None:
    signed_in(app)

    page = sit(app, "Manager", "Max").text(f"/admin/staff/show/{mara.id}")

    assert "Firefox on Windows" not in page and "127.0.0.1" not in page


def test_what_a_browser_says_is_cut_and_escaped(app: Flask, mara: User) -> None:
    browser = signed_in(app, "Mozilla/5.0 <script>alert(1)</script>" + "x" * 1000)

    assert "<script>alert" not in browser.get("/admin/profile/").text
    (one,) = living(mara)
    assert len(one.user_agent) == sessions.MAX_USER_AGENT


def test_nothing_of_this_is_stored_of_customers(session: Session) -> None:
    sessions.start("customer", 1)
    database.flush()

    (row,) = database.scalars(select(sessions.SignIn).where(sessions.SignIn.subject_id == 1))

    assert (row.user_agent, row.network_address) == ("", "")
