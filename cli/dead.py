"""`coterie dead`: the runs that failed, and why; `retry` (resume.py) puts one back to work."""

import json
from dataclasses import asdict
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..orchestration.queries import DeadRun, dead
from .exits import EXIT_CODES, clear_errors
from .logs import (
    DEFAULT_LOG,
    FlowName,
    JsonOption,
    KeyOption,
    LogOption,
    SinceOption,
    ThreadOption,
    UntilOption,
    group_log,
    read_log,
    run_filter,
)
from .resume import retry_run
from .runs import local
from .text import safe

dead_letters = typer.Typer(
    help="Runs that failed, and why; `retry` puts one back to work.\n\n    coterie dead --log desk.db --since 7d\n\n"
    f"{EXIT_CODES}",
    invoke_without_command=True,
)
dead_letters.command("retry")(retry_run)


@dead_letters.callback()
def list_dead(
    context: typer.Context,
    log: LogOption = DEFAULT_LOG,
    flow: FlowName = None,
    thread: ThreadOption = None,
    key: KeyOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the latest N.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Runs that failed, where nothing else is asked for."""
    if group_log(context, log):
        return
    with clear_errors():
        wanted = run_filter(flow, "failed", thread, key, since, until, limit)
        found = read_log(log, lambda connection: dead(connection, wanted))
    if as_json:
        typer.echo(json.dumps([asdict(one) for one in found], indent=2))
        return
    Console().print(_table(found) if found else "no run has failed")


def _table(found: list[DeadRun]) -> Table:
    drawn = Table(box=None, pad_edge=False, header_style="dim")
    for name, width in (("run", 12), ("failed", 11), ("task", None), ("tries", 5), ("why", None)):
        right = name == "tries"
        drawn.add_column(name, justify="right" if right else "left", width=width, overflow="fold")
    for one in found:
        why = f"{safe(one.error, 60)}: {safe(one.reason, 300)}"
        task = safe(one.task or one.node, 60)
        drawn.add_row(one.run.id, local(one.run.updated), Text(task), str(one.attempts or ""), Text(why))
    return drawn
