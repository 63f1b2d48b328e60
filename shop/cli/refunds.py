"""``flask shop refund``: the same refund as the admin's form and the API's, from a terminal."""

import json
from dataclasses import replace

import click

from shop import orders, payments
from shop.core.db import transaction
from shop.core.errors import DomainError
from shop.core.money import Money


class LineUnits(click.ParamType[tuple[int, int]]):
    """An order line's id and how many units of it, such as 17:2."""

    name = "id:units"

    def convert(
        self, value: str, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, int]:
        line_id, _, units = value.partition(":")
        if not (line_id.isdecimal() and units.isdecimal() and len(value) < 30):
            self.fail(f"{value!r} must look like 17:2.", param, ctx)
        return int(line_id), int(units)


@click.command("refund")
@click.argument("number")
@click.option("--all", "is_all", is_flag=True, help="All that is left.")
@click.option("--line", "lines", type=LineUnits(), multiple=True, help="Units of an order line.")
@click.option("--shipping-minor", type=click.IntRange(0), default=0, help="So much of shipping.")
@click.option("--amount-minor", type=click.IntRange(1), help="An amount instead of items.")
@click.option("--restock", is_flag=True, help="Restock the items.")
@click.option("--reason", type=click.Choice(list(payments.REASONS)), required=True)
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def command(
    number: str,
    is_all: bool,
    lines: tuple[tuple[int, int], ...],
    shipping_minor: int,
    amount_minor: int | None,
    restock: bool,
    reason: str,
    as_json: bool,
) -> None:
    """Refund an order, or items of it; items that come to nothing are returned without money.

    A worker asks Stripe. Exit code 1 when it is refused, 2 for options that do not go together.
    """
    if is_all and (lines or shipping_minor or amount_minor):
        raise click.UsageError("With --all, leave out --line, --shipping-minor, --amount-minor.")
    if amount_minor and (lines or shipping_minor or restock):
        raise click.UsageError("Give either an amount, or items and shipping.")
    try:
        with transaction():
            order = orders.lock(orders.by_number(number).id)
            rest = payments.everything(order)
            wanted = rest if is_all else payments.Wanted(dict(lines), shipping_minor, amount_minor)
            if restock:
                wanted = replace(wanted, restock=frozenset(wanted.lines))
            made = payments.refund_or_return(order, wanted, reason=reason)
            units = sum(line.quantity for line in made.lines)
            refunded = made.amount_minor if isinstance(made, payments.Refund) else 0
            amount = Money(refunded, order.currency)
    except DomainError as refusal:
        click.echo(refusal.sentence, err=True)
        raise SystemExit(1) from refusal
    if as_json:
        click.echo(json.dumps({"amount_minor": amount.amount_minor, "units": units}))
    else:
        items = "1 item" if units == 1 else f"{units} items"
        words = f"Refund of {amount} requested" if amount else "Returned without a refund"
        click.echo(f"{number}: {words}, {items}.")
