"""`coterie runs`: the runs that a log has; `prune` forgets old ones, `vacuum` gives their room back."""

import json
import time
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..orchestration.database import Database
from ..orchestration.queries import RunSummary, list_runs
from ..orchestration.retention import Pruned, prune
from .exits import EXIT_CODES, clear_errors
from .logs import (
    DEFAULT_LOG,
    FlowName,
    JsonOption,
    KeyOption,
    LogOption,
    SinceOption,
    StateOption,
    ThreadOption,
    UntilOption,
    read_log,
    run_filter,
    seconds,
    with_log,
)
from .text import safe

STYLES = {"running": "cyan", "waiting": "yellow", "finished": "green", "failed": "red", "cancelled": "dim"}

runs = typer.Typer(
    help="The runs that a log has, latest first.\n\n    coterie runs --log desk.db --state waiting --since 7d\n\n"
    f"{EXIT_CODES}",
    invoke_without_command=True,
)


@runs.callback()
def list_them(
    context: typer.Context,
    log: LogOption = DEFAULT_LOG,
    flow: FlowName = None,
    state: StateOption = None,
    thread: ThreadOption = None,
    key: KeyOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the latest N.")] = None,
    as_json: JsonOption = False,
) -> None:
    """The runs that a log has, where nothing else is asked for."""
    context.obj = log
    if context.invoked_subcommand is not None:
        return
    with clear_errors():
        wanted = run_filter(flow, state, thread, key, since, until, limit)
        found = read_log(log, lambda connection: list_runs(connection, wanted))
    if as_json:
        typer.echo(json.dumps([asdict(run) for run in found], indent=2))
        return
    Console().print(table(found) if found else "no runs")


@runs.command("prune")
def prune_old(
    context: typer.Context,
    older: Annotated[str, typer.Option(help="Runs that ended longer ago than this: 90d, 12w.")],
    log: Annotated[str | None, typer.Option("--log", envvar="COTERIE_LOG", help="As of `coterie runs`.")] = None,
    flow: FlowName = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be forgotten.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Forget ended runs. Those in which a person decided anything are kept, for training and for audits.

    coterie runs prune --older 90d --log desk.db
    """
    with clear_errors():
        before = time.time() - seconds("--older", older)

        def work(database: Database) -> Pruned:
            with database.write() as connection:
                return prune(connection, before, flow, dry_run=dry_run)

        found = with_log(log or context.obj, work)
    if as_json:
        typer.echo(json.dumps(asdict(found)))
        return
    verb = "would forget" if dry_run else "forgot"
    typer.echo(
        f"{verb} {found.runs} runs with {found.facts:,} facts and {found.messages:,} messages; kept "
        f"{found.kept_for_reviews} that are as old, because a person decided in them"
    )


@runs.command("vacuum")
def vacuum(
    context: typer.Context,
    log: Annotated[str | None, typer.Option("--log", envvar="COTERIE_LOG", help="As of `coterie runs`.")] = None,
) -> None:
    """Give the room of forgotten runs back to the disk.

    coterie runs vacuum --log desk.db
    """
    with clear_errors():
        with_log(log or context.obj, lambda database: database.compact())


def table(found: list[RunSummary]) -> Table:
    """A row for each run, narrow enough for 80 columns."""
    drawn = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("run", "flow", "state", "thread", "started", "took", "facts", "asks"):
        drawn.add_column(
            name, justify="right" if name in ("took", "facts", "asks") else "left", overflow="ellipsis", no_wrap=True
        )
    for run in found:
        drawn.add_row(
            run.id,
            Text(safe(run.flow)),
            Text(run.state, style=STYLES[run.state]),
            Text(safe(run.thread or "")),
            local(run.started),
            length(run.updated - run.started),
            f"{run.facts:,}",
            str(run.asked or ""),
        )
    return drawn


def local(at: float) -> str:
    """A time as a person here reads it."""
    return datetime.fromtimestamp(at, UTC).astimezone().strftime("%m-%d %H:%M:%S")


def length(seconds: float) -> str:
    """How long something took: 0.03 s, 12 s, 5 min, 3 h, 2 d."""
    for unit, size, digits in (("d", 86400, 0), ("h", 3600, 0), ("min", 60, 0), ("s", 10, 0), ("s", 0, 2)):
        if seconds >= size:
            return f"{seconds / (1 if unit == 's' else size):.{digits}f} {unit}"
    return "0 s"
