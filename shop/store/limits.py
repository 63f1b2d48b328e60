"""How often the pages may be asked that a guesser, or who takes goods from others, would ask."""

from flask import Flask, Response, g, request, session

from shop.core import tokens
from shop.core.network import network_of
from shop.store.visitors import CUSTOMER_TOKEN, cart_token, known_device

# Per network address, and per email address that somebody there tries: slow enough for guessing,
# and nobody elsewhere is locked out of their own account by it. Nor is anybody here: a device that
# has signed in to the account before is not counted with its network.
LIMITS: dict[str, tuple[str, str]] = {
    "store.login_save": ("20 per minute; 200 per hour", "10 per 15 minutes"),
    "store.register_save": ("10 per minute; 60 per hour", "3 per 5 minutes"),
    "store.forgot_save": ("10 per minute; 60 per hour", "3 per 5 minutes"),
    "store.reset_save": ("20 per minute", ""),
    "store.confirm_save": ("20 per minute", ""),
    "store.find_orders": ("10 per minute; 60 per hour", ""),
    "store.claim_save": ("20 per minute", ""),
    "store.place": ("30 per minute; 200 per hour", ""),
    "store.express_order": ("30 per minute; 200 per hour", ""),
    "store.express_quote": ("120 per minute", ""),
}
# Per network address, in the cart and on all steps of checkout together.
CODES = "20 per minute; 200 per hour"
TAKES_CODES = ("store.code_add", "store.contact_save", "store.place")
# Per browser or customer, wherever they come from. Each order reserves goods that others cannot
# buy.
PER_VISITOR = {
    "store.place": "10 per minute; 60 per hour",
    "store.find_orders": "3 per 5 minutes; 10 per day",
    "store.express_order": "10 per minute; 60 per hour",
    "store.password_save": "10 per minute; 60 per hour",
}


def init_app(app: Flask) -> None:
    """Put the rate limits on the pages that need one; call after the blueprint is registered."""
    limiter = next(iter(app.extensions["limiter"]))
    for endpoint, (per_network, per_email) in LIMITS.items():
        view = app.view_functions[endpoint]
        view = limiter.limit(per_network, key_func=_network, exempt_when=_is_known_device)(view)
        if per_email:
            view = limiter.limit(
                per_email,
                key_func=_tried_from_here,
                deduct_when=_counts,
                exempt_when=_is_signing_in,
            )(view)
        app.view_functions[endpoint] = view
    for endpoint, per_visitor in PER_VISITOR.items():
        asked = limiter.limit(per_visitor, key_func=_visitor, exempt_when=lambda: not _known())
        app.view_functions[endpoint] = asked(app.view_functions[endpoint])
    codes = limiter.shared_limit(
        CODES, scope="codes", key_func=_network, exempt_when=lambda: not _tries_code()
    )
    for endpoint in TAKES_CODES:
        app.view_functions[endpoint] = codes(app.view_functions[endpoint])


def _is_known_device() -> bool:
    """Whether this browser signs in to an account, or asks for its password, not for the first
    time. Looked up once a request, since a failure is counted meanwhile."""
    if request.endpoint not in {"store.login_save", "store.forgot_save"}:
        return False
    if "known_device" not in g:
        g.known_device = known_device(request.form.get("email", ""))
    return bool(g.known_device)


def _is_signing_in() -> bool:
    """Whether a known device signs in: it counts its own failures."""
    return request.endpoint == "store.login_save" and _is_known_device()


def _tried_from_here() -> str:
    """The address that is tried, for each network; a known device has a count of its own."""
    where = g.known_device if _is_known_device() else _network()
    return f"{_tried_email()}|{where}"


def _tried_email() -> str:
    return f"email:{request.form.get('email', '').strip().lower()[:254]}"


def _counts(response: Response) -> bool:
    """Signing in counts when it failed; emails count whatever came of them."""
    return request.endpoint != "store.login_save" or response.status_code == 422


def _tries_code() -> bool:
    """Whether a discount code is sent along: in the cart's own form or in a box of a step."""
    boxes = [name for name in request.form if name == "code" or name.startswith("code.")]
    return any(request.form[name].strip() for name in boxes)


def _network() -> str:
    return network_of(request.remote_addr or "")


def _visitor() -> str:
    return f"visitor:{tokens.digest(_known())}"


def _known() -> str:
    """What this visitor is known by: the customer's sign-in, else the browser's cart."""
    return str(session.get(CUSTOMER_TOKEN) or cart_token())
