"""Alembic's environment: our tables and Flask-AppBuilder's, in one line of versions."""

from alembic import context
from flask_appbuilder.security.sqla import models as fab
from sqlalchemy import create_engine, pool

from shop import audit, tables
from shop.core import db

METADATA = [tables.metadata, fab.Model.metadata]


def run() -> None:
    """Migrate with a short lock time-out, so that the shop is never blocked for long."""
    engine = create_engine(
        db.engine().url,
        poolclass=pool.NullPool,
        connect_args={"options": "-c lock_timeout=2s -c statement_timeout=0"},
    )
    with engine.connect() as connection:
        context.configure(
            connection=connection, target_metadata=METADATA, compare_server_default=False
        )
        with context.begin_transaction():
            context.run_migrations()
            if context.get_context().get_current_revision() == context.get_head_revision():
                audit.install_triggers(connection, *METADATA)


run()
