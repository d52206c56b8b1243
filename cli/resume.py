"""`coterie resume` and `coterie dead retry`: runs that were interrupted, or that failed, go on where they were."""

from typing import Annotated, Any

import typer

from ..orchestration.run import Run
from ..orchestration.runtime import Runtime
from .exits import EXIT_CODES, Exit, clear_errors, fail
from .going_on import Taken, see_through
from .logs import DEFAULT_LOG, FlowOption, GroupLogOption, JsonOption, LogOption, RunArgument, run_id
from .target import flow_at
from .typed_json import every_flow, pair, value_of
from .who import ByOption, who


def resume(
    flow: FlowOption,
    run: Annotated[str | None, typer.Argument(help="One run; all that have not ended unless given.")] = None,
    log: LogOption = DEFAULT_LOG,
    pin: Annotated[bool, typer.Option("--pin", help="Let roles answer with the weights they began with.")] = False,
    happened: Annotated[
        list[str] | None, typer.Option(metavar="TASK=JSON", help="This effect happened; what its node would have said.")
    ] = None,
    again: Annotated[list[str] | None, typer.Option(metavar="TASK", help="This effect did not happen; do it.")] = None,
    wait: Annotated[
        bool, typer.Option("--wait", help="Stay until people have decided, by `coterie review`, what waits for them.")
    ] = False,
    by: ByOption = None,
    as_json: JsonOption = False,
) -> None:
    with clear_errors():
        target = flow_at(flow)
        if run is None and (happened or again):
            fail("--happened and --again need the run that they are about", Exit.USAGE)
        identity = None if run is None else run_id(log, run)
        outputs = dict(pair("--happened", one) for one in happened or [])

        async def take(runtime: Runtime) -> Taken:
            if identity is not None:
                one = await runtime.resume_run(target, identity, pin=pin)
                await _settle(one, outputs, again or [], who(by))
                return Taken([one])
            taken = await runtime.resume(target, pin=pin)
            why = {name: str(error) for name, error in taken.refused.items()}
            return Taken(taken.runs, why | dict.fromkeys(taken.elsewhere, "another living process has it"))

        see_through(log, target, take, as_json, who(by), wait)


resume.__doc__ = f"""Go on with runs that were interrupted. What was done is not done again.

\b
    coterie resume --flow examples/finance_desk.py:flow --log desk.db
    coterie resume --flow examples/finance_desk.py:flow --log desk.db --wait    # serves the desks of its reviewers
    coterie resume 3f8b --flow desk.py:flow --happened 'publish={{"text": "…"}}'

Where a step with an outside effect died, the effect is named, and --happened or --again says what is true.

{EXIT_CODES}
"""


def retry_run(
    context: typer.Context,
    run: RunArgument,
    flow: FlowOption,
    log: GroupLogOption = None,
    by: ByOption = None,
    as_json: JsonOption = False,
) -> None:
    """Put the task that ended a run back to work, with all its attempts.

    \b
        coterie dead retry 3f8b --flow desk.py:flow --log desk.db
    """
    with clear_errors():
        target, place = flow_at(flow), log or context.obj
        identity = run_id(place, run)

        async def take(runtime: Runtime) -> Taken:
            return Taken([await runtime.retry(target, identity, by=who(by))])

        see_through(place, target, take, as_json, who(by))


async def _settle(run: Run[Any], outputs: dict[str, str], again: list[str], by: str) -> None:
    """Say of each effect in doubt what is true; nothing is said where one of the answers cannot be taken."""
    asked = {one.task: one.node for one in run.unknown}
    for task in (*outputs, *again):
        if task not in asked:
            fail(f"run {run.id!r} has no effect of {task!r} in doubt; in doubt: {', '.join(asked) or 'none'}")
    if both := sorted(set(outputs) & set(again)):
        fail(f"--happened and --again contradict each other about {', '.join(both)}", Exit.USAGE)
    flows = list(every_flow(run.flow))
    values = {}
    for task, body in outputs.items():
        forms = [one.nodes[asked[task]].signature.produces for one in flows if asked[task] in one.nodes]
        values[task] = value_of("--happened", forms, body)
    for task, value in values.items():
        await run.settle(task, happened=True, output=value, by=by)
    for task in again:
        await run.settle(task, happened=False, by=by)
