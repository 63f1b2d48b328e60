"""The only writers of stock. Every verb is one conditional statement that locks its levels in id
order, changes them, and writes the ledger; either all of its lines happen or none.
"""

from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import TextClause, select, text
from sqlalchemy.dialects.postgresql import insert as upsert

from shop.catalog.models import Variant
from shop.core import actor, clock
from shop.core.db import session
from shop.core.errors import Invalid, NotFound
from shop.core.i18n import gettext as _
from shop.core.i18n import lazy_gettext, ngettext
from shop.inventory.errors import OutOfStock
from shop.inventory.models import Location, MovementKind, StockLevel

REASONS: dict[str, str] = {
    "opening stock": lazy_gettext("Opening stock"),
    "delivery": lazy_gettext("Delivery"),
    "count": lazy_gettext("Stock take"),
    "damage": lazy_gettext("Damaged"),
    "loss": lazy_gettext("Lost or stolen"),
    "return": lazy_gettext("Customer return"),
    "correction": lazy_gettext("Correction"),
}
MAX_QUANTITY = 1_000_000
_DEFAULT = select(Location.id).where(Location.is_default).scalar_subquery()


class Line(NamedTuple):
    """How many of which variant."""

    variant_id: int
    quantity: int


def receive(variant_id: int, quantity: int, *, reason: str = "delivery", note: str = "") -> int:
    """Receive goods. Returns what is on hand now. Creates the variant's level if it has none."""
    if not 0 < quantity <= MAX_QUANTITY:
        raise Invalid(_("Receive a whole number of units, at least 1."), field="quantity")
    _ensure_level(variant_id)
    return _move(
        MovementKind.RECEIVE, [Line(variant_id, quantity)], on_hand=1, reason=reason, note=note
    )[0]


def adjust(variant_id: int, delta: int, *, reason: str, note: str = "") -> int:
    """Correct what is on hand by ``delta``. Returns what is on hand now.

    Raises ``Invalid`` without a reason, or when it would take units that are reserved or committed.
    """
    _check_reason(reason)
    if not delta:
        raise Invalid(_("Enter by how many units: a whole number other than 0."), field="delta")
    if abs(delta) > MAX_QUANTITY:
        raise Invalid(
            _("Change at most %(most)s units at once.", most=f"{MAX_QUANTITY:,}"), field="delta"
        )
    _ensure_level(variant_id)
    try:
        is_loss = reason in {"damage", "loss"} and delta < 0
        moved = _move(
            MovementKind.WRITE_OFF if is_loss else MovementKind.ADJUST,
            [Line(variant_id, delta)], on_hand=1, reason=reason, note=note,
        )  # fmt: skip
    except OutOfStock as error:
        free = error.short.get(variant_id, 0)
        raise Invalid(
            ngettext(
                "Only %(num)s unit can be removed: the rest is reserved or committed.",
                "Only %(num)s units can be removed: the rest is reserved or committed.",
                free,
            )
            if free
            else _("No units can be removed: all of them are reserved or committed."),
            field="delta",
        ) from error
    return moved[0]


def count(variant_id: int, on_hand: int, *, reason: str = "count", note: str = "") -> int:
    """Set what is on hand to what was counted. Returns the variance (counted minus expected)."""
    _check_reason(reason)
    if not 0 <= on_hand <= MAX_QUANTITY:
        raise Invalid(_("A count is a whole number, 0 or more."), field="set")
    _ensure_level(variant_id)
    level = session.scalars(
        select(StockLevel)
        .where(StockLevel.variant_id == variant_id, StockLevel.location_id == _DEFAULT)
        .with_for_update()
        .execution_options(populate_existing=True)
    ).one()
    variance = on_hand - level.on_hand
    if variance:
        try:
            _move(
                MovementKind.COUNT,
                [Line(variant_id, variance)],
                on_hand=1,
                reason=reason,
                note=note,
            )
        except OutOfStock as error:
            kept = level.reserved + level.committed
            raise Invalid(
                ngettext(
                    "%(num)s unit is reserved or committed, so the count cannot be %(counted)s."
                    " Cancel orders first, or check the count.",
                    "%(num)s units are reserved or committed, so the count cannot be %(counted)s."
                    " Cancel orders first, or check the count.",
                    kept,
                    counted=on_hand,
                ),
                field="set",
            ) from error
    return variance


def reserve(order_id: int, lines: Sequence[Line], *, replaced: Sequence[Line] = ()) -> None:
    """Reserve the lines for an unpaid order. Raises ``OutOfStock`` and reserves nothing otherwise.

    ``replaced`` is what the same buyer had reserved until just now: reserving it again makes
    nothing low.
    """
    _move(MovementKind.RESERVE, lines, reserved=1, order_id=order_id, replaced=replaced)


