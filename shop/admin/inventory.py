"""The stock page: what there is, what is promised, how to correct it, and why it is so."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from flask import flash, jsonify, redirect, request
from flask_appbuilder import expose
from flask_appbuilder.security.decorators import has_access, permission_name
from flask_login import current_user
from sqlalchemy import ColumnElement, Select, select
from sqlalchemy.orm import contains_eager

from shop import analytics, inventory
from shop.admin.framework import (
    Code,
    Column,
    Listed,
    Number,
    Page,
    Tab,
    Table,
    Text,
    View,
    YesNo,
    charts,
    errors,
)
from shop.admin.framework.errors import Stale
from shop.admin.framework.formatters import badge
from shop.admin.framework.inputs import existing, whole
from shop.catalog import get_variant
from shop.catalog.models import Product, Variant
from shop.core import clock, idempotency, search, tokens
from shop.core.db import session, transaction
from shop.core.errors import Invalid
from shop.core.i18n import gettext as _
from shop.core.i18n import lazy_gettext
from shop.inventory.models import MovementKind
from shop.orders import Order

TONES = {
    "out": ("bad", lazy_gettext("Sold out")),
    "low": ("warn", lazy_gettext("Low")),
    "ok": ("good", lazy_gettext("In stock")),
}
KINDS = {
    MovementKind.RECEIVE: lazy_gettext("Received"),
    MovementKind.ADJUST: lazy_gettext("Adjusted"),
    MovementKind.COUNT: lazy_gettext("Counted"),
    MovementKind.RESERVE: lazy_gettext("Reserved"),
    MovementKind.RELEASE: lazy_gettext("Released"),
    MovementKind.COMMIT: lazy_gettext("Committed"),
    MovementKind.SHIP: lazy_gettext("Shipped"),
    MovementKind.RESTOCK: lazy_gettext("Restocked"),
    MovementKind.WRITE_OFF: lazy_gettext("Written off"),
    MovementKind.TRANSFER: lazy_gettext("Transferred"),
}
# Verbs for the sentence that explains a number: what it adds (or takes), in the past tense.
SUMMED = {
    MovementKind.RECEIVE: lazy_gettext("received"),
    MovementKind.RESTOCK: lazy_gettext("restocked"),
    MovementKind.SHIP: lazy_gettext("shipped"),
    MovementKind.WRITE_OFF: lazy_gettext("written off"),
    MovementKind.ADJUST: lazy_gettext("adjusted"),
    MovementKind.COUNT: lazy_gettext("corrected by counts"),
    MovementKind.TRANSFER: lazy_gettext("transferred"),
}
SIGNED = {MovementKind.ADJUST, MovementKind.COUNT, MovementKind.TRANSFER}
PER_HISTORY = 50


def _is_named(word: str) -> ColumnElement[bool]:
    return search.contains(Product.name, word)


def _state(value: Any, row: Listed) -> Any:
    is_low = 0 < row["available"] <= row["low_stock_level"]
    tone, words = TONES["low" if is_low else "ok" if row["available"] > 0 else "out"]
    return badge(words, tone)


class InventoryView(View):
    """Stock by variant."""

    route_base = "/admin/inventory"
    datamodel = Table(Variant)
    noun = lazy_gettext("variant")
    plural = lazy_gettext("Inventory")
    intro = lazy_gettext("Available is what is on hand and neither reserved nor committed.")
    pages = ()
    columns = (
        Text(
            "product_name",
            lazy_gettext("Product"),
            sql=Product.name,
            aside=lambda row: row["title"],
            card="title",
        ),
        Code("sku", "SKU"),
        Column("state", lazy_gettext("Status"), show=_state, card="end"),
        Number("on_hand", lazy_gettext("On hand"), sql=inventory.ON_HAND),
        Number("reserved", lazy_gettext("Reserved"), sql=inventory.RESERVED),
        Number("committed", lazy_gettext("Committed"), sql=inventory.COMMITTED),
        Number("available", sql=inventory.AVAILABLE),
        Number("low_stock_level", lazy_gettext("Low-stock level"), shown=False),
        YesNo(
            "backorder_allowed",
            lazy_gettext("Backorders"),
            yes=lazy_gettext("Allowed"),
            no=lazy_gettext("Not allowed"),
            shown=False,
        ),
        Code("barcode", shown=False),
    )
    needed = ("available",)
    sort = "product_name"
    search = ("sku", _is_named, lambda word: Variant.barcode == word)
    search_hint = lazy_gettext("SKU, product or barcode")
    tabs = (
        Tab("all", lazy_gettext("All")),
        Tab("low", lazy_gettext("Low"), inventory.IS_LOW),
        Tab("out", lazy_gettext("Sold out"), inventory.IS_OUT),
    )
    row_buttons = "admin/inventory/_row_buttons.html"
    list_template = "admin/inventory/list.html"
    empty_words = (
        lazy_gettext("No stock yet"),
        lazy_gettext("Variants appear here once a product has some."),
    )

    def query(self) -> Select[Any]:
        return select(Variant).join(Variant.product).options(contains_eager(Variant.product))

    def scope(self) -> Iterable[ColumnElement[bool]]:
        return (Variant.archived_at.is_(None),)

    def row_attributes(self, row: Listed) -> dict[str, Any]:
        return {"variant": row["id"], "low": row["low_stock_level"]}

    def extra(self, kind: str, item: Any = None) -> dict[str, Any]:
        return {"reasons": inventory.REASONS, "may_adjust": self.may("can_adjust")}

    @expose("/show/<int:pk>")
    @has_access
    def show(self, pk: int) -> Page:
        """One variant: its numbers, why they are so, and its ledger."""
        variant = get_variant(existing(pk))
        level = inventory.levels([pk]).get(pk, inventory.Level(0, 0, 0))
        before = request.args.get("older", "")
        movements = inventory.movements(
            pk,
            limit=PER_HISTORY + 1,
            before=int(before) if before.isdecimal() and len(before) < 19 else None,
        )
        shown = movements[:PER_HISTORY]
        history = analytics.on_hand_history(pk)
        return self.page(
            "admin/inventory/show.html",
            title=variant.sku,
            variant=variant,
            level=level,
            movements=shown,
            numbers=_order_numbers(shown),
            more=shown[-1].id if len(movements) > PER_HISTORY else None,
            kinds=KINDS,
            because=because(level, analytics.ledger_sums(pk)),
            plot=charts.steps([*history, (clock.now(), level.on_hand)]) if history else None,
            history=history,
            reasons=inventory.REASONS,
            may_adjust=self.may("can_adjust"),
            once=tokens.new_token(),
        )

    @expose("/level/<int:pk>")
    @has_access
    @permission_name("list")
    def level(self, pk: int) -> Page:
        """The numbers of one variant as JSON, for pages that follow the stock."""
        return jsonify(_as_json(inventory.levels([existing(pk)]).get(pk)))

    @expose("/adjust/<int:pk>", methods=["POST"])
    @has_access
    def adjust(self, pk: int) -> Page:
        """Change by so many, or set to what was counted; a reason is needed either way."""
        reason = request.form.get("reason", "")
        note = request.form.get("note", "").strip()
        if len(note) > 500:
            raise Invalid(_("A note can have at most 500 characters."), field="note")
        with transaction():
            now = _once(pk, lambda: _change_stock(existing(pk), reason, note))
        message = _("%(count)s on hand now.", count=now)
        if errors.wants_json():
            return jsonify(_as_json(inventory.levels([pk])[pk]) | {"message": message})
        flash(message, "success")
        return redirect(errors.back(self.address("show", pk=pk)), code=303)


def _change_stock(pk: int, reason: str, note: str) -> int:
    if request.form.get("mode") != "set":
        delta = whole("delta", what=_("The change"))
        return inventory.adjust(pk, delta, reason=reason, note=note)
    counted = whole("set", what=_("The count"))
    seen = whole("seen", what=_("The number seen")) if request.form.get("seen") else None
    variance = inventory.count(pk, counted, reason=reason, note=note)
    if seen is not None and counted - variance != seen:
        raise Stale(_changed_meanwhile(pk, counted - variance))
    return counted


def _once(pk: int, change: Callable[[], int]) -> int:
    """Do it once for each opened form, also when it is sent twice. Returns what is on hand."""
    key = request.form.get("once", "")[:100]
    if not key:
        return change()
    typed = [request.form.get(name, "") for name in ("mode", "delta", "set", "reason", "note")]
    scope = f"staff:{current_user.id}"
    try:
        claimed = idempotency.claim(
            scope, f"stock:{pk}:{key}", idempotency.request_hash([pk, *typed])
        )
    except idempotency.KeyReused:
        raise Stale(
            _("The first change from this form is already saved. Reload the page.")
        ) from None
    if isinstance(claimed, idempotency.Answer):
        return int(claimed.body["on_hand"])
    now = change()
    idempotency.store(claimed, 200, {"on_hand": now})
    return now


def because(level: inventory.Level, sums: dict[str, int]) -> str:
    """One sentence that answers why there are so many: what came, what went, what is promised."""
    if not sums:
        return _("Nothing was received yet.")
    parts = [
        f"{'+' if sums[kind] > 0 else '−'}{abs(sums[kind]):,} {verb}"
        if kind in SIGNED
        else f"{abs(sums[kind]):,} {verb}"
        for kind, verb in SUMMED.items()
        if sums.get(kind)
    ]
    taken = [
        f"{units:,} {words}"
        for units, words in (
            (level.reserved, _("reserved for unpaid orders")),
            (level.committed, _("committed to paid orders")),
        )
        if units
    ]
    said = _("%(count)s on hand: %(parts)s", count=f"{level.on_hand:,}", parts=", ".join(parts))
    if taken:
        said = f"{said}; {_(' and ').join(taken)}"
    if level.on_hand and taken:
        said += _(", so %(count)s can be sold", count=f"{level.available:,}")
    elif level.on_hand:
        said += _(", all available")
    return f"{said}."


def _changed_meanwhile(pk: int, now: int) -> str:
    # The count of this transaction is the newest entry, if it wrote one; the one before is theirs.
    last = next((m for m in inventory.movements(pk, limit=5) if m.on_hand_after == now), None)
    who = last.actor_name if last else _("Someone")
    return _(
        "%(name)s changed this to %(count)s just now. Nothing was saved. Check the number again.",
        name=who,
        count=f"{now:,}",
    )


def _order_numbers(movements: Sequence[Any]) -> dict[int, str]:
    ids = {movement.order_id for movement in movements if movement.order_id}
    if not ids:
        return {}
    rows = session.execute(select(Order.id, Order.number).where(Order.id.in_(ids)))
    return {row.id: row.number for row in rows}


def _as_json(level: inventory.Level | None) -> dict[str, Any]:
    known = level or inventory.Level(0, 0, 0)
    return {
        "on_hand": known.on_hand,
        "reserved": known.reserved,
        "committed": known.committed,
        "available": known.available,
    }
