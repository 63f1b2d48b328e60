"""The web process: store, admin and API in one Flask application."""

import os

from shop.config import read_or_end
from shop.core import preflight
from shop.factory import create_app

# 2 is a refusal of the command line. 3 tells gunicorn that starting its workers again is of no use.
code = 2 if os.environ.get("FLASK_RUN_FROM_CLI") else 3
settings = read_or_end(code)
if settings.is_production:
    preflight.end_if_unsafe(settings.database_url, settings.redis_url, code)
app = create_app(settings)
