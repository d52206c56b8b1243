"""Who calls a command: told by `--by` or COTERIE_BY, else the name of the account."""

import getpass
from typing import Annotated, TypeAlias

import typer

from .exits import Exit, fail
from .logs import storable

ByOption: TypeAlias = Annotated[
    str | None, typer.Option("--by", envvar="COTERIE_BY", help="Who does it; your account's name if left out.")
]


def who(by: str | None) -> str:
    """Whose name is kept, and who must be allowed; where the account has no name, it must be told."""
    told = storable("--by", by)
    if told is not None and told.strip():
        return told.strip()
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        fail("this account has no name; say who does it by --by or COTERIE_BY", Exit.USAGE)
