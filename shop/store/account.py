"""Accounts: joining, signing in, passwords, one's orders and addresses.

No answer here tells a stranger whether an address is known. Emailed links open a page with a
button: mail programs follow links to look at them, and looking must not use a link up.
"""

from collections.abc import Iterable

from flask import flash, make_response, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue
from markupsafe import Markup

from shop import checkout, customers, orders
from shop.core import devices
from shop.core.db import transaction
from shop.core.errors import DomainError, Invalid, NotFound
from shop.core.i18n import gettext as _
from shop.core.i18n import lazy_gettext, ngettext
from shop.orders import OrderStatus, PaymentStatus
from shop.store import inputs, visitors
from shop.store.blueprint import bp
from shop.store.forms import (
    ConfirmForm,
    ForgotForm,
    LoginForm,
    PasswordForm,
    RegisterForm,
    ResetForm,
    SavedAddressForm,
    tell,
)
from shop.store.order_parts import shown_address
from shop.store.orders import TONES, own_order, page_of

PER_PAGE = 10
LATEST = 3
RESET = "reset"
# What is said once an email with a link is on its way, by what the link is for.
_LINK_SENT = {
    "account": lazy_gettext(
        "We have sent an email to <strong>%(email)s</strong>. Follow the link in it within"
        " %(minutes)s minutes to finish your account."
    ),
    "password": lazy_gettext(
        "We have sent an email to <strong>%(email)s</strong>. Follow the link in it within"
        " %(minutes)s minutes to choose a new password."
    ),
    "orders": lazy_gettext(
        "We have sent an email to <strong>%(email)s</strong>. Follow the link in it within"
        " %(minutes)s minutes to add the orders you placed as a guest to your account."
    ),
}
_PROCESSING = PaymentStatus.PROCESSING
_DETAILS = {
    PaymentStatus.AUTHORISED: lazy_gettext("We charge when we send it"),
    PaymentStatus.PARTLY_REFUNDED: lazy_gettext("Partly refunded"),
    _PROCESSING: lazy_gettext("Nothing more to do"),
}


@bp.get("/account")
@visitors.customers_only
def account() -> ResponseReturnValue:
    """The latest orders, and the ways to the rest."""
    who = visitors.signed_in()
    latest = orders.of_customer(who.id, per_page=LATEST)
    saved = customers.own_addresses(who.id)
    return render_template(
        "store/account/account.html",
        who=who,
        latest=latest,
        details=_details(latest.rows),
        saved=[shown_address(one) for one in saved],
        tones=TONES,
    )


@bp.get("/account/register")
def register() -> ResponseReturnValue:
    """The form for a new account."""
    return render_template("store/account/register.html", form=RegisterForm(), above=[])


@bp.post("/account/register")
def register_save() -> ResponseReturnValue:
    """Ask for an account. The answer is the same for a known address; the email says the rest."""
    form = RegisterForm()
    try:
        with transaction():
            customers.register(
                form.email.data or "", form.password.data or "", form.name.data or ""
            )
    except DomainError as error:
        above = tell(form, error)
        return render_template("store/account/register.html", form=form, above=above), 422
    return _check_your_email(form.email.data or "", "account")


@bp.get("/account/confirm/<token>")
def confirm(token: str) -> ResponseReturnValue:
    """The form that confirms the account; looking at the page changes nothing."""
    try:
        customers.check_link("confirm", inputs.secret(token))
    except NotFound as error:
        return _stale(error)
    return _confirm_page(token, ConfirmForm(), above=[])


@bp.post("/account/confirm/<token>")
def confirm_save(token: str) -> ResponseReturnValue:
    """Confirm the account and sign in."""
    form = ConfirmForm()
    try:
        with transaction():
            customer = customers.confirm(inputs.secret(token), form.password.data or "")
            orders.adopt(customer.id, customer.email)
            notes = visitors.sign_in(customer)
    except NotFound as error:
        return _stale(error)
    except Invalid as error:
        return _confirm_page(token, form, above=tell(form, error)), 422
    flash(_("Welcome. Your account is ready."), "success")
    return _go_on(notes, url_for("store.account"))


def _confirm_page(token: str, form: ConfirmForm, *, above: list[str]) -> str:
    return render_template(
        "store/account/confirm.html", token=inputs.secret(token), form=form, above=above
    )


@bp.get("/account/login")
def login() -> ResponseReturnValue:
    """The form to sign in; ``next`` says where to go afterwards, inside this shop only."""
    form = LoginForm(formdata=None, data={"next": _next(request.args.get("next"))})
    return render_template("store/account/login.html", form=form, above=[])