def release(order_id: int, lines: Sequence[Line], *, committed: bool = False) -> None:
    """Release a reservation; with ``committed``, the stock of a paid order that is not sent."""
    if committed:
        _move(MovementKind.RELEASE, lines, committed=-1, order_id=order_id)
    else:
        _move(MovementKind.RELEASE, lines, reserved=-1, order_id=order_id)


def commit(order_id: int, lines: Sequence[Line]) -> None:
    """The order is paid: what was reserved is now committed."""
    _move(MovementKind.COMMIT, lines, reserved=-1, committed=1, order_id=order_id)


def ship(order_id: int, lines: Sequence[Line]) -> None:
    """The goods left the house."""
    _move(MovementKind.SHIP, lines, on_hand=-1, committed=-1, order_id=order_id)


def restock(order_id: int, lines: Sequence[Line], *, reason: str = "return") -> None:
    """Goods of an order came back and can be sold again."""
    _move(MovementKind.RESTOCK, lines, on_hand=1, order_id=order_id, reason=reason)


def lock(variant_ids: Iterable[int]) -> None:
    """Lock levels in order. Whoever needs two verbs in one transaction locks all their levels
    first: two such transactions could otherwise wait for each other."""
    session.execute(
        select(StockLevel.variant_id)
        .where(StockLevel.variant_id.in_(set(variant_ids)), StockLevel.location_id == _DEFAULT)
        .order_by(StockLevel.variant_id, StockLevel.location_id)
        .with_for_update(key_share=True)
    )


def allow_backorder(variant_id: int, allowed: bool) -> None:
    """Let available go below zero for this variant, or no longer.

    Raises ``Invalid`` while more is promised than there is: those orders come first.
    """
    _ensure_level(variant_id)
    levels = select(StockLevel).where(StockLevel.variant_id == variant_id)
    for level in session.scalars(
        levels.order_by(StockLevel.location_id)
        .with_for_update(key_share=True)
        .execution_options(populate_existing=True)
    ):
        missing = level.reserved + level.committed - level.on_hand
        if missing > 0 and not allowed:
            raise Invalid(
                ngettext(
                    "%(num)s more unit is reserved or committed than is on hand. Receive it or"
                    " cancel orders first.",
                    "%(num)s more units are reserved or committed than are on hand. Receive them"
                    " or cancel orders first.",
                    missing,
                ),
                field="backorder_allowed",
            )
        level.may_go_below = allowed
    session.flush()


# One statement: lock the levels in order, check them all, change them all, write the ledger and say
# so in the event table (as ``emit`` would: ``StockChanged``, ``StockLow``). Whoever waits for these
# levels then waits for nothing but this and the COMMIT.
# LockRows runs above the sort, so locks are taken in (variant, location) order; the UPDATE then
# works on rows that this transaction has locked in their newest version.
# The lines stand there one by one: of an array Postgres does not know how long it is, and would
# plan the statement again each time, which takes as long as all the rest.
_STATEMENT = """
WITH wanted (variant_id, quantity, replaced) AS (
    VALUES {lines}
), locked AS (
    SELECT l.variant_id, l.location_id, l.on_hand, l.reserved, l.committed, l.may_go_below
    FROM stock_level l
    WHERE l.variant_id IN ({variants})
      AND l.location_id = (SELECT id FROM location WHERE is_default)
    ORDER BY l.variant_id, l.location_id
    FOR NO KEY UPDATE
), planned AS (
    SELECT k.variant_id, k.location_id, k.may_go_below, w.replaced,
           k.on_hand - k.reserved - k.committed AS before,
           w.quantity * :on_hand AS d_on_hand,
           w.quantity * :reserved AS d_reserved,
           w.quantity * :committed AS d_committed,
           k.on_hand + w.quantity * :on_hand AS on_hand,
           k.reserved + w.quantity * :reserved AS reserved,
           k.committed + w.quantity * :committed AS committed
    FROM locked k JOIN wanted w USING (variant_id)
), verdict AS (
    SELECT count(*) = (SELECT count(*) FROM wanted) AND coalesce(bool_and(
        on_hand >= 0 AND reserved >= 0 AND committed >= 0
        AND (may_go_below OR on_hand - reserved - committed >= 0
             OR on_hand - reserved - committed >= before)
    ), false) AS possible
    FROM planned
), changed AS (
    UPDATE stock_level l
    SET on_hand = p.on_hand, reserved = p.reserved, committed = p.committed
    FROM planned p, verdict v
    WHERE v.possible AND l.variant_id = p.variant_id AND l.location_id = p.location_id
    RETURNING p.*
), written AS (
    INSERT INTO stock_movement (
        variant_id, location_id, kind, on_hand_delta, reserved_delta, committed_delta,
        on_hand_after, reserved_after, committed_after, reason, note, order_id,
        actor_kind, actor_id, actor_name, at)
    SELECT variant_id, location_id, :kind, d_on_hand, d_reserved, d_committed,
           on_hand, reserved, committed, :reason, :note, CAST(:order_id AS bigint),
           :actor_kind, CAST(:actor_id AS bigint), :actor_name, CAST(:at AS timestamptz)
    FROM changed
), change AS (
    SELECT c.variant_id, v.product_id, v.sku, c.before,
           c.on_hand - c.reserved - c.committed AS after, v.low_stock_level AS low
    FROM changed c JOIN variant v ON v.id = c.variant_id
), news (type, payload, order_id) AS (
    SELECT 'StockChanged', jsonb_build_object(
        'kind', CAST(:kind AS text), 'order_id', CAST(:order_id AS bigint),
        'changes', jsonb_agg(to_jsonb(c) ORDER BY variant_id)), CAST(:order_id AS bigint)
    FROM change c WHERE before <> after OR :on_hand <> 0 HAVING count(*) > 0
    UNION ALL
    SELECT 'StockLow', jsonb_build_object(
        'changes', jsonb_agg(to_jsonb(c) ORDER BY variant_id)), NULL
    FROM change c JOIN planned p USING (variant_id)
    WHERE c.after <= c.low AND c.low < c.before - p.replaced HAVING count(*) > 0
), emitted AS (
    INSERT INTO event (
        type, payload, order_id, occurred_at, actor_kind, actor_id, actor_name, request_id)
    SELECT type, payload, order_id, CAST(:at AS timestamptz),
           :actor_kind, CAST(:actor_id AS bigint), :actor_name, :request_id
    FROM news
)
SELECT variant_id, before, on_hand, EXISTS (SELECT FROM changed) AS done
FROM planned
ORDER BY variant_id
"""


