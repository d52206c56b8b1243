"""Brings a database's tables up to date with Alembic, whose import costs a quarter of a second; so it has its own file.

Knows nothing of what the tables hold. Works in a transaction that the caller has opened.
"""

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection


def upgrade(connection: Connection, steps: Path) -> None:
    """Takes every step in the folder `steps` that the database has not taken yet."""
    config = Config()
    config.set_main_option("script_location", str(steps).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
