"""Who is signed in and what they may do: Flask-AppBuilder on sign-ins that can be ended.

Promise: a page under ``/admin`` is never shown to somebody without a live sign-in of an active
account; that costs one statement a request, and all permissions together one more.
"""

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

from flask import Flask, Response, abort, g, jsonify, redirect, request, session
from flask_appbuilder import AppBuilder
from flask_appbuilder.security.sqla.manager import SecurityManager
from flask_appbuilder.security.sqla.models import (
    Permission,
    PermissionView,
    User,
    ViewMenu,
    assoc_permissionview_role,
)
from flask_limiter import Limiter
from flask_login import LoginManager, current_user
from sqlalchemy import func, select, update
from sqlalchemy.orm import joinedload
from werkzeug.exceptions import SecurityError
from werkzeug.wrappers import Response as WerkzeugResponse

from shop import audit
from shop.admin import shell
from shop.admin.framework import errors
from shop.admin.staff import passwords
from shop.core import actor, clock, db, sessions, tokens
from shop.core.broadcasts import Broadcast
from shop.core.db import transaction
from shop.core.passwords import matches

# Where the browser keeps the secret of its staff sign-in: the sockets look there too.
SESSION_KEY = "staff_token"
# Pages that anybody may see: the ways in, and the files they need.
OPEN = {
    "SignInView.login", "ForgottenPasswordView.ask", "ForgottenPasswordView.follow",
    "ForgottenPasswordView.choose", "InvitationView.follow", "InvitationView.accept",
    "admin_files.file",
}  # fmt: skip


class StaffLogin(LoginManager):
    """Flask-Login that knows one way to be signed in: a live row of ``sign_in``."""

    def _load_user(self) -> None:
        self._update_request_context_with_user(signed_in())

    def take_for_nobody(self) -> None:
        """For the rest of this request nobody is signed in; asks the database nothing."""
        self._update_request_context_with_user()


class StaffSecurity(SecurityManager):
    """Flask-AppBuilder's security without its own pages, API, JWT and public role."""

    userstatschartview = None

    def create_login_manager(self, app: Flask) -> LoginManager:
        """Only ``app.login_manager``: its hooks would touch the session of every shop page."""
        manager = StaffLogin()
        vars(app)["login_manager"] = manager  # where Flask-Login looks; Flask's type has no such
        return manager

    def create_jwt_manager(self, app: Flask) -> None:
        """Tokens belong to the API door."""

    def create_limiter(self, app: Flask) -> Limiter:
        """The application's own limiter, which the factory made."""
        return next(iter(app.extensions["limiter"]))

    def register_views(self) -> None:
        """Our own pages stand in ``shop.admin.VIEWS``."""

    def has_access(self, permission_name: str, view_name: str) -> bool:
        """Whether whoever is signed in has this permission; nobody has any without signing in."""
        if not current_user.is_authenticated:
            return False
        return (permission_name, view_name) in self.permissions()

    def permissions(self) -> set[tuple[str, str]]:
        """All (permission, view) pairs of the person signed in; one statement a request."""
        if "staff_permissions" not in g:
            g.staff_permissions = held_permissions([role.id for role in current_user.roles])
        permissions: set[tuple[str, str]] = g.staff_permissions
        return permissions

    def add_user(self, *args: Any, **given: Any) -> Any:
        """For Flask-AppBuilder's own commands: the password rules count there too."""
        if given.get("password"):
            self._check_new(given["password"], args, given)
        return super().add_user(*args, **given)

    @staticmethod
    def _check_new(password: str, args: Sequence[Any], given: dict[str, Any]) -> None:
        """The rule, with all that the command says of its owner: name, names and address."""
        known = [one for one in (*args, *given.values()) if isinstance(one, str)]
        words = " ".join(one for one in known if one != password)
        passwords.check(password, email=given.get("email", ""), name=words)

    def reset_password(self, userid: Any, password: str) -> None:
        """For Flask-AppBuilder's own commands: rules, and the end of all sign-ins."""
        user = self.get_user_by_id(userid)
        email, name = (user.email, user.get_full_name()) if user else ("", "")
        passwords.check(password, email=email, name=name)
        super().reset_password(userid, password)
        with transaction():
            sessions.end_all("staff", int(userid))


class StaffAppBuilder(AppBuilder):
    """Flask-AppBuilder without what it puts outside ``/admin``: back, lang, menu API, static."""

    def _add_global_static(self) -> None:
        pass

    def _add_admin_views(self) -> None:
        pass

    @property
    def get_url_for_index(self) -> str:
        """Where to go when there is nowhere else to go."""
        return "/admin/"


def init_app(app: Flask) -> None:
    """Guard everything under ``/admin`` and name the actor of staff requests."""
    app.before_request(guard)


def guard() -> WerkzeugResponse | tuple[Response, int] | None:
    """Send whoever is not signed in to the sign-in page; name the actor for everybody else."""
    if not shell.asked_for_admin() or request.endpoint in OPEN:
        return None
    if isinstance(request.routing_exception, SecurityError):
        # Without a trusted host there is no page to show and nowhere to go.
        return Response("This host name is not ours.", 400, mimetype="text/plain")
    if current_user.is_authenticated:
        if _has_unstorable_text():
            abort(400)
        _note_use()
        actor.set_current(
            actor.Actor("staff", current_user.id, current_user.get_full_name().strip())
        )
        return None
    if errors.wants_json():
        return jsonify({"error": "Sign in first.", "code": "signed_out"}), 401
    wanted = {"next": request.full_path.rstrip("?")} if request.method == "GET" else {}
    return redirect("/admin/login/" + (f"?{urlencode(wanted)}" if wanted else ""), code=303)


