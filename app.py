"""The web process: store, admin and API in one Flask application."""

from shop.factory import create_app

app = create_app()
