"""The operator's door: ``flask shop init``, ``flask shop demo`` and what else runs a shop."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flask import Flask


def init_app(app: "Flask") -> None:
    """Plug the commands into ``flask shop …``."""
    # Not at the top: worker and relay live in this package too, and need nothing of Flask.
    from shop.cli.commands import shop

    app.cli.add_command(shop)