@bp.post("/account/login")
def login_save() -> ResponseReturnValue:
    """Sign in and bring the cart along. All failures read the same and take as long."""
    form = LoginForm()
    try:
        with transaction():
            who = customers.authenticate(_plain(form.email.data), form.password.data or "")
            notes = visitors.sign_in(who)
    except Invalid as error:
        if device := visitors.known_device(form.email.data or ""):
            devices.note_failure(device)
        form.next.data = _next(form.next.data)
        above = [error.sentence]
        return render_template("store/account/login.html", form=form, above=above), 422
    return _go_on(notes, _next(form.next.data))


@bp.post("/account/logout")
def logout() -> ResponseReturnValue:
    """Sign this browser out."""
    visitors.sign_out()
    flash(_("You are signed out."), "success")
    return redirect(url_for("store.home"), code=303)


@bp.get("/account/password")
@visitors.customers_only
def password() -> ResponseReturnValue:
    """The form to change the password."""
    return render_template("store/account/password.html", form=PasswordForm(), above=[])


@bp.post("/account/password")
@visitors.customers_only
def password_save() -> ResponseReturnValue:
    """Change the password; every other browser of this customer is signed out."""
    form, who = PasswordForm(), visitors.signed_in()
    try:
        with transaction():
            customers.change_password(
                who,
                form.old_password.data or "",
                form.password.data or "",
                keep=session.get(visitors.CUSTOMER_TOKEN),
            )
    except Invalid as error:
        above = tell(form, error)
        return render_template("store/account/password.html", form=form, above=above), 422
    flash(_("Your password is changed. All other devices are signed out."), "success")
    return redirect(url_for("store.account"), code=303)


@bp.get("/account/password/forgot")
def forgot() -> ResponseReturnValue:
    """The form to ask for a link."""
    return render_template("store/account/forgot.html", form=ForgotForm(), above=[])


@bp.post("/account/password/forgot")
def forgot_save() -> ResponseReturnValue:
    """Email a link if the address is known; say the same either way."""
    form = ForgotForm()
    try:
        with transaction():
            customers.request_password_reset(
                form.email.data or "",
                from_known_device=bool(visitors.known_device(form.email.data or "")),
            )
    except Invalid as error:
        above = tell(form, error)
        return render_template("store/account/forgot.html", form=form, above=above), 422
    return _check_your_email(form.email.data or "", "password")


@bp.get("/account/password/<token>")
def reset_link(token: str) -> ResponseReturnValue:
    """Take the secret out of the address, so that no other site learns it, and go on."""
    session[RESET] = inputs.secret(token)
    answer = redirect(url_for("store.reset"), code=303)
    answer.headers["Referrer-Policy"] = "no-referrer"
    return answer


@bp.get("/account/password/new")
def reset() -> ResponseReturnValue:
    """The form to choose a new password, for who has followed an emailed link."""
    try:
        customers.check_link("password", session.get(RESET) or "")
    except NotFound as error:
        return _stale(error)
    return render_template("store/account/reset.html", form=ResetForm(), above=[])


@bp.post("/account/password/new")
def reset_save() -> ResponseReturnValue:
    """Choose a new password; every session ends, and this browser is signed in."""
    form = ResetForm()
    try:
        with transaction():
            who = customers.reset_password(session.get(RESET) or "", form.password.data or "")
            orders.adopt(who.id, who.email)
            notes = visitors.sign_in(who)
    except NotFound as error:
        return _stale(error)
    except Invalid as error:
        above = tell(form, error)
        return render_template("store/account/reset.html", form=form, above=above), 422
    flash(_("Your new password is set. All other devices are signed out."), "success")
    return _go_on(notes, url_for("store.account"))


@bp.post("/account/orders/find")
@visitors.customers_only
def find_orders() -> ResponseReturnValue:
    """Email the account's address a link that adds its guest orders. The answer is the same whether
    there are any."""
    who = visitors.signed_in()
    with transaction():
        customers.request_guest_orders(who.id)
    return _check_your_email(who.email, "orders")


@bp.get("/account/claim/<token>")
def claim(token: str) -> ResponseReturnValue:
    """The button that adds guest orders to the account; looking at the page changes nothing."""
    try:
        customers.check_link("orders", inputs.secret(token))
    except NotFound as error:
        return _stale(error, again="orders")
    answer = make_response(render_template("store/account/claim.html", token=inputs.secret(token)))
    answer.headers["Referrer-Policy"] = "no-referrer"
    return answer


@bp.post("/account/claim/<token>")
def claim_save(token: str) -> ResponseReturnValue:
    """Add the guest orders of the address that the link was emailed to."""
    try:
        with transaction():
            owner = customers.prove_mailbox(inputs.secret(token))
            found = orders.adopt(owner.id, owner.email)
    except NotFound as error:
        return _stale(error, again="orders")
    flash(
        ngettext(
            "%(num)s order is now in your account.",
            "%(num)s orders are now in your account.",
            found,
        )
        if found
        else _("There were no guest orders to add."),
        "success",
    )
    return redirect(url_for("store.account_orders"), code=303)


