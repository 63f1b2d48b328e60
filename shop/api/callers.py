"""Who calls, and what each route lets callers do. Cookies are never looked at.

Every view carries its rule as ``policy``: a test walks all routes and refuses one without.
"""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from flask import current_app, g, request
from sqlalchemy import select

from shop import customers
from shop.api import tokens
from shop.api.errors import Refused
from shop.api.tokens import Bearer
from shop.core import actor, db
from shop.core.sessions import Audience

View = TypeVar("View", bound=Callable[..., Any])
P = ParamSpec("P")
R = TypeVar("R")
Pair = tuple[str, str]
NOT_SIGNED_IN = {"WWW-Authenticate": 'Bearer realm="shop", error="invalid_token"'}


@dataclass(frozen=True, slots=True)
class Caller:
    """Whoever asks; without ``audience`` it is a guest."""

    audience: Audience | None = None
    id: int = 0
    name: str = ""
    email: str = ""
    bearer: Bearer | None = None
    role_ids: tuple[int, ...] = field(default=())
    roles: tuple[str, ...] = field(default=())

    @property
    def customer_id(self) -> int | None:
        """The customer's number, None for everybody else."""
        return self.id if self.audience == "customer" else None

    def may(self, permission: str, view: str) -> bool:
        """Whether a member of staff has this permission of the admin. One statement."""
        if self.audience != "staff":
            return False
        security = current_app.extensions["appbuilder"].sm
        role, pair = security.role_model, security.permissionview_model
        held = (
            select(role.id)
            .join(role.permissions)
            .join(pair.permission)
            .join(pair.view_menu)
            .where(
                role.id.in_(self.role_ids),
                security.permission_model.name == permission,
                security.viewmenu_model.name == view,
            )
        )
        return db.session.scalar(held.limit(1)) is not None


GUEST = Caller()


def caller() -> Caller:
    """Who calls, as found out by the route's rule."""
    found: Caller = g.get("api_caller", GUEST)
    return found


def unasked(view: View) -> View:
    """Rule: everybody, and no token is looked at (signing in, webhooks)."""
    vars(view)["policy"] = "everybody"
    return view


def anybody(view: Callable[P, R]) -> Callable[P, R]:
    """Rule: guests too; who sends a token must send a live one."""
    return _guarded(view, "everybody", lambda who: None, required=False)


def signed_in(view: Callable[P, R]) -> Callable[P, R]:
    """Rule: customers and staff."""
    return _guarded(view, "signed in", lambda who: None)


def customer(view: Callable[P, R]) -> Callable[P, R]:
    """Rule: customers only."""

    def check(who: Caller) -> None:
        if who.audience != "customer":
            raise Refused(403, "This is for customers.")

    return _guarded(view, "customer", check)


def staff(permission: str, page: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Rule: staff whose role has ``permission`` on the admin's ``page``."""

    def check(who: Caller) -> None:
        if not who.may(permission, page):
            raise Refused(403)

    def decorate(view: Callable[P, R]) -> Callable[P, R]:
        return _guarded(view, f"staff: {permission} on {page}", check, pair=(permission, page))

    return decorate


def identify() -> Caller:
    """Who sent this request's token; a guest without one. Raises 401 for one that is over."""
    header = request.headers.get("Authorization")
    if header is None:
        return GUEST
    given = request.authorization
    token = given.token if given is not None and given.type == "bearer" else None
    found = tokens.bearer(token) if token and len(token) <= 200 else None
    who = (found and _person(found)) or None
    if who is None:
        raise Refused(401, "This access token is not valid (any more).", headers=NOT_SIGNED_IN)
    actor.set_current(actor.Actor(who.audience or "guest", who.id, who.name))
    return who


def _person(bearer: Bearer) -> Caller | None:
    if bearer.audience == "customer":
        known = customers.by_id(bearer.subject_id)
        if known is None:
            return None
        return Caller("customer", known.id, known.name, known.email, bearer)
    user_model = current_app.extensions["appbuilder"].sm.user_model
    user = db.session.get(user_model, bearer.subject_id, populate_existing=True)
    if user is None or not user.active:
        return None
    return Caller(
        "staff",
        user.id,
        user.get_full_name().strip(),
        user.email,
        bearer,
        tuple(role.id for role in user.roles),
        tuple(sorted(role.name for role in user.roles)),
    )


def _guarded(
    view: Callable[P, R],
    policy: str,
    check: Callable[[Caller], None],
    *,
    required: bool = True,
    pair: Pair | None = None,
) -> Callable[P, R]:
    @wraps(view)
    def guarded(*args: P.args, **given: P.kwargs) -> R:
        who = g.api_caller = identify()
        if required and who.audience is None:
            raise Refused(401)
        if required:
            check(who)
        return view(*args, **given)

    documented = deepcopy(vars(guarded).get("_apidoc", {}))
    manual = documented.setdefault("manual_doc", {})
    manual["security"] = [{"bearer": []}] if required else [{}, {"bearer": []}]
    if pair:
        manual["x-permission"] = " ".join(pair)
    # Every decorator above hands this on, as wraps() does.
    vars(guarded).update(policy=policy, permission=pair, _apidoc=documented)
    return guarded
