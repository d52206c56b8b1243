"""`coterie show`: what happened in a run, fact by fact, from the log alone; with its flow also as a page."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import anyio
import typer
from rich.console import Console
from rich.text import Text

from ..agents.loading import load
from ..orchestration.database_log import DatabaseLog
from ..orchestration.queries import RunSummary, ShownFact, one_run, show
from .exits import EXIT_CODES, Exit, clear_errors, fail
from .logs import DEFAULT_LOG, JsonOption, LogOption, RunArgument, existing, read_log, run_id, write_page
from .runs import STYLES, length, local
from .target import flow_at
from .text import safe
from .timeline import timeline


def show_run(
    run: RunArgument,
    log: LogOption = DEFAULT_LOG,
    html: Annotated[Path | None, typer.Option(help="Write the run's page; needs --flow.")] = None,
    flow: Annotated[
        str | None, typer.Option("--flow", metavar="MODULE:FLOW", help="The flow, for --html only.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    with clear_errors():
        if html is not None and flow is None:
            fail("--html draws the flow, so it needs --flow MODULE:FLOW", Exit.USAGE)
        identity = run_id(log, run)
        summary, facts = read_log(log, lambda found: (one_run(found, identity), show(found, identity)))
        if html is not None and flow is not None:
            write_page(html, _page(log, flow, summary))
    if as_json:
        typer.echo(json.dumps({**asdict(summary), "facts": [asdict(fact) for fact in facts]}, indent=2))
        return
    console = Console()
    for line in _heading(summary, facts):
        console.print(line, soft_wrap=True)
    console.print(timeline(facts, console.width))


show_run.__doc__ = f"""Show what happened in a run: timings, attempts, weights, answers, people.

\b
    coterie show 3f8bb4d0887c --log desk.db
    coterie show 3f8b --html run.html --flow examples/finance_desk.py:flow

{EXIT_CODES}
"""


def _page(log: str, target: str, run: RunSummary) -> str:
    flow = flow_at(target)
    if flow.name != run.flow:
        fail(f"run {run.id!r} is one of flow {run.flow!r}, but {target!r} is flow {flow.name!r}", Exit.BAD_INPUT)

    async def drawn() -> str:
        async with DatabaseLog(existing(log)) as opened:
            drawn: str = load("orchestration.page").page(flow, await opened.read(run.id, flow.registry))
            return drawn

    return anyio.run(drawn)


def _heading(run: RunSummary, facts: list[ShownFact]) -> list[Text]:
    lines = [
        Text.assemble(
            (run.id, "bold"), f"  {safe(run.flow)}  ", (run.state, STYLES[run.state]), f"  {local(run.started)}  ",
            f"{length(run.updated - run.started)}  {run.facts} facts",
        )
    ]  # fmt: skip
    if run.forked_from:
        before = safe(str(facts[0].fields.get("forked_before", "")))
        swapped = [f"{role} by {digest[:12] or 'zero-shot'}" for role, digest in facts[0].fields["releases"].items()]
        told = ", ".join([f"forked from {run.forked_from}, before {before}", *map(safe, swapped)])
        lines.append(Text(told, style="dim"))
    known = [f"{name} {safe(value)}" for name, value in (("thread", run.thread), ("key", run.key)) if value]
    return [*lines, *([Text(", ".join(known), style="dim")] if known else [])]
