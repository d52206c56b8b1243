"""`coterie review people`: who may do what in a log.

As long as it names nobody, whoever can open it may do everything.
"""

import json
import time
from typing import Annotated, get_args

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text
from sqlalchemy import Connection, select

from ...orchestration.database import Database
from ...orchestration.decisions import RIGHTS, Role, allow, grant, withdraw
from ...orchestration.schema import people
from ..exits import Exit, clear_errors, fail
from ..logs import GroupLogOption, JsonOption, existing, storable
from ..text import safe
from ..who import ByOption, who

ROLES: tuple[Role, ...] = get_args(Role)
NOBODY = "nobody is named: whoever can open this log may do everything; name yourself: --grant NAME:operator"


def name_people(
    context: typer.Context,
    log: GroupLogOption = None,
    by: ByOption = None,
    granted: Annotated[
        list[str] | None, typer.Option("--grant", metavar="NAME:ROLE", help="May do from now on what the role may.")
    ] = None,
    withdrawn: Annotated[
        list[str] | None, typer.Option("--withdraw", metavar="NAME:ROLE", help="May not do so any more.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Who may do what; roles are author, operator, reviewer and auditor.

    \b
        coterie review people --grant anna:reviewer --by otto

    As long as nobody is named, everybody may do everything. Whoever names the first person becomes an operator.
    """
    with clear_errors():
        given = [_pair("--grant", one) for one in granted or ()]
        taken = [_pair("--withdraw", one) for one in withdrawn or ()]
        asking = who(by)
        database = Database(existing(log or context.obj))
        try:
            with database.write() as connection:  # all of it or nothing
                for name, role in given:
                    grant(connection, asking, name, role, time.time())
                for name, role in taken:
                    withdraw(connection, asking, name, role, time.time())
            found = database.read(lambda connection: _named(connection, asking))
        finally:
            database.close()
    if as_json:
        rows = [{"name": name, "role": role, "may": sorted(RIGHTS[role])} for name, role in found]
        typer.echo(json.dumps(rows, indent=2))
        return
    Console().print(_table(found) if found else Text(NOBODY))


def _named(connection: Connection, by: str) -> list[tuple[str, Role]]:
    allow(connection, by, "look")
    rows = connection.execute(select(people.c.name, people.c.role).order_by(people.c.name, people.c.role))
    return [(name, role) for name, role in rows]


def _pair(option: str, told: str) -> tuple[str, Role]:
    """Name and role; a name may hold colons, a role does not."""
    name, _, said = (storable(option, told) or "").rpartition(":")
    role: Role | None = ROLES[ROLES.index(said)] if said in ROLES else None
    if role is None or not name.strip():
        fail(f"{option} {told!r} is no NAME:ROLE; the roles are {', '.join(ROLES)}", Exit.USAGE)
    return name.strip(), role


def _table(found: list[tuple[str, Role]]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for heading in ("name", "role", "may"):
        table.add_column(heading)
    for name, role in found:
        table.add_row(Text(safe(name)), role, ", ".join(sorted(RIGHTS[role])))
    return table
