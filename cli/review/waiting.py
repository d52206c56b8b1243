"""`coterie review list`: what waits for a person, as a table or as JSON lines."""

from typing import Annotated

import typer
from rich.console import Console

from ...orchestration.review_items import QueueFilter
from ..exits import clear_errors
from ..logs import FlowName, GroupLogOption, JsonOption, storable
from ..who import ByOption
from .json_lines import line_of, listed
from .listing import waiting_table
from .opening import open_desk


def list_waiting(
    context: typer.Context,
    log: GroupLogOption = None,
    flow: FlowName = None,
    node: Annotated[str | None, typer.Option("--node", help="Only what this review node asks.")] = None,
    by: ByOption = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first N.")] = None,
    as_json: JsonOption = False,
) -> None:
    """What waits for a person, in the order in which it should be decided; nothing is claimed.

    \b
        coterie review list --json --limit 10 > waiting.jsonl
    """
    with clear_errors(), open_desk(log or context.obj, by, flow) as desk:
        wanted = QueueFilter(flow=storable("--flow", flow), node=storable("--node", node), limit=limit)
        found = desk.items(wanted)
    if as_json:
        for item in found:
            typer.echo(line_of(listed(item)))
        return
    console = Console()
    console.print(waiting_table(found, console.width) if found else "nothing waits")
