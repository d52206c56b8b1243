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
from ..orchestration.decisions import allow
from ..orchestration.queries import RunSummary, list_runs
from ..orchestration.retention import Pruned, prune
from .exits import EXIT_CODES, clear_errors
from .logs import (
    DEFAULT_LOG,
    FlowName,
    GroupLogOption,
    JsonOption,
    KeyOption,
    LogOption,
    SinceOption,
    StateOption,
    ThreadOption,
    UntilOption,
    group_log,
    read_log,
    run_filter,
    seconds,
    storable,
    with_log,
)
from .text import safe
from .who import ByOption, who

STYLES = {"running": "cyan", "waiting": "yellow", "finished": "green", "failed": "red", "cancelled": "dim"}
FIXED = {"run": 12, "state": 9, "started": 11, "took": 6, "facts": 5, "asked": 5}  # characters
NARROW = 7  # characters that a flow's or a thread's name has at least

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
    if group_log(context, log):
        return
    with clear_errors():
        wanted = run_filter(flow, state, thread, key, since, until, limit)
        found = read_log(log, lambda connection: list_runs(connection, wanted))
    if as_json:
        typer.echo(json.dumps([asdict(run) for run in found], indent=2))
        return
    console = Console()
    console.print(table(found, console.width) if found else "no runs")


@runs.command("prune")
def prune_old(
    context: typer.Context,
    older: Annotated[str, typer.Option(help="Runs that ended longer ago than this: 90d, 12w.")],
    log: GroupLogOption = None,
    flow: FlowName = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be forgotten.")] = False,
    by: ByOption = None,
    as_json: JsonOption = False,
) -> None:
    """Forget ended runs. Those in which a person decided anything are kept, for training and for audits.

    \b
        coterie runs prune --older 90d --log desk.db
    """
    with clear_errors():
        before, only = time.time() - seconds("--older", older), storable("--flow", flow)
        operator = who(by)

        def work(database: Database) -> Pruned:
            with database.write() as connection:
                allow(connection, operator, "operate")
                return prune(connection, before, only, dry_run=dry_run)

        found = with_log(log or context.obj, work)
    if as_json:
        typer.echo(json.dumps({**asdict(found), "dry_run": dry_run}))
        return
    verb = "would forget" if dry_run else "forgot"
    typer.echo(f"{verb} {found.runs:,} runs with {found.facts:,} facts and {found.messages:,} messages")
    typer.echo(f"kept {found.kept_for_reviews:,} runs that are as old, because a person decided in them")


@runs.command("vacuum")
def vacuum(context: typer.Context, log: GroupLogOption = None, as_json: JsonOption = False) -> None:
    """Give the room of forgotten runs back to the disk.

    \b
        coterie runs vacuum --log desk.db
    """
    place = log or context.obj
    with clear_errors():
        with_log(place, lambda database: database.compact())
    typer.echo(json.dumps({"compacted": True}) if as_json else "compacted")


def table(found: list[RunSummary], width: int) -> Table:
    """A row for each run, within `width` characters; ids and states are never cut."""
    names = {"flow": [safe(run.flow, 60) for run in found], "thread": [safe(run.thread or "", 60) for run in found]}
    if not any(names["thread"]):
        del names["thread"]
    room = width - sum(FIXED.values()) - 2 * (len(FIXED) + len(names) - 1)
    widths = {**FIXED, **_shares({name: max(map(len, [name, *texts])) for name, texts in names.items()}, room)}
    drawn = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("run", "flow", "state", "thread", "started", "took", "facts", "asked"):
        if name in widths:
            right = name in ("took", "facts", "asked")
            drawn.add_column(
                name, justify="right" if right else "left", width=widths[name], overflow="ellipsis", no_wrap=True
            )
    for number, run in enumerate(found):
        drawn.add_row(
            run.id,
            Text(names["flow"][number]),
            Text(run.state, style=STYLES[run.state]),
            *([Text(names["thread"][number])] if "thread" in names else []),
            local(run.started),
            length(run.updated - run.started),
            f"{run.facts:,}",
            str(run.asked or ""),
        )
    return drawn


def local(at: float) -> str:
    """A time as a person here reads it, in 11 characters: to the minute in this year, to the day before it."""
    here = datetime.fromtimestamp(at, UTC).astimezone()
    this_year = here.year == datetime.now(UTC).astimezone().year
    return here.strftime("%m-%d %H:%M" if this_year else "%Y-%m-%d")


def length(seconds: float) -> str:
    """How long something took: 0.03 s, 12 s, 5 min, 3 h, 2 d."""
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s" if seconds >= 10 else f"{max(seconds, 0):.2f} s"


def _shares(wanted: dict[str, int], room: int) -> dict[str, int]:
    """`room` characters shared out: short names get what they need, long ones the rest in equal parts."""
    shares: dict[str, int] = {}
    for number, name in enumerate(sorted(wanted, key=lambda name: wanted[name])):
        equal = (room - sum(shares.values())) // (len(wanted) - number)
        shares[name] = max(NARROW, min(wanted[name], equal))
    return shares
