"""``flask shop …``. Exit codes: 0 done, 1 refused, 2 wrong usage."""

import json
import os
from pathlib import Path

import click
from flask import current_app
from flask.cli import AppGroup
from flask_migrate import upgrade

from shop import checkout, payments
from shop.cli import demo_catalogue, demo_orders
from shop.core import tokens
from shop.core.db import transaction

shop = AppGroup("shop", help="Run the shop: set it up, fill it, look after it.")


@shop.command()
@click.option("--owner-email", default="owner@example.com", help="Address of the first owner.")
def init(owner_email: str) -> None:
    """Migrate the database; make roles, rates, shipping methods and the first owner. Repeatable."""
    upgrade(directory=str(Path(current_app.root_path).parent / "migrations"))
    with transaction():
        checkout.install_defaults()
    staff = current_app.extensions["staff"]
    staff.install()
    password = tokens.new_token()
    if not staff.create_owner(owner_email, password):
        click.echo("The shop is up to date.")
        return
    file = current_app.config["SETTINGS"].var / "owner.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    with open(os.open(file, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "w") as out:
        json.dump({"email": owner_email, "password": password}, out)
    click.echo(f"The first owner is {owner_email}; the password is in {file.name}.")


@shop.command()
@click.option(
    "--orders/--no-orders", default=True, help="Also tell the story of 60 days of orders."
)
@click.option("--renditions", is_flag=True, help="Make all picture sizes now, not by the workers.")
def demo(orders: bool, renditions: bool) -> None:
    """Load the demo shop, through operations. Twice does no harm."""
    loaded = demo_catalogue.load(renditions=renditions)
    click.echo(
        f"{loaded.products} demo products with {loaded.variants} variants,"
        f" {loaded.pictures} pictures and {loaded.reviews} reviews."
    )
    if orders:
        click.echo(demo_orders.load(current_app.config["SETTINGS"].stripe_api_base))


@shop.command()
def reconcile() -> None:
    """Ask Stripe about every payment that is stuck, and settle it."""
    moved = payments.reconcile()
    click.echo(f"{moved} payments were settled.")