@bp.get("/account/orders")
@visitors.customers_only
def account_orders() -> ResponseReturnValue:
    """One page of this customer's orders, newest first."""
    text = request.args.get("page", "1")
    page = int(text) if text.isascii() and text.isdecimal() and len(text) <= 6 else 0
    if page < 1:
        raise NotFound(_("Page not found."))
    found = orders.of_customer(visitors.signed_in().id, page=page, per_page=PER_PAGE)
    if page > found.pages:
        raise NotFound(_("Page not found."))
    return render_template(
        "store/account/orders.html",
        found=found,
        details=_details(found.rows),
        tones=TONES,
        who=visitors.signed_in(),
    )


@bp.get("/account/orders/<number>")
@visitors.customers_only
def account_order(number: str) -> ResponseReturnValue:
    """One of this customer's orders."""
    return page_of(own_order(number, visitors.signed_in().id))


@bp.get("/account/addresses")
@visitors.customers_only
def addresses() -> ResponseReturnValue:
    """All saved addresses, and a form for one more."""
    return _addresses_page(SavedAddressForm(data={"country": checkout.terms().country}))


@bp.post("/account/addresses")
@visitors.customers_only
def address_add() -> ResponseReturnValue:
    """Keep one more address."""
    return _save_address(None)


@bp.get("/account/addresses/<address>")
@visitors.customers_only
def address(address: str) -> ResponseReturnValue:
    """The form to change one address."""
    wanted = inputs.row_id(address)
    own = customers.own_addresses(visitors.signed_in().id)
    saved = next((one for one in own if one.id == wanted), None)
    if saved is None:
        raise NotFound(_("Address not found."))
    return _addresses_page(SavedAddressForm(obj=saved), editing=saved.id)


@bp.post("/account/addresses/<address>")
@visitors.customers_only
def address_save(address: str) -> ResponseReturnValue:
    """Change one address."""
    return _save_address(inputs.row_id(address))


@bp.post("/account/addresses/<address>/delete")
@visitors.customers_only
def address_delete(address: str) -> ResponseReturnValue:
    """Delete one address."""
    with transaction():
        customers.delete_address(visitors.signed_in().id, inputs.row_id(address))
    flash(_("The address is deleted."), "success")
    return redirect(url_for("store.addresses"), code=303)


def _save_address(address_id: int | None) -> ResponseReturnValue:
    form = SavedAddressForm()
    if "update" in request.form:
        return _addresses_page(form, editing=address_id)
    data = {**form.address(), "is_default": bool(form.is_default.data)}
    try:
        with transaction():
            customers.save_address(visitors.signed_in().id, data, address_id=address_id)
    except NotFound:
        raise
    except DomainError as error:
        return _addresses_page(form, editing=address_id, above=tell(form, error)), 422
    flash(_("The address is saved."), "success")
    return redirect(url_for("store.addresses"), code=303)


def _addresses_page(
    form: SavedAddressForm, *, editing: int | None = None, above: list[str] | None = None
) -> str:
    form.offer(checkout.countries(), checkout.terms().country)
    return render_template(
        "store/account/addresses.html",
        form=form,
        editing=editing,
        saved=[shown_address(one) for one in customers.own_addresses(visitors.signed_in().id)],
        above=above or [],
    )


def _check_your_email(email: str, purpose: str) -> ResponseReturnValue:
    facts = {"email": email.strip(), "minutes": customers.LINK_MINUTES}
    return render_template(
        "store/account/link_sent.html", sentence=Markup(str(_LINK_SENT[purpose])) % facts
    )


def _details(rows: Iterable[orders.OrderRow]) -> dict[int, str]:
    """What is said beside the status of an order, by its id."""
    found = {}
    for row in rows:
        waits = row.status == OrderStatus.PENDING
        if row.payment_status in _DETAILS and (waits or row.payment_status != _PROCESSING):
            found[row.id] = str(_DETAILS[row.payment_status])
    return found


def _stale(error: NotFound, *, again: str = "password") -> ResponseReturnValue:
    """A link that is over, and where to ask for another of its kind. One to a new password confirms
    an account as well."""
    page = render_template("store/account/stale.html", sentence=error.sentence, again=again)
    return page, 404


def _next(given: str | None) -> str:
    return inputs.local_path(given, url_for("store.account"))


def _go_on(notes: list[str], address: str) -> ResponseReturnValue:
    """Leave the form behind; what changed in the cart is said on the way."""
    for note in notes:
        flash(note, "warning")
    return redirect(address, code=303)


def _plain(email: str | None) -> str:
    """An address as it can be looked up; anything that is none is looked up as nobody's."""
    try:
        return customers.clean_email(email)
    except Invalid:
        return ""
