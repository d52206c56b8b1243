"""Commands that messages and documents tell people to type: each of them exists."""

import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

from typer.main import get_command

from coterie.cli import app

ROOT = Path(__file__).parents[2]
PACKAGES = ("coterie.agents", "coterie.orchestration", "coterie.tuning", "coterie.cli")
NAMED = re.compile(r"`coterie ([a-z]+)(?: ([a-z]+))?")
COMMANDS: dict[str, Any] = get_command(app).commands  # type: ignore[attr-defined]


def texts() -> Iterator[Path]:
    """Every module of the packages, and what is read first."""
    for name in PACKAGES:
        yield from Path(str(import_module(name).__file__)).parent.rglob("*.py")
    yield from (ROOT / "README.md", ROOT / "docs" / "architecture.md")


def exists(command: str, below: str) -> bool:
    """Whether there is this command and, where it is a group of commands, the one below it."""
    known = getattr(COMMANDS.get(command), "commands", None)
    return command in COMMANDS and (not below or known is None or below in known)


def test_every_command_that_is_named_exists() -> None:
    """A message that names a command which is not there leaves people where they were."""
    named = [(path.name, *words) for path in texts() for words in NAMED.findall(path.read_text(encoding="utf-8"))]
    assert len(named) > 20
    assert [found for found in named if not exists(*found[1:])] == []
