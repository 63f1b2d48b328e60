"""What stock, orders and money should be, given the commands and what Stripe says.

Plain Python: it knows nothing of tables or transactions; the machine compares it with the database.
"""

from dataclasses import dataclass, field
from typing import Any

OFF = {"cancelled", "expired"}
ORDERED = {"confirmed", "completed"}
UNFINISHED = {"requires_payment_method", "requires_confirmation", "requires_action"}


@dataclass
class Level:
    """Units of one variant."""

    on_hand: int
    reserved: int = 0
    committed: int = 0
    backorder: bool = False

    @property
    def free(self) -> int:
        return self.on_hand - self.reserved - self.committed


@dataclass
class Line:
    """A line of an order; ``gross`` is what it costs the customer."""

    variant: int
    quantity: int
    gross: int
    shipped: int = 0
    cancelled: int = 0
    refunded: int = 0
    returned: int = 0
    taken_out: int = 0  # by a refund with its goods
    unpaid: int = 0  # cancelled before the money was taken

    @property
    def open(self) -> int:
        return self.quantity - self.shipped - self.cancelled

    @property
    def left(self) -> int:
        """Units that can still go back."""
        return self.quantity - self.unpaid - self.refunded


@dataclass
class Money:
    """One PaymentIntent as far as the shop has heard."""

    status: str = "started"
    captured: int = 0
    asked_at: int = -1


