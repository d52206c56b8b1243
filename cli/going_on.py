"""Runs of a log that are taken up, shown at work, and told of when only people could make them go on."""

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import anyio
import typer
from rich.console import Console
from rich.text import Text

from ..orchestration.errors import RunError
from ..orchestration.events import TaskFinished
from ..orchestration.run import Run
from ..orchestration.runtime import Runtime
from ..orchestration.workflow import Flow
from .exits import Exit, leave
from .live import LiveRuns
from .logs import existing
from .text import safe


@dataclass(frozen=True, slots=True)
class Taken:
    """Runs that are at work again."""

    runs: Sequence[Run[Any]]
    refused: Mapping[str, str] = field(default_factory=dict)  # by run: why it is not
    told: Mapping[str, Any] = field(default_factory=dict)  # what else is told of each


Take: TypeAlias = Callable[[Runtime], Awaitable[Taken]]


def see_through(log: str, flow: Flow[Any, Any], take: Take, as_json: bool, by: str, wait: bool = False) -> None:
    """Take runs up, show them at work, and say how each ended.

    Args:
        by: who asks for it; where the log names people, an operator must.
        wait: stay until people have decided at their desks what waits for them.
    """
    console = Console(stderr=as_json)
    try:
        rows = anyio.run(_work, existing(log), flow, take, console, by, wait)
    except KeyboardInterrupt:
        console.print("interrupted; what was done is kept, and `coterie resume` goes on")
        leave(Exit.INTERRUPTED)
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
    else:
        print_rows(console, rows)
    states = {row["state"] for row in rows}
    if states & {"failed", "refused"}:
        raise typer.Exit(Exit.FAILED)
    if "waiting" in states:
        raise typer.Exit(Exit.WAITING)


def print_rows(console: Console, rows: Sequence[Mapping[str, Any]]) -> None:
    """How each run ended, in a line or a few."""
    for row in rows:
        if "forked_from" in row:
            reused = "1 task taken over" if row["reused"] == 1 else f"{row['reused']} tasks taken over"
            told = f"{row['run']} forked from {row['forked_from']}, before {safe(row['before'])}: {reused}"
            console.print(Text(told, style="dim"), soft_wrap=True)
        for line in _lines(row):
            console.print(line, soft_wrap=True)
    if not rows:
        console.print("nothing to go on with")


async def outcome(run: Run[Any]) -> dict[str, Any]:
    """How `run`, which has settled, stands: finished, failed, or waiting and for what."""
    done = sum(isinstance(fact, TaskFinished) for fact in run.facts())
    row: dict[str, Any] = {"run": run.id, "tasks": done}
    if not run.ended:
        asked = [{"task": one.task, "message": one.message.model_dump(mode="json")} for one in run.pending]
        unknown = [{"task": one.task, "key": one.key} for one in run.unknown]
        return {**row, "state": "waiting", "reviews": asked, "unknown": unknown}
    try:
        return {**row, "state": "finished", "result": (await run.result()).model_dump(mode="json")}
    except RunError as error:
        return {**row, "state": "failed", "reason": str(error)}


async def _work(
    log: str, flow: Flow[Any, Any], take: Take, console: Console, by: str, wait: bool
) -> list[dict[str, Any]]:
    async with Runtime(log=log, flows=[flow]) as runtime:
        await runtime.log.allow(by, "operate")
        taken = await take(runtime)
        if taken.runs:
            async with LiveRuns(console, total=len(taken.runs)) as view:
                for run in taken.runs:
                    view.watch(run, run.id)
                for run in taken.runs:
                    await run.wait_settled()
                if wait:
                    view.say(f"decide in another terminal: coterie review --log {safe(log)}")
                    for run in taken.runs:
                        await run.wait_ended()
        rows = [{**await outcome(run), **taken.told} for run in taken.runs]
    return [*rows, *({"run": run, "state": "refused", "reason": why} for run, why in taken.refused.items())]


def _lines(row: Mapping[str, Any]) -> list[Text]:
    run, state = row["run"], row["state"]
    if state == "finished":
        return [Text(f"{run} finished: {safe(json.dumps(row['result'], ensure_ascii=False))}", style="green")]
    if state == "waiting":
        asked = [f"{run} waits: a person decides at {safe(one['task'])} (coterie review)" for one in row["reviews"]]
        for one in row["unknown"]:
            task = safe(one["task"])
            asked += [
                f"{run} waits: nobody knows if {task} happened (key {safe(one['key'])})",
                f"  coterie resume {run} --happened '{task}=JSON', what it would have answered, or --again {task}",
            ]
        return [Text(line, style="yellow") for line in asked]
    first, *rest = str(row["reason"]).splitlines() or [""]
    return [Text(f"{run} {state}: {safe(first)}", style="red"), *(Text(f"  {safe(line)}", "red") for line in rest)]
