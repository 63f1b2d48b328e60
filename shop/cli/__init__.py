"""The operator's door: ``flask shop init``, ``flask shop demo`` and what else runs a shop."""

from typing import TYPE_CHECKING

from shop.core import db

if TYPE_CHECKING:
    from flask import Flask


def init_app(app: "Flask") -> None:
    """Plug ``flask shop …`` and ``flask db …`` into ``app``."""
    # Not at the top: worker and relay live in this package too, and need nothing of Flask.
    from flask_migrate import Migrate

    from shop.cli.commands import shop

    # Flask-Migrate only hands this on to our env.py, which needs nothing of Flask-SQLAlchemy.
    Migrate(app, db, directory="migrations")  # type: ignore[arg-type]
    app.cli.add_command(shop)
