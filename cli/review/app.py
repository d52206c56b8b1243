"""`coterie review`: at a terminal, or by JSON lines through `list` and `apply`; `stats` counts what was done."""

import sys
from collections import Counter
from enum import IntEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from ...agents.loading import load
from ...orchestration.review_items import QueueFilter
from ..exits import Exit, clear_errors, fail
from ..logs import DEFAULT_LOG, FlowName, GroupLogOption, JsonOption, LogOption, existing, group_log, storable
from ..who import ByOption, who
from .desk import OpenDesk
from .exchange import applied, line_of, listed, read_decisions
from .listing import waiting_table
from .people import name_people
from .stats import stats


class Applied(IntEnum):
    """How `coterie review apply` ends; where several are true, the highest."""

    DONE = 0
    LEFT = 3
    CONFLICT = 4


review = typer.Typer(
    help="Decide what flows ask people: approve, edit, choose another label, reject, amend what is upstream.\n\n"
    "    coterie review --log desk.db --flow finance-desk\n\n"
    "What you do is stored at once; closing the terminal loses nothing. Without a terminal:\n\n"
    "    coterie review list --json | ... | coterie review apply -",
    invoke_without_command=True,
)
review.command("stats")(stats)
review.command("people")(name_people)


@review.callback()
def sit_down(
    context: typer.Context,
    log: LogOption = DEFAULT_LOG,
    flow: FlowName = None,
    by: ByOption = None,
    plain: Annotated[
        bool, typer.Option("--plain", help="Lines instead of a screen; also by TERM=dumb or ACCESSIBLE=1.")
    ] = False,
) -> None:
    """Review at the terminal, where nothing else is asked for."""
    if group_log(context, log):
        return
    if not sys.stdin.isatty():
        fail("nobody can press keys here; use `coterie review list --json` and `coterie review apply`", Exit.USAGE)
    with clear_errors(), open_desk(log, by, flow) as desk:
        farewell, interrupted = load("cli.review.seat").take_seat(desk, who(by), QueueFilter(flow=flow), plain=plain)
    typer.echo("\n".join(farewell))
    if interrupted:
        raise typer.Exit(Exit.INTERRUPTED)


@review.command("list")
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


@review.command("apply")
def apply_decisions(
    context: typer.Context,
    decisions: Annotated[Path, typer.Argument(metavar="FILE", help="JSON lines, one decision each; - for the input.")],
    log: GroupLogOption = None,
    flow: FlowName = None,
    by: ByOption = None,
) -> None:
    """Store decisions, and print what became of each. Ends with 0: all is done, 3: items are left, 4: a conflict.

    \b
        {"run": "...", "task": "desk", "act": "approve"}
        {"run": "...", "task": "desk", "act": "choose", "label": "neutral"}
        {"run": "...", "task": "desk", "act": "edit", "type": "Mood", "fields": {"label": "neutral"}}
        {"run": "...", "task": "desk", "act": "reject", "code": "other", "reason": "it is about another company"}
        {"run": "...", "task": "desk", "act": "skip"}
    """
    outcomes: Counter[str] = Counter()
    with clear_errors(), open_desk(log or context.obj, by, flow) as desk:
        given = read_decisions(_read(decisions))
        for outcome in applied(desk, who(by), given):
            outcomes[outcome["outcome"]] += 1
            typer.echo(line_of(outcome))
        left = desk.budget(QueueFilter(flow=flow)).left
    typer.echo(f"{outcomes['stored']} stored, {outcomes['refused']} refused, "
               f"{outcomes['conflict']} in conflict, {left:,} left", err=True)  # fmt: skip
    if outcomes["conflict"]:
        raise typer.Exit(Applied.CONFLICT)
    raise typer.Exit(Applied.LEFT if left or outcomes["refused"] else Applied.DONE)


def open_desk(place: str, by: str | None, flow: str | None) -> OpenDesk:
    """The desk over the log at `place`."""
    desk: OpenDesk = load("orchestration.review_desk").ReviewDesk(
        existing(place), who(by), flow=storable("--flow", flow)
    )
    return desk


def _read(source: Path) -> list[str]:
    try:
        if str(source) == "-":
            return sys.stdin.read().splitlines()
        return source.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        fail(f"cannot read {str(source)!r}: {error}", Exit.BAD_INPUT)
