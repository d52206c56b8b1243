"""PostgreSQL's own INSERT. Its import brings every driver that SQLAlchemy knows for that database, so it has a file."""

from sqlalchemy.dialects.postgresql import insert

__all__ = ["insert"]
