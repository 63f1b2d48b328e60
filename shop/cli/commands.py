"""``flask shop …``. Exit codes: 0 done, 1 refused, 2 wrong usage."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from flask import current_app
from flask.cli import AppGroup
from flask_migrate import upgrade

from shop import checkout, payments
from shop.cli import demo_catalog, demo_discounts, demo_orders, doctor, refunds
from shop.core import tokens
from shop.core.db import transaction
from shop.core.errors import DomainError

shop = AppGroup("shop", help="Run the shop: set it up, fill it, look after it.")
shop.add_command(doctor.command)
shop.add_command(refunds.command)


@shop.command()
@click.option("--owner-email", help="Address of the first owner.")
def init(owner_email: str | None) -> None:
    """Migrate the database; make roles, rates, shipping methods and the first owner. Repeatable.

    In production the first owner gets an invitation by email and chooses their password. In
    development the password is made here and stands in owner.json.
    """
    upgrade(directory=str(Path(current_app.root_path).parent / "migrations"))
    with transaction():
        checkout.install_defaults()
    staff = current_app.extensions["staff"]
    staff.install()
    settings = current_app.config["SETTINGS"]
    if settings.is_production:
        _invite_owner(owner_email)
        return
    owner_email = owner_email or "owner@example.com"
    password = tokens.new_token()
    if not staff.create_owner(owner_email, password):
        click.echo("The shop is up to date.")
        return
    file = settings.var / "owner.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    with open(os.open(file, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "w") as out:
        json.dump({"email": owner_email, "password": password}, out)
    click.echo(f"The first owner is {owner_email}; the password is in {file.name}.")


def _invite_owner(email: str | None) -> None:
    staff = current_app.extensions["staff"]
    if email is None:
        click.echo(
            "The shop is up to date."
            if staff.has_owner()
            else "The shop has no owner yet: flask shop init --owner-email you@example.com"
        )
        return
    with _refusals():
        link = staff.invite_owner(email)
    if link is None:
        click.echo("The shop is up to date.")
    else:
        _say_invited(email, link)


@shop.group("staff", help="Who works here.")
def people() -> None:
    """Commands about staff."""


@people.command()
@click.argument("email")
@click.option("--role", required=True, help="Owner, Manager, Catalogue, …")
def invite(email: str, role: str) -> None:
    """Email somebody an invitation to work here; again for somebody who has not accepted."""
    with _refusals():
        link = current_app.extensions["staff"].invite(email, role)
    _say_invited(email, link)


@contextmanager
def _refusals() -> Iterator[None]:
    try:
        yield
    except DomainError as refusal:
        raise click.ClickException(refusal.sentence) from None


def _say_invited(email: str, link: str) -> None:
    click.echo(f"The invitation to {email} is on its way.")
    if link:
        base_url = current_app.config["SETTINGS"].base_url
        click.echo(f"No mail server is set. This link works once: {base_url}{link}")


@shop.command()
@click.option(
    "--orders/--no-orders", default=True, help="Also tell the story of 60 days of orders."
)
@click.option("--renditions", is_flag=True, help="Make all image sizes now, not by the workers.")
def demo(orders: bool, renditions: bool) -> None:
    """Load the demo shop, through operations. Twice does no harm."""
    loaded = demo_catalog.load(renditions=renditions)
    click.echo(
        f"{loaded.products} demo products with {loaded.variants} variants,"
        f" {loaded.images} images and {loaded.reviews} reviews."
    )
    click.echo(f"{demo_discounts.load()} demo discounts, such as the code WELCOME10.")
    if orders:
        click.echo(demo_orders.load(current_app.config["SETTINGS"].stripe_api_base))


@shop.command()
@click.option(
    "--days", type=click.FloatRange(1 / 24, 366), help="Reconcile everything of so many days."
)
@click.option(
    "--look", "list_only", is_flag=True, help="With --days: list the differences, repair nothing."
)
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def reconcile(days: float | None, list_only: bool, as_json: bool) -> None:
    """Reconcile every payment that is stuck with Stripe.

    With --days, also reconcile all payments, refunds, disputes and warnings. Exit code 1 when
    differences were found, 2 when Stripe could not be asked.
    """
    synced = payments.reconcile() if not list_only else 0
    run = payments.reconcile_all(days=days, mend=not list_only) if days else None
    differences = run.differences if run else []
    failure = run.failure if run else ""
    if as_json:
        click.echo(
            json.dumps(
                {
                    "settled": synced,
                    "checked": run.checked if run else 0,
                    "differences": differences,
                    "refused": run.refused if run else 0,
                    "failure": failure,
                }
            )
        )
    else:
        click.echo(f"{synced} payments were synced.")
        if run:
            refused = f" {run.refused} could not be applied." if run.refused else ""
            click.echo(
                f"{run.checked} objects reconciled, {len(differences)} differences.{refused}"
            )
        for one in differences:
            done = f" → {one['done']}" if one["done"] else ""
            click.echo(
                f"{one['what']} {one['reference']} ({one['order']}):"
                f" here {one['ours']}, at Stripe {one['stripe']}{done}"
            )
        if failure:
            click.echo(f"Cut short: {failure}", err=True)
    raise SystemExit(2 if failure else 1 if differences else 0)
