"""`coterie run`: runs a flow on one input, live, and asks the person at the terminal where the flow wants one."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import anyio
import typer
from pydantic import ValidationError
from rich.console import Console
from rich.pretty import Pretty
from rich.text import Text

from ..agents.loading import load
from ..agents.messages import Message
from ..orchestration.database import shown, url_of
from ..orchestration.events import RunFinished
from ..orchestration.run import Run
from ..orchestration.runtime import Runtime
from ..orchestration.workflow import Flow
from .exits import EXIT_CODES, Exit, clear_errors, fail, leave
from .going_on import outcome, print_rows
from .live import LiveRuns
from .logs import storable, write_page
from .reviewing import ask_person
from .target import flow_at
from .text import safe


def run(
    target: Annotated[str, typer.Argument(metavar="MODULE:FLOW", help="As in examples/finance_desk.py:flow.")],
    given: Annotated[str, typer.Option("--input", metavar="JSON", help="JSON, @FILE, or - for standard input.")],
    auto: Annotated[bool, typer.Option("--auto", help="Never ask a person; end with 4 where one is needed.")] = False,
    thread: Annotated[str | None, typer.Option(help="The conversation that this run belongs to.")] = None,
    seed: Annotated[int, typer.Option(help="The same seed gives the same answers.")] = 0,
    log: Annotated[
        str | None, typer.Option(envvar="COTERIE_LOG", help="Keep every step here, so that nothing is lost.")
    ] = None,
    key: Annotated[str | None, typer.Option(help="An idempotency key: the same key in a log is the same run.")] = None,
    html: Annotated[Path | None, typer.Option(help="Write the run's page: graph, timeline, every message.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print only the result, as JSON.")] = False,
) -> None:
    with clear_errors():
        if key is not None and log is None:
            fail("--key finds a run again in a log, so it needs --log or COTERIE_LOG", Exit.USAGE)
        flow = flow_at(target)
        message = _message(flow, _read(given))
        session = Session(storable("--thread", thread), seed, log, storable("--key", key))
        console = Console(stderr=as_json)
        ask = not auto and sys.stdin.isatty() and console.is_terminal
        try:
            ended, row = anyio.run(_see_through, flow, message, console, ask, session)
        except KeyboardInterrupt:
            console.print("interrupted" if log is None else "interrupted; `coterie resume` goes on")
            leave(Exit.INTERRUPTED)
        if html is not None:
            write_page(html, load("orchestration.page").page(flow, ended.facts()))
        if log is not None:
            console.print(Text(f"kept as run {ended.id} in {safe(shown(url_of(log)))}", style="dim"), soft_wrap=True)
        if row["state"] == "failed":
            fail(row["reason"])
        _print(ended, row, console, as_json, kept=log is not None)
        if row["state"] == "waiting":
            raise typer.Exit(Exit.WAITING)


class Session(NamedTuple):
    """Where a run belongs."""

    thread: str | None
    seed: int
    log: str | None
    key: str | None


run.__doc__ = f"""Run a flow on one input and print its result.

    coterie run examples/finance_desk.py:flow --input '{{"text": "What was the revenue?"}}'

{EXIT_CODES}
"""


async def _see_through(
    flow: Flow[Any, Any], message: Message, console: Console, ask: bool, session: "Session"
) -> tuple[Run[Any], dict[str, Any]]:
    """The run once it has settled, and how it stands."""
    runtime = Runtime(seed=session.seed, log=session.log)
    async with runtime, LiveRuns(console, total=1) as view:
        run = await runtime.start(flow, message, thread=session.thread, key=session.key)
        view.watch(run, flow.name)
        await run.wait_settled()
        while run.pending and ask:
            answer = await view.ask(run, run.pending[0], ask_person)
            if answer is None:
                break
            await run.answer(run.pending[0].task, answer)
            await run.wait_settled()
        return run, await outcome(run)


def _print(ended: Run[Any], row: dict[str, Any], console: Console, as_json: bool, kept: bool) -> None:
    last = ended.facts()[-1]
    if isinstance(last, RunFinished):
        if as_json:
            typer.echo(last.message.model_dump_json())
        else:
            console.print(Pretty(last.message))
    elif as_json:
        more = {"run": ended.id, "unknown": row["unknown"]} if kept else {}
        typer.echo(json.dumps({"waiting": row["reviews"], **more}))
    else:
        if row["reviews"]:
            console.print(Pretty(row["reviews"]))
        if kept:
            print_rows(console, [row])


def _read(given: str) -> str:
    try:
        if given == "-":
            return sys.stdin.read()
        return Path(given[1:]).read_text(encoding="utf-8") if given.startswith("@") else given
    except (OSError, UnicodeDecodeError) as error:
        fail(f"cannot read the input {given!r}: {error}", Exit.BAD_INPUT)


def _message(flow: Flow[Any, Any], text: str) -> Message:
    kind = flow.signature.consumes
    try:
        message: Message = kind.model_validate_json(text, strict=False)
    except ValidationError as error:
        faults = [f"  {'.'.join(map(str, one['loc'])) or 'the whole'}: {one['msg']}" for one in error.errors()]
        fail("\n".join([f"this input is no {kind.__name__}:", *faults]), Exit.BAD_INPUT)
    return message
