"""The operator's door: ``flask shop init``, ``flask shop demo`` and what else runs a shop."""

from flask import Flask

from shop.cli.commands import shop


def init_app(app: Flask) -> None:
    """Plug the commands into ``flask shop …``."""
    app.cli.add_command(shop)
