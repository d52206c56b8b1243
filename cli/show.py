"""`coterie show`: what happened in a run, fact by fact, from the log alone; with its flow also as a page."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import anyio
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..orchestration.database_log import DatabaseLog
from ..orchestration.page import page
from ..orchestration.queries import RunSummary, ShownFact, one_run, show
from .exits import EXIT_CODES, Exit, clear_errors, fail
from .logs import DEFAULT_LOG, JsonOption, LogOption, existing, read_log, run_id
from .runs import STYLES, length, local
from .target import flow_at
from .text import safe

HIDDEN = ("task-started",)  # in the timeline a task is shown where it ends
WIDTHS = (7, 16, 16, 7)  # characters of all columns but the last
QUIET = ("seed", "limit", "definition", "releases", "kinds", "given", "inputs", "key")


def show_run(
    run: Annotated[str, typer.Argument(help="The run's id, or how it begins.")],
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
            html.write_text(_page(log, flow, identity), encoding="utf-8")
    if as_json:
        typer.echo(json.dumps({**asdict(summary), "facts": [asdict(fact) for fact in facts]}, indent=2))
        return
    console = Console()
    for line in _heading(summary, facts):
        console.print(line, soft_wrap=True)
    console.print(_timeline(console, facts))


show_run.__doc__ = f"""Show what happened in a run: timings, attempts, weights, answers, people.

    coterie show 3f8bb4d0887c --log desk.db
    coterie show 3f8b --html run.html --flow examples/finance_desk.py:flow

{EXIT_CODES}
"""


def _page(log: str, target: str, run: str) -> str:
    flow = flow_at(target)

    async def drawn() -> str:
        async with DatabaseLog(existing(log)) as opened:
            return page(flow, await opened.read(run, flow.registry))

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
        lines.append(Text(f"forked from {run.forked_from}, before {before}", style="dim"))
    told = [f"{name} {safe(value)}" for name, value in (("thread", run.thread), ("key", run.key)) if value]
    return [*lines, *([Text(", ".join(told), style="dim")] if told else [])]


def _timeline(console: Console, facts: list[ShownFact]) -> Table:
    drawn = Table(box=None, pad_edge=False, header_style="dim")
    rest = console.width - sum(WIDTHS) - 2 * len(WIDTHS)
    for name, width in zip(("at", "task", "what", "took", ""), (*WIDTHS, max(rest, 20)), strict=True):
        right = name in ("at", "took")
        drawn.add_column(name, justify="right" if right else "left", width=width, overflow="ellipsis", no_wrap=True)
    began: dict[str, ShownFact] = {}
    for fact in facts:
        if fact.kind == "task-started" and fact.task is not None:
            began[fact.task] = fact
        if fact.kind in HIDDEN and not _last_word(fact, facts):
            continue
        drawn.add_row(
            f"{fact.at - facts[0].at:.2f}",
            Text(safe(fact.task or "")),
            Text(_what(fact, began), style=_style(fact)),
            _took(fact, began),
            Text(_told(fact)),
        )
    return drawn


def _last_word(fact: ShownFact, facts: list[ShownFact]) -> bool:
    """Whether nothing is known of the task after this."""
    return not any(later.task == fact.task and later.seq > fact.seq for later in facts)


def _what(fact: ShownFact, began: dict[str, ShownFact]) -> str:
    attempts = began[fact.task].fields.get("attempt", 1) if fact.task in began else 1
    again = f" (attempt {attempts})" if attempts > 1 and fact.kind in ("task-finished", "task-failed") else ""
    return {"task-started": "at work", "task-finished": "answered", "task-failed": "failed"}.get(
        fact.kind, fact.kind.replace("-", " ")
    ) + again


def _took(fact: ShownFact, began: dict[str, ShownFact]) -> str:
    if fact.kind not in ("task-finished", "task-failed") or fact.task not in began:
        return ""
    return length(fact.at - began[fact.task].at)


def _told(fact: ShownFact) -> str:
    if fact.kind in ("task-failed", "run-failed"):
        return f"{safe(str(fact.fields['error']))}: {safe(str(fact.fields['reason']), 200)}"
    parts = [_value(value) for name, value in fact.fields.items() if name not in QUIET and value not in (None, "", {})]
    return "  ".join(part for part in parts if part)


def _value(value: Any) -> str:
    if isinstance(value, list):
        return f"{len(value)} of {_value(value[0])}" if value else "an empty list"
    if not isinstance(value, dict):
        return safe(str(value), 200)
    if "digest" not in value:
        return safe(", ".join(f"{name} {_value(one)}" for name, one in value.items() if one), 200)
    origin = value["origin"]
    weights = f"[{origin['role']} {origin['weights'][:12]}] " if origin else ""
    return f"{safe(weights)}{value['type']} {safe(json.dumps(value['fields'], ensure_ascii=False), 400)}"


def _style(fact: ShownFact) -> str:
    if fact.kind in ("task-failed", "run-failed", "effect-unknown"):
        return "red"
    return {"task-finished": "", "task-started": "cyan", "run-finished": "green"}.get(fact.kind, "yellow")
