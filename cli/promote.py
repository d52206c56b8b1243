"""`coterie promote` and `coterie rollback`: which release of a role answers, from the next message on."""

import json
from typing import Annotated

import typer

from ..agents import promotion
from .exits import EXIT_CODES, clear_errors
from .logs import JsonOption

RoleArgument = Annotated[str, typer.Argument(help="As in finance/mood.")]


def promote(
    role: RoleArgument,
    digest: Annotated[str, typer.Argument(help="The release's digest, or how it begins.")],
    as_json: JsonOption = False,
) -> None:
    with clear_errors():
        now = promotion.promote(role, digest)
    _tell(role, now.digest, as_json)


promote.__doc__ = f"""Put a stored release of a role to work; running programs use it from their next message on.

\b
    coterie promote finance/mood 9a41c2

{EXIT_CODES}
"""


def rollback(role: RoleArgument, as_json: JsonOption = False) -> None:
    with clear_errors():
        now = promotion.rollback(role)
    _tell(role, now.digest if now else None, as_json)


rollback.__doc__ = f"""Put the release of a role to work that was live before; before the first, the role is untuned.

\b
    coterie rollback finance/mood

{EXIT_CODES}
"""


def _tell(role: str, digest: str | None, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps({"role": role, "digest": digest}))
    else:
        typer.echo(f"{role} is served by {digest[:12]}" if digest else f"{role} is untuned again")
