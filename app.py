"""The web process: store, admin and API in one Flask application."""

import os

from shop.config import read_or_end
from shop.factory import create_app

# 2 is a refusal of the command line. 3 tells gunicorn that starting its workers again is of no use.
app = create_app(read_or_end(2 if os.environ.get("FLASK_RUN_FROM_CLI") else 3))