@dataclass
class Sale:
    """An order."""

    number: str
    total: int
    shipping: int
    lines: dict[int, Line]
    status: str = "pending"
    was_replaced: bool = False
    chain: int = 0
    is_due: bool = False
    intents: dict[str, Money] = field(default_factory=dict)
    fulfilments: dict[int, bool] = field(default_factory=dict)

    @property
    def is_unsent(self) -> bool:
        return not self.fulfilments

    @property
    def is_free(self) -> bool:
        """Whether what is left of it costs nothing."""
        gone = (line.gross * line.cancelled // line.quantity for line in self.lines.values())
        return self.total == sum(gone)

    @property
    def is_processing(self) -> bool:
        return any(money.status == "processing" for money in self.intents.values())


@dataclass
class Giving:
    """A refund; ``id`` and ``key`` are learnt from the database, ``lines`` is (units, amount)."""

    sale: int
    intent: str
    amount: int
    shipping: int = 0
    lines: dict[int, tuple[int, int]] = field(default_factory=dict)
    status: str = "requested"
    attempt: int = 1
    stripe_id: str | None = None
    is_external: bool = False
    with_goods: frozenset[int] = frozenset()
    id: int | None = None
    key: str = ""


@dataclass
class Claim:
    """A dispute. ``moved``: what each balance transaction took (below zero) or gave."""

    intent: str
    status: str = ""
    is_refundable: bool = False
    moved: dict[str, int] = field(default_factory=dict)
    asked_at: int = -1

    @property
    def taken(self) -> int:
        return -sum(self.moved.values())

    @property
    def blocks(self) -> bool:
        if self.status in {"won", "lost", "prevented", "warning_closed"}:
            return False
        return not (self.status.startswith("warning") and self.is_refundable)


@dataclass
class Model:
    """The whole shop."""

    levels: dict[int, Level] = field(default_factory=dict)
    sales: dict[int, Sale] = field(default_factory=dict)
    givings: list[Giving] = field(default_factory=list)
    claims: dict[str, Claim] = field(default_factory=dict)

    def snapshot(self) -> dict[str, Any]:
        """What the database should say, in the words of the machine's one query."""
        return {
            "levels": {
                str(n): [one.on_hand, one.reserved, one.committed] for n, one in self.levels.items()
            },
            "orders": {
                str(n): [
                    one.status,
                    sum(money.captured for money in one.intents.values()),
                    sum(g.amount for g in self.givings if g.sale == n and g.status != "failed"),
                ]
                for n, one in self.sales.items()
            },
            "lines": {
                str(n): [line.quantity, line.shipped, line.cancelled, line.refunded]
                for one in self.sales.values()
                for n, line in one.lines.items()
            },
            "refunds": {str(g.id): [g.status, g.amount, g.attempt] for g in self.givings},
            "disputes": {n: [one.status, one.taken] for n, one in self.claims.items()},
        }

    # What people do.

    def place(self, order_id: int, sale: Sale, *, instead_of: int | None) -> None:
        sale.chain = order_id
        if instead_of is not None:
            sale.chain = self.sales[instead_of].chain
            self._replace(self._live(sale.chain))
        self.sales[order_id] = sale
        for line in sale.lines.values():
            self.levels[line.variant].reserved += line.open
        if sale.total == 0:
            self._promise(sale)

    def close(self, order_id: int, status: str) -> None:
        sale = self.sales[order_id]
        for line in sale.lines.values():
            if sale.status == "pending":
                self.levels[line.variant].reserved -= line.open
            else:
                self.levels[line.variant].committed -= line.open
        sale.status, sale.was_replaced = status, False

    def cancel(self, order_id: int, *, by_customer: bool) -> None:
        back = self._the_rest(order_id) if by_customer else self._everything(order_id)
        if back:
            self._give(back)
        self.close(order_id, "cancelled")

    def cancel_lines(
        self, order_id: int, units: dict[int, int], *, keep: bool, by_customer: bool
    ) -> None:
        sale = self.sales[order_id]
        if keep:
            self._take_out(order_id, units)
            return
        intent, balance = self.fullest(sale)
        lines = {}
        for n, quantity in units.items():
            line = sale.lines[n]
            back = min(quantity, line.left)
            if back:
                lines[n] = (back, self.due(n, line, back))
        whole = self._the_rest(order_id) if by_customer else self._everything(order_id)
        self._take_out(order_id, units)
        if sale.status == "cancelled":
            if whole:
                self._give(whole)
            return
        amount = min(balance, sum(due for _, due in lines.values()))
        if amount > 0 and not self.is_lost(intent):
            self._give(Giving(order_id, intent, amount, 0, lines))
        elif any(money.captured for money in sale.intents.values()):
            priced = {n: units for n, (units, _) in lines.items() if sale.lines[n].gross}
            if not any(lines[n][1] for n in priced):
                for n, units_back in priced.items():
                    sale.lines[n].refunded += units_back

    def _everything(self, order_id: int) -> Giving | None:
        sale = self.sales[order_id]
        intent, balance = self.fullest(sale)
        if balance <= 0 or self.is_lost(intent):
            return None
        lines = {
            n: (line.left, self.due(n, line, line.left))
            for n, line in sale.lines.items()
            if line.left
        }
        return Giving(order_id, intent, balance, min(balance, self.shipping_left(order_id)), lines)

    def _the_rest(self, order_id: int) -> Giving | None:
        """What a customer gets: not what staff kept of units that they cancelled before."""
        sale = self.sales[order_id]
        intent, balance = self.fullest(sale)
        lines = {}
        for n, line in sale.lines.items():
            if back := min(line.open, line.left):
                lines[n] = back, self.due(n, line, back)
        shipping = self.shipping_left(order_id)
        amount = min(balance, shipping + sum(due for _, due in lines.values()))
        if amount <= 0 or self.is_lost(intent):
            return None
        return Giving(order_id, intent, amount, min(shipping, amount), lines)

    def refund(
        self,
        order_id: int,
        units: dict[int, int],
        shipping: int,
        amount: int | None,
        restock: frozenset[int],
        *,
        had: bool,
    ) -> None:
        sale = self.sales[order_id]
        intent, balance = self.fullest(sale)
        lines = {n: (q, self.due(n, sale.lines[n], q)) for n, q in units.items() if q}
        given = shipping + sum(due for _, due in lines.values()) if amount is None else amount
        assert 0 < given <= balance, "the shop refunds what it does not have"
        assert not self.is_blocked(intent), "the shop refunds disputed money"
        assert not self.is_lost(intent), "the shop refunds what a bank has taken"
        moved = {n: self._moved_before(n, sale.lines[n]) for n in restock if n in lines}
        self._give(Giving(order_id, intent, given, min(shipping, given), lines, with_goods=restock))
        fresh = {n: max(0, lines[n][0] - before) for n, before in moved.items()}
        out = {n: sale.lines[n].shipped - sale.lines[n].returned for n in fresh}
        first = out if had else dict.fromkeys(fresh, 0)
        unsent = {n: min(max(0, q - first[n]), sale.lines[n].open) for n, q in fresh.items()}
        back = {n: min(fresh[n] - unsent[n], out[n]) for n in fresh}
        if any(unsent.values()) and sale.status == "confirmed":
            self._take_out(order_id, {n: q for n, q in unsent.items() if q})
            for n, q in unsent.items():
                sale.lines[n].taken_out += q if sale.status != "cancelled" else 0
        for n, units_back in back.items():
            sale.lines[n].returned += units_back
            self.levels[sale.lines[n].variant].on_hand += units_back

    def _moved_before(self, line_id: int, line: Line) -> int:
        """Units that came back or were taken out, and whose money is here: those come first."""
        goods = sum(
            g.lines[line_id][0]
            for g in self.givings
            if line_id in g.with_goods and line_id in g.lines and g.status != "failed"
        )
        refused = max(0, line.returned + line.taken_out - goods)
        kept = line.cancelled - line.unpaid - line.taken_out - (line.refunded - goods)
        return refused + (max(0, kept) if line.gross else 0)

    def retry(self, giving: Giving) -> None:
        """What was typed stays as it was; the rest comes to what is due now."""
        is_typed = giving.amount != giving.shipping + sum(due for _, due in giving.lines.values())
        giving.shipping = min(giving.shipping, self.shipping_left(giving.sale))
        lines = self.sales[giving.sale].lines
        for n, (units, _) in giving.lines.items():
            giving.lines[n] = units, self.due(n, lines[n], units)
            lines[n].refunded += units
        if not is_typed:
            giving.amount = giving.shipping + sum(due for _, due in giving.lines.values())
        giving.status, giving.stripe_id = "requested", None
        giving.attempt += 1

    def ship(self, order_id: int, units: dict[int, int], fulfilment: int) -> None:
        sale = self.sales[order_id]
        for n, quantity in units.items():
            line = sale.lines[n]
            line.shipped += quantity
            self.levels[line.variant].on_hand -= quantity
            self.levels[line.variant].committed -= quantity
        sale.fulfilments[fulfilment] = False

    def deliver(self, order_id: int, fulfilment: int) -> None:
        self.sales[order_id].fulfilments[fulfilment] = True
        self._follow(self.sales[order_id])

    def move(self, variant: int, delta: int) -> None:
        self.levels[variant].on_hand += delta

    # What Stripe says.

    def hear_intent(self, said: dict[str, Any]) -> None:
        found = self._sale_of(said)
        if found is None:
            return
        order_id, sale = found
        money = sale.intents.setdefault(said["id"], Money())
        last = {"authorised": {"requires_capture", "canceled"}, "cancelled": {"canceled"}}
        news = last.get(money.status, {said["status"]}) | {"succeeded"}
        if money.status == "succeeded" or said["status"] not in news:
            return  # read before what we know
        if money.status == "processing" and said["status"] in UNFINISHED:
            if said["asked_at"] < money.asked_at:
                return
            money.status, sale.is_due = "started", False
        money.asked_at = max(money.asked_at, said["asked_at"])
        if said["status"] == "succeeded":
            was_authorised = money.status == "authorised"
            money.status, money.captured = "succeeded", said["amount_received"]
            if was_authorised and sale.status == "confirmed":
                owed = sale.total
                for line in sale.lines.values():
                    owed -= line.gross * line.cancelled // line.quantity
                    line.unpaid = line.cancelled
                self.refund_payment(order_id, said["id"], money.captured - owed)
                return
            if was_authorised and sale.status == "cancelled":
                self.refund_payment(order_id, said["id"])
                return
            if money.captured == sale.total and not self._use(order_id):
                self.refund_payment(order_id, said["id"])
        elif said["status"] == "requires_capture" and money.status != "authorised":
            money.status = "authorised"
            if said["amount_capturable"] == sale.total:
                self._use(order_id)
        elif said["status"] == "canceled":
            if money.status == "authorised" and sale.status == "confirmed" and sale.is_free:
                for line in sale.lines.values():
                    line.unpaid = line.cancelled
            money.status = "cancelled"
        elif said["status"] == "processing":
            if money.status != "processing":
                money.status = "processing"
                self._use(order_id, promise=False)
            if sale.status == "pending":
                sale.is_due = False

    def hear_refund(self, said: dict[str, Any]) -> None:
        giving = next((g for g in self.givings if g.stripe_id == said["id"]), None)
        notes = said.get("metadata") or {}
        if giving is None and notes.get("refund"):
            giving = next((g for g in self.givings if g.key == notes["refund"]), None)
            if giving is None or giving.stripe_id or str(giving.attempt) != notes["attempt"]:
                return  # of an attempt before
        if giving is None:
            giving = self._found_at_stripe(said)
            if giving is None:
                return
        knows_it, giving.stripe_id = giving.stripe_id == said["id"], said["id"]
        if said["status"] in {"failed", "canceled"}:
            self.fail(giving)
            return
        if giving.status == "failed" and knows_it:
            return  # for good
        if giving.status == "failed" and not giving.is_external:
            for n, (units, _) in giving.lines.items():
                self.sales[giving.sale].lines[n].refunded += units
        if said["status"] == "succeeded":
            giving.status = "done"
        elif giving.status != "done":
            giving.status = "sent"

    def hear_refusal(self, asked: dict[str, Any]) -> None:
        """Stripe will not make this refund."""
        notes = asked["metadata"]
        for giving in self.givings:
            if (
                giving.key == notes["refund"]
                and str(giving.attempt) == notes["attempt"]
                and giving.stripe_id is None
            ):
                self.fail(giving)

    def hear_dispute(self, said: dict[str, Any]) -> None:
        if not any(said["payment_intent"] in sale.intents for sale in self.sales.values()):
            return
        claim = self.claims.setdefault(said["id"], Claim(said["payment_intent"]))
        claim.moved |= {one["id"]: one["amount"] for one in said["balance_transactions"]}
        if said["asked_at"] >= claim.asked_at:
            claim.status, claim.asked_at = said["status"], said["asked_at"]
            claim.is_refundable = said["is_charge_refundable"]

    def is_blocked(self, intent: str) -> bool:
        """Whether a bank has not decided about it."""
        return any(one.blocks for one in self.claims.values() if one.intent == intent)

    def is_lost(self, intent: str) -> bool:
        """Whether a bank has charged back some of it: Stripe refunds none of the rest."""
        return any(one.status == "lost" for one in self.claims.values() if one.intent == intent)

    # What follows from it.

    def refund_payment(self, order_id: int, intent: str, amount: int | None = None) -> None:
        balance = self.balance(self.sales[order_id], intent)
        back = balance if amount is None else min(balance, amount)
        if back > 0 and not self.is_blocked(intent):
            self._give(Giving(order_id, intent, back))

    def fail(self, giving: Giving) -> None:
        if giving.status != "failed":
            giving.status = "failed"
            for n, (units, _) in giving.lines.items():
                self.sales[giving.sale].lines[n].refunded -= units

    def balance(self, sale: Sale, intent: str) -> int:
        """What the shop still has of a payment, refunds on their way and disputes taken off."""
        taken = sum(one.taken for one in self.claims.values() if one.intent == intent)
        return max(0, self.room(sale, intent) - max(0, taken))

    def room(self, sale: Sale, intent: str) -> int:
        """By how much refunds may still grow, whatever disputes took."""
        gone = sum(g.amount for g in self.givings if g.intent == intent and g.status != "failed")
        return sale.intents[intent].captured - gone

    def fullest(self, sale: Sale) -> tuple[str, int]:
        """The payment that money goes back by, and how much of it is left."""
        taken = [n for n, money in sale.intents.items() if money.captured]
        paid = [n for n in taken if sale.intents[n].captured == sale.total]
        assert len(paid) <= 1, "an order was paid twice"
        best = max(taken, key=lambda n: self.balance(sale, n), default="")
        return best, self.balance(sale, best) if best else 0

    def due(self, line_id: int, line: Line, units: int) -> int:
        """What so many more units come to, to the minor unit."""
        given = sum(
            g.lines[line_id][1] for g in self.givings if line_id in g.lines and g.status != "failed"
        )
        free = line.gross * line.unpaid // line.quantity
        up_to = line.unpaid + line.refunded + units
        return max(0, line.gross * up_to // line.quantity - free - given)

    def shipping_left(self, order_id: int) -> int:
        given = sum(g.shipping for g in self.givings if g.sale == order_id and g.status != "failed")
        return max(0, self.sales[order_id].shipping - given)

    def _give(self, giving: Giving) -> None:
        self.givings.append(giving)
        for n, (units, _) in giving.lines.items():
            self.sales[giving.sale].lines[n].refunded += units

    def _take_out(self, order_id: int, units: dict[int, int]) -> None:
        sale = self.sales[order_id]
        if sale.is_unsent and all(units.get(n, 0) == one.open for n, one in sale.lines.items()):
            self.close(order_id, "cancelled")
            return
        for n, quantity in units.items():
            sale.lines[n].cancelled += quantity
            self.levels[sale.lines[n].variant].committed -= quantity
        self._follow(sale)

    def _follow(self, sale: Sale) -> None:
        if not any(line.open for line in sale.lines.values()) and all(sale.fulfilments.values()):
            sale.status = "completed"

    def live_before(self, order_id: int | None) -> Sale | None:
        """The live order of the chain that a cart's next order will continue."""
        live = self._live(self.sales[order_id].chain) if order_id is not None else None
        return self.sales[live] if live is not None else None

    def _live(self, chain: int) -> int | None:
        live = [n for n, one in self.sales.items() if one.chain == chain and one.status not in OFF]
        assert len(live) <= 1, f"two live orders of one cart: {live}"
        return live[0] if live else None

    def _replace(self, order_id: int | None) -> None:
        """An order that nobody has paid makes room for another one of its cart."""
        if order_id is not None and self.sales[order_id].status == "pending":
            self.close(order_id, "cancelled")
            self.sales[order_id].was_replaced = True

    def _use(self, order_id: int, *, promise: bool = True) -> bool:
        """Money has come, or is on its way; whether it can buy its goods (still, or again)."""
        sale = self.sales[order_id]
        live = self._live(sale.chain)
        rival = self.sales[live] if live not in {None, order_id} else None
        if sale.status in ORDERED or (rival and (rival.status in ORDERED or rival.is_processing)):
            return False
        if sale.status in OFF:
            since = [one for n, one in self.sales.items() if one.chain == sale.chain
                     and n >= order_id]  # fmt: skip
            if any(one.status == "cancelled" and not one.was_replaced for one in since):
                return False
            wanted: dict[int, int] = {}
            for line in sale.lines.values():
                wanted[line.variant] = wanted.get(line.variant, 0) + line.open
            for variant, units in wanted.items():
                freed = sum(one.open for one in rival.lines.values() if one.variant == variant) \
                    if rival else 0  # fmt: skip
                level = self.levels[variant]
                if level.free + freed < units and not level.backorder:
                    return False
            self._replace(live)
            for variant, units in wanted.items():
                self.levels[variant].reserved += units
            sale.status, sale.was_replaced = "pending", False
        if promise:
            self._promise(sale)
        return True

    def _promise(self, sale: Sale) -> None:
        sale.status, sale.was_replaced = "confirmed", False
        for line in sale.lines.values():
            self.levels[line.variant].reserved -= line.open
            self.levels[line.variant].committed += line.open

    def _found_at_stripe(self, said: dict[str, Any]) -> Giving | None:
        for order_id, sale in self.sales.items():
            if said["payment_intent"] not in sale.intents:
                continue
            made = Giving(order_id, said["payment_intent"], said["amount"], is_external=True)
            made.status = "failed" if said["status"] in {"failed", "canceled"} else "sent"
            if made.status == "sent" and not self._make_room(sale, said):
                return None  # said before we heard of the money itself: comes again
            self.givings.append(made)
            return made
        return None

    def _make_room(self, sale: Sale, said: dict[str, Any]) -> bool:
        intent = said["payment_intent"]
        waiting = [g for g in self.givings if g.intent == intent and g.status == "requested"]
        if self.room(sale, intent) + sum(g.amount for g in waiting) < said["amount"]:
            return False
        for giving in reversed(waiting):
            if self.room(sale, intent) >= said["amount"]:
                break
            self.fail(giving)
        return True

    def _sale_of(self, said: dict[str, Any]) -> tuple[int, Sale] | None:
        number = (said.get("metadata") or {}).get("order")
        return next(((n, one) for n, one in self.sales.items() if one.number == number), None)
