"""`coterie resume`, `replay`, `fork` and `dead retry`: what is done with the runs of a log, given their flow."""

import json
from collections.abc import Awaitable, Callable
from typing import Annotated, Any

import anyio
import typer
from pydantic import ValidationError
from rich.console import Console
from rich.text import Text

from ..agents.errors import MessageError
from ..agents.messages import Message
from ..agents.type_forms import members
from ..orchestration.database_log import DatabaseLog
from ..orchestration.errors import ResumeRefused, RunError
from ..orchestration.events import TaskFinished
from ..orchestration.replay import replay
from ..orchestration.run import Run
from ..orchestration.runtime import Runtime
from ..orchestration.workflow import Flow
from .exits import EXIT_CODES, Exit, clear_errors, fail, leave
from .live import LiveRuns
from .logs import DEFAULT_LOG, FlowOption, JsonOption, LogOption, existing, run_id
from .target import flow_at
from .text import safe

Take = Callable[[Runtime], Awaitable[tuple[list[Run[Any]], dict[str, str]]]]
"""Takes runs up: those at work, and why others cannot be."""

PinOption = Annotated[bool, typer.Option("--pin", help="Let each role answer with the weights that it began with.")]


def resume(
    flow: FlowOption,
    run: Annotated[str | None, typer.Argument(help="One run; all that have not ended unless given.")] = None,
    log: LogOption = DEFAULT_LOG,
    pin: PinOption = False,
    happened: Annotated[
        list[str] | None, typer.Option(metavar="TASK=JSON", help="This effect happened; what its node would have said.")
    ] = None,
    again: Annotated[list[str] | None, typer.Option(metavar="TASK", help="This effect did not happen; do it.")] = None,
    as_json: JsonOption = False,
) -> None:
    with clear_errors():
        target = flow_at(flow)
        if run is None and (happened or again):
            fail("--happened and --again need the run that they are about", Exit.USAGE)
        identity = None if run is None else run_id(log, run)

        async def take(runtime: Runtime) -> tuple[list[Run[Any]], dict[str, str]]:
            if identity is None:
                taken = await runtime.resume(target, pin=pin)
                why = {name: str(error) for name, error in taken.refused.items()}
                why |= dict.fromkeys(taken.elsewhere, "another living process has it")
                return [*taken.runs], why
            one = await runtime.resume_run(target, identity, pin=pin)
            await _settle(one, happened or [], again or [])
            return [one], {}

        _see_through(log, target, take, as_json)


resume.__doc__ = f"""Go on with runs that were interrupted. What was done is not done again.

    coterie resume --flow examples/finance_desk.py:flow --log desk.db
    coterie resume 3f8b --flow desk.py:flow --happened 'publish={{"text": "…"}}'

Where a step with an outside effect died, the effect is named, and --happened or --again says what is true.

{EXIT_CODES}
"""