def _has_unstorable_text() -> bool:
    """Whether an address or form has a NUL, which Postgres cannot keep and nobody types."""
    return any(
        "\0" in value
        for given in (request.args, request.form)
        for values in given.listvalues()
        for value in values
    )


def _note_use() -> None:
    """A person at work keeps the sign-in alive; what a page fetches by itself does not.

    Written at most once a minute, in a transaction of its own.
    """
    started_at, expires_at = g.staff_sign_in
    if _is_person() and sessions.is_worth_noting("staff", started_at, expires_at):
        with transaction():
            sessions.note_use("staff", session[SESSION_KEY], started_at)


def _is_person() -> bool:
    """Whether somebody opened a page, sent something, or is typing (typing.js says so)."""
    if request.method not in {"GET", "HEAD"} or "X-Typing" in request.headers:
        return True
    return request.headers.get("Sec-Fetch-Mode", "navigate") == "navigate"


# Asked before a page reads anything: it shows all that was reported until then.
_NEWEST = select(func.coalesce(func.max(Broadcast.seq), 0)).scalar_subquery().label("newest")


def signed_in() -> User | None:
    """The member of staff behind this browser's token, with roles; one statement."""
    token = session.get(SESSION_KEY)
    if not token:
        return None
    alive = (
        select(User, sessions.SignIn.started_at, sessions.SignIn.expires_at, _NEWEST)
        .join(sessions.SignIn, sessions.SignIn.subject_id == User.id)
        .where(
            sessions.SignIn.digest == tokens.digest(token),
            sessions.SignIn.audience == "staff",
            sessions.SignIn.ended_at.is_(None),
            sessions.SignIn.expires_at > clock.now(),
            User.active.is_(True),
        )
        .options(joinedload(User.roles))
    )
    found = db.session.execute(alive).unique().one_or_none()
    if found is None:
        return None
    g.staff_sign_in = found.started_at, found.expires_at
    g.live_since = found.newest
    return found.User


def held_permissions(role_ids: list[int]) -> set[tuple[str, str]]:
    """The (permission, view) pairs of these roles; one statement."""
    held = (
        select(Permission.name, ViewMenu.name)
        .select_from(assoc_permissionview_role)
        .join(PermissionView, PermissionView.id == assoc_permissionview_role.c.permission_view_id)
        .join(Permission, Permission.id == PermissionView.permission_id)
        .join(ViewMenu, ViewMenu.id == PermissionView.view_menu_id)
        .where(assoc_permissionview_role.c.role_id.in_(role_ids))
    )
    return {(permission, view) for permission, view in db.session.execute(held)}


def sign_in(name: str, password: str) -> bool:
    """Check the password and open a sign-in for this browser; False says only that it failed.

    Known and unknown names take the same statements and one password check each.
    """
    lowered = name.strip().lower()
    named = (func.lower(User.username) == lowered) | (func.lower(User.email) == lowered)
    user = db.session.scalars(select(User).where(named).limit(1)).one_or_none()
    right = matches(user.password if user else None, password)
    with transaction():
        if not (user and user.active and right):
            failures = func.coalesce(User.fail_login_count, 0) + 1
            db.session.execute(update(User).where(named).values(fail_login_count=failures))
            _record_sign_in(user, is_refused=True)
            return False
        token = open_sign_in(user)
    carry(token)
    return True


def open_sign_in(user: User) -> str:
    """Open a sign-in for this browser, inside a transaction; the one that it had ends. Returns what
    ``carry`` puts into its cookie once the transaction is over."""
    user.last_login = clock.now().replace(tzinfo=None)
    user.login_count = (user.login_count or 0) + 1
    user.fail_login_count = 0
    sessions.end(session.get(SESSION_KEY))
    _record_sign_in(user, is_refused=False)
    return sessions.start(
        "staff",
        user.id,
        user_agent=request.user_agent.string,
        network_address=request.remote_addr or "",
    )


def carry(token: str) -> None:
    """Sign this browser in: a new secret each time, for the session and for its forms."""
    session.pop("csrf_token", None)
    g.pop("csrf_token", None)
    session[SESSION_KEY] = token


def _record_sign_in(user: User | None, *, is_refused: bool) -> None:
    name, label = (user.get_full_name(), user.username) if user else ("", "")
    audit.record_sign_in(user.id if user else None, name, label, is_refused=is_refused)


def sign_out() -> None:
    """End this browser's sign-in, in the database and in its cookie."""
    with transaction():
        if current_user.is_authenticated:
            audit.record(
                audit.AuditAction.SIGN_OUT,
                record_type="ab_user",
                record_id=current_user.id,
                label=current_user.username,
            )
        sessions.end(session.get(SESSION_KEY))
    session.pop(SESSION_KEY, None)
    session.pop("csrf_token", None)


def safe_next(address: str | None) -> str:
    """Where to go after signing in: a path of the admin, never another site."""
    address = address or ""
    plain = address.startswith("/admin/") and "\\" not in address and address.isprintable()
    return address if plain and not address.startswith("/admin/login") else "/admin/"