@cache
def _statement(lines: int) -> TextClause:
    each = range(lines)
    values = (
        f"(CAST(:variant_{n} AS bigint), CAST(:quantity_{n} AS integer),"
        f" CAST(:replaced_{n} AS integer))"
        for n in each
    )
    variants = (f"CAST(:variant_{n} AS bigint)" for n in each)
    return text(_STATEMENT.format(lines=", ".join(values), variants=", ".join(variants)))


def _move(
    kind: MovementKind,
    lines: Sequence[Line],
    *,
    on_hand: int = 0,
    reserved: int = 0,
    committed: int = 0,
    order_id: int | None = None,
    reason: str = "",
    note: str = "",
    replaced: Sequence[Line] = (),
) -> list[int]:
    """Change levels by ``quantity`` times each factor. Returns on-hand afterwards, in id order."""
    totals = _by_variant(lines)
    before = _by_variant(replaced)
    ordered = sorted(totals.items())
    who = actor.current()
    values: dict[str, Any] = {
        "on_hand": on_hand,
        "reserved": reserved,
        "committed": committed,
        "kind": kind,
        "reason": reason,
        "note": note,
        "order_id": order_id,
        "actor_kind": who.kind,
        "actor_id": who.id,
        "actor_name": who.name,
        "request_id": actor.request_id(),
        "at": clock.now(),
    }
    for number, (variant_id, quantity) in enumerate(ordered):
        values |= {
            f"variant_{number}": variant_id,
            f"quantity_{number}": quantity,
            f"replaced_{number}": before.get(variant_id, 0),
        }
    statement = _statement(len(ordered))
    session.flush()
    rows = session.execute(statement, values).all()
    if kind == MovementKind.RESERVE and len(rows) < len(ordered):
        # What nobody counted yet has no level, and may be sold as a backorder all the same.
        for variant_id in totals.keys() - {row.variant_id for row in rows}:
            _ensure_level(variant_id)
        rows = session.execute(statement, values).all()
    if not rows or not rows[0].done:
        seen = {row.variant_id: max(0, row.before) for row in rows}
        raise OutOfStock(
            {
                variant_id: seen.get(variant_id, 0)
                for variant_id, quantity in ordered
                if seen.get(variant_id, 0) < quantity or on_hand or reserved < 0 or committed < 0
            }
        )
    return [row.on_hand for row in rows]


def _by_variant(lines: Sequence[Line]) -> dict[int, int]:
    totals: dict[int, int] = {}
    for variant_id, quantity in lines:
        totals[variant_id] = totals.get(variant_id, 0) + quantity
    return totals


def _ensure_level(variant_id: int) -> None:
    backorder = session.scalar(select(Variant.backorder_allowed).where(Variant.id == variant_id))
    if backorder is None:
        raise NotFound(_("Variant not found."))
    session.execute(
        upsert(StockLevel)
        .values(variant_id=variant_id, location_id=_DEFAULT, may_go_below=backorder)
        .on_conflict_do_nothing()
    )


def _check_reason(reason: str) -> None:
    if reason not in REASONS:
        raise Invalid(_("Choose a reason."), field="reason")
