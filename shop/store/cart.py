"""The cart: one template for the page and the drawer, one answer for forms and for scripts.

A script sends ``X-Requested-With: fetch`` and gets the fragment; a plain form gets a redirect. What
is refused comes back with its reason beside the line, and nothing has changed.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from flask import flash, g, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue

from shop import cart as carts
from shop import catalog, checkout, discounts
from shop.core import clock
from shop.core.db import only_reads, transaction
from shop.core.errors import DomainError, NotFound
from shop.core.i18n import gettext as _
from shop.discounts import Quote
from shop.store import inputs, visitors
from shop.store.blueprint import bp

REMOVED = "removed"
FIELD = "code"
CODE_BOXES = ("bar", "aside")  # where a step of checkout takes a code: on small screens, on wide
UNDO_SECONDS = 60


@dataclass(frozen=True, slots=True)
class ShownLine:
    """A line with its image and what has to be said about it."""

    line: carts.CartLine
    image: catalog.ImageView | None
    error: str
    note: str
    saved_minor: int


@dataclass(frozen=True, slots=True)
class ShownCode:
    """A code in the cart: what it saves, or every reason why it saves nothing."""

    code: str
    name: str
    saved_minor: int
    reasons: Sequence[str]


@dataclass(frozen=True, slots=True)
class FreeShipping:
    """How far the chosen way is from being free; ``left_minor`` is 0 once it is."""

    left_minor: int
    reached_minor: int
    from_minor: int


@dataclass(frozen=True, slots=True)
class CartPage:
    """A cart as its page, its drawer and the checkout show it.

    ``is_answer`` if somebody has just asked for what it says: then a small screen unfolds it.
    """

    view: carts.CartView
    lines: tuple[ShownLine, ...]
    quote: Quote
    chosen: checkout.ShippingOption | None
    free_shipping: FreeShipping | None
    tried_code: str
    code_error: str
    is_answer: bool = False

    @property
    def codes(self) -> list[ShownCode]:
        """The codes in the cart, those that apply first."""
        applied = [
            ShownCode(one.code, one.name, one.saved_minor, ())
            for one in self.quote.discounts
            if one.code
        ]
        return applied + [ShownCode(one.code, "", 0, one.reasons) for one in self.quote.refused]

    @property
    def can_be_ordered(self) -> bool:
        """Whether checkout would take it as it is."""
        return bool(self.lines) and not self.view.problems

    @property
    def rows(self) -> list[tuple[str, int | str]]:
        """What the total is made of, line by line, for people."""
        return sum_rows(
            self.quote, self.chosen.name if self.chosen else "", to_pay=bool(self.lines)
        )


@bp.get("/cart", endpoint="cart")
def show() -> ResponseReturnValue:
    """The cart; a script that follows another device gets the fragment."""
    return _answer()


@bp.post("/cart/add", endpoint="cart_add")
def add() -> ResponseReturnValue:
    """Put ``quantity`` (1 if not said) of ``variant_id`` into the cart; takes what there is."""
    form = request.form

    def put() -> str:
        variant_id = inputs.row_id(form.get("variant_id"))
        wanted = inputs.quantity(form.get("quantity", "1"))
        with transaction():
            return carts.add(visitors.open_cart(), variant_id, wanted, cap=True)

    return _change(put, success=_("It is in your cart."))


@bp.post("/cart/items/<item>", endpoint="cart_update")
def update(item: str) -> ResponseReturnValue:
    """Set how many are wanted; more than there are becomes what there are, with a note."""

    def change() -> str:
        item_id, wanted = inputs.row_id(item), inputs.quantity(request.form.get("quantity"))
        with transaction():
            return carts.set_quantity(_existing(), item_id, wanted, cap=True)

    return _change(change, item=item)


@bp.post("/cart/items/<item>/remove", endpoint="cart_remove")
def remove(item: str) -> ResponseReturnValue:
    """Take a line out, and offer to put it back."""

    def take() -> str:
        item_id = inputs.row_id(item)
        with transaction():
            cart = _existing()
            lines = {line.item_id: line.name for line in carts.view(cart).lines}
            gone = carts.remove(cart, item_id)
        session[REMOVED] = {
            "variant_id": gone.variant_id,
            "quantity": gone.quantity,
            "name": lines.get(item_id, ""),
            "version": cart.version,
            "until": int(clock.now().timestamp()) + UNDO_SECONDS,
        }
        return ""

    return _change(take, item=item)


@bp.post("/cart/discount", endpoint="code_add")
def add_code() -> ResponseReturnValue:
    """Use a discount code; a refusal says every reason, beside the field."""
    given = _short(request.form.get("code", ""))
    return _change_code(_refusal(lambda: _use_code(given)), given)


@bp.post("/cart/discount/remove", endpoint="code_remove")
def remove_code() -> ResponseReturnValue:
    """Take a discount code out."""
    gone = request.form.get("code", "")
    return _change_code(_refusal(lambda: _take_code(gone)), "")


def _change_code(refused: DomainError | None, given: str) -> ResponseReturnValue:
    if refused:
        said = {FIELD: refused.sentence}
        return _answer(errors=said, tried_code=given, status=status_of(refused))
    return _answer() if inputs.wants_fragment() else redirect(url_for("store.cart"), code=303)


def asks_for_code() -> bool:
    """Whether a step of checkout was sent to use or remove a code.

    One that was typed is used whichever button was pressed, as Enter in its box presses the first
    of the step; one that was refused before and still stands there holds nobody up.
    """
    form = request.form
    return bool("use_code" in form or "remove_code" in form or _typed_code())


def serve_code() -> tuple[CartPage, int]:
    """Do what ``asks_for_code`` found, if anything. Returns the cart and the status of the page."""
    given, gone = _typed_code(), request.form.get("remove_code")
    refused = None
    if gone is not None:
        refused = _refusal(lambda: _take_code(gone))
    elif asks_for_code():
        refused = _refusal(lambda: _use_code(given))
    said = {FIELD: refused.sentence} if refused else {}
    kept = given if refused or gone is not None else ""
    cart = load(said, tried_code=kept)
    return replace(cart, is_answer=True), status_of(refused) if refused else 200


def _typed_code() -> str:
    """What stands in the box whose button was pressed, else the first code that is new."""
    form = request.form
    if "use_code" in form:
        return _short(form.get(f"code.{form['use_code']}", ""))
    typed = [_short(form.get(f"code.{box}", "")) for box in CODE_BOXES]
    return next((code for code in typed if code and code != form.get("code_refused")), "")


def _short(given: str) -> str:
    return given[: 2 * discounts.MAX_CODE_LENGTH].strip()


def _use_code(given: str) -> None:
    with transaction():
        checkout.apply_code(_existing(), given)


def _take_code(code: str) -> None:
    with transaction():
        carts.remove_code(_existing(), code)


def _refusal(work: Callable[[], None]) -> DomainError | None:
    """Do it. Returns what speaks against it."""
    try:
        work()
    except DomainError as error:
        g.pop("cart", None)
        return error
    return None


def load(
    errors: dict[str, str] | None = None,
    notes: dict[str, str] | None = None,
    *,
    tried_code: str = "",
) -> CartPage:
    """This visitor's cart at today's prices. One statement, and one for who is signed in."""
    errors, notes = errors or {}, notes or {}
    view = visitors.cart_view() or _EMPTY
    g.cart_count = view.count
    code_error = errors.pop(FIELD, "")
    quote, _options, chosen = checkout.quote(view) if view.lines else _nothing()
    return CartPage(
        view=view,
        lines=tuple(
            ShownLine(
                line=line,
                image=image_of(line),
                error=errors.get(str(line.item_id)) or line.problem,
                note=notes.get(str(line.item_id)) or line.notice,
                saved_minor=priced.discount_minor,
            )
            for line, priced in zip(view.lines, quote.lines, strict=True)
        ),
        quote=quote,
        chosen=chosen,
        free_shipping=_free_shipping(chosen, quote),
        tried_code=tried_code,
        code_error=code_error,
    )


def for_country(cart: CartPage, country: str) -> CartPage:
    """The same cart at the prices for another country than the one of its address."""
    if not cart.lines or country == (cart.view.shipping_address or {}).get("country"):
        return cart
    quote, _options, chosen = checkout.quote(cart.view, country=country)
    return replace(
        cart,
        lines=tuple(
            replace(shown, saved_minor=priced.discount_minor)
            for shown, priced in zip(cart.lines, quote.lines, strict=True)
        ),
        quote=quote,
        chosen=chosen,
        free_shipping=_free_shipping(chosen, quote),
    )


def sum_rows(quote: Quote, shipping: str, *, to_pay: bool = True) -> list[tuple[str, int | str]]:
    """Subtotal, each discount, shipping and, where prices exclude it, tax."""
    rows: list[tuple[str, int | str]] = [(_("Subtotal"), quote.subtotal_minor)]
    rows += [
        (discount_words(one.name, one.code), -one.amount_minor)
        for one in quote.discounts
        if one.amount_minor
    ]
    if to_pay and shipping:
        rows.append((shipping, quote.shipping_minor or _("Free")))
    if not quote.prices_include_tax:
        rows.append((_("Tax"), quote.tax_minor))
    return rows


def discount_words(name: str, code: str) -> str:
    """A discount as a sum names it."""
    return f"{name} ({code})" if code and code.casefold() != name.casefold() else name


def image_of(line: carts.CartLine) -> catalog.ImageView | None:
    """The image of a line as the components of the catalogue take it."""
    if not line.image:
        return None
    return catalog.ImageView(
        key=line.image["key"],
        alt=line.image["alt"],
        width=line.image["width"],
        height=line.image["height"],
        colour=line.image["colour"],
        widths=tuple(int(width) for width in (line.image["widths"] or "").split(",") if width),
        option_value_id=None,
    )


def status_of(error: DomainError) -> int:
    """The HTTP status of a refusal: 404 unknown, 409 overtaken by others, 422 unusable."""
    if isinstance(error, NotFound):
        return 404
    return (
        409
        if error.code in {"out_of_stock", "cart_changed", "wrong_state", "unpaid_limit"}
        else 422
    )


def _change(work: Callable[[], str], *, item: str = "", success: str = "") -> ResponseReturnValue:
    """Do it and show the cart; a refusal is shown beside the line it is about, or above all."""
    try:
        note = work()
    except DomainError as error:
        g.pop("cart", None)
        return _answer(errors={item: error.sentence}, status=status_of(error))
    if inputs.wants_fragment():
        only_reads(True)  # all is done; the page that follows must not end in a rollback
        return _answer(notes={item: note}, said=note if not item else "")
    if note or success:
        flash(note or success, "warning" if note else "success")
    return redirect(url_for("store.cart"), code=303)


def _answer(
    *,
    errors: dict[str, str] | None = None,
    notes: dict[str, str] | None = None,
    said: str = "",
    tried_code: str = "",
    status: int = 200,
) -> ResponseReturnValue:
    cart = load(errors, notes, tried_code=tried_code)
    known = {str(shown.line.item_id) for shown in cart.lines}
    above = [words for item, words in (errors or {}).items() if words and item not in known]
    template = "fragment" if inputs.wants_fragment() else "page"
    page = render_template(
        f"store/cart/{template}.html",
        cart=cart,
        above=above,
        said=said,
        removed=_removed(cart.view.version),
    )
    return page, status


def _removed(version: int) -> dict[str, Any] | None:
    """What was just taken out, as long as nothing else happened to the cart since."""
    removed: dict[str, Any] | None = session.get(REMOVED)
    if removed and (removed["version"] != version or removed["until"] < clock.now().timestamp()):
        session.pop(REMOVED)
        return None
    return removed


def _existing() -> carts.Cart:
    found = visitors.current_cart()
    if found is None:
        raise NotFound(_("This is not in your cart."))
    return found


def _free_shipping(chosen: checkout.ShippingOption | None, quote: Quote) -> FreeShipping | None:
    """As the chosen shipping method has it; None if that one is never free."""
    limit = chosen.free_over_minor if chosen else None
    if not limit or not quote.subtotal_minor:
        return None
    if quote.shipping_discount_minor and not quote.shipping_minor:
        return FreeShipping(0, limit, limit)
    goods = checkout.goods_for_free_shipping(quote)
    return FreeShipping(max(0, limit - goods), min(limit, goods), limit)


def _nothing() -> tuple[Quote, list[checkout.ShippingOption], checkout.ShippingOption | None]:
    terms = checkout.terms()
    empty = Quote(terms.currency, terms.prices_include_tax, (), 0, 0, 0, 0, 0, 0)
    return empty, [], None


_EMPTY = carts.CartView(
    id=0,
    token="",
    version=0,
    customer_id=None,
    email="",
    shipping_address=None,
    shipping_method="",
    order_id=None,
)
