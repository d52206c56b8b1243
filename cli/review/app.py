"""`coterie review`: at a terminal, or by JSON lines through `list` and `apply`; `stats` counts what was done."""

import sys
from collections.abc import Mapping
from typing import Annotated, ClassVar

import typer

from ...agents.loading import load
from ...orchestration.review_items import QueueFilter
from ..exits import Exit, clear_errors, fail
from ..late import Late, LateGroup
from ..logs import DEFAULT_LOG, FlowName, LogOption, group_log
from ..who import ByOption, who
from .opening import open_desk


class ReviewCommands(LateGroup):
    """What can be done about reviews without sitting down."""

    late: ClassVar[Mapping[str, Late]] = {
        "stats": Late("cli.review.stats", "stats"),
        "people": Late("cli.review.people", "name_people"),
        "list": Late("cli.review.waiting", "list_waiting"),
        "apply": Late("cli.review.applying", "apply_decisions"),
    }


review = typer.Typer(
    cls=ReviewCommands,
    help="Decide what flows ask people: approve, edit, choose another label, reject, amend what is upstream.\n\n"
    "    coterie review --log desk.db --flow finance-desk\n\n"
    "What you do is stored at once; closing the terminal loses nothing. Without a terminal:\n\n"
    "    coterie review list --json | ... | coterie review apply -",
    invoke_without_command=True,
)


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