def retry_run(
    context: typer.Context,
    run: Annotated[str, typer.Argument(help="The run's id, or how it begins.")],
    flow: FlowOption,
    log: Annotated[str | None, typer.Option("--log", envvar="COTERIE_LOG", help="As of `coterie dead`.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Put the task that ended a run back to work, with all its attempts.

    coterie dead retry 3f8b --flow desk.py:flow --log desk.db
    """
    with clear_errors():
        target, place = flow_at(flow), log or context.obj
        identity = run_id(place, run)

        async def take(runtime: Runtime) -> tuple[list[Run[Any]], dict[str, str]]:
            return [await runtime.retry(target, identity)], {}

        _see_through(place, target, take, as_json)


def replay_run(
    run: Annotated[str, typer.Argument(help="The run's id, or how it begins.")],
    flow: FlowOption,
    log: LogOption = DEFAULT_LOG,
    as_json: JsonOption = False,
) -> None:
    async def read(target: Flow[Any, Any], identity: str) -> Any:
        async with DatabaseLog(existing(log)) as opened:
            return await replay(opened, target, identity)

    with clear_errors():
        found = anyio.run(read, flow_at(flow), run_id(log, run))
    result = None if found.result is None else found.result.model_dump(mode="json")
    if as_json:
        told = {"run": found.run, "facts": len(found.facts), "divergences": found.divergences, "result": result}
        typer.echo(json.dumps(told, indent=2))
    else:
        console = Console()
        console.print(f"replayed {len(found.facts)} facts of {found.run}; no model and no node was called")
        for divergence in found.divergences:
            console.print(Text(safe(divergence), style="red"), soft_wrap=True)
        ended = "it has not ended" if not found.ended else "it ended without a result"
        console.print(Text(f"result: {safe(json.dumps(result, ensure_ascii=False))}" if result is not None else ended))
    if found.divergences:
        raise typer.Exit(Exit.FAILED)


replay_run.__doc__ = f"""Read a run again: the same decisions from the stored facts, and no model called.

    coterie replay 3f8b --flow examples/finance_desk.py:flow --log desk.db

{EXIT_CODES}
"""


def fork(
    run: Annotated[str, typer.Argument(help="The run's id, or how it begins.")],
    flow: FlowOption,
    before: Annotated[str, typer.Option(help="The node, or the task, that is done anew.")],
    log: LogOption = DEFAULT_LOG,
    message: Annotated[str | None, typer.Option(metavar="JSON", help="What goes into it instead.")] = None,
    release: Annotated[
        list[str] | None, typer.Option(metavar="ROLE=DIGEST", help="The release that answers; empty: zero-shot.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    with clear_errors():
        target, identity = flow_at(flow), run_id(log, run)
        releases = dict(_pair("--release", one) for one in release or [])

        async def take(runtime: Runtime) -> tuple[list[Run[Any]], dict[str, str]]:
            told = None if message is None else _input(target, before, message)
            return [await runtime.fork(target, identity, before=before, message=told, releases=releases)], {}

        _see_through(log, target, take, as_json)


fork.__doc__ = f"""Do a run anew from one of its nodes on; all that lies before or beside it is taken over.

    coterie fork 3f8b --flow desk.py:flow --before write --release finance/mood=9a41c2

{EXIT_CODES}
"""


def _see_through(log: str, flow: Flow[Any, Any], take: Take, as_json: bool) -> None:
    """Take runs up, show them at work, and say how each ended."""
    console = Console(stderr=as_json)
    try:
        rows = anyio.run(_work, existing(log), flow, take, console)
    except KeyboardInterrupt:
        console.print("interrupted; what was done is kept, and `coterie resume` goes on")
        leave(Exit.INTERRUPTED)
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
    else:
        for row in rows:
            console.print(_line(row), soft_wrap=True)
        if not rows:
            console.print("nothing to go on with")
    states = {row["state"] for row in rows}
    if states & {"failed", "refused"}:
        raise typer.Exit(Exit.FAILED)
    if "waiting" in states:
        raise typer.Exit(Exit.WAITING)


async def _work(log: str, flow: Flow[Any, Any], take: Take, console: Console) -> list[dict[str, Any]]:
    async with Runtime(log=log, flows=[flow]) as runtime:
        taken, refused = await take(runtime)
        async with LiveRuns(console, total=len(taken)) as view:
            for run in taken:
                view.watch(run, run.id)
            for run in taken:
                await run.wait_settled()
        rows = [await _row(run) for run in taken]
    return [*rows, *({"run": run, "state": "refused", "reason": why} for run, why in refused.items())]


async def _row(run: Run[Any]) -> dict[str, Any]:
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


def _line(row: dict[str, Any]) -> Text:
    if row["state"] == "waiting":
        asked = [f"a person decides at {one['task']}" for one in row["reviews"]]
        asked += [
            f"nobody knows if {one['task']} happened (key {one['key']}); say --happened {one['task']}=JSON or --again "
            f"{one['task']}"
            for one in row["unknown"]
        ]
        return Text(f"{row['run']} waits: {safe('; '.join(asked))}", style="yellow")
    if row["state"] == "finished":
        return Text(f"{row['run']} finished: {safe(json.dumps(row['result'], ensure_ascii=False))}", style="green")
    return Text(f"{row['run']} {row['state']}: {safe(row['reason'])}", style="red")


async def _settle(run: Run[Any], happened: list[str], again: list[str]) -> None:
    for told in happened:
        task, body = _pair("--happened", told)
        await run.settle(task, happened=True, output=_output(run, task, body))
    for task in again:
        await run.settle(task, happened=False)


def _output(run: Run[Any], task: str, body: str) -> Message | None:
    asked = next((one for one in run.unknown if one.task == task), None)
    if asked is None:
        known = ", ".join(one.task for one in run.unknown) or "none"
        raise ResumeRefused(run.id, [f"no effect of task {task!r} is in doubt; in doubt: {known}"])
    if body == "null":
        return None
    return _message(run.flow.nodes[asked.node].signature.produces, body, "--happened")


def _input(flow: Flow[Any, Any], before: str, body: str) -> Message:
    name = before.rpartition("/")[2].partition("#")[0]
    if name not in flow.nodes:
        fail(f"the flow has no node {name!r}; it has {', '.join(flow.nodes)}", Exit.BAD_INPUT)
    return _message(flow.nodes[name].signature.consumes, body, "--message")


def _message(form: Any, body: str, option: str) -> Message:
    """The first member of `form` that `body` fits."""
    kinds = [kind for kind in members(form) if isinstance(kind, type) and issubclass(kind, Message)]
    faults = []
    for kind in kinds:
        try:
            return kind.model_validate_json(body, strict=False)
        except ValidationError as error:
            faults += [f"{kind.__name__}: {'.'.join(map(str, one['loc']))} {one['msg']}" for one in error.errors()]
    raise MessageError(f"{option}: this is no {' or '.join(kind.__name__ for kind in kinds)}: {'; '.join(faults)}")


def _pair(option: str, told: str) -> tuple[str, str]:
    name, equals, value = told.partition("=")
    if not equals or not name:
        fail(f"{option} {told!r} is no NAME=VALUE", Exit.USAGE)
    return name, value
