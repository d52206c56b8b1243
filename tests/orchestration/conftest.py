"""Durable logs for tests: SQLite in a file, and a real PostgreSQL server that all tests of a session share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.orchestration.postgresql import Server, served


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Server]:
    """A running server; tests that need one are skipped where there is none."""
    yield from served()


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where a new, empty log can be kept."""
    if request.param == "sqlite":
        return str(tmp_path / "desk.db")
    server: Server = request.getfixturevalue("postgresql")
    return server.database()
