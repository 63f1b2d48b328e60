"""Who tries to get in, as the limits of the pages without a sign-in count them."""

from flask import current_app, g, request
from werkzeug.wrappers import Response

from shop.core import devices
from shop.core.network import network_of


def network() -> str:
    """The network that the request comes from."""
    return network_of(request.remote_addr or "")


def account() -> str:
    """The account that is tried, as it was typed."""
    return request.form.get("username", "").strip().lower()[:128]


def account_and_network() -> str:
    """An account that is tried from one network: elsewhere nobody is locked out by it."""
    return f"{account()}|{network()}"


def known_device() -> str:
    """The id of this browser if it has signed in to the account that is tried, else nothing."""
    if "known_device" not in g:
        kept = request.cookies.get(devices.COOKIE)
        g.known_device = devices.known(kept, "staff", account())
    found: str = g.known_device
    return found


def is_known_device() -> bool:
    """Whether this browser has signed in to the account that is tried."""
    return bool(known_device())


def remember_device(answer: Response, name: str) -> None:
    """Let the browser keep that it has signed in to the account ``name``."""
    kept = devices.remember(request.cookies.get(devices.COOKIE), "staff", name)
    answer.set_cookie(
        devices.COOKIE,
        kept,
        max_age=devices.KEPT,
        secure=current_app.config["SESSION_COOKIE_SECURE"],
        httponly=True,
        samesite="Lax",
    )
